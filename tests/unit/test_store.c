/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sink/sink.h"
#include "sink/summary.h"
#include "store/store.h"

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
	strcpy(dir, "/dev/shm/spantap-store-XXXXXX"); /* in memory: here no sync has to wait for a disk */
	return mkdtemp(dir) || mkdtemp(strcpy(dir, "/tmp/spantap-store-XXXXXX")) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	buf_release(&error);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct store *open_as(enum store_mode mode)
{
	struct store *st = NULL;
	int r = store_open(dir, mode, &st, &error);

	if (r)
		fail_msg("%d: %s", r, buf_str(&error));
	return st;
}

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* Span `n` of trace `trace`, a chat unless told. */
static struct span make(uint32_t trace, uint32_t n, enum span_kind kind)
{
	struct span s = {
	    .kind = kind, .start = 1000 + n, .end = 2000 + n, .start_wall = 1000000000000000000 + n};

	memcpy(s.trace, &trace, sizeof(trace));
	memcpy(s.id, &n, sizeof(n));
	memcpy(s.id + 4, &trace, sizeof(trace));
	s.name = arena_dup(&s.arena, SLICE("chat m"));
	span_set_bool(&s, ATTR_COMPLETE, true);
	return s;
}

static int insert(struct store *st, uint32_t trace, uint32_t n, enum span_kind kind)
{
	struct span s = make(trace, n, kind);
	int r = store_insert(st, &s);

	span_release(&s);
	return r;
}

