/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target_report.h - what was found in a file, for people and for programs.
 *
 * For people: one line a file in the list of `doctor`, all of it with
 * `doctor --exe FILE`; for programs: an object with the same facts.
 */
#ifndef SPANTAP_CMD_TARGET_REPORT_H
#define SPANTAP_CMD_TARGET_REPORT_H

#include <yyjson.h>

#include "base/buf.h"
#include "target/target.h"

/* Nothing when the file has no TLS library. */
void target_report_line(struct buf *out, const char *path, const struct target *t);
void target_report(struct buf *out, const char *path, const struct target *t);
yyjson_mut_val *target_report_json(yyjson_mut_doc *d, const char *path, const struct target *t);

#endif
