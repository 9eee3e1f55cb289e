/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/text.h"
#include "store/block.h"
#include "store/db.h"
#include "store/open_traces.h"
#include "store/search.h"
#include "store/value.h"

#define FREE_STEP  256 /* pages given back to the file system in one step: 1 MiB, a few ms */
#define FREE_KEPT  64  /* pages that may stay free: the next batch takes them */
#define MERGE_STEP 500 /* pages of the index that are merged in one step */
#define MERGE_NS   3600000000000ull
#define SHARE                                                                                                \
	4 /* bytes that become free for a byte of text, at most: the index of random words. Less: again */

struct victim {
	int64_t id;
	uint8_t trace[16];
	const char *reason;
};

static int pragma(struct store *st, const char *sql, int64_t *ret)
{
	sqlite3_stmt *q;

	if (sqlite3_prepare_v2(st->db, sql, -1, &q, NULL) != SQLITE_OK)
		return db_error(st, "cannot read the store");
	int step = sqlite3_step(q);
	if (step == SQLITE_ROW)
		*ret = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return step == SQLITE_ROW ? 0 : db_error(st, "cannot read the store");
}

/* Bytes in use, and pages that are not. */
static int measure(struct store *st, uint64_t *ret_used, int64_t *ret_free)
{
	int64_t pages = 0, size = 0;
	int r = pragma(st, "PRAGMA page_count", &pages);

	if (r == 0)
		r = pragma(st, "PRAGMA page_size", &size);
	if (r == 0)
		r = pragma(st, "PRAGMA freelist_count", ret_free);
	if (r == 0)
		*ret_used = (uint64_t)(pages - *ret_free) * (uint64_t)size;
	return r;
}

/* The conversation that ended first and before `before`; 1: found. */
static int find_oldest(struct store *st, int64_t before, struct victim *v)
{
	sqlite3_stmt *q = db_stmt(st, STMT_OLDEST,
	                          "SELECT id, trace FROM trace WHERE end_wall_ns < ?1"
	                          " AND (ended OR coalesce(capture, 0) <> ?2)"
	                          " ORDER BY end_wall_ns LIMIT 1");

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, before);
	sqlite3_bind_int64(q, 2, st->capture ? st->capture : -1);
	int step = sqlite3_step(q);
	if (step == SQLITE_ROW) {
		v->id = sqlite3_column_int64(q, 0);
		if (sqlite3_column_bytes(q, 1) == sizeof(v->trace))
			memcpy(v->trace, sqlite3_column_blob(q, 1), sizeof(v->trace));
	}
	sqlite3_reset(q);
	return step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : db_error(st, "cannot read the store");
}

/*
 * Over the limit of size, conversations go until a tenth less than it is in
 * use, by an estimate: what they took of the index becomes free later, when it
 * is merged.  Then it is measured again.  1: found.
 */
static int find_victim(struct store *st, const struct store_limits *l, uint64_t wall_ns, uint64_t used,
                       struct victim *v)
{
	int r = 0;

	if (l->age_ns && wall_ns > l->age_ns) {
		v->reason = "age";
		r = find_oldest(st, (int64_t)(wall_ns - l->age_ns), v);
	}
	if (r)
		return r;
	if (l->bytes && used > l->bytes && st->to_erase <= 0)
		st->to_erase = (int64_t)(used - (l->bytes - l->bytes / 10));
	if (st->to_erase > 0) {
		v->reason = "size";
		r = find_oldest(st, INT64_MAX, v);
		if (r == 0)
			st->to_erase = 0;
	}
	return r;
}

static int run(struct store *st, enum stmt which, const char *sql, int64_t id)
{
	sqlite3_stmt *q = db_stmt(st, which, sql);

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, id);
	return db_run(st, q);
}

struct dead {
	int64_t num, bytes;
	bool indexed;
};

