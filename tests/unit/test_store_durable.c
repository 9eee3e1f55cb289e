/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a crash of the host leaves of the store.  A VFS between SQLite and the
 * files remembers what was written since the last sync of each file; at a
 * random point it puts the files into a state that a crash may leave: of what
 * was not synced nothing is there, or some of its sectors are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "store/store.h"

#define CRASHES 200
#define SECTOR  512

static char dir[64];
static struct buf error;

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	(void)sb, (void)type, (void)ftw;
	return remove(path);
}

static int set_up(void **state)
{
	(void)state;
	buf_clear(&error);
	strcpy(dir, "/dev/shm/spantap-durable-XXXXXX"); /* in memory: here no sync has to wait for a disk */
	return mkdtemp(dir) || mkdtemp(strcpy(dir, "/tmp/spantap-durable-XXXXXX")) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	buf_release(&error);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The VFS */

struct change {
	sqlite3_int64 at, old_size;
	struct buf was, is; /* `is` empty: a cut to `at` bytes */
};

struct file {
	sqlite3_file base;
	struct file *next;
	struct change *v; /* since the last sync */
	size_t n, cap;
	sqlite3_file real[];
};

static struct file *files;
static long writes_left = -1; /* until the crash; negative: never */

static sqlite3_file *real(sqlite3_file *f)
{
	return ((struct file *)f)->real;
}

/* Both walk the changes of one file: all are undone, the last first, then some are done again. */
static void undo(struct file *f)
{
	for (size_t i = f->n; i-- > 0;) {
		struct change *c = &f->v[i];

		if (c->was.n)
			f->real->pMethods->xWrite(f->real, c->was.p, (int)c->was.n, c->at);
		f->real->pMethods->xTruncate(f->real, c->old_size);
	}
}

static void redo_some(struct file *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct change *c = &f->v[i];

		if (!c->is.n && rand() % 2)
			f->real->pMethods->xTruncate(f->real, c->at);
		for (size_t at = 0; at < c->is.n; at += SECTOR) {
			size_t n = c->is.n - at < SECTOR ? c->is.n - at : SECTOR;

			if (rand() % 2)
				f->real->pMethods->xWrite(f->real, c->is.p + at, (int)n,
				                          c->at + (sqlite3_int64)at);
		}
	}
}

static void maybe_crash(void)
{
	if (writes_left < 0 || writes_left-- > 0)
		return;
	bool some = rand() % 2;
	for (struct file *f = files; f; f = f->next) {
		undo(f);
		if (some)
			redo_some(f);
	}
	_exit(9);
}

static struct change *add_change(struct file *f, sqlite3_int64 at, sqlite3_int64 n)
{
	xgrow(&f->v, &f->cap, f->n + 1, sizeof(*f->v));
	struct change *c = &f->v[f->n++];

	*c = (struct change){.at = at};
	f->real->pMethods->xFileSize(f->real, &c->old_size);
	if (n > c->old_size - at)
		n = c->old_size - at;
	if (n > 0) {
		buf_reserve(&c->was, (size_t)n);
		f->real->pMethods->xRead(f->real, c->was.p, (int)n, at);
		c->was.n = (size_t)n;
	}
	return c;
}

static int x_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	maybe_crash();
	buf_add(&add_change((struct file *)f, at, n)->is, p, (size_t)n);
	return real(f)->pMethods->xWrite(real(f), p, n, at);
}

static int x_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	maybe_crash();
	add_change((struct file *)f, size, INT64_MAX / 2);
	return real(f)->pMethods->xTruncate(real(f), size);
}

static void forget(struct file *f)
{
	for (size_t i = 0; i < f->n; i++) {
		buf_release(&f->v[i].was);
		buf_release(&f->v[i].is);
	}
	f->n = 0;
}

static int x_sync(sqlite3_file *f, int flags)
{
	maybe_crash();
	forget((struct file *)f);
	return real(f)->pMethods->xSync(real(f), flags);
}

