/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "store/db.h"
#include "store/open_traces.h"
#include "store/value.h"

static void bind_text(sqlite3_stmt *q, int column, struct slice s)
{
	struct buf b = {0};

	if (s.p)
		text_utf8(&b, s);
	db_bind_slice(q, column, s.p ? buf_slice(&b) : s);
	buf_release(&b);
}

static int begin(struct store *st)
{
	if (st->batch_error)
		return st->batch_error;
	if (st->in_batch)
		return 0;
	int r = db_exec(st, "BEGIN IMMEDIATE");
	st->in_batch = r == 0;
	st->batch_error = r;
	return r;
}

/* Drops the batch; the error stays as it is. */
static int drop(struct store *st, int error)
{
	if (!sqlite3_get_autocommit(st->db))
		sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
	st->in_batch = false;
	st->batch_error = error;
	db_forget(st);
	return error;
}

static int run(struct store *st, sqlite3_stmt *q)
{
	int r = db_run(st, q);

	return r ? drop(st, r) : 0;
}

static void bind_attr(sqlite3_stmt *q, int column, const struct span *s, enum attr_key key)
{
	const struct attr *a = span_get(s, key);

	if (!a)
		return;
	if (attr_defs[key].type == ATTR_STR)
		bind_text(q, column, a->str);
	else if (attr_defs[key].type == ATTR_BOOL)
		sqlite3_bind_int(q, column, a->b);
	else
		sqlite3_bind_int64(q, column, a->i);
}

static void bind_model(sqlite3_stmt *q, int column, const struct span *s)
{
	bool answered = span_get(s, ATTR_RESPONSE_MODEL) != NULL;

	bind_attr(q, column, s, answered ? ATTR_RESPONSE_MODEL : ATTR_REQUEST_MODEL);
}

static void bind_attributes(sqlite3_stmt *q, int column, const struct span *s)
{
	struct buf json = {0};

	span_json_write(&json, s);
	db_bind_slice(q, column, buf_slice(&json));
	buf_release(&json);
}

static void bind_span(sqlite3_stmt *q, const struct span *s)
{
	static const uint8_t root[8];

	sqlite3_bind_blob(q, 1, s->id, sizeof(s->id), SQLITE_STATIC);
	sqlite3_bind_blob(q, 2, s->trace, sizeof(s->trace), SQLITE_STATIC);
	if (memcmp(s->parent, root, sizeof(root)))
		sqlite3_bind_blob(q, 3, s->parent, sizeof(s->parent), SQLITE_STATIC);
	sqlite3_bind_int(q, 4, (int)s->kind);
	bind_text(q, 5, s->name.p ? s->name : SLICE(""));
	sqlite3_bind_int64(q, 6, (int64_t)s->start);
	sqlite3_bind_int64(q, 7, (int64_t)s->end);
	sqlite3_bind_int64(q, 8, (int64_t)s->start_wall);
	sqlite3_bind_int(q, 9, (int)s->status);
	bind_text(q, 10, s->status_message);
	bind_attr(q, 11, s, ATTR_COMPLETE);
	bind_attr(q, 13, s, ATTR_CONVERSATION_ID);
	bind_attr(q, 14, s, ATTR_AGENT_NAME);
	bind_model(q, 15, s);
	bind_attr(q, 16, s, ATTR_PROVIDER_NAME);
	bind_attr(q, 17, s, ATTR_CALL_KIND);
	bind_attr(q, 18, s, ATTR_USAGE_INPUT_TOKENS);
	bind_attr(q, 19, s, ATTR_USAGE_OUTPUT_TOKENS);
	bind_attr(q, 20, s, ATTR_ERROR_TYPE);
	bind_attributes(q, 21, s);
}

/* The number that the next span gets; no number is given twice (feed.h). */
static int next_seq(struct store *st)
{
	sqlite3_stmt *q = db_stmt(st, STMT_LAST_SEQ,
	                          "SELECT max(coalesce((SELECT max(seq) FROM span), 0),"
	                          " coalesce((SELECT value FROM secret WHERE name='last seq'), 0))");
	int r = 0;

	if (st->next_seq)
		return 0;
	if (q && sqlite3_step(q) == SQLITE_ROW)
		st->next_seq = sqlite3_column_int64(q, 0) + 1;
	else
		r = db_error(st, "cannot read the store");
	sqlite3_reset(q);
	return r;
}

int store_capture_content(struct store *st, enum content_level level)
{
	int r = begin(st);
	sqlite3_stmt *q;

	if (r)
		return r;
	q = db_stmt(st, STMT_CAPTURE_CONTENT, "UPDATE capture SET content=?1 WHERE id=?2");
	if (!q)
		return drop(st, db_errno(st->db));
	sqlite3_bind_int(q, 1, (int)level);
	sqlite3_bind_int64(q, 2, st->capture);
	r = run(st, q);
	return r ? r : store_commit(st);
}