static int64_t number(const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *q;

	assert_int_equal(sqlite3_open(in_dir("spantap.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	int64_t v = sqlite3_column_int64(q, 0);
	if (sqlite3_column_type(q, 0) == SQLITE_TEXT)
		v = strcmp((const char *)sqlite3_column_text(q, 0), "ok") == 0;
	sqlite3_finalize(q);
	sqlite3_close(db);
	return v;
}

static void execute(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(in_dir("spantap.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static mode_t mode_of(const char *name)
{
	struct stat sb;

	assert_int_equal(stat(in_dir(name), &sb), 0);
	return sb.st_mode & 0777;
}

static void test_round_trip(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct span s = make(1, 1, SPAN_CHAT), *back;
	struct slice reasons[] = {SLICE("stop"), SLICE("tool \xff use")};
	size_t n;

	memcpy(s.parent, "parentid", 8);
	s.status = SPAN_ERROR;
	s.status_message = arena_dup(&s.arena, slice_of("a\0b\xc3", 4));
	span_set_str(&s, ATTR_CONVERSATION_ID, SLICE("conv-1"));
	span_set_str(&s, ATTR_REQUEST_MODEL, SLICE("m"));
	span_set_int(&s, ATTR_USAGE_INPUT_TOKENS, INT64_MAX);
	span_set_int(&s, ATTR_REQUEST_SEED, INT64_MIN);
	span_set_double(&s, ATTR_REQUEST_TEMPERATURE, 1.0);
	span_set_bool(&s, ATTR_REQUEST_STREAM, false);
	span_set_strs(&s, ATTR_RESPONSE_FINISH_REASONS, reasons, 2);
	span_add_link(&s, s.trace, s.id, SLICE("traceparent"), 0.25);
	assert_int_equal(store_insert(st, &s), 0);
	assert_int_equal(store_commit(st), 0);
	assert_int_equal(store_spans(st, s.trace, &back, &n), 0);
	assert_int_equal(n, 1);
	assert_memory_equal(back->id, s.id, 8);
	assert_memory_equal(back->parent, "parentid", 8);
	assert_int_equal(back->kind, SPAN_CHAT);
	assert_int_equal(back->start_wall, s.start_wall);
	assert_int_equal(back->status, SPAN_ERROR);
	assert_true(slice_eq(back->status_message, slice_of("a\0b\xef\xbf\xbd", 6)));
	assert_int_equal(back->n_attrs, s.n_attrs);
	assert_int_equal(back->n_links, 1);
	assert_memory_equal(back->links[0].trace, s.trace, 16);
	assert_memory_equal(back->links[0].id, s.id, 8);
	assert_true(slice_eq(back->links[0].evidence, SLICE("traceparent")));
	assert_true(back->links[0].confidence == 0.25);
	assert_int_equal(span_get(back, ATTR_USAGE_INPUT_TOKENS)->i, INT64_MAX);
	assert_int_equal(span_get(back, ATTR_REQUEST_SEED)->i, INT64_MIN);
	assert_true(span_get(back, ATTR_REQUEST_TEMPERATURE)->d == 1.0);
	assert_false(span_get(back, ATTR_REQUEST_STREAM)->b);
	assert_int_equal(span_get(back, ATTR_RESPONSE_FINISH_REASONS)->strs.n, 2);
	assert_true(slice_eq(span_get(back, ATTR_RESPONSE_FINISH_REASONS)->strs.v[1],
	                     SLICE("tool \xef\xbf\xbd use")));
	store_spans_free(back, n);
	span_release(&s);
	store_close(st);
}

static void test_losses(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct span s = make(1, 1, SPAN_CHAT), *back;
	struct store_conversation c;
	struct arena a = {0};
	size_t n;

	span_set_bool(&s, ATTR_COMPLETE, false);
	span_set_int(&s, ATTR_LOST_BYTES, 12345);
	span_set_str(&s, ATTR_INCOMPLETE_REASON, SLICE("ring full"));
	assert_int_equal(store_insert(st, &s), 0);
	assert_int_equal(insert(st, 1, 2, SPAN_CHAT), 0);
	assert_int_equal(insert(st, 2, 3, SPAN_CHAT), 0);
	assert_int_equal(store_commit(st), 0);
	assert_int_equal(store_spans(st, s.trace, &back, &n), 0);
	assert_int_equal(n, 2);
	assert_false(span_get(&back[0], ATTR_COMPLETE)->b);
	assert_int_equal(span_get(&back[0], ATTR_LOST_BYTES)->i, 12345);
	assert_true(slice_eq(span_get(&back[0], ATTR_INCOMPLETE_REASON)->str, SLICE("ring full")));
	assert_null(span_get(&back[1], ATTR_LOST_BYTES));
	assert_int_equal(store_conversation(st, s.trace, &a, &c), 0);
	assert_false(c.complete);
	store_spans_free(back, n);
	span_release(&s);
	s = make(2, 3, SPAN_CHAT);
	assert_int_equal(store_conversation(st, s.trace, &a, &c), 0);
	assert_true(c.complete);
	span_release(&s);
	arena_release(&a);
	store_close(st);
}

/* Each counter of a loss is there by its name, and in the audit log. */
static void test_every_loss_is_kept(void **state)
{
	(void)state;
	struct sink_conf conf = {.store_dir = dir};
	struct sink_summary sum = {0};
	const char *why = NULL;
	void *sink;
	int64_t losses = 0;

	for (size_t i = 0; i < n_summary_defs; i++) {
		*(uint64_t *)((char *)&sum + summary_defs[i].offset) = 100 + i;
		losses += summary_defs[i].words && summary_defs[i].form != SUMMARY_NOTE;
	}
	assert_int_equal(sink_store.open(&conf, &sink, &why), 0);
	assert_int_equal(sink_store.finish(sink, &sum), 0);
	sink_store.close(sink);
	for (size_t i = 0; i < n_summary_defs; i++) {
		struct buf sql = {0};

		buf_addf(&sql, "SELECT json_extract(counters, '$.%s') FROM capture", summary_defs[i].name);
		assert_int_equal(number(buf_str(&sql)), 100 + i);
		buf_release(&sql);
	}
	assert_int_equal(number("SELECT count(*) FROM audit_event WHERE kind='loss'"), losses);
}

/* Tokens of an embedding's answer are not missing: there are none. */
static void test_calls_without_usage(void **state)
{
	(void)state;
	static const char *const names[] = {"chat m", "embeddings e", "retrieval", "text_completion m",
	                                    "chat"};
	struct store *st = open_as(STORE_WRITE);
	struct store_conversation c;
	struct arena a = {0};
	uint8_t trace[16];

	for (uint32_t i = 0; i < 5; i++) {
		struct span s = make(1, i + 1, SPAN_CHAT);

		s.name = slice_str(names[i]);
		assert_int_equal(store_insert(st, &s), 0);
		memcpy(trace, s.trace, sizeof(trace));
		span_release(&s);
	}
	assert_int_equal(store_commit(st), 0);
	assert_int_equal(store_conversation(st, trace, &a, &c), 0);
	assert_int_equal(c.calls, 5);
	assert_int_equal(c.calls_without_usage, 3);
	arena_release(&a);
	store_close(st);
}

static void test_modes(void **state)
{
	(void)state;
	char sub[128];
	struct store *st;

	snprintf(sub, sizeof(sub), "%s/a/b", dir);
	umask(0);
	assert_int_equal(store_open(sub, STORE_WRITE, &st, &error), 0);
	assert_int_equal(insert(st, 1, 1, SPAN_CHAT), 0);
	assert_int_equal(mode_of("a"), 0700);
	assert_int_equal(mode_of("a/b"), 0700);
	assert_int_equal(mode_of("a/b/spantap.db"), 0600);
	assert_int_equal(mode_of("a/b/spantap.db-wal"), 0600);
	assert_int_equal(mode_of("a/b/spantap.db-shm"), 0600);
	assert_int_equal(mode_of("a/b/lock"), 0600);
	store_close(st);
	umask(022);
	chmod(sub, 0777);
	assert_int_equal(store_open(sub, STORE_WRITE, &st, &error), -EPERM);
}

static void test_link_in_place_of_database(void **state)
{
	(void)state;
	struct store *st;

	assert_int_equal(symlink("/tmp/spantap-store-elsewhere", in_dir("spantap.db")), 0);
	assert_int_equal(store_open(dir, STORE_WRITE, &st, &error), -ELOOP);
	assert_int_equal(access("/tmp/spantap-store-elsewhere", F_OK), -1);
}

static void test_idempotent(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);

	assert_int_equal(insert(st, 1, 1, SPAN_CHAT), 0);
	assert_int_equal(insert(st, 1, 1, SPAN_CHAT), 1);
	assert_int_equal(store_commit(st), 0);
	assert_int_equal(insert(st, 1, 1, SPAN_CHAT), 1);
	assert_int_equal(store_commit(st), 0);
	assert_int_equal(store_commit(st), 0);
	store_close(st);
	assert_int_equal(number("SELECT count(*) FROM span"), 1);
}

static void test_second_writer(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE), *second = NULL;
	char pid[16];

	snprintf(pid, sizeof(pid), " %d:", getpid());
	assert_int_equal(store_open(dir, STORE_WRITE, &second, &error), -EBUSY);
	assert_non_null(strstr(buf_str(&error), pid));
	store_close(st);
	second = open_as(STORE_WRITE);
	store_close(second);
}

static void test_newer_schema(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);

	store_close(st);
	execute("PRAGMA user_version=7");
	assert_int_equal(store_open(dir, STORE_WRITE, &st, &error), -EPROTONOSUPPORT);
	assert_non_null(strstr(buf_str(&error), "schema version 7"));
	assert_non_null(strstr(buf_str(&error), "up to 2"));
	assert_int_equal(store_open(dir, STORE_READ, &st, &error), -EPROTONOSUPPORT);
	assert_int_equal(number("PRAGMA user_version"), 7);
}

static void test_not_ours(void **state)
{
	(void)state;
	struct store *st;

	execute("CREATE TABLE bookmarks (url)");
	assert_int_equal(store_open(dir, STORE_WRITE, &st, &error), -EPROTONOSUPPORT);
	assert_int_equal(number("SELECT count(*) FROM sqlite_schema"), 1);
	truncate(in_dir("spantap.db"), 0);
	int fd = open(in_dir("spantap.db"), O_WRONLY);
	assert_int_equal(write(fd, "this is no database, but it is long enough", 42), 42);
	close(fd);
	assert_int_equal(store_open(dir, STORE_WRITE, &st, &error), -EBADMSG);
}

static void test_no_store(void **state)
{
	(void)state;
	struct store *st;

	assert_int_equal(store_open(dir, STORE_READ, &st, &error), -ENOENT);
	/* The writer was killed before the schema was there. */
	close(open(in_dir("spantap.db"), O_CREAT | O_WRONLY, 0600));
	assert_int_equal(store_open(dir, STORE_READ, &st, &error), -ENOENT);
	store_close(open_as(STORE_WRITE));
}

static void test_read_while_writing(void **state)
{
	(void)state;
	struct store *w = open_as(STORE_WRITE), *r;
	struct arena a = {0};
	struct store_conversation *v;
	size_t n;

	assert_int_equal(insert(w, 1, 1, SPAN_CHAT), 0);
	assert_int_equal(store_commit(w), 0);
	assert_int_equal(insert(w, 2, 1, SPAN_CHAT), 0);
	r = open_as(STORE_READ);
	assert_int_equal(store_conversations(r, &(struct store_choice){.until = UINT64_MAX}, 10, &a, &v, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_insert(r, &(struct span){.name = SLICE("x")}), -EROFS);
	assert_int_equal(store_commit(w), 0);
	assert_int_equal(store_conversations(r, &(struct store_choice){.until = UINT64_MAX}, 10, &a, &v, &n), 0);
	assert_int_equal(n, 2);
	store_close(w);
	store_close(r);
	arena_release(&a);
}

static void test_conversations(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct arena a = {0};
	struct store_conversation *v;
	size_t n;
	uint8_t instance[16] = {1};
	struct span s = make(1, 20, SPAN_CHAT);

	assert_int_equal(store_capture_begin(st, instance, "python agent.py", 5), 0);
	span_set_int(&s, ATTR_USAGE_INPUT_TOKENS, 10);
	span_set_int(&s, ATTR_USAGE_OUTPUT_TOKENS, 3);
	span_set_str(&s, ATTR_RESPONSE_MODEL, SLICE("big,model"));
	span_set_str(&s, ATTR_CONVERSATION_ID, SLICE("abc-conversation"));
	span_set_str(&s, ATTR_INPUT_MESSAGES,
	             SLICE("[{\"role\":\"system\",\"parts\":[{\"type\":\"text\",\"content\":\"be kind\"}]},"
	                   "{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"<tag>x</tag>\"},"
	                   "{\"type\":\"text\",\"content\":\" hello \"}]}]"));
	assert_int_equal(store_insert(st, &s), 0);
	span_release(&s);
	assert_int_equal(insert(st, 1, 21, SPAN_CHAT), 0); /* reports no usage */
	assert_int_equal(insert(st, 1, 22, SPAN_TOOL), 0);
	assert_int_equal(insert(st, 1, 2, SPAN_TURN), 0);
	assert_int_equal(insert(st, 1, 1, SPAN_CONVERSATION), 0);
	assert_int_equal(insert(st, 2, 50, SPAN_CHAT), 0);
	assert_int_equal(insert(st, 3, 99, SPAN_PROCESS), 0); /* no conversation */
	assert_int_equal(store_commit(st), 0);

	assert_int_equal(store_conversations(st, &(struct store_choice){.until = UINT64_MAX}, 10, &a, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(v[0].trace[0], 2); /* the newest first */
	assert_int_equal(v[0].input_tokens, LLM_NONE);
	assert_false(v[0].ended);
	assert_int_equal(v[1].calls, 2);
	assert_int_equal(v[1].tools, 1);
	assert_int_equal(v[1].turns, 1);
	assert_int_equal(v[1].input_tokens, 10);
	assert_int_equal(v[1].calls_without_usage, 1);
	assert_true(v[1].ended && v[1].complete);
	assert_int_equal(v[1].n_models, 1);
	assert_true(slice_eq(v[1].models[0], SLICE("big,model")));
	assert_true(slice_eq(v[1].command, SLICE("python agent.py")));
	assert_true(slice_eq(v[1].text, SLICE("hello")));
	assert_int_equal(store_conversations(st, &(struct store_choice){.until = UINT64_MAX}, 1, &a, &v, &n), 0);
	assert_int_equal(n, 1);

	uint8_t trace[16];
	assert_int_equal(store_find(st, SLICE("01"), trace), 0);
	assert_int_equal(trace[0], 1);
	assert_int_equal(store_find(st, SLICE("0"), trace), -ENOTUNIQ);
	assert_non_null(strstr(store_error(st), "01000000000000000000000000000000"));
	assert_non_null(strstr(store_error(st), "02000000000000000000000000000000"));
	assert_int_equal(store_find(st, SLICE("abc"), trace), 0); /* also hex, but no trace begins so */
	assert_int_equal(trace[0], 1);
	assert_int_equal(store_find(st, SLICE("03"), trace), -ENOENT);
	assert_int_equal(store_find(st, SLICE("%"), trace), -ENOENT);
	assert_int_equal(store_find(st, SLICE("abc-\033]52"), trace), -ENOENT);
	assert_null(strchr(store_error(st), '\033'));
	store_close(st);
	arena_release(&a);
}

static void test_capture_through_sink(void **state)
{
	(void)state;
	struct sink_conf conf = {.store_dir = dir, .command = "agent", .instance = {7}};
	struct sink_summary sum = {.captured_bytes = 100, .lost_bytes = 12, .life_lost = 3};
	const char *why = NULL;
	void *sink;
	struct span s = make(1, 1, SPAN_CHAT);

	assert_int_equal(sink_store.open(&conf, &sink, &why), 0);
	assert_int_equal(sink_store.span(sink, &s), 0);
	assert_int_equal(sink_store.span(sink, &s), 0);
	assert_int_equal(sink_store.finish(sink, &sum), 0);
	sink_store.close(sink);
	span_release(&s);
	assert_int_equal(number("SELECT count(*) FROM capture WHERE end_wall_ns > start_wall_ns"), 1);
	assert_int_equal(number("SELECT counters ->> '$.lost_bytes' FROM capture") == 12 ||
	                     number("SELECT json_extract(counters, '$.lost_bytes') FROM capture") == 12,
	                 1);
	assert_int_equal(number("SELECT count(*) FROM audit_event WHERE kind='loss'"), 2);
	assert_int_equal(number("SELECT count(*) FROM audit_event WHERE kind='config'"), 1);
	assert_int_equal(number("SELECT count(*) FROM audit_event"), 5);
	assert_int_equal(number("SELECT capture FROM span"), 1);

	sink = &conf;
	assert_int_equal(sink_store.open(&(struct sink_conf){0}, &sink, &why), 0);
	assert_null(sink);
	assert_int_equal(sink_store.span(NULL, NULL), 0);
	struct store *st = open_as(STORE_WRITE);
	assert_int_equal(sink_store.open(&conf, &sink, &why), -EBUSY);
	assert_non_null(strstr(why, "being written"));
	free((char *)why);
	store_close(st);
}

/* A file that can grow no further: the batch is gone as a whole, what was acknowledged stays, later batches
 * work. */
static void test_disk_full(void **state)
{
	(void)state;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit limit = {256 << 10, RLIM_INFINITY};
		struct store *st = open_as(STORE_WRITE);
		struct span s = make(2, 0, SPAN_CHAT);
		char *big = calloc(1, 400 << 10);
		int inserted, committed;

		signal(SIGXFSZ, SIG_IGN);
		if (insert(st, 1, 1, SPAN_CHAT) || store_commit(st))
			_exit(1);
		setrlimit(RLIMIT_FSIZE, &limit);
		for (size_t i = 0; i < (400 << 10) - 1; i++)
			big[i] = (char)('!' + rand() % 90); /* does not compress */
		span_set_str(&s, ATTR_INPUT_MESSAGES, slice_str(big));
		inserted = insert(st, 2, 7, SPAN_CHAT) ?: store_insert(st, &s);
		committed = store_commit(st);
		if (inserted >= 0 && committed >= 0)
			_exit(2);
		if (!store_error(st)[0])
			_exit(3);
		limit.rlim_cur = RLIM_INFINITY;
		setrlimit(RLIMIT_FSIZE, &limit);
		if (insert(st, 3, 1, SPAN_CHAT) || store_commit(st))
			_exit(4);
		free(big);
		span_release(&s);
		store_close(st);
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(number("SELECT count(*) FROM span"), 2);
	assert_int_equal(number("SELECT count(*) FROM span WHERE hex(trace) LIKE '02%'"), 0);
	assert_int_equal(number("PRAGMA integrity_check"), 1);
}

#define KILLS 200
#define BATCH 5

/* Writes batches for ever; says in the pipe which were acknowledged. */
static _Noreturn void write_until_killed(uint32_t round, int fd)
{
	struct store *st = open_as(STORE_WRITE);

	for (uint32_t batch = 0;; batch++) {
		for (uint32_t i = 0; i < BATCH; i++) {
			struct span s = make(round + 1, batch * BATCH + i, SPAN_CHAT);
			struct buf text = {0};

			for (uint32_t k = 0; k < 300; k++)
				buf_addf(&text, "%u ", (round * 1000 + batch * 10 + k) * 2654435761u);
			span_set_str(&s, ATTR_INPUT_MESSAGES, buf_slice(&text));
			if (store_insert(st, &s))
				_exit(1);
			span_release(&s);
			buf_release(&text);
		}
		if (store_commit(st) || write(fd, &batch, sizeof(batch)) != sizeof(batch))
			_exit(1);
	}
}

static void test_killed(void **state)
{
	(void)state;
	uint32_t total = 0;

	srand(42);
	for (uint32_t round = 0; round < KILLS; round++) {
		uint32_t batch, acknowledged = 0;
		int fds[2], status;
		char sql[160];

		assert_int_equal(pipe(fds), 0);
		pid_t pid = fork();
		if (pid == 0)
			write_until_killed(round, fds[1]);
		close(fds[1]);
		usleep((useconds_t)(rand() % 30000 + 2000));
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		while (read(fds[0], &batch, sizeof(batch)) == sizeof(batch))
			acknowledged = batch + 1;
		close(fds[0]);
		if (access(in_dir("spantap.db"), F_OK))
			continue;
		store_close(open_as(STORE_WRITE));
		snprintf(sql, sizeof(sql),
		         "SELECT count(*) FROM span WHERE trace=X'%02X%030X' AND start_ns < %u", round + 1, 0,
		         1000 + acknowledged * BATCH);
		assert_int_equal(number(sql), acknowledged * BATCH);
		snprintf(sql, sizeof(sql), "SELECT count(*) %% %d FROM span", BATCH);
		assert_int_equal(number(sql), 0); /* whole batches only */
		assert_int_equal(number("PRAGMA integrity_check"), 1);
		total += acknowledged;
	}
	print_message("%u acknowledged batches in %d rounds\n", total, KILLS);
	assert_true(total > 0);
}

static void test_default_dir(void **state)
{
	(void)state;
	struct buf b = {0};

	setenv("XDG_STATE_HOME", "/x/state", 1);
	assert_int_equal(store_default_dir(&b, getuid()), 0);
	assert_string_equal(buf_str(&b), "/x/state/spantap");
	buf_clear(&b);
	setenv("XDG_STATE_HOME", "relative", 1);
	setenv("HOME", "/h", 1);
	assert_int_equal(store_default_dir(&b, getuid()), 0);
	assert_string_equal(buf_str(&b), "/h/.local/state/spantap");
	buf_clear(&b);
	/* Someone else: never from our environment. */
	if (store_default_dir(&b, getuid() + 1) == 0)
		assert_null(strstr(buf_str(&b), "/h/"));
	buf_release(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_round_trip),
	    TEST(test_losses),
	    TEST(test_every_loss_is_kept),
	    TEST(test_calls_without_usage),
	    TEST(test_modes),
	    TEST(test_link_in_place_of_database),
	    TEST(test_idempotent),
	    TEST(test_second_writer),
	    TEST(test_newer_schema),
	    TEST(test_not_ours),
	    TEST(test_no_store),
	    TEST(test_read_while_writing),
	    TEST(test_conversations),
	    TEST(test_capture_through_sink),
	    TEST(test_disk_full),
	    TEST(test_killed),
	    TEST(test_default_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