static int x_close(sqlite3_file *f)
{
	struct file **at = &files;

	while (*at && *at != (struct file *)f)
		at = &(*at)->next;
	if (*at)
		*at = (*at)->next;
	forget((struct file *)f);
	free(((struct file *)f)->v);
	return real(f)->pMethods->xClose(real(f));
}

static int x_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return real(f)->pMethods->xRead(real(f), p, n, at);
}

static int x_file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return real(f)->pMethods->xFileSize(real(f), ret);
}

static int x_lock(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xLock(real(f), level);
}

static int x_unlock(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xUnlock(real(f), level);
}

static int x_reserved(sqlite3_file *f, int *ret)
{
	return real(f)->pMethods->xCheckReservedLock(real(f), ret);
}

static int x_control(sqlite3_file *f, int op, void *arg)
{
	return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int x_sector(sqlite3_file *f)
{
	(void)f;
	return SECTOR;
}

static int x_device(sqlite3_file *f)
{
	(void)f;
	return 0; /* it promises nothing */
}

static int x_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
	return real(f)->pMethods->xShmMap(real(f), page, size, extend, ret);
}

static int x_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}

static void x_shm_barrier(sqlite3_file *f)
{
	real(f)->pMethods->xShmBarrier(real(f));
}

static int x_shm_unmap(sqlite3_file *f, int delete)
{
	return real(f)->pMethods->xShmUnmap(real(f), delete);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = x_close,
    .xRead = x_read,
    .xWrite = x_write,
    .xTruncate = x_truncate,
    .xSync = x_sync,
    .xFileSize = x_file_size,
    .xLock = x_lock,
    .xUnlock = x_unlock,
    .xCheckReservedLock = x_reserved,
    .xFileControl = x_control,
    .xSectorSize = x_sector,
    .xDeviceCharacteristics = x_device,
    .xShmMap = x_shm_map,
    .xShmLock = x_shm_lock,
    .xShmBarrier = x_shm_barrier,
    .xShmUnmap = x_shm_unmap,
};

static sqlite3_vfs *unix_vfs;

static int x_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct file *file = (struct file *)f;

	(void)vfs;
	memset(file, 0, sizeof(*file));
	int r = unix_vfs->xOpen(unix_vfs, name, file->real, flags, ret_flags);
	if (file->real->pMethods) {
		file->base.pMethods = &methods;
		file->next = files;
		files = file;
	}
	return r;
}

/* From here on this process loses what is not synced, after `writes` writes. */
static void crash_after(long writes, unsigned dice)
{
	static sqlite3_vfs vfs;

	srand(dice);
	unix_vfs = sqlite3_vfs_find(NULL);
	vfs = *unix_vfs;
	vfs.zName = "forgetful";
	vfs.szOsFile = (int)sizeof(struct file) + unix_vfs->szOsFile;
	vfs.xOpen = x_open;
	sqlite3_vfs_register(&vfs, 1);
	writes_left = writes;
}

/* The tests */

static struct store *open_as(enum store_mode mode)
{
	struct store *st = NULL;

	if (store_open(dir, mode, &st, &error))
		fail_msg("%s", buf_str(&error));
	return st;
}

