/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "span/join.h"
#include "span/traceparent.h"

struct join {
	struct trace_id of;                 /* what the turn's spans say before it is decided */
	struct trace_id otherwise, foreign; /* otherwise: of the conversation */
	struct span_id above;
	bool any, mixed, decided;
	struct buf held; /* encoded spans, each behind its length */
	size_t n;
	TAILQ_ENTRY(join) next;
};

static struct join *find(struct spans *sp, struct trace_id of)
{
	return map_get(&sp->joins, &of, sizeof(of));
}

static void join_free(struct spans *sp, struct join *j)
{
	map_del(&sp->joins, &j->of, sizeof(j->of));
	TAILQ_REMOVE(&sp->join_list, j, next);
	sp->join_bytes -= j->held.n;
	buf_release(&j->held);
	free(j);
}

/* Only decided ones are forgotten; turns are as bounded as conversations. */
static void forget(struct spans *sp)
{
	struct join *j = TAILQ_FIRST(&sp->join_list), *next;

	for (; j && sp->joins.n > JOINS_MAX; j = next) {
		next = TAILQ_NEXT(j, next);
		if (j->decided)
			join_free(sp, j);
	}
}

void join_turn(struct spans *sp, struct turn *t, bool top)
{
	t->trace = t->conversation->trace;
	if (!sp->conf.join_traces || !top)
		return;

	struct join *j = xcalloc(1, sizeof(*j));
	j->of = id_trace(&t->id);
	j->otherwise = t->conversation->trace;
	t->trace = j->of;
	map_put(&sp->joins, &j->of, sizeof(j->of), j);
	TAILQ_INSERT_TAIL(&sp->join_list, j, next);
	forget(sp);
}

void join_call(struct spans *sp, const struct turn *t, const struct llm_call *call)
{
	struct join *j = find(sp, t->trace);
	struct trace_id trace;
	struct span_id span;

	if (!j || j->decided)
		return;
	if (!traceparent_read(call->traceparent, &trace, &span)) {
		j->mixed = true;
	} else if (!j->any) {
		j->any = true;
		j->foreign = trace;
		j->above = span;
	} else if (memcmp(&trace, &j->foreign, sizeof(trace)) != 0) {
		j->mixed = true;
	}
}

static bool joins(const struct join *j)
{
	return j->any && !j->mixed;
}

static void set_trace(const struct join *j, struct span *s)
{
	memcpy(s->trace, joins(j) ? j->foreign.b : j->otherwise.b, sizeof(s->trace));
}

static void decide(struct spans *sp, struct join *j)
{
	struct slice rest = buf_slice(&j->held);
	uint64_t size;

	j->decided = true;
	while (rest.n > sizeof(size)) {
		struct span s;

		memcpy(&size, rest.p, sizeof(size));
		rest = slice_from(rest, sizeof(size));
		if (span_decode(slice_of(rest.p, size), &s) == 0) {
			set_trace(j, &s);
			sp->ev->span(sp->ctx, &s);
			span_release(&s);
		}
		rest = slice_from(rest, size);
	}
	sp->join_bytes -= j->held.n;
	buf_release(&j->held);
	j->held = (struct buf){0};
}

bool join_decide(struct spans *sp, const struct turn *t, struct trace_id *ret_trace,
                 struct span_id *ret_above)
{
	struct join *j = find(sp, t->trace);

	if (!j)
		return false;
	if (!j->decided)
		decide(sp, j);
	*ret_trace = joins(j) ? j->foreign : j->otherwise;
	*ret_above = j->above;
	return joins(j);
}

bool join_span(struct spans *sp, struct span *s)
{
	struct join *j = sp->joins.n ? map_get(&sp->joins, s->trace, sizeof(s->trace)) : NULL;
	uint64_t size = 0;
	size_t before;

	if (!j)
		return false;
	if (!j->decided && j->n == JOIN_SPANS_MAX)
		decide(sp, j);
	if (j->decided) {
		set_trace(j, s);
		return false;
	}
	before = j->held.n;
	buf_add(&j->held, &size, sizeof(size));
	span_encode(&j->held, s);
	size = j->held.n - before - sizeof(size);
	memcpy(j->held.p + before, &size, sizeof(size));
	sp->join_bytes += j->held.n - before;
	j->n++;
	TAILQ_FOREACH(j, &sp->join_list, next)
	{
		if (sp->join_bytes <= JOIN_BYTES_MAX)
			break;
		if (!j->decided)
			decide(sp, j);
	}
	return true;
}

void joins_release(struct spans *sp)
{
	while (!TAILQ_EMPTY(&sp->join_list))
		join_free(sp, TAILQ_FIRST(&sp->join_list));
	map_release(&sp->joins);
}
