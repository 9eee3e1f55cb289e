/* SPDX-License-Identifier: Apache-2.0 */
/* print.h - pieces of the text form of this seam, shared by calls and MCP requests. */
#ifndef SPANTAP_LLM_PRINT_H
#define SPANTAP_LLM_PRINT_H

#include "base/buf.h"

/* ' key="value"', escaped; nothing when it is absent. */
void print_str(struct buf *out, const char *key, struct slice v);
/* ' key=ns' after `zero`; "-" for a moment that was not reached. */
void print_time(struct buf *out, const char *key, uint64_t at, uint64_t zero);

#endif
