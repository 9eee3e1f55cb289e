/* SPDX-License-Identifier: Apache-2.0 */
/*
 * summary.h - what each number of struct sink_summary means, as one table.
 */
#ifndef SPANTAP_SUMMARY_H
#define SPANTAP_SUMMARY_H

#include "sink/sink.h"

struct summary_def {
	const char *name;  /* key in the store */
	size_t offset;     /* of the uint64_t in struct sink_summary */
	const char *words; /* with %s for the number; NULL: not said */
	enum { SUMMARY_COUNT, SUMMARY_BYTES, SUMMARY_NOTE /* a count that is no loss */ } form;
};

extern const struct summary_def summary_defs[];
extern const size_t n_summary_defs;

uint64_t summary_value(const struct sink_summary *s, size_t i);

/* "16,384 bytes" exactly below a million, then "3.4 MB"; "1,234": numbers as people read them. */
void summary_bytes(struct buf *out, uint64_t n);
void summary_count(struct buf *out, uint64_t n);

#endif
