/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "store/db.h"
#include "store/messages.h"
#include "store/value.h"

#define CANNOT_READ "cannot read the store"
#define MATCHES_MAX 8 /* of an ambiguous id that the message lists */

_Static_assert(SPAN_CONVERSATION == 0 && SPAN_TURN == 1 && SPAN_CHAT == 2 && SPAN_TOOL == 3,
               "kinds in the SQL below");

static struct slice column(sqlite3_stmt *q, int i, struct arena *a)
{
	return arena_dup(a, db_column(q, i));
}

static int64_t column_or_none(sqlite3_stmt *q, int i)
{
	return sqlite3_column_type(q, i) == SQLITE_NULL ? LLM_NONE : sqlite3_column_int64(q, i);
}

static int done(struct store *st, sqlite3_stmt *q, int step)
{
	int r = step == SQLITE_DONE || step == SQLITE_ROW ? 0 : db_error(st, CANNOT_READ);

	sqlite3_reset(q);
	return r;
}

static int get_models(struct store *st, struct arena *a, struct store_conversation *c)
{
	sqlite3_stmt *q = db_stmt(st, STMT_MODELS,
	                          "SELECT model FROM span WHERE trace=?1 AND kind=2 AND model IS NOT NULL"
	                          " GROUP BY model ORDER BY min(start_ns) LIMIT ?2");
	int step;

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_blob(q, 1, c->trace, sizeof(c->trace), SQLITE_STATIC);
	sqlite3_bind_int(q, 2, STORE_MODELS_MAX);
	while ((step = sqlite3_step(q)) == SQLITE_ROW) {
		struct slice *model = arena_push(a, &c->models, &c->n_models, sizeof(*model));

		*model = column(q, 0, a);
	}
	return done(st, q, step);
}

/* What the user said in the first call that is no title or summary call of the agent's own. */
static int get_text(struct store *st, struct arena *a, struct store_conversation *c)
{
	sqlite3_stmt *q = db_stmt(st, STMT_FIRST_CHAT,
	                          "SELECT attributes, seq FROM span WHERE trace=?1 AND kind=2"
	                          " ORDER BY coalesce(call_kind, 'main') <> 'main', start_ns LIMIT 1");
	struct span s = {0};
	struct buf text = {0};

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_blob(q, 1, c->trace, sizeof(c->trace), SQLITE_STATIC);
	int step = sqlite3_step(q), r = 0;
	if (step == SQLITE_ROW && span_json_read(&s, db_column(q, 0)) == 0) {
		r = value_get(st, sqlite3_column_int64(q, 1), ATTR_INPUT_MESSAGES, &s);
		const struct attr *input = span_get(&s, ATTR_INPUT_MESSAGES);

		if (input)
			messages_user_text(&text, input->str, STORE_TEXT_MAX);
	}
	if (text.n)
		c->text = arena_dup(a, buf_slice(&text));
	buf_release(&text);
	span_release(&s);
	int ended = done(st, q, step);
	return r && r != -ENOENT ? r : ended;
}

static void read_summary(sqlite3_stmt *q, struct arena *a, struct store_conversation *c)
{
	c->start_wall = (uint64_t)sqlite3_column_int64(q, 0);
	c->duration = (uint64_t)sqlite3_column_int64(q, 1);
	c->turns = (uint64_t)sqlite3_column_int64(q, 2);
	c->calls = (uint64_t)sqlite3_column_int64(q, 3);
	c->tools = (uint64_t)sqlite3_column_int64(q, 4);
	c->errors = (uint64_t)sqlite3_column_int64(q, 5);
	c->input_tokens = column_or_none(q, 6);
	c->output_tokens = column_or_none(q, 7);
	c->calls_without_usage = (uint64_t)sqlite3_column_int64(q, 8);
	c->ended = sqlite3_column_int64(q, 9) > 0;
	c->complete = sqlite3_column_int64(q, 10) == 0;
	c->id = column(q, 11, a);
	c->agent = column(q, 12, a);
	c->command = column(q, 13, a);
}

