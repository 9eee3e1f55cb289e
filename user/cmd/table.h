/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - cells of the tables that people read.  Whatever comes from traffic
 * is escaped here.
 */
#ifndef SPANTAP_TABLE_H
#define SPANTAP_TABLE_H

#include "base/buf.h"

/* `text` escaped, cut to a column of `width`, at its left or right end, and a blank. */
void table_cell(struct buf *out, struct slice text, size_t width, bool right);

/* Five columns at most: 123, 45k, 7.8M; "?" when it is negative, which means unknown. */
void table_count(struct buf *out, int64_t n);

/* Six columns at most: 0.4s, 75.0s, 12m05, 3h07. */
void table_duration(struct buf *out, uint64_t ns);

/* Six columns at most, down to microseconds: 850us, 12ms, 1.25s, 75.0s, 12m05; "?" for NAN. */
void table_latency(struct buf *out, double ns);
/* Eleven columns: "11-25 14:30", local time; "?" for 0. */
void table_time(struct buf *out, uint64_t wall_ns);

#endif
