/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/db.h"

static int put(struct store *st, const struct store_head *h)
{
	sqlite3_stmt *q = db_stmt(st, STMT_HEAD_PUT,
	                          "INSERT INTO head (link, state, last) VALUES (?1,?2,?3) ON CONFLICT (link)"
	                          " DO UPDATE SET state=?2, last=?3");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_blob(q, 1, h->link, sizeof(h->link), SQLITE_STATIC);
	sqlite3_bind_blob64(q, 2, h->state.p ? h->state.p : "", h->state.n, SQLITE_STATIC);
	sqlite3_bind_int64(q, 3, (int64_t)h->last);
	return db_run(st, q);
}

static int trim(struct store *st)
{
	sqlite3_stmt *q = db_stmt(st, STMT_HEAD_TRIM,
	                          "DELETE FROM head WHERE link IN (SELECT link FROM head ORDER BY last"
	                          " LIMIT max(0, (SELECT count(*) FROM head) - ?))");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int(q, 1, STORE_HEADS_MAX);
	return db_run(st, q);
}

int heads_put(struct store *st, const struct store_head *v, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = put(st, &v[i]);
	return r ? r : trim(st);
}

int store_heads_each(struct store *st, void (*each)(void *ctx, const struct store_head *h), void *ctx)
{
	sqlite3_stmt *q = db_stmt(st, STMT_HEADS, "SELECT link, state, last FROM head ORDER BY last DESC");
	int step;

	if (!q)
		return db_errno(st->db);
	while ((step = sqlite3_step(q)) == SQLITE_ROW) {
		struct store_head h = {.last = (uint64_t)sqlite3_column_int64(q, 2)};
		const void *state = sqlite3_column_blob(q, 1);

		if (sqlite3_column_bytes(q, 0) != sizeof(h.link))
			continue;
		memcpy(h.link, sqlite3_column_blob(q, 0), sizeof(h.link));
		h.state = slice_of(state ? state : "", (size_t)sqlite3_column_bytes(q, 1));
		each(ctx, &h);
	}
	sqlite3_reset(q);
	return step == SQLITE_DONE ? 0 : db_error(st, "cannot read the store");
}