int store_conversation(struct store *st, const uint8_t trace[16], struct arena *a,
                       struct store_conversation *ret)
{
	sqlite3_stmt *q =
	    db_stmt(st, STMT_SUMMARY,
	            "SELECT min(start_wall_ns), max(end_ns) - min(start_ns),"
	            /* a relayed call is one that was counted */
	            " sum(kind=1), sum(kind=2 AND call_kind IS NOT 'relay'), sum(kind=3), sum(kind IN (2,3) AND status=2),"
	            " sum(input_tokens) FILTER (WHERE kind=2), sum(output_tokens) FILTER (WHERE kind=2),"
	            /* only what is asked for words: names begin with the operation */
	            " sum(kind=2 AND call_kind IS NOT 'relay' AND (input_tokens IS NULL OR output_tokens IS NULL)"
	            " AND substr(name, 1, instr(name || ' ', ' ') - 1) IN"
	            " ('chat', 'generate_content', 'text_completion', 'invoke_agent')),"
	            " sum(kind=0), sum(complete=0), min(conversation), min(agent),"
	            " (SELECT command FROM capture WHERE id=(SELECT min(capture) FROM span WHERE trace=?1))"
	            " FROM span WHERE trace=?1");
	struct store_conversation c = {0};

	if (!q)
		return db_errno(st->db);
	memcpy(c.trace, trace, sizeof(c.trace));
	sqlite3_bind_blob(q, 1, c.trace, sizeof(c.trace), SQLITE_STATIC);
	int step = sqlite3_step(q);
	if (step == SQLITE_ROW)
		read_summary(q, a, &c);
	int r = done(st, q, step);
	if (r == 0 && c.calls == 0)
		r = db_fail(st, -ENOENT, "no call in this trace");
	if (r == 0)
		r = get_models(st, a, &c);
	if (r == 0)
		r = get_text(st, a, &c);
	if (r == 0)
		*ret = c;
	return r;
}

static int close_read(struct store *st, bool begun, int r)
{
	if (begun && !sqlite3_get_autocommit(st->db))
		sqlite3_exec(st->db, "COMMIT", NULL, NULL, NULL);
	return r;
}

int store_conversations(struct store *st, const struct store_choice *choice, size_t limit, struct arena *a,
                        struct store_conversation **ret, size_t *ret_n)
{
	struct store_conversation *v = NULL, c;
	size_t n = 0;
	/* One transaction: the list and what is said of each come from the same moment. */
	bool begun = sqlite3_get_autocommit(st->db);
	int r = begun ? db_exec(st, "BEGIN") : 0;
	sqlite3_stmt *q = r ? NULL
	                    : db_stmt(st, STMT_NEWEST,
	                              "SELECT trace FROM trace WHERE call_wall_ns >= ?1 AND call_wall_ns < ?2"
	                              " ORDER BY call_wall_ns DESC, trace");
	int step = SQLITE_DONE;

	if (!q)
		return close_read(st, begun, r ? r : db_errno(st->db));
	sqlite3_bind_int64(q, 1, (int64_t)choice->since);
	sqlite3_bind_int64(q, 2, choice->until > INT64_MAX ? INT64_MAX : (int64_t)choice->until);
	while (r == 0 && n < limit && (step = sqlite3_step(q)) == SQLITE_ROW) {
		if (sqlite3_column_bytes(q, 0) != 16)
			continue;
		r = store_conversation(st, sqlite3_column_blob(q, 0), a, &c);
		if (r == 0 && (!choice->wanted || choice->wanted(choice->ctx, &c)))
			*(struct store_conversation *)arena_push(a, &v, &n, sizeof(c)) = c;
	}
	if (r == 0)
		r = done(st, q, step);
	sqlite3_reset(q);
	if (close_read(st, begun, r))
		return r;
	*ret = v;
	*ret_n = n;
	return 0;
}

