/* SPDX-License-Identifier: Apache-2.0 */
/* size.h - numbers of bytes in options. */
#ifndef SPANTAP_SIZE_H
#define SPANTAP_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* A number, K, M, G or T may follow: powers of 1024. False: it is none, or too large. */
bool size_read(const char *s, uint64_t *ret);

#endif
