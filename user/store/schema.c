/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "store/db.h"

#define APPLICATION_ID 0x7370616e /* "span" */

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

static int migrate(struct store *st, int64_t version)
{
	int r = db_exec(st, "BEGIN IMMEDIATE");

	for (; r == 0 && version < STORE_SCHEMA; version++)
		r = db_exec(st, steps[version]);
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
