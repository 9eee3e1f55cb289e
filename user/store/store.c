/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/text.h"
#include "span/redact.h"
#include "store/block.h"
#include "store/db.h"
#include "store/open_traces.h"
#include "store/value.h"

#define BUSY_MS 5000 /* how long to wait for another connection's lock: a checkpoint takes less */

int store_default_dir(struct buf *out, uid_t uid)
{
	const char *state = NULL, *home = NULL;

	if (uid == getuid()) {
		state = getenv("XDG_STATE_HOME");
		home = getenv("HOME");
	}
	if (state && state[0] == '/') {
		buf_addf(out, "%s/spantap", state);
		return 0;
	}
	if (!home || home[0] != '/') {
		struct passwd *pw = getpwuid(uid);

		home = pw ? pw->pw_dir : NULL;
	}
	if (!home || home[0] != '/')
		return -ENOENT;
	buf_addf(out, "%s/.local/state/spantap", home);
	return 0;
}

/* SQLite codes */

/* The errno behind the last failure; 0 when it did not come from the system. */
static int system_errno(sqlite3 *db)
{
	int code = sqlite3_errcode(db) & 0xff;

	return code == SQLITE_IOERR || code == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
}

int db_errno(sqlite3 *db)
{
	int system = system_errno(db);

	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_TOOBIG:
		return -E2BIG;
	case SQLITE_CANTOPEN:
		return system ? -system : -EACCES;
	default:
		return system ? -system : -EIO;
	}
}

int db_error(struct store *st, const char *what)
{
	int r = db_errno(st->db);

	buf_clear(&st->error);
	buf_addf(&st->error, "%s '%s': %s", what, st->dir, sqlite3_errmsg(st->db));
	if (system_errno(st->db))
		buf_addf(&st->error, " (%s)", strerror(system_errno(st->db)));
	return r;
}

int db_exec(struct store *st, const char *sql)
{
	return sqlite3_exec(st->db, sql, NULL, NULL, NULL) == SQLITE_OK
	           ? 0
	           : db_error(st, "cannot use the store");
}

int db_run(struct store *st, sqlite3_stmt *q)
{
	int r = sqlite3_step(q) == SQLITE_DONE ? 0 : db_error(st, "cannot write to the store");

	sqlite3_reset(q);
	sqlite3_clear_bindings(q);
	return r;
}

void db_forget(struct store *st)
{
	st->next_seq = 0;
	open_traces_forget(st->open_traces);
	blocks_forget(st->blocks);
	values_forget(st->values);
	values_read_forget(st->values_read);
	map_release(st->texts);
}

sqlite3_stmt *db_stmt(struct store *st, enum stmt which, const char *sql)
{
	sqlite3_stmt **q = &st->stmts[which];

	if (*q) {
		sqlite3_reset(*q);
		sqlite3_clear_bindings(*q);
	} else if (sqlite3_prepare_v3(st->db, sql, -1, SQLITE_PREPARE_PERSISTENT, q, NULL) != SQLITE_OK) {
		db_error(st, "cannot use the store");
	}
	return *q;
}

/* Opening */

static int make_dirs(struct store *st)
{
	char *path = xstrdup(st->dir);
	int r = 0;

	for (char *p = path + 1; r == 0 && p[-1]; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char c = *p;
		*p = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			r = db_fail(st, -errno, "cannot create directory '%s': %s", path, strerror(errno));
		*p = c;
	}
	free(path);
	return r;
}

/* Whoever may write to the directory may put a link where the database is expected. */
static int check_owner(struct store *st)
{
	struct stat sb;

	if (stat(st->dir, &sb))
		return db_fail(st, -errno, "cannot use the store '%s': %s", st->dir, strerror(errno));
	if (!S_ISDIR(sb.st_mode))
		return db_fail(st, -ENOTDIR, "the store '%s' is not a directory", st->dir);
	if (sb.st_uid != geteuid())
		return db_fail(st, -EPERM,
		               "the store '%s' belongs to uid %u, not to uid %u: use another --store",
		               st->dir, sb.st_uid, geteuid());
	if (sb.st_mode & 0022)
		return db_fail(st, -EPERM,
		               "others may write to the store '%s': chmod go-w it, or use another --store",
		               st->dir);
	return 0;
}