/* The trace ids that begin with the hex digits `id` are those between *low and *high. */
static bool hex_range(struct slice id, uint8_t low[16], uint8_t high[16])
{
	memset(low, 0, 16);
	memset(high, 0xff, 16);
	if (id.n == 0 || id.n > 32)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		const char *digits = "0123456789abcdef", *d = strchr(digits, id.p[i] | 0x20);
		int shift = i % 2 ? 0 : 4;

		if (!d || id.p[i] < '0')
			return false;
		low[i / 2] |= (uint8_t)((d - digits) << shift);
		high[i / 2] &= (uint8_t)(((d - digits) << shift) | (shift ? 0x0f : 0xf0));
	}
	return true;
}

static int ambiguous(struct store *st, struct slice id, const uint8_t (*v)[16], size_t n)
{
	int r = db_fail(st, -ENOTUNIQ, "id '");

	text_line(&st->error, id, 64);
	buf_adds(&st->error, "' is ambiguous:");
	for (size_t i = 0; i < n && i < MATCHES_MAX; i++) {
		buf_addc(&st->error, ' ');
		text_hex(&st->error, v[i], 16);
	}
	if (n > MATCHES_MAX)
		buf_adds(&st->error, " and more");
	return r;
}

int store_find(struct store *st, struct slice id, uint8_t ret_trace[16])
{
	uint8_t low[16], high[16], found[MATCHES_MAX + 1][16];
	size_t n = 0, exact = 0;
	int step;
	sqlite3_stmt *q =
	    db_stmt(st, STMT_FIND,
	            "SELECT trace, coalesce(conversation=?1, 0) AS exact FROM trace WHERE call_wall_ns IS NOT NULL"
	            " AND (trace BETWEEN ?2 AND ?3 OR substr(conversation, 1, length(?1))=?1)"
	            " ORDER BY exact DESC, call_wall_ns DESC LIMIT ?4");

	if (!q)
		return db_errno(st->db);
	if (id.n == 0)
		return db_fail(st, -ENOENT, "an empty id names no conversation");
	db_bind_slice(q, 1, id);
	if (hex_range(id, low, high)) {
		sqlite3_bind_blob(q, 2, low, sizeof(low), SQLITE_TRANSIENT);
		sqlite3_bind_blob(q, 3, high, sizeof(high), SQLITE_TRANSIENT);
	}
	sqlite3_bind_int(q, 4, MATCHES_MAX + 1);
	while ((step = sqlite3_step(q)) == SQLITE_ROW) {
		if (sqlite3_column_bytes(q, 0) != 16)
			continue;
		memcpy(found[n++], sqlite3_column_blob(q, 0), 16);
		exact += sqlite3_column_int(q, 1) != 0;
	}
	int r = done(st, q, step);
	if (r)
		return r;
	if (n == 0) {
		r = db_fail(st, -ENOENT, "no conversation '");
		text_line(&st->error, id, 64);
		buf_addf(&st->error, "' in '%s'; see 'spantap ls'", st->dir);
		return r;
	}
	if (n > 1 && exact != 1)
		return ambiguous(st, id, (const uint8_t(*)[16])found, n);
	memcpy(ret_trace, found[0], 16);
	return 0;
}

static void copy_blob(void *to, size_t n, sqlite3_stmt *q, int i)
{
	if ((size_t)sqlite3_column_bytes(q, i) == n)
		memcpy(to, sqlite3_column_blob(q, i), n);
}

int db_read_span(struct store *st, sqlite3_stmt *q, struct span *s)
{
	copy_blob(s->id, sizeof(s->id), q, 0);
	copy_blob(s->trace, sizeof(s->trace), q, 1);
	copy_blob(s->parent, sizeof(s->parent), q, 2);
	s->kind = (enum span_kind)sqlite3_column_int(q, 3);
	s->name = column(q, 4, &s->arena);
	s->start = (uint64_t)sqlite3_column_int64(q, 5);
	s->end = (uint64_t)sqlite3_column_int64(q, 6);
	s->start_wall = (uint64_t)sqlite3_column_int64(q, 7);
	s->status = (enum span_status)sqlite3_column_int(q, 8);
	s->status_message = column(q, 9, &s->arena);
	if ((unsigned)s->kind >= SPAN_KINDS || (unsigned)s->status > SPAN_ERROR ||
	    span_json_read(s, db_column(q, 10)))
		return db_fail(st, -EBADMSG, "the store '%s' holds a span that cannot be read", st->dir);
	return values_get(st, sqlite3_column_int64(q, DB_SPAN_SEQ), s);
}