int store_insert(struct store *st, const struct span *s)
{
	int r = begin(st);
	int64_t trace = 0;

	if (r)
		return r;
	r = next_seq(st);
	if (r)
		return drop(st, r);
	sqlite3_stmt *q = db_stmt(
	    st, STMT_SPAN_INSERT,
	    "INSERT INTO span (seq, id, trace, parent, kind, name, start_ns, end_ns, start_wall_ns, status,"
	    " status_message, complete, capture, conversation, agent, model, provider, call_kind,"
	    " input_tokens, output_tokens, error, attributes)"
	    " VALUES (?22,?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21)"
	    " ON CONFLICT (id) DO NOTHING");
	if (!q)
		return drop(st, db_errno(st->db));
	bind_span(q, s);
	if (st->capture)
		sqlite3_bind_int64(q, 12, st->capture);
	sqlite3_bind_int64(q, 22, st->next_seq);
	r = run(st, q);
	if (r)
		return r;
	if (sqlite3_changes(st->db) == 0)
		return 1;
	int64_t row = st->next_seq++;
	r = open_traces_put(st, s, &trace);
	if (r == 0)
		r = values_put(st, s, row, trace);
	return r ? drop(st, r) : 0;
}

int store_commit(struct store *st)
{
	int r = st->batch_error;

	st->batch_error = 0;
	if (r || !st->in_batch)
		return r;
	r = open_traces_write(st);
	if (r == 0)
		r = db_exec(st, "COMMIT");
	if (r) {
		drop(st, r);
		st->batch_error = 0; /* this call has reported it */
	}
	st->in_batch = false;
	return r;
}

int db_audit(struct store *st, uint64_t wall_ns, const char *kind, struct slice detail)
{
	sqlite3_stmt *q =
	    db_stmt(st, STMT_AUDIT_INSERT, "INSERT INTO audit_event (wall_ns, kind, detail) VALUES (?,?,?)");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, (int64_t)wall_ns);
	sqlite3_bind_text(q, 2, kind, -1, SQLITE_STATIC);
	db_bind_slice(q, 3, detail);
	return db_run(st, q);
}

static int audit(struct store *st, uint64_t wall_ns, const char *kind, struct slice detail)
{
	int r = db_audit(st, wall_ns, kind, detail);

	return r ? drop(st, r) : 0;
}

int store_audit(struct store *st, uint64_t wall_ns, const char *kind, struct slice detail)
{
	int r = begin(st);

	return r ? r : audit(st, wall_ns, kind, detail);
}

int store_heads_put(struct store *st, const struct store_head *v, size_t n)
{
	int r = begin(st);

	if (r)
		return r;
	r = heads_put(st, v, n);
	return r ? drop(st, r) : 0;
}

/* {"instance":"…"} */
static void capture_detail(struct buf *out, const uint8_t instance[16])
{
	buf_adds(out, "{\"instance\":\"");
	text_hex(out, instance, 16);
	buf_adds(out, "\"}");
}

int store_capture_begin(struct store *st, const uint8_t instance[16], const char *command, uint64_t wall_ns)
{
	struct buf detail = {0};
	int r = begin(st);

	if (r)
		return r;
	sqlite3_stmt *q = db_stmt(st, STMT_CAPTURE_INSERT,
	                          "INSERT INTO capture (instance, command, start_wall_ns) VALUES (?,?,?)");
	if (!q)
		return drop(st, db_errno(st->db));
	sqlite3_bind_blob(q, 1, instance, 16, SQLITE_STATIC);
	bind_text(q, 2, slice_str(command));
	sqlite3_bind_int64(q, 3, (int64_t)wall_ns);
	r = run(st, q);
	int64_t id = sqlite3_last_insert_rowid(st->db);
	capture_detail(&detail, instance);
	if (r == 0)
		r = audit(st, wall_ns, "capture_begin", buf_slice(&detail));
	buf_release(&detail);
	if (r == 0)
		r = store_commit(st);
	if (r == 0)
		st->capture = id;
	return r;
}

/* One "loss" row for each counter that says so, then "capture_end" with all of them. */
static int audit_end(struct store *st, uint64_t wall_ns, const struct store_counter *v, size_t n,
                     struct slice counters)
{
	struct buf detail = {0};
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (!v[i].is_loss || v[i].value == 0)
			continue;
		buf_clear(&detail);
		buf_addf(&detail, "{\"capture\":%lld,\"%s\":%llu}", (long long)st->capture, v[i].name,
		         (unsigned long long)v[i].value);
		r = audit(st, wall_ns, "loss", buf_slice(&detail));
	}
	buf_release(&detail);
	return r ? r : audit(st, wall_ns, "capture_end", counters);
}

int store_capture_end(struct store *st, uint64_t wall_ns, const struct store_counter *v, size_t n)
{
	struct buf counters = {0};
	int r = begin(st);

	if (r)
		return store_commit(st);
	buf_addf(&counters, "{\"capture\":%lld", (long long)st->capture);
	for (size_t i = 0; i < n; i++)
		buf_addf(&counters, ",\"%s\":%llu", v[i].name, (unsigned long long)v[i].value);
	buf_addc(&counters, '}');
	sqlite3_stmt *q =
	    db_stmt(st, STMT_CAPTURE_END, "UPDATE capture SET end_wall_ns=?, counters=? WHERE id=?");
	if (!q) {
		r = drop(st, db_errno(st->db));
	} else {
		sqlite3_bind_int64(q, 1, (int64_t)wall_ns);
		db_bind_slice(q, 2, buf_slice(&counters));
		sqlite3_bind_int64(q, 3, st->capture);
		r = run(st, q);
	}
	if (r == 0)
		r = audit_end(st, wall_ns, v, n, buf_slice(&counters));
	buf_release(&counters);
	int committed = store_commit(st);
	return r ? r : committed;
}
