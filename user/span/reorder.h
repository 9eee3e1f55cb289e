/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reorder.h - what happened, in the order in which it happened.
 *
 * Process records and LLM traffic come through two rings that are read one
 * after the other, so they arrive out of order by some milliseconds, but their
 * time stamps are exact.  Everything waits here until nothing older can be
 * expected: REORDER_NS behind the newest time seen.  What comes later than
 * that is taken at once.
 */
#ifndef SPANTAP_REORDER_H
#define SPANTAP_REORDER_H

#include "span/span.h"

#define REORDER_NS        100000000ull /* twice the longest sleep between two reads of a ring */
#define REORDER_MAX       16384        /* records waiting; then the oldest goes at once */
#define REORDER_BYTES_MAX (64u << 20)  /* of their copies */

/* In the order in which they are taken when they have the same time. */
enum happening {
	HAPPENS_FORK,
	HAPPENS_EXEC,
	HAPPENS_EXIT,
	HAPPENS_LOSS,
	HAPPENS_LIFE_LOSS,
	HAPPENS_MCP,
	HAPPENS_HTTP,
	HAPPENS_LEFT_ALONE,
	HAPPENS_BEGIN,
	HAPPENS_END
};

struct reorder_item {
	uint64_t ts, seq;
	enum happening what;
	struct llm_call *call;  /* HAPPENS_BEGIN, HAPPENS_END */
	struct ev_head *record; /* the others: a copy, the taker frees it */
};

struct reorder {
	struct reorder_item *heap;
	size_t n, cap, bytes;
	uint64_t seq, seq_at_tick;
	uint64_t horizon; /* what is older than this may be taken */
	uint64_t newest;
};

void reorder_record(struct reorder *r, enum happening what, const struct ev_head *record, size_t size);
/* ts 0: now. Returns the time at which it stands. */
uint64_t reorder_call(struct reorder *r, enum happening what, uint64_t ts, struct llm_call *call);
/* Time passed: with nothing new since the last tick, nothing older than `now` is on its way. */
void reorder_tick(struct reorder *r, uint64_t now);
/* The next item that is old enough (all: the next); false when there is none. */
bool reorder_take(struct reorder *r, bool all, struct reorder_item *ret);
void reorder_release(struct reorder *r);

#endif
