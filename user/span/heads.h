/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heads.h - what is remembered of conversations, given away and taken back, so
 * that a conversation stays one when spantap is started again.
 *
 * A head says: who comes to this link continues that conversation.  Links are
 * keyed (span_conf.link_key): with the same key, a head means the same in every
 * run.  The keeper (the store) writes each head that span_events.head hands it,
 * the later one of the same link and conversation in place of the earlier, and
 * gives back
 *   - at the start the newest ones, oldest first, as many as HEADS_KEPT_MAX, and
 *   - when span_events.want asks for links, those that it has of them.  Heads
 *     that come before the call ends count for it; the call never waits.
 *
 * A head is content-free but for its link, which tells equal histories apart
 * from different ones: it is kept where conversations are kept, shown nowhere.
 */
#ifndef SPANTAP_HEADS_H
#define SPANTAP_HEADS_H

#include "span/span.h"

#define HEADS_KEPT_MAX   100000 /* are remembered at a time */
#define HEADS_WANTED_MAX 64     /* links asked for by a call: the longest parts of its history, and names */

struct head_record {
	uint8_t link[16];
	uint8_t conversation[8];    /* gen_ai.conversation.id */
	uint8_t trace[16], root[8]; /* its latest trace and span "conversation"; root zero: it was nested */
	uint8_t chat[8];            /* the call that left the head; zero: not known */
	uint8_t session[16];        /* keyed hash of the agent's session; zero: none */
	bool asked;                 /* by the messages of a request alone, its answer is not in the link */
	uint64_t turns;     /* of the conversation until then; given back, the most that the keeper knows */
	uint64_t last_wall; /* ns since the epoch when it was active last; 0: not known */
};

/* The bytes of a head, to be kept: always HEAD_RECORD_SIZE. */
#define HEAD_RECORD_SIZE 90
void head_encode(struct buf *out, const struct head_record *h);
/* 0, or -EBADMSG for what is no head; *ret is untouched then. */
int head_decode(struct slice in, struct head_record *ret);

/* Takes a head back. What this run has found out itself stands. */
void spans_head(struct spans *sp, const struct head_record *h);

#endif
