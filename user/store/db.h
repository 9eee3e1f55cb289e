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
	STMT_FIGURES_OF,
	STMT_TRACES,
	STMT_TRACE_PUT,
	STMT_TRACE_OF,
	STMT_LAST_SEQ,
	STMT_BLOCK_BASE,
	STMT_BLOCK_INSERT,
	STMT_BLOCK_FIND,
	STMT_BLOCK_USE,
	STMT_BLOCK_GET,
	STMT_BLOCK_GET_BASE,
	STMT_VALUE_INSERT,
	STMT_VALUE_GET,
	STMT_VALUES,
	STMT_SPAN_ROW,
	STMT_CALL,
	STMT_SEARCH_ADD,
	STMT_SEARCH_MARK,
	STMT_SEARCH_ERASE,
	STMT_SEARCH_USERS,
	STMT_OLDEST,
	STMT_USED,
	STMT_UNUSE,
	STMT_IS_USED,
	STMT_BLOCK_DROP,
	STMT_VALUE_DROP,
	STMT_SEQ_KEEP,
	STMT_SPAN_DROP,
	STMT_TRACE_DROP,
	STMT_HEAD_PUT,
	STMT_HEAD_TRIM,
	STMT_HEADS,
	STMT_FEED,
	STMT_FEED_NEWEST,
	STMT_CAPTURE_CONTENT,
	STMT_WATCHED,
	STMT_LAST_LIFE,
	STMT_N
};

struct store {
	sqlite3 *db;
	char *dir;
	int lock_fd;
	int batch_error; /* negative errno: the open batch failed and is gone */
	bool in_batch;
	int64_t capture;
	uint8_t key[32], block_key[32];
	int64_t attributes[ATTR_KEYS]; /* their numbers in this store; 0: it has none of that name */
	struct blocks *blocks;
	struct values *values;           /* of a writer */
	struct open_traces *open_traces; /* of a writer */
	int64_t next_seq;                /* of a span; 0: not known */
	struct values_read *values_read; /* NULL: nothing read yet */
	struct map *texts;               /* of a writer: what was indexed last (search.c) */
	/* retain.c: */
	int64_t to_erase;   /* bytes, while the store is larger than it may be */
	bool unmerged;      /* erased words are still in the index */
	bool merge_due;     /* it is being merged */
	uint64_t merged_ns; /* when it was last */
	struct buf error;
	sqlite3_stmt *stmts[STMT_N];
};

/* The statement in its slot, ready to be bound; NULL with the error set. */
sqlite3_stmt *db_stmt(struct store *st, enum stmt which, const char *sql);
int db_exec(struct store *st, const char *sql);
/* Runs a bound statement that returns no rows, and clears it. */
int db_run(struct store *st, sqlite3_stmt *q);
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
/* Lets the file of an older store become smaller, if that store is not large. */
int schema_allow_shrinking(struct store *st);

/* store.c: after a rollback, or when spans were erased: nothing that is remembered can be trusted. */
void db_forget(struct store *st);
/* write.c: an audit event in the open transaction. */
int db_audit(struct store *st, uint64_t wall_ns, const char *kind, struct slice detail);

/* query.c: a span from a row that begins with these columns. */
#define DB_SPAN_COLUMNS                                                                                      \
	"id, trace, parent, kind, name, start_ns, end_ns, start_wall_ns, status, status_message, attributes, seq"
#define DB_SPAN_SEQ 11
int db_read_span(struct store *st, sqlite3_stmt *q, struct span *s);

/* heads.c: in the open transaction. */
int heads_put(struct store *st, const struct store_head *v, size_t n);

/* span_json.c: attributes that are no values (value.h) as one JSON object, keys as in attrs.def. */
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
