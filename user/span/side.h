/* SPDX-License-Identifier: Apache-2.0 */
/*
 * side.h - calls that serve a conversation without being part of what is said:
 * title, summary of a topic, guard, check of the account.
 *
 * Agents make them from the process, and with the session key, of the
 * conversation, but without tools and without its messages.  So a call of an
 * agent that has no tools, no answer in its messages, and is not the task of a
 * sub-agent may be one; whether it is, only the calls around it tell.  It is
 * parked when it has ended, and settled
 *   - when a call of the conversation begins: one that ended long before it
 *     belongs to the turn before, else to the turn of that call,
 *   - when a call repeats it with its answer: then it was no side call, but the
 *     beginning of a conversation without tools,
 *   - when nothing comes for SIDE_WAIT, or where no conversation is known for
 *     SIDE_ALONE, or the conversation or the capture ends.
 */
#ifndef SPANTAP_SIDE_H
#define SPANTAP_SIDE_H

#include "span/assembler.h"

#define SIDE_WAIT       3000000000ull  /* ns behind its end in which the call that it was made for begins */
#define SIDE_ALONE      30000000000ull /* ns: an agent checks its account before the user has said anything */
#define SIDE_PARTS_MAX  8              /* of its messages */
#define SIDES_MAX       64             /* parked; then the oldest is settled with what is known */
#define SIDES_BYTES_MAX (64u << 20)    /* of what they say */

/* Whether it may be one. To be asked when the call begins. */
bool side_may_be(const struct flight *f);
/* Whether it may still be one now that it has ended: who asks for tools has some. */
bool side_may_stay(const struct flight *f);
/* The call has ended and belongs to nothing yet. */
void side_park(struct spans *sp, struct flight *f);
/* `f` is about to be located: parked calls that it continues stand for themselves. */
void sides_before(struct spans *sp, const struct flight *f);
/* `f` has joined its conversation: parked ones of it, those of the turn before (old_turn) and then the rest.
 */
void sides_join(struct spans *sp, const struct flight *f, bool old_turn);
/* The conversation ends. */
void sides_close(struct spans *sp, struct conversation *c);
/* Time passed; all: the capture ends. */
void sides_tick(struct spans *sp, uint64_t now, bool all);

#endif
