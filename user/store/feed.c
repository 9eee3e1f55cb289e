/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "store/db.h"
#include "store/feed.h"

static size_t text_bytes(const struct span *s)
{
	size_t n = s->name.n + s->status_message.n;

	for (size_t i = 0; i < s->n_attrs; i++)
		n += attr_defs[s->attrs[i].key].type == ATTR_STR ? s->attrs[i].str.n : sizeof(struct attr);
	return n;
}

static enum content_level content_of(sqlite3_stmt *q, int column)
{
	int64_t level = sqlite3_column_type(q, column) == SQLITE_NULL ? -1 : sqlite3_column_int64(q, column);

	return level < CONTENT_NONE || level > CONTENT_FULL ? CONTENT_FULL : (enum content_level)level;
}

int store_feed(struct store *st, uint64_t after, size_t max, size_t bytes, struct store_fed **ret, size_t *ret_n)
{
	sqlite3_stmt *q = db_stmt(st, STMT_FEED,
				  "SELECT " DB_SPAN_COLUMNS ", (SELECT content FROM capture WHERE id = span.capture)"
				  " FROM span WHERE seq > ?1 ORDER BY seq LIMIT ?2");
	struct store_fed *v = NULL;
	size_t n = 0, cap = 0, used = 0;
	int r = 0, step = SQLITE_DONE;

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, (int64_t)after);
	sqlite3_bind_int64(q, 2, (int64_t)max);
	while (r == 0 && (n == 0 || used < bytes) && (step = sqlite3_step(q)) == SQLITE_ROW) {
		xgrow(&v, &cap, n + 1, sizeof(*v));
		v[n] = (struct store_fed){.seq = (uint64_t)sqlite3_column_int64(q, DB_SPAN_SEQ),
					  .content = content_of(q, DB_SPAN_SEQ + 1)};
		r = db_read_span(st, q, &v[n].span);
		used += text_bytes(&v[n++].span);
	}
	if (r == 0 && step != SQLITE_DONE && step != SQLITE_ROW)
		r = db_error(st, "cannot read the store");
	sqlite3_reset(q);
	if (r) {
		store_fed_free(v, n);
		return r;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

void store_fed_free(struct store_fed *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		span_release(&v[i].span);
	free(v);
}

int store_feed_newest(struct store *st, uint64_t *ret_seq)
{
	sqlite3_stmt *q = db_stmt(st, STMT_FEED_NEWEST, 
	                          "SELECT max(coalesce((SELECT max(seq) FROM span), 0),"
	                          " coalesce((SELECT value FROM secret WHERE name='last seq'), 0))");

	if (!q)
		return db_errno(st->db);
	int step = sqlite3_step(q);
	if (step == SQLITE_ROW)
		*ret_seq = (uint64_t)sqlite3_column_int64(q, 0);
	int r = step == SQLITE_ROW ? 0 : db_error(st, "cannot read the store");
	sqlite3_reset(q);
	return r;
}
