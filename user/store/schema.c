/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sodium.h>

#include "store/db.h"

#define APPLICATION_ID 0x7370616e /* "span" */
#define COPY_MAX       (256 << 20) /* of a store that is copied to let it shrink: the copy is in memory */

/*
 * steps[v] leads from schema version v to v + 1 inside one transaction that
 * also sets user_version.  A step is never edited once released; a new schema
 * is a new step.  `attributes` is the last column: what lists need is read
 * without touching the pages that hold long texts.
 */
static const char *const steps[STORE_SCHEMA] = {
    "CREATE TABLE capture ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " instance BLOB NOT NULL,"
    " command TEXT,"
    " start_wall_ns INTEGER NOT NULL,"
    " end_wall_ns INTEGER," /* NULL: still running, or killed */
    " counters TEXT"        /* JSON object */
    ");"
    "CREATE TABLE span ("
    " seq INTEGER PRIMARY KEY," /* order of arrival: the cursor of exporters */
    " id BLOB NOT NULL UNIQUE,"
    " trace BLOB NOT NULL,"
    " parent BLOB," /* NULL: a root */
    " kind INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " start_ns INTEGER NOT NULL," /* boot clock */
    " end_ns INTEGER NOT NULL,"
    " start_wall_ns INTEGER NOT NULL,"
    " status INTEGER NOT NULL,"
    " status_message TEXT,"
    " complete INTEGER," /* NULL: not said */
    " capture INTEGER REFERENCES capture(id),"
    " conversation TEXT, agent TEXT, model TEXT, provider TEXT, call_kind TEXT,"
    " input_tokens INTEGER, output_tokens INTEGER,"
    " error TEXT,"
    " attributes TEXT NOT NULL" /* JSON object */
    ");"
    "CREATE INDEX span_trace ON span (trace, start_ns);"
    "CREATE INDEX span_kind ON span (kind, trace, start_wall_ns);"
    "CREATE TABLE audit_event ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " wall_ns INTEGER NOT NULL,"
    " kind TEXT NOT NULL,"
    " detail TEXT NOT NULL" /* JSON object */
    ");",

    "ALTER TABLE capture ADD COLUMN content INTEGER;" /* enum content_level; NULL: not known */
    "CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE attribute (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE trace (" /* one conversation, or spans that belong to none */
    " id INTEGER PRIMARY KEY,"
    " trace BLOB NOT NULL UNIQUE,"
    " start_wall_ns INTEGER NOT NULL,"
    " end_wall_ns INTEGER NOT NULL,"
    " call_wall_ns INTEGER," /* of its first call; NULL: it has none */
    " conversation TEXT,"    /* as its first call names it */
    " capture INTEGER,"      /* that wrote to it last */
    " ended INTEGER NOT NULL" /* its last span is there */
    ");"
    "CREATE INDEX trace_call ON trace (call_wall_ns);"
    "CREATE INDEX trace_end ON trace (end_wall_ns);"
    "INSERT INTO trace (trace, start_wall_ns, end_wall_ns, call_wall_ns, conversation, capture, ended)"
    " SELECT trace, min(start_wall_ns), max(start_wall_ns + max(end_ns - start_ns, 0)),"
    " min(start_wall_ns) FILTER (WHERE kind=2), min(conversation) FILTER (WHERE kind=2), max(capture),"
    " max(kind=0) FROM span GROUP BY trace;"
    "CREATE TABLE block (" /* see block.h */
    " num INTEGER PRIMARY KEY,"
    " hash BLOB NOT NULL UNIQUE,"
    " id BLOB NOT NULL,"
    " salt BLOB NOT NULL,"
    " size INTEGER NOT NULL," /* of the piece */
    " form INTEGER NOT NULL," /* enum form */
    " base INTEGER,"
    " indexed INTEGER NOT NULL," /* SEARCH_RULES by which it was, or 0 */
    " bytes BLOB NOT NULL"
    ");"
    "CREATE TABLE used (" /* the references of blocks, and the first span that has it */
    " block INTEGER NOT NULL, trace INTEGER NOT NULL, span INTEGER NOT NULL,"
    " PRIMARY KEY (block, trace)"
    ") WITHOUT ROWID;"
    "CREATE INDEX used_trace ON used (trace);"
    "CREATE TABLE value (" /* see value.h */
    " span INTEGER NOT NULL,"
    " attribute INTEGER NOT NULL,"
    " base INTEGER," /* the span whose list this one copies from */
    " depth INTEGER NOT NULL,"
    " size INTEGER NOT NULL," /* of the text */
    " list BLOB NOT NULL,"
    " PRIMARY KEY (span, attribute)"
    ") WITHOUT ROWID;"
    "CREATE VIRTUAL TABLE words USING fts5 (text, content='', columnsize=0, detail=none);"
    "CREATE TABLE head (link BLOB PRIMARY KEY, state BLOB NOT NULL, last INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX head_last ON head (last);",
};

