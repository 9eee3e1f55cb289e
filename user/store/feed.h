/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed.h - the store as a queue: spans in the order in which they were
 * committed, for exporters that remember how far they got.
 *
 * Every span has a number, one more than the span before it, and no number is
 * given twice: what is missing between two of them was erased by retention.
 */
#ifndef SPANTAP_FEED_H
#define SPANTAP_FEED_H

#include "store/store.h"

struct store_fed {
	struct span span;
	uint64_t seq;
	enum content_level content; /* of the capture that made it; CONTENT_FULL where the store does not say */
};

/*
 * Spans behind number `after`: at most `max`, and no further one when their
 * texts are `bytes` long (one at least).  Without LOCAL attributes.  0 or
 * -errno.  To be given back with store_fed_free().
 */
int store_feed(struct store *st, uint64_t after, size_t max, size_t bytes, struct store_fed **ret, size_t *ret_n);
void store_fed_free(struct store_fed *v, size_t n);
/* The highest number ever given, 0: none was. */
int store_feed_newest(struct store *st, uint64_t *ret_seq);

#endif