/* The blocks that the conversation uses. */
static int get_used(struct store *st, int64_t trace, struct dead **ret, size_t *ret_n)
{
	sqlite3_stmt *q = db_stmt(st, STMT_USED,
	                          "SELECT num, length(bytes), indexed FROM used JOIN block ON num=block"
	                          " WHERE trace=?");
	size_t cap = 0;
	int step;

	if (!q)
		return db_errno(st->db);
	sqlite3_bind_int64(q, 1, trace);
	while ((step = sqlite3_step(q)) == SQLITE_ROW) {
		xgrow(ret, &cap, *ret_n + 1, sizeof(**ret));
		(*ret)[(*ret_n)++] = (struct dead){sqlite3_column_int64(q, 0), sqlite3_column_int64(q, 1),
		                                   sqlite3_column_int(q, 2) != 0};
	}
	sqlite3_reset(q);
	return step == SQLITE_DONE ? 0 : db_error(st, "cannot read the store");
}

/* Keeps of v[] what no conversation uses any more. */
static int keep_unused(struct store *st, struct dead *v, size_t *n)
{
	size_t kept = 0;

	for (size_t i = 0; i < *n; i++) {
		sqlite3_stmt *q = db_stmt(st, STMT_IS_USED, "SELECT 1 FROM used WHERE block=? LIMIT 1");

		if (!q)
			return db_errno(st->db);
		sqlite3_bind_int64(q, 1, v[i].num);
		int step = sqlite3_step(q);
		sqlite3_reset(q);
		if (step == SQLITE_DONE)
			v[kept++] = v[i];
		else if (step != SQLITE_ROW)
			return db_error(st, "cannot read the store");
	}
	*n = kept;
	return 0;
}

/* *bytes: what was stored of them. */
static int erase_blocks(struct store *st, int64_t trace, struct store_erased *sum, int64_t *bytes)
{
	struct dead *v = NULL;
	size_t n = 0;
	int r = get_used(st, trace, &v, &n);

	if (r == 0)
		r = run(st, STMT_UNUSE, "DELETE FROM used WHERE trace=?", trace);
	if (r == 0)
		r = keep_unused(st, v, &n);
	/* All texts are read before the first block goes: it may be the base of another. */
	for (size_t i = 0; i < n && r == 0; i++) {
		r = v[i].indexed ? search_erase(st, v[i].num) : 0;
		st->unmerged |= v[i].indexed;
	}
	for (size_t i = 0; i < n; i++)
		*bytes += v[i].bytes;
	for (size_t i = 0; i < n && r == 0; i++)
		r = run(st, STMT_BLOCK_DROP, "DELETE FROM block WHERE num=?", v[i].num);
	sum->blocks += n;
	free(v);
	return r;
}

static int erase_rows(struct store *st, int64_t trace, struct store_erased *sum)
{
	int r = run(st, STMT_VALUE_DROP,
	            "DELETE FROM value WHERE span IN (SELECT seq FROM span WHERE trace="
	            "(SELECT trace FROM trace WHERE id=?))",
	            trace);

	/* No number is given twice (feed.h). */
	if (r == 0)
		r = run(st, STMT_SEQ_KEEP,
		        "INSERT INTO secret (name, value) SELECT 'last seq', max(seq) FROM span WHERE"
		        " trace=(SELECT trace FROM trace WHERE id=?) HAVING max(seq) NOT NULL"
		        " ON CONFLICT (name) DO UPDATE SET value=max(value, excluded.value)",
		        trace);
	if (r == 0)
		r = run(st, STMT_SPAN_DROP,
		        "DELETE FROM span WHERE trace=(SELECT trace FROM trace WHERE id=?)", trace);
	if (r == 0) {
		sum->spans += (uint64_t)sqlite3_changes(st->db);
		r = run(st, STMT_TRACE_DROP, "DELETE FROM trace WHERE id=?", trace);
	}
	return r;
}

