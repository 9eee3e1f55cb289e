/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join.h - turns in the trace of an instrumented client (--join-traces).
 *
 * When all calls of a turn carry a traceparent (traceparent.h) of one trace, the
 * turn and all below it belong to that trace, below the client's span that came
 * with the first call; a link leads to the conversation.  That all do is known
 * when the turn ends, and a span is handed downstream once.  So each turn has a
 * trace id of its own, its spans wait, and get the trace that it turns out to
 * be when the turn is closed.  What ends later (processes) gets it too.
 */
#ifndef SPANTAP_JOIN_H
#define SPANTAP_JOIN_H

#include "span/assembler.h"

#define JOIN_SPANS_MAX 2000        /* of a turn that wait; then it is decided with the calls so far */
#define JOIN_BYTES_MAX (64u << 20) /* of all that wait; then the turn that waits longest is decided */
#define JOINS_MAX      1024        /* decided ones that are remembered, for spans that end later */

/* The turn begins: gives it a trace id of its own. `top`: it is of no nested conversation. */
void join_turn(struct spans *sp, struct turn *t, bool top);
/* A call of the turn ends. */
void join_call(struct spans *sp, const struct turn *t, const struct llm_call *call);
/*
 * The turn is closed and decided.  Where it joins a foreign trace, that and the
 * span above it are filled in; false: it does not.
 */
bool join_decide(struct spans *sp, const struct turn *t, struct trace_id *ret_trace,
                 struct span_id *ret_above);
/* True: the span waits, a copy was made. Else its trace is set to what was decided. */
bool join_span(struct spans *sp, struct span *s);
void joins_release(struct spans *sp);

#endif