int store_spans(struct store *st, const uint8_t trace[16], struct span **ret, size_t *ret_n)
{
	struct span *v = NULL;
	size_t n = 0, cap = 0;
	int r = 0, step = SQLITE_DONE;
	sqlite3_stmt *q = db_stmt(
	    st, STMT_SPANS,
	    "SELECT " DB_SPAN_COLUMNS " FROM span WHERE trace=? ORDER BY start_ns, kind, id");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_blob(q, 1, trace, 16, SQLITE_TRANSIENT);
	while (r == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
		xgrow(&v, &cap, n + 1, sizeof(*v));
		v[n] = (struct span){0};
		r = db_read_span(st, q, &v[n++]);
	}
	if (r == 0)
		r = done(st, q, step);
	sqlite3_reset(q);
	if (r) {
		store_spans_free(v, n);
		return r;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

void store_spans_free(struct span *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		span_release(&v[i]);
	free(v);
}

int store_call(struct store *st, const uint8_t trace[16], uint64_t number, uint8_t ret_span[8])
{
	sqlite3_stmt *q = db_stmt(st, STMT_CALL,
	                          "SELECT id FROM span WHERE trace=? AND kind=2 ORDER BY start_ns, id LIMIT 1 OFFSET ?");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_blob(q, 1, trace, 16, SQLITE_TRANSIENT);
	sqlite3_bind_int64(q, 2, number && number <= INT64_MAX ? (int64_t)number - 1 : INT64_MAX);
	int step = sqlite3_step(q);
	if (step == SQLITE_ROW)
		copy_blob(ret_span, 8, q, 0);
	int r = done(st, q, step);
	return r || step == SQLITE_ROW ? r : db_fail(st, -ENOENT, "the conversation has no call %llu",
	                                             (unsigned long long)number);
}

/* A text that is short enough to stand in the row of its span. */
static int inline_value(struct store *st, sqlite3_stmt *q, enum attr_key key, struct buf *out)
{
	struct span s = {0};
	int r = span_json_read(&s, db_column(q, 1));
	const struct attr *a = span_get(&s, key);

	if (r)
		r = db_fail(st, r, "the store '%s' holds a span that cannot be read", st->dir);
	else if (!a || attr_defs[key].type != ATTR_STR)
		r = db_fail(st, -ENOENT, "the span has no %s", attr_defs[key].name);
	else
		buf_addslice(out, a->str);
	span_release(&s);
	return r;
}

static void add_text(struct buf *out, const struct attr *a)
{
	if (attr_defs[a->key].type == ATTR_STR) {
		buf_addslice(out, a->str);
		return;
	}
	for (size_t i = 0; i < a->strs.n; i++) {
		buf_addslice(out, a->strs.v[i]);
		buf_addc(out, '\n');
	}
}

int store_value(struct store *st, const uint8_t span[8], enum attr_key key, struct buf *out)
{
	sqlite3_stmt *q = db_stmt(st, STMT_SPAN_ROW, "SELECT seq, attributes FROM span WHERE id=?");
	struct span s = {0};

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_blob(q, 1, span, 8, SQLITE_TRANSIENT);
	int step = sqlite3_step(q);
	int r = step == SQLITE_ROW ? value_get(st, sqlite3_column_int64(q, 0), key, &s) : 0;
	if (r == -ENOENT)
		r = inline_value(st, q, key, out);
	else if (r == 0 && step == SQLITE_ROW)
		add_text(out, span_get(&s, key));
	span_release(&s);
	int ended = done(st, q, step);
	if (r || ended)
		return r ? r : ended;
	return step == SQLITE_ROW ? 0 : db_fail(st, -ENOENT, "there is no such span");
}