static int64_t number(const char *sql)
{
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *q;

	snprintf(path, sizeof(path), "%s/spantap.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	int64_t v = sqlite3_column_int64(q, 0);
	if (sqlite3_column_type(q, 0) == SQLITE_TEXT)
		v = strcmp((const char *)sqlite3_column_text(q, 0), "ok") == 0;
	sqlite3_finalize(q);
	sqlite3_close(db);
	return v;
}

/* Text `n` of the session: pieces that repeat those of the text before it. */
static void write_text(struct buf *out, uint32_t *cuts, size_t *n_cuts, uint32_t n)
{
	*n_cuts = 0;
	for (uint32_t i = 0; i <= n % 12 + 2; i++) {
		if (i)
			cuts[(*n_cuts)++] = (uint32_t)out->n;
		buf_addf(out, "%s{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"",
		         i ? "," : "[");
		for (uint32_t k = 0; k < 30; k++)
			buf_addf(out, "w%u ", (n / 12 * 100 + i) * 2654435761u >> (k % 16));
		buf_adds(out, "\"}]}");
	}
	buf_addc(out, ']');
}

static struct span make(uint32_t round, uint32_t n)
{
	struct span s = {.kind = n % 8 == 7 ? SPAN_CONVERSATION : SPAN_CHAT,
	                 .start = n,
	                 .end = n + 1,
	                 .start_wall = n + 1};
	uint32_t trace[2] = {round + 1, n / 8}, id[2] = {n, round + 1}, *cuts;
	struct buf text = {0};
	size_t n_cuts;

	memcpy(s.trace, trace, sizeof(trace));
	memcpy(s.id, id, sizeof(id));
	s.name = arena_dup(&s.arena, SLICE("chat m"));
	cuts = arena_alloc(&s.arena, 64 * sizeof(*cuts));
	write_text(&text, cuts, &n_cuts, n);
	span_own_pieces(&s, ATTR_INPUT_MESSAGES, arena_dup(&s.arena, buf_slice(&text)), cuts, n_cuts);
	buf_release(&text);
	return s;
}

#define BATCH 5

static _Noreturn void write_for_ever(uint32_t round, int fd, bool erase)
{
	struct store *st = NULL;
	struct store_erased sum = {0};
	struct store_limits limits = {.age_ns = 1};

	if (store_open(dir, STORE_WRITE, &st, &error))
		_exit(1);
	for (uint32_t batch = 0;; batch++) {
		for (uint32_t i = 0; i < BATCH; i++) {
			struct span s = make(round, batch * BATCH + i);

			if (store_insert(st, &s) < 0)
				_exit(2);
			span_release(&s);
		}
		if (store_commit(st) || write(fd, &batch, sizeof(batch)) != sizeof(batch))
			_exit(3);
		/* Of earlier rounds: all of their conversations are over the limit. */
		if (erase && store_retain(st, &limits, 3 + batch, &sum) < 0)
			_exit(4);
	}
}

/* Every acknowledged span of the round is there with its text; nothing refers to what is not. */
static void check(uint32_t round, uint32_t acknowledged)
{
	struct store *st = open_as(STORE_WRITE);

	for (uint32_t n = 0; n < acknowledged * BATCH; n++) {
		struct span s = make(round, n);
		struct buf text = {0};

		if (store_value(st, s.id, ATTR_INPUT_MESSAGES, &text))
			fail_msg("round %u, span %u of %u: %s", round, n, acknowledged * BATCH,
			         store_error(st));
		assert_true(slice_eq(buf_slice(&text), span_get(&s, ATTR_INPUT_MESSAGES)->str));
		buf_release(&text);
		span_release(&s);
	}
	store_close(st);
	assert_int_equal(number("PRAGMA integrity_check"), 1);
	assert_int_equal(number("SELECT count(*) FROM used WHERE block NOT IN (SELECT num FROM block)"), 0);
	assert_int_equal(number("SELECT count(*) FROM block WHERE num NOT IN (SELECT block FROM used)"), 0);
	assert_int_equal(number("SELECT count(*) FROM used WHERE span NOT IN (SELECT seq FROM span)"), 0);
	assert_int_equal(
	    number("SELECT count(*) FROM span WHERE kind=2 AND seq NOT IN (SELECT span FROM value)"), 0);
}

static uint32_t crash(uint32_t round, long writes, bool erase)
{
	uint32_t batch, acknowledged = 0;
	int fds[2], status;

	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		crash_after(writes, round);
		write_for_ever(round, fds[1], erase);
	}
	close(fds[1]);
	while (read(fds[0], &batch, sizeof(batch)) == sizeof(batch))
		acknowledged = batch + 1;
	close(fds[0]);
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 9);
	return acknowledged;
}

static void test_unsynced_writes_are_lost(void **state)
{
	(void)state;
	uint32_t total = 0;

	srand(7);
	for (uint32_t round = 0; round < CRASHES; round++) {
		uint32_t acknowledged = crash(round, rand() % (round % 4 ? 400 : 60), round % 3 == 2);

		check(round, acknowledged);
		total += acknowledged;
	}
	print_message("%u acknowledged batches in %d crashes\n", total, CRASHES);
	assert_true(total > CRASHES);
}