static int record(struct store *st, const struct victim *v, uint64_t wall_ns, const struct store_erased *e)
{
	struct buf detail = {0};

	buf_adds(&detail, "{\"trace\":\"");
	text_hex(&detail, v->trace, sizeof(v->trace));
	buf_addf(&detail, "\",\"reason\":\"%s\",\"spans\":%llu,\"blocks\":%llu}", v->reason,
	         (unsigned long long)e->spans, (unsigned long long)e->blocks);
	int r = db_audit(st, wall_ns, "retention", buf_slice(&detail));
	buf_release(&detail);
	return r;
}

static int erase(struct store *st, const struct victim *v, uint64_t wall_ns, struct store_erased *sum)
{
	struct store_erased e = {.conversations = 1};
	int64_t bytes = 0;
	int r = db_exec(st, "BEGIN IMMEDIATE");

	if (r)
		return r;
	r = erase_blocks(st, v->id, &e, &bytes);
	if (r == 0)
		r = erase_rows(st, v->id, &e);
	if (r == 0)
		r = record(st, v, wall_ns, &e);
	if (r == 0)
		r = db_exec(st, "COMMIT");
	if (r && !sqlite3_get_autocommit(st->db))
		sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
	if (r) {
		db_forget(st);
		return r;
	}
	values_forget_trace(st->values, v->id);
	blocks_forget(st->blocks);
	open_traces_forget(st->open_traces);
	values_read_forget(st->values_read);
	map_release(st->texts); /* the number of the row may be given to another conversation */
	if (st->to_erase > 0) {
		st->to_erase -= SHARE * bytes + 400 * (int64_t)e.blocks + 500 * (int64_t)e.spans;
		st->merge_due |= st->to_erase <= 0;
	}
	sum->conversations += e.conversations;
	sum->spans += e.spans;
	sum->blocks += e.blocks;
	return 0;
}

/*
 * Erased words stay in the index, marked as erased, until its parts are merged
 * into one, which writes all of it: in steps, and once an hour, or when there
 * has to be room.  1: more to do.
 */
static int merge(struct store *st, uint64_t wall_ns)
{
	char sql[80];
	int before = sqlite3_total_changes(st->db);

	/* Negative: parts that would not be merged yet as well. */
	snprintf(sql, sizeof(sql), "INSERT INTO words (words, rank) VALUES ('merge', %d)", -MERGE_STEP);
	int r = db_exec(st, sql);
	if (r)
		return r;
	if (sqlite3_total_changes(st->db) - before >= 2)
		return 1;
	st->unmerged = st->merge_due = false;
	st->merged_ns = wall_ns;
	return 0;
}

static int shrink(struct store *st, int64_t free_pages)
{
	char sql[64];
	int64_t left = 0;

	snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", FREE_STEP);
	int r = db_exec(st, sql);
	if (r == 0)
		r = pragma(st, "PRAGMA freelist_count", &left);
	return r ? r : left < free_pages && left > FREE_KEPT;
}

int store_retain(struct store *st, const struct store_limits *limits, uint64_t wall_ns,
                 struct store_erased *sum)
{
	struct victim v = {0};
	uint64_t used = 0;
	int64_t free_pages = 0;
	int r;

	if (st->in_batch || st->batch_error)
		return 0;
	if (st->merge_due) {
		r = merge(st, wall_ns);
		return r < 0 ? r : 1;
	}
	r = measure(st, &used, &free_pages);
	if (r == 0)
		r = find_victim(st, limits, wall_ns, used, &v);
	if (r == 1)
		r = erase(st, &v, wall_ns, sum);
	if (r || v.id)
		return r ? r : 1;
	st->merge_due = st->unmerged && (!st->merged_ns || wall_ns - st->merged_ns > MERGE_NS);
	if (st->merge_due)
		return 1;
	return free_pages > FREE_KEPT ? shrink(st, free_pages) : 0;
}