static int take_lock(struct store *st)
{
	struct buf path = {0};
	char pid[16] = "";

	buf_addf(&path, "%s/lock", st->dir);
	st->lock_fd = open(buf_str(&path), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	buf_release(&path);
	if (st->lock_fd < 0)
		return db_fail(st, -errno, "cannot lock the store '%s': %s", st->dir, strerror(errno));
	if (flock(st->lock_fd, LOCK_EX | LOCK_NB) == 0) {
		int n = snprintf(pid, sizeof(pid), "%d\n", getpid());

		if (ftruncate(st->lock_fd, 0) || pwrite(st->lock_fd, pid, (size_t)n, 0) != n)
			return db_fail(st, -EIO, "cannot lock the store '%s': %s", st->dir, strerror(errno));
		return 0;
	}
	if (errno != EWOULDBLOCK)
		return db_fail(st, -errno, "cannot lock the store '%s': %s", st->dir, strerror(errno));
	ssize_t n = pread(st->lock_fd, pid, sizeof(pid) - 1, 0);
	pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
	return db_fail(st, -EBUSY,
	               "the store '%s' is being written by process %s: wait for it, or use another --store",
	               st->dir, pid[0] ? pid : "?");
}

/* The database first comes into being here, so that its mode, which SQLite gives to its log too, is ours. */
static int create_file(struct store *st, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return db_fail(st, -errno, "cannot open '%s': %s", path, strerror(errno));
	close(fd);
	return 0;
}

static int open_db(struct store *st, enum store_mode mode)
{
	struct buf path = {0};
	int flags = SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX;
	int r = 0;

	buf_addf(&path, "%s/spantap.db", st->dir);
	if (mode == STORE_WRITE)
		r = create_file(st, buf_str(&path));
	else if (access(buf_str(&path), F_OK))
		r = db_fail(st, -errno, "no store in '%s': %s", st->dir, strerror(errno));
	if (r == 0) {
		char *real = realpath(buf_str(&path), NULL); /* NOFOLLOW also refuses links above the file */

		flags |= mode == STORE_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
		if (sqlite3_open_v2(real ? real : buf_str(&path), &st->db, flags, NULL) != SQLITE_OK)
			r = db_error(st, "cannot open the store");
		free(real);
	}
	buf_release(&path);
	return r;
}

/* One of the keys that were made with the store. */
static int read_secret(struct store *st, const char *name, uint8_t ret[32])
{
	sqlite3_stmt *q;

	if (sqlite3_prepare_v2(st->db, "SELECT value FROM secret WHERE name=?", -1, &q, NULL) != SQLITE_OK)
		return db_error(st, "cannot read the store");
	sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
	bool found = sqlite3_step(q) == SQLITE_ROW && sqlite3_column_bytes(q, 0) == 32;
	if (found)
		memcpy(ret, sqlite3_column_blob(q, 0), 32);
	sqlite3_finalize(q);
	return found ? 0 : db_fail(st, -EBADMSG, "the store '%s' is damaged: its %s is not there", st->dir, name);
}

/* Pieces masked by other rules are other pieces, even when their bytes are the same. */
static int read_keys(struct store *st)
{
	uint8_t kept[32];
	const uint8_t rules[] = {REDACT_RULES};
	int r = read_secret(st, "key", st->key);

	if (r == 0)
		r = read_secret(st, "block key", kept);
	if (r == 0)
		crypto_generichash(st->block_key, sizeof(st->block_key), rules, sizeof(rules), kept, sizeof(kept));
	return r;
}

/* Numbers for the names of attributes, so that a value need not carry the name. */
static int name_attributes(struct store *st)
{
	sqlite3_stmt *q;
	int r = 0;

	if (sqlite3_prepare_v2(st->db, "INSERT INTO attribute (name) VALUES (?) ON CONFLICT DO NOTHING", -1, &q,
	                       NULL) != SQLITE_OK)
		return db_error(st, "cannot write to the store");
	for (int k = 0; k < ATTR_KEYS && r == 0; k++) {
		bool may_be_value = attr_defs[k].type == ATTR_STR || attr_defs[k].local;

		if (!may_be_value || st->attributes[k])
			continue;
		sqlite3_bind_text(q, 1, attr_defs[k].name, -1, SQLITE_STATIC);
		r = db_run(st, q);
	}
	sqlite3_finalize(q);
	return r;
}

static int read_attributes(struct store *st)
{
	sqlite3_stmt *q;
	int step;

	if (sqlite3_prepare_v2(st->db, "SELECT id, name FROM attribute", -1, &q, NULL) != SQLITE_OK)
		return db_error(st, "cannot read the store");
	while ((step = sqlite3_step(q)) == SQLITE_ROW)
		for (int k = 0; k < ATTR_KEYS; k++)
			if (slice_eq(db_column(q, 1), slice_str(attr_defs[k].name)))
				st->attributes[k] = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return step == SQLITE_DONE ? 0 : db_error(st, "cannot read the store");
}

static int set_up_writer(struct store *st)
{
	int r = db_exec(st, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
	                    "PRAGMA secure_delete=ON; PRAGMA journal_size_limit=16777216; PRAGMA cache_size=-16384");

	if (r == 0)
		r = schema_allow_shrinking(st);
	if (r == 0)
		r = db_exec(st, "BEGIN IMMEDIATE");
	if (r == 0)
		r = name_attributes(st);
	if (r == 0)
		r = db_exec(st, "COMMIT");
	return r ? r : read_attributes(st);
}

static int set_up(struct store *st, enum store_mode mode)
{
	sqlite3_busy_timeout(st->db, BUSY_MS);
	sqlite3_extended_result_codes(st->db, 1);
	sqlite3_db_config(st->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(st->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	int r = db_exec(st, "PRAGMA temp_store=MEMORY");
	/* Before anything is changed: a store that we refuse is left as it is. */
	if (r == 0)
		r = schema_prepare(st, mode);
	if (r == 0)
		r = read_keys(st);
	if (r == 0)
		r = read_attributes(st);
	if (r == 0 && mode == STORE_WRITE)
		r = set_up_writer(st);
	return r;
}

const uint8_t *store_key(const struct store *st)
{
	return st->key;
}

int store_open(const char *dir, enum store_mode mode, struct store **ret, struct buf *ret_error)
{
	struct store *st = xcalloc(1, sizeof(*st));
	int r = 0;

	/* Nobody asks how much memory it has, and each allocation would take a lock. In vain once it is in use. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	st->lock_fd = -1;
	st->dir = xstrdup(dir);
	st->blocks = blocks_new();
	st->values = values_new();
	st->open_traces = open_traces_new();
	st->texts = xcalloc(1, sizeof(*st->texts));
	if (mode == STORE_WRITE) {
		r = make_dirs(st);
		if (r == 0)
			r = check_owner(st);
		if (r == 0)
			r = take_lock(st);
	}
	if (r == 0)
		r = open_db(st, mode);
	if (r == 0)
		r = set_up(st, mode);
	if (r) {
		buf_addslice(ret_error, buf_slice(&st->error));
		store_close(st);
		return r;
	}
	*ret = st;
	return 0;
}

const char *store_error(const struct store *st)
{
	return st->error.n ? buf_str((struct buf *)&st->error) : "no error";
}

void store_close(struct store *st)
{
	if (!st)
		return;
	for (int i = 0; i < STMT_N; i++)
		sqlite3_finalize(st->stmts[i]);
	sqlite3_close(st->db);
	if (st->lock_fd >= 0)
		close(st->lock_fd);
	blocks_free(st->blocks);
	values_free(st->values);
	open_traces_free(st->open_traces);
	values_read_free(st->values_read);
	map_release(st->texts);
	free(st->texts);
	sodium_memzero(st->key, sizeof(st->key));
	sodium_memzero(st->block_key, sizeof(st->block_key));
	buf_release(&st->error);
	free(st->dir);
	free(st);
}
