/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/stat.h>

#include "base/text.h"
#include "store/db.h"

#define NS 1000000000ull

/* The capture that watched last: the one of the newest "watch_begin". *ret_id 0: there is none. */
static int find_last(struct store *st, int64_t *ret_id, uint64_t *ret_end, uint64_t *ret_begin,
                     bool *ret_newest, struct buf *instance)
{
	sqlite3_stmt *q =
	    db_stmt(st, STMT_WATCHED,
	            "SELECT c.id, c.end_wall_ns, a.wall_ns, c.id=(SELECT max(id) FROM capture),"
	            " lower(hex(c.instance)) FROM audit_event a"
	            " JOIN capture c ON lower(hex(c.instance))=json_extract(a.detail, '$.instance')"
	            " WHERE a.kind='watch_begin' ORDER BY a.seq DESC, c.id DESC LIMIT 1");
	int step = q ? sqlite3_step(q) : SQLITE_ERROR;

	*ret_id = 0;
	if (step == SQLITE_ROW) {
		*ret_id = sqlite3_column_int64(q, 0);
		*ret_end = (uint64_t)sqlite3_column_int64(q, 1);
		*ret_begin = (uint64_t)sqlite3_column_int64(q, 2);
		*ret_newest = sqlite3_column_int(q, 3);
		buf_adds(instance, (const char *)sqlite3_column_text(q, 4));
	}
	if (q)
		sqlite3_reset(q);
	return step == SQLITE_ROW || step == SQLITE_DONE ? 0 : db_error(st, "cannot read the store");
}

/* The last sign of life of a capture that was killed. */
static uint64_t last_life(struct store *st, int64_t id, uint64_t begin, bool newest)
{
	sqlite3_stmt *q = db_stmt(st, STMT_LAST_LIFE, "SELECT max(end_wall_ns) FROM trace WHERE capture=?");
	struct buf path = {0};
	uint64_t last = begin;
	struct stat sb;

	if (q) {
		sqlite3_bind_int64(q, 1, id);
		if (sqlite3_step(q) == SQLITE_ROW && (uint64_t)sqlite3_column_int64(q, 0) > last)
			last = (uint64_t)sqlite3_column_int64(q, 0);
		sqlite3_reset(q);
	}
	buf_addf(&path, "%s/" STORE_STATUS, st->dir);
	if (newest && stat(buf_str(&path), &sb) == 0 && (uint64_t)sb.st_mtim.tv_sec * NS > last)
		last = (uint64_t)sb.st_mtim.tv_sec * NS + (uint64_t)sb.st_mtim.tv_nsec;
	buf_release(&path);
	return last;
}

int store_watched(struct store *st, const uint8_t instance[16], struct store_watched *ret)
{
	struct buf last = {0}, ours = {0};
	uint64_t end = 0, begin = 0;
	bool newest = false;
	int64_t id;
	int r = find_last(st, &id, &end, &begin, &newest, &last);

	*ret = (struct store_watched){0};
	text_hex(&ours, instance, 16);
	if (r == 0 && id && slice_eq(buf_slice(&last), buf_slice(&ours)))
		ret->still = true;
	else if (r == 0 && id)
		*ret = (struct store_watched){.until = end ? end : last_life(st, id, begin, newest),
		                              .ended = end != 0};
	buf_release(&last);
	buf_release(&ours);
	return r;
}

int store_watch_begin(struct store *st, const uint8_t instance[16], const struct store_watched *before,
                      uint64_t wall_ns)
{
	struct buf detail = {0};

	buf_adds(&detail, "{\"instance\":\"");
	text_hex(&detail, instance, 16);
	buf_addc(&detail, '"');
	if (before->until)
		buf_addf(&detail, ",\"unwatched_since_wall_ns\":%llu,\"ended\":%s",
		         (unsigned long long)before->until, before->ended ? "true" : "false");
	buf_addc(&detail, '}');
	int r = store_audit(st, wall_ns, "watch_begin", buf_slice(&detail));
	buf_release(&detail);
	return r;
}
