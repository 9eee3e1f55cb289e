/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db.h - what the files of store/ share; nothing outside includes it.
 *
 * Statements are prepared at first use and kept, one slot an enum stmt.
 */
#ifndef SPANTAP_STORE_DB_H
#define SPANTAP_STORE_DB_H

#include <sqlite3.h>

#include "store/store.h"

enum stmt {
	STMT_SPAN_INSERT,
	STMT_CAPTURE_INSERT,
	STMT_CAPTURE_END,
	STMT_AUDIT_INSERT,
	STMT_NEWEST,
	STMT_SUMMARY,
	STMT_MODELS,
	STMT_FIRST_CHAT,
	STMT_FIND,
	STMT_SPANS,
	STMT_FIGURES,
	STMT_TRACES,
	STMT_N
};

struct store {
	sqlite3 *db;
	char *dir;
	int lock_fd;
	int batch_error; /* negative errno: the open batch failed and is gone */
	bool in_batch;
	int64_t capture;
	struct buf error;
	sqlite3_stmt *stmts[STMT_N];
};

/* The statement in its slot, ready to be bound; NULL with the error set. */
sqlite3_stmt *db_stmt(struct store *st, enum stmt which, const char *sql);
int db_exec(struct store *st, const char *sql);
/* Keeps "`what`: SQLite's reason" as the error and returns the negative errno of the last SQLite failure. */
int db_error(struct store *st, const char *what);
int db_errno(sqlite3 *db);
/* Sets the error to a message of ours; its value is `error`. */
#define db_fail(st, errno_, ...)                                                                             \
	({                                                                                                   \
		int db_fail_ = (errno_);                                                                     \
		buf_clear(&(st)->error);                                                                     \
		buf_addf(&(st)->error, __VA_ARGS__);                                                         \
		db_fail_;                                                                                    \
	})

/* schema.c: creates, accepts or migrates; never leaves a database between two versions. */
int schema_prepare(struct store *st, enum store_mode mode);

/* span_json.c: attributes as one JSON object, keys as in attrs.def. */
void span_json_write(struct buf *out, const struct span *s);
/* Sets the attributes that this version knows; -EBADMSG when `json` is no object. */
int span_json_read(struct span *s, struct slice json);

static inline void db_bind_slice(sqlite3_stmt *q, int column, struct slice s)
{
	if (s.p)
		sqlite3_bind_text64(q, column, s.p, s.n, SQLITE_TRANSIENT, SQLITE_UTF8);
	else
		sqlite3_bind_null(q, column);
}

static inline struct slice db_column(sqlite3_stmt *q, int column)
{
	const char *p = (const char *)sqlite3_column_text(q, column);

	return slice_of(p, p ? (size_t)sqlite3_column_bytes(q, column) : 0);
}

#endif