static int number(struct store *st, const char *sql, int64_t *ret)
{
	sqlite3_stmt *q;

	if (sqlite3_prepare_v2(st->db, sql, -1, &q, NULL) != SQLITE_OK)
		return db_error(st, "cannot read the store");
	int r = sqlite3_step(q) == SQLITE_ROW ? 0 : db_error(st, "cannot read the store");
	if (r == 0)
		*ret = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return r;
}

static int refuse(struct store *st, int64_t version)
{
	if (version > STORE_SCHEMA)
		return db_fail(st, -EPROTONOSUPPORT,
		               "the store '%s' has schema version %lld, this spantap knows up to %d: use a "
		               "newer spantap",
		               st->dir, (long long)version, STORE_SCHEMA);
	return db_fail(
	    st, -EPROTONOSUPPORT,
	    "the store '%s' has schema version %lld, this spantap reads %d: the next capture into it "
	    "brings it up to date",
	    st->dir, (long long)version, STORE_SCHEMA);
}

/* The keys come from the system, not from SQLite's generator of random numbers. */
static int make_secrets(struct store *st)
{
	uint8_t keys[2][32];
	sqlite3_stmt *q;

	if (sodium_init() < 0)
		return db_fail(st, -EIO, "cannot initialise libsodium");
	randombytes_buf(keys, sizeof(keys));
	if (sqlite3_prepare_v2(st->db,
	                       "INSERT INTO secret (name, value) VALUES ('key', ?), ('block key', ?)", -1, &q,
	                       NULL) != SQLITE_OK)
		return db_error(st, "cannot write to the store");
	sqlite3_bind_blob(q, 1, keys[0], sizeof(keys[0]), SQLITE_STATIC);
	sqlite3_bind_blob(q, 2, keys[1], sizeof(keys[1]), SQLITE_STATIC);
	int r = db_run(st, q);
	sqlite3_finalize(q);
	sodium_memzero(keys, sizeof(keys));
	return r;
}

static int step_up(struct store *st, int64_t version)
{
	int r = db_exec(st, steps[version]);

	return r == 0 && version == 1 ? make_secrets(st) : r;
}

static int migrate(struct store *st, int64_t version)
{
	/* So that the file can shrink. Takes effect in a new file, else see schema_allow_shrinking(). */
	int r = version == 0 ? db_exec(st, "PRAGMA auto_vacuum=INCREMENTAL") : 0;

	if (r == 0)
		r = db_exec(st, "BEGIN IMMEDIATE");
	for (; r == 0 && version < STORE_SCHEMA; version++)
		r = step_up(st, version);
	if (r == 0) {
		struct buf sql = {0};

		buf_addf(&sql, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", APPLICATION_ID,
		         STORE_SCHEMA);
		r = db_exec(st, buf_str(&sql));
		buf_release(&sql);
	}
	if (r && !sqlite3_get_autocommit(st->db))
		sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

int schema_prepare(struct store *st, enum store_mode mode)
{
	int64_t version, application, tables;
	int r = number(st, "PRAGMA user_version", &version);

	if (r == 0)
		r = number(st, "PRAGMA application_id", &application);
	if (r == 0)
		r = number(st, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r)
		return r;
	if (tables && application != APPLICATION_ID)
		return db_fail(st, -EPROTONOSUPPORT, "'%s/spantap.db' is a database of another program",
		               st->dir);
	if (version == STORE_SCHEMA)
		return 0;
	if (mode == STORE_READ && tables == 0)
		return db_fail(st, -ENOENT, "no store in '%s': nothing was ever written to it", st->dir);
	if (version > STORE_SCHEMA || version < 0 || mode == STORE_READ)
		return refuse(st, version);
	return migrate(st, version);
}

int schema_allow_shrinking(struct store *st)
{
	int64_t mode, pages, size;
	int r = number(st, "PRAGMA auto_vacuum", &mode);

	if (r == 0)
		r = number(st, "PRAGMA page_count", &pages);
	if (r == 0)
		r = number(st, "PRAGMA page_size", &size);
	/* A store of version 1. Without room for the copy it stays as it is: its free pages are used again. */
	if (r == 0 && mode == 0 && pages * size <= COPY_MAX)
		sqlite3_exec(st->db, "PRAGMA auto_vacuum=INCREMENTAL; VACUUM", NULL, NULL, NULL);
	return r;
}