/* Migration */

static void load_version_1(void)
{
	struct buf sql = {0};
	char path[128];
	sqlite3 *db;
	int fd = open("tests/fixtures/store/v1.sql", O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	assert_true(fd >= 0);
	while (n > 0) {
		buf_reserve(&sql, 65536);
		n = read(fd, sql.p + sql.n, 65535);
		sql.n += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	for (const char *const *name = (const char *const[]){"", "-wal", "-shm", NULL}; *name; name++) {
		snprintf(path, sizeof(path), "%s/spantap.db%s", dir, *name);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/spantap.db", dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, buf_str(&sql), NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	buf_release(&sql);
}

static void test_version_1(void **state)
{
	(void)state;
	struct store *st = NULL;
	struct store_conversation *v;
	struct arena a = {0};
	struct span *spans;
	size_t n;
	uint8_t trace[16];

	load_version_1();
	assert_int_equal(store_open(dir, STORE_READ, &st, &error), -EPROTONOSUPPORT);
	assert_non_null(strstr(buf_str(&error), "next capture"));
	int64_t rows = number("SELECT count(*) FROM span");
	st = open_as(STORE_WRITE);
	assert_int_equal(store_conversations(st, &(struct store_choice){.until = UINT64_MAX}, 10, &a, &v, &n), 0);
	assert_int_equal(n, 1);
	assert_true(v[0].ended && v[0].calls > 0 && v[0].text.n > 0);
	assert_int_equal(store_find(st, v[0].id, trace), 0);
	assert_memory_equal(trace, v[0].trace, 16);
	assert_int_equal(store_spans(st, trace, &spans, &n), 0);
	assert_int_equal(n, rows);
	for (size_t i = 0; i < n; i++)
		if (spans[i].kind == SPAN_CHAT)
			assert_true(span_get(&spans[i], ATTR_INPUT_MESSAGES)->str.n > 100);
	store_spans_free(spans, n);
	assert_int_equal(
	    store_insert(st, &(struct span){.kind = SPAN_CHAT, .name = SLICE("chat"), .id = {1}}), 0);
	assert_int_equal(store_commit(st), 0);
	store_close(st);
	assert_int_equal(number("PRAGMA user_version"), STORE_SCHEMA);
	assert_int_equal(number("PRAGMA auto_vacuum"), 2);
	assert_int_equal(number("PRAGMA integrity_check"), 1);
	arena_release(&a);
}

static void test_migration_interrupted(void **state)
{
	(void)state;
	unsigned old = 0, new = 0;
	bool done = false;

	load_version_1();
	int64_t rows = number("SELECT count(*) FROM span");
	for (long writes = 0; !done; writes++) {
		int status;

		load_version_1();
		pid_t pid = fork();
		if (pid == 0) {
			struct store *st = NULL;

			crash_after(writes, (unsigned)writes);
			_exit(store_open(dir, STORE_WRITE, &st, &error) ? 1 : 0);
		}
		waitpid(pid, &status, 0);
		assert_true(WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0);
		done = WEXITSTATUS(status) == 0;
		int64_t version = number("PRAGMA user_version");
		assert_int_equal(number("PRAGMA integrity_check"), 1);
		assert_int_equal(number("SELECT count(*) FROM span"), rows);
		assert_int_equal(number("SELECT count(*) FROM sqlite_schema WHERE name='value'"),
		                 version == 2);
		assert_true(version == 1 || version == 2);
		if (version == 2)
			assert_int_equal(number("SELECT count(*) FROM secret WHERE length(value)=32"), 2);
		old += version == 1;
		new += version == 2;
	}
	print_message("interrupted at each write: %u of version 1, %u of version 2\n", old, new);
	assert_true(old > 0 && new > 0);
	store_close(open_as(STORE_WRITE));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_version_1),
	    TEST(test_migration_interrupted),
	    TEST(test_unsynced_writes_are_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
