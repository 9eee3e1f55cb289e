/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/text.h"
#include "store/db.h"
#include "store/open_traces.h"

/* What spans say of their conversation since it was written last. */
struct open_trace {
	int64_t id; /* 0: it has no row yet */
	uint8_t trace[16];
	int64_t start, end, call; /* wall clock; call: of its first call */
	bool changed, has_call, ended;
	struct buf conversation; /* as its first call names it; empty: it does not */
	struct open_trace *next_changed;
};

struct open_traces {
	struct map by_trace;
	struct open_trace *changed;
};

struct open_traces *open_traces_new(void)
{
	return xcalloc(1, sizeof(struct open_traces));
}

void open_traces_forget(struct open_traces *t)
{
	struct map_entry *e;

	map_foreach (&t->by_trace, e) {
		struct open_trace *o = e->value;

		buf_release(&o->conversation);
		free(o);
	}
	map_release(&t->by_trace);
	t->changed = NULL;
}

void open_traces_free(struct open_traces *t)
{
	if (t)
		open_traces_forget(t);
	free(t);
}

static void gather(struct open_traces *t, struct open_trace *o, const struct span *s)
{
	int64_t start = (int64_t)s->start_wall,
	        end = start + (int64_t)(s->end > s->start ? s->end - s->start : 0);
	const struct attr *conversation = span_get(s, ATTR_CONVERSATION_ID);

	o->start = o->changed && o->start < start ? o->start : start;
	o->end = o->changed && o->end > end ? o->end : end;
	o->ended |= s->kind == SPAN_CONVERSATION;
	if (!o->changed) {
		o->next_changed = t->changed;
		t->changed = o;
		o->changed = true;
	}
	if (s->kind != SPAN_CHAT)
		return;
	o->call = o->has_call && o->call < start ? o->call : start;
	o->has_call = true;
	if (conversation && !o->conversation.n)
		text_utf8(&o->conversation, conversation->str);
}

static int write_row(struct store *st, struct open_trace *o)
{
	sqlite3_stmt *q = db_stmt(
	    st, STMT_TRACE_PUT,
	    "INSERT INTO trace (trace, start_wall_ns, end_wall_ns, call_wall_ns, conversation, capture, "
	    "ended)"
	    " VALUES (?1,?2,?3,?4,?5,?6,?7) ON CONFLICT (trace) DO UPDATE SET"
	    " start_wall_ns=min(start_wall_ns, ?2), end_wall_ns=max(end_wall_ns, ?3),"
	    " call_wall_ns=min(coalesce(call_wall_ns, ?4), coalesce(?4, call_wall_ns)),"
	    " conversation=coalesce(conversation, ?5), capture=?6, ended=max(ended, ?7) RETURNING id");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_blob(q, 1, o->trace, sizeof(o->trace), SQLITE_STATIC);
	sqlite3_bind_int64(q, 2, o->start);
	sqlite3_bind_int64(q, 3, o->end);
	if (o->has_call)
		sqlite3_bind_int64(q, 4, o->call);
	if (o->conversation.n)
		db_bind_slice(q, 5, buf_slice(&o->conversation));
	if (st->capture)
		sqlite3_bind_int64(q, 6, st->capture);
	sqlite3_bind_int(q, 7, o->ended);
	bool found = sqlite3_step(q) == SQLITE_ROW;
	if (found)
		o->id = sqlite3_column_int64(q, 0);
	int r = sqlite3_reset(q) == SQLITE_OK && found ? 0 : db_error(st, "cannot write to the store");
	sqlite3_clear_bindings(q);
	return r;
}

int open_traces_write(struct store *st)
{
	struct open_traces *t = st->open_traces;
	int r = 0;

	for (struct open_trace *o = t->changed; o && r == 0; o = o->next_changed) {
		r = write_row(st, o);
		o->changed = o->has_call = o->ended = false;
		buf_clear(&o->conversation);
	}
	t->changed = NULL;
	return r;
}

int open_traces_put(struct store *st, const struct span *s, int64_t *ret)
{
	struct open_traces *t = st->open_traces;
	struct open_trace *o = map_get(&t->by_trace, s->trace, sizeof(s->trace));
	int r = 0;

	if (!o && t->by_trace.n >= OPEN_TRACES_MAX) {
		r = open_traces_write(st);
		open_traces_forget(t);
	}
	if (r)
		return r;
	if (!o) {
		o = xcalloc(1, sizeof(*o));
		memcpy(o->trace, s->trace, sizeof(o->trace));
		map_put(&t->by_trace, o->trace, sizeof(o->trace), o);
	}
	gather(t, o, s);
	if (!o->id)
		r = write_row(st, o);
	if (r == 0)
		*ret = o->id;
	return r;
}
