/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of the store: pieces and lists, the index of words, what is erased and what stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/feed.h"
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
	strcpy(dir, "/dev/shm/spantap-texts-XXXXXX"); /* in memory: here no sync has to wait for a disk */
	return mkdtemp(dir) || mkdtemp(strcpy(dir, "/tmp/spantap-texts-XXXXXX")) ? 0 : -1;
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

	if (store_open(dir, mode, &st, &error))
		fail_msg("%s", buf_str(&error));
	return st;
}

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int64_t number(const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *q;

	assert_int_equal(sqlite3_open(in_dir("spantap.db"), &db), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	int64_t v = sqlite3_column_int64(q, 0);
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

#define SECOND 1000000000ull

/* Span `n` of trace `trace`; it lasts from second `n` to `n` + 1. */
static struct span make(uint32_t trace, uint32_t n, enum span_kind kind)
{
	struct span s = {
	    .kind = kind, .start = n * SECOND, .end = (n + 1) * SECOND, .start_wall = n * SECOND};

	memcpy(s.trace, &trace, sizeof(trace));
	memcpy(s.id, &n, sizeof(n));
	memcpy(s.id + 4, &trace, sizeof(trace));
	s.name = arena_dup(&s.arena, SLICE("chat m"));
	return s;
}

static void put(struct store *st, struct span *s)
{
	if (store_insert(st, s))
		fail_msg("%s", store_error(st));
	span_release(s);
}

static void set(struct span *s, enum attr_key key, struct slice text, const uint32_t *cuts, size_t n)
{
	uint32_t *copy = arena_alloc(&s->arena, (n + 1) * sizeof(*copy));

	if (n)
		memcpy(copy, cuts, n * sizeof(*copy));
	span_own_pieces(s, key, arena_dup(&s->arena, text), n ? copy : NULL, n);
}

/* One message that says `text`. */
static void say(struct store *st, uint32_t trace, uint32_t n, const char *text)
{
	struct span s = make(trace, n, SPAN_CHAT);
	struct buf json = {0};

	buf_addf(&json, "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"%s\"}]}]", text);
	set(&s, ATTR_INPUT_MESSAGES, buf_slice(&json), NULL, 0);
	put(st, &s);
	buf_release(&json);
}

static void finish(struct store *st, uint32_t trace, uint32_t n)
{
	struct span s = make(trace, n, SPAN_CONVERSATION);

	put(st, &s);
}

static size_t hits(struct store *st, const char *query)
{
	struct arena a = {0};
	struct store_hit *v;
	size_t n = 0;

	if (store_search(st, slice_str(query), 100, &a, &v, &n))
		fail_msg("'%s': %s", query, store_error(st));
	arena_release(&a);
	return n;
}

/* Texts of random bytes, cut and repeated at random, come back as they were. */

#define TEXTS 300

struct text {
	struct buf bytes;
	uint32_t cuts[64];
	size_t n;
};

static void add_piece(struct text *t, size_t n)
{
	if (t->bytes.n)
		t->cuts[t->n++] = (uint32_t)t->bytes.n;
	for (size_t i = 0; i < n; i++)
		buf_addc(&t->bytes, rand() % 4 ? "abcdefgh"[rand() % 8] : (char)rand());
}

/* Most pieces of `before`, some of them changed a little, some left out, some new. */
static void vary(struct text *t, const struct text *before)
{
	for (size_t i = 0; i <= before->n && before->bytes.n; i++) {
		size_t from = i ? before->cuts[i - 1] : 0,
		       to = i < before->n ? before->cuts[i] : before->bytes.n;

		if (rand() % 30 == 0)
			continue;
		if (t->bytes.n)
			t->cuts[t->n++] = (uint32_t)t->bytes.n;
		buf_add(&t->bytes, before->bytes.p + from, to - from);
		if (rand() % 10 == 0)
			t->bytes.p[t->bytes.n - 1]++;
	}
	while (t->n < 62 && (rand() % 2 || !t->n))
		add_piece(t, (size_t)1 << rand() % 13);
	while (t->n > 55) { /* as when history is compacted */
		t->n -= 20;
		t->bytes.n = t->cuts[t->n];
	}
}

static void test_texts_come_back(void **state)
{
	(void)state;
	static struct text v[TEXTS];
	struct store *st = open_as(STORE_WRITE);

	srand(3);
	for (uint32_t i = 0; i < TEXTS; i++) {
		struct span s = make(i % 3, i, i % 2 ? SPAN_CHAT : SPAN_TOOL);

		vary(&v[i], i >= 6 ? &v[i - 3 * (1 + (uint32_t)rand() % 2)] : &v[i]);
		set(&s, i % 2 ? ATTR_INPUT_MESSAGES : ATTR_TOOL_CALL_RESULT, buf_slice(&v[i].bytes),
		    v[i].cuts, v[i].n);
		put(st, &s);
		if (i % 7 == 0)
			assert_int_equal(store_commit(st), 0);
		if (i % 50 == 49) { /* a new writer knows no list */
			assert_int_equal(store_commit(st), 0);
			store_close(st);
			st = open_as(STORE_WRITE);
		}
	}
	assert_int_equal(store_commit(st), 0);
	store_close(st);
	assert_true(number("SELECT max(depth) FROM value") > 3);
	assert_true(number("SELECT max(depth) FROM value") < 32);
	assert_true(number("SELECT count(*) FROM block WHERE base IS NOT NULL") > 0);
	assert_int_equal(
	    number(
	        "SELECT count(*) FROM block AS b JOIN block AS c ON b.base=c.num WHERE c.base IS NOT NULL"),
	    0);

	st = open_as(STORE_READ);
	for (uint32_t trace = 0; trace < 3; trace++) {
		uint8_t id[16] = {(uint8_t)trace};
		struct span *spans;
		size_t n;

		if (store_spans(st, id, &spans, &n))
			fail_msg("%s", store_error(st));
		assert_int_equal(n, TEXTS / 3);
		for (size_t i = 0; i < n; i++) {
			const struct text *t = &v[spans[i].start_wall / SECOND];
			const struct attr *a = &spans[i].attrs[0];

			assert_true(slice_eq(a->str, buf_slice(&t->bytes)));
			assert_int_equal(a->n_cuts, t->n);
			if (t->n)
				assert_memory_equal(a->cuts, t->cuts, t->n * sizeof(*t->cuts));
		}
		store_spans_free(spans, n);
	}
	store_close(st);
	for (uint32_t i = 0; i < TEXTS; i++)
		buf_release(&v[i].bytes);
}

static void test_equal_pieces_are_kept_once(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct buf text = {0};

	for (int i = 0; i < 5000; i++)
		buf_addf(&text, "%d ", i * 7919);
	for (uint32_t i = 0; i < 20; i++) {
		struct span s = make(i % 4, i, SPAN_CHAT);

		set(&s, ATTR_SYSTEM_INSTRUCTIONS, buf_slice(&text), (uint32_t[]){9000}, 1);
		put(st, &s);
	}
	assert_int_equal(store_commit(st), 0);
	store_close(st);
	assert_int_equal(number("SELECT count(*) FROM block"), 2);
	assert_int_equal(number("SELECT count(*) FROM used"), 2 * 4);
	assert_int_equal(
	    number("SELECT count(DISTINCT hash) + count(DISTINCT salt) + count(DISTINCT id) FROM block"), 6);
	buf_release(&text);
}

/* A request body is for the store alone: its own function reads it, whatever bytes it has. */
static void test_body(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct span s = make(1, 1, SPAN_CHAT), *v;
	struct buf out = {0};
	uint8_t trace[16], id[8];
	size_t n;

	set(&s, ATTR_REQUEST_BODY, slice_of("\xff\0{", 3), NULL, 0);
	span_set_str(&s, ATTR_RESPONSE_ID, SLICE("r1"));
	span_set_strs(
	    &s, ATTR_REQUEST_HEADERS,
	    (struct slice[]){SLICE("a: b\nc"), SLICE(""),
	                     SLICE("long: 0123456789012345678901234567890123456789012345678901234567890123")},
	    3);
	memcpy(trace, s.trace, sizeof(trace));
	put(st, &s);
	assert_int_equal(store_commit(st), 0);
	assert_int_equal(store_call(st, trace, 1, id), 0);
	assert_int_equal(store_value(st, id, ATTR_REQUEST_BODY, &out), 0);
	assert_true(slice_eq(buf_slice(&out), slice_of("\xff\0{", 3)));
	buf_clear(&out);
	assert_int_equal(store_value(st, id, ATTR_RESPONSE_ID, &out), 0);
	assert_true(slice_eq(buf_slice(&out), SLICE("r1")));
	buf_clear(&out);
	assert_int_equal(store_value(st, id, ATTR_REQUEST_HEADERS, &out), 0);
	assert_true(slice_eq(
	    buf_slice(&out),
	    SLICE("a: b\nc\n\nlong: 0123456789012345678901234567890123456789012345678901234567890123\n")));
	assert_int_equal(store_value(st, id, ATTR_OUTPUT_MESSAGES, &out), -ENOENT);
	assert_int_equal(store_value(st, (uint8_t[8]){9}, ATTR_REQUEST_BODY, &out), -ENOENT);
	assert_int_equal(store_call(st, trace, 2, id), -ENOENT);
	assert_int_equal(store_spans(st, trace, &v, &n), 0);
	assert_null(span_get(&v[0], ATTR_REQUEST_BODY));
	assert_null(span_get(&v[0], ATTR_REQUEST_HEADERS));
	store_spans_free(v, n);
	buf_release(&out);
	store_close(st);
}

static void test_damage_is_noticed(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct span s = make(1, 1, SPAN_CHAT), *v;
	struct buf text = {0};
	uint8_t trace[16];
	size_t n;

	for (int i = 0; i < 500; i++)
		buf_addf(&text, "%d ", i * 7919);
	memcpy(trace, s.trace, sizeof(trace));
	set(&s, ATTR_SYSTEM_INSTRUCTIONS, buf_slice(&text), (uint32_t[]){100, 1000}, 2);
	put(st, &s);
	assert_int_equal(store_commit(st), 0);
	store_close(st);
	static const char *const damages[] = {
	    "UPDATE block SET salt=zeroblob(16) WHERE num=1",
	    "UPDATE block SET bytes=zeroblob(length(bytes)) WHERE num=2",
	    "DELETE FROM block WHERE num=3",
	    "UPDATE value SET list=X'05FF'",
	    "UPDATE value SET list=X'0C7F'",
	    "UPDATE value SET base=span, list=X'0400'",
	    "UPDATE value SET size=size-1",
	    "UPDATE value SET size=1<<60",
	};
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		execute("CREATE TABLE kept_block AS SELECT * FROM block");
		execute("CREATE TABLE kept_value AS SELECT * FROM value");
		execute(damages[i]);
		st = open_as(STORE_READ);
		assert_int_equal(store_spans(st, trace, &v, &n), -EBADMSG);
		assert_non_null(strstr(store_error(st), "damaged"));
		store_close(st);
		execute(
		    "DELETE FROM block; INSERT INTO block SELECT * FROM kept_block; DROP TABLE kept_block;"
		    "DELETE FROM value; INSERT INTO value SELECT * FROM kept_value; DROP TABLE kept_value");
	}
	st = open_as(STORE_READ);
	assert_int_equal(store_spans(st, trace, &v, &n), 0);
	store_spans_free(v, n);
	store_close(st);
	buf_release(&text);
}

/* Words */

static void test_search(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct arena a = {0};
	struct store_hit *v;
	size_t n;

	say(st, 1, 1, "The quick brown fox\\njumps over Ünïcode, read_file(path)");
	say(st, 1, 2, "a lazy dog; \\\"quoted\\\" AND NEAR* words");
	say(st, 2, 3, "the dog jumps");
	struct span s = make(2, 4, SPAN_MCP);
	span_set_str(&s, ATTR_TOOL_CALL_ARGUMENTS,
	             SLICE("{\"pattern\":\"needle\",\"deep\":{\"list\":[\"straw\"]}}"));
	put(st, &s);
	s = make(2, 5, SPAN_CHAT);
	span_set_str(
	    &s, ATTR_OUTPUT_MESSAGES,
	    SLICE("[{\"role\":\"assistant\",\"parts\":[{\"type\":\"tool_call\",\"name\":\"shell\",\"id\":"
	          "\"c1\","
	          "\"arguments\":{\"command\":\"grep haystack\"}}],\"finish_reason\":\"tool_call\"}]"));
	put(st, &s);
	assert_int_equal(store_commit(st), 0);

	assert_int_equal(hits(st, "fox"), 1);
	assert_int_equal(hits(st, "FOX quick"), 1);
	assert_int_equal(hits(st, "fox dog"), 0);
	assert_int_equal(hits(st, "jumps"), 2);
	assert_int_equal(hits(st, "unicode"), 1);
	assert_int_equal(hits(st, "\"brown fox\""), 1);
	assert_int_equal(hits(st, "\"fox brown\""), 0);
	assert_int_equal(hits(st, "\"the dog"), 1);
	assert_int_equal(hits(st, "read_file"), 1);
	assert_int_equal(hits(st, "file_read"), 0);
	assert_int_equal(hits(st, "haystack"), 1);
	assert_int_equal(hits(st, "needle"), 1);
	assert_int_equal(hits(st, "pattern"), 1); /* of JSON that is no message, all of it */
	assert_int_equal(hits(st, "command"), 0); /* a key */
	/* Nothing of a query has a meaning but words and quotes. */
	static const char *const odd[] = {
	    "AND",       "NEAR(dog lazy)", "dog*",  "text:dog",   "^a",    "-dog",     "dog OR",
	    "\"\"\"dog", "(dog",           "{dog}", "dog + lazy", "' dog", "\xff dog", "dog\xe2\x80\x94lazy"};
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		(void)hits(st, odd[i]);
	assert_int_equal(hits(st, "AND"), 1);
	assert_int_equal(hits(st, "words near"), 1);
	assert_int_equal(store_search(st, SLICE(" \"\" ** "), 10, &a, &v, &n), -EINVAL);

	assert_int_equal(store_search(st, SLICE("jumps"), 1, &a, &v, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(v[0].trace[0], 2); /* the newest */
	assert_int_equal(v[0].call, 1);
	assert_true(slice_eq(v[0].snippet, SLICE("the dog jumps\n")));
	arena_release(&a);
	store_close(st);
	st = open_as(STORE_READ);
	assert_int_equal(hits(st, "fox"), 1);
	store_close(st);
}

/* A message is indexed once, however often it is repeated: as the answer, as history, in each call. */
static void test_said_once(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct slice
	    answer =
	        SLICE("[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"unmistakable\"}],"
	              "\"finish_reason\":\"stop\"}]"),
	    history = SLICE(
	        "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"hello\"}]}"
	        ",{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"unmistakable\"}]}]");
	uint32_t cut = (uint32_t)(strstr(history.p, ",{\"role\":\"assistant") - history.p);
	for (uint32_t i = 0; i < 6; i++) {
		struct span s = make(1, i, SPAN_CHAT);

		set(&s, ATTR_OUTPUT_MESSAGES, answer, NULL, 0);
		if (i)
			set(&s, ATTR_INPUT_MESSAGES, history, &cut, 1);
		put(st, &s);
	}
	/* Another conversation continues from it and is found too, also when the first one is gone. */
	struct span s = make(2, 50, SPAN_CHAT);
	set(&s, ATTR_INPUT_MESSAGES, history, &cut, 1);
	put(st, &s);
	finish(st, 1, 10);
	assert_int_equal(store_commit(st), 0);
	assert_int_equal(hits(st, "hello"), 2);
	assert_int_equal(hits(st, "unmistakable"), 2);

	struct store_erased sum = {0};
	struct store_limits limits = {.age_ns = 20 * SECOND};
	assert_int_equal(store_retain(st, &limits, 40 * SECOND, &sum), 1);
	assert_int_equal(sum.conversations, 1);
	assert_int_equal(hits(st, "hello"), 1);
	assert_int_equal(hits(st, "unmistakable"), 1);
	store_close(st);
}

/* Erasing */

static void retain(struct store *st, const struct store_limits *limits, uint64_t wall_ns,
                   struct store_erased *sum)
{
	int r, steps = 0;

	while ((r = store_retain(st, limits, wall_ns, sum)) == 1)
		assert_true(++steps < 10000);
	if (r)
		fail_msg("%s", store_error(st));
}

static bool file_holds(const char *name, const char *word)
{
	FILE *f = fopen(in_dir(name), "re");
	struct buf b = {0};
	size_t n = 1;

	while (f && n) {
		buf_reserve(&b, 1 << 20);
		n = fread(b.p + b.n, 1, 1 << 20, f);
		b.n += n;
	}
	if (f)
		fclose(f);
	bool found = slice_find(buf_slice(&b), slice_str(word)) != NULL;
	buf_release(&b);
	return found;
}

/* Exporters remember numbers: none is given twice, and what was erased shows as a gap. */
static void test_numbers(void **state)
{
	(void)state;
	uint8_t instance[16] = {1};
	struct store *st = open_as(STORE_WRITE);
	struct store_erased sum = {0};
	struct store_fed *v;
	uint64_t newest;
	size_t n;

	assert_int_equal(store_capture_begin(st, instance, "x", 1), 0);
	for (uint32_t trace = 1; trace <= 2; trace++) {
		say(st, trace, 10 * trace, "words");
		finish(st, trace, 10 * trace + 1);
	}
	assert_int_equal(store_commit(st), 0);
	assert_int_equal(store_feed_newest(st, &newest), 0);
	retain(st, &(struct store_limits){.age_ns = SECOND}, 1000 * SECOND, &sum);
	assert_int_equal(number("SELECT count(*) FROM span"), 0);
	say(st, 3, 30, "more words");
	assert_int_equal(store_commit(st), 0);
	assert_int_equal(store_feed(st, 0, 10, 1 << 20, &v, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(v[0].seq, newest + 1);
	store_fed_free(v, n);
	assert_int_equal(store_feed(st, newest + 1, 10, 1 << 20, &v, &n), 0);
	assert_int_equal(n, 0);
	store_fed_free(v, n);
	store_close(st);
}

static void test_age(void **state)
{
	(void)state;
	uint8_t instance[16] = {1};
	struct store *st = open_as(STORE_WRITE);
	struct store_limits limits = {.age_ns = 100 * SECOND};
	struct store_erased sum = {0};
	struct buf shared = {0};

	for (int i = 0; i < 300; i++)
		buf_addf(&shared, "shared%d ", i * 7919);
	assert_int_equal(store_capture_begin(st, instance, "x", 1), 0);
	for (uint32_t trace = 1; trace <= 3; trace++) {
		struct span s = make(trace, 10 * trace, SPAN_CHAT);

		set(&s, ATTR_SYSTEM_INSTRUCTIONS, buf_slice(&shared), NULL, 0);
		put(st, &s);
		say(st, trace, 10 * trace + 1, trace == 1 ? "zyzzyva" : trace == 2 ? "quixotry" : "muzjiks");
		if (trace != 2)
			finish(st, trace, 10 * trace + 2);
	}
	assert_int_equal(store_retain(st, &limits, 1000 * SECOND, &sum), 0); /* not within a batch */
	assert_int_equal(store_commit(st), 0);
	retain(st, &(struct store_limits){0}, 1000 * SECOND, &sum);
	assert_int_equal(sum.conversations, 0);
	retain(st, &limits, 115 * SECOND, &sum);
	assert_int_equal(sum.conversations, 1);
	assert_int_equal(sum.spans, 3);
	assert_int_equal(sum.blocks, 1); /* what the others use stays */
	assert_int_equal(hits(st, "zyzzyva"), 0);
	assert_int_equal(hits(st, "quixotry"), 1);
	assert_int_equal(hits(st, "shared0"), 0);
	/* The second has not ended, the third has. */
	retain(st, &limits, 10000 * SECOND, &sum);
	assert_int_equal(sum.conversations, 2);
	store_close(st);
	assert_int_equal(number("SELECT count(*) FROM span"), 2);
	assert_int_equal(number("SELECT count(*) FROM block"), 2);
	assert_int_equal(number("SELECT count(*) FROM audit_event WHERE kind='retention'"), 2);
	assert_int_equal(
	    number("SELECT sum(json_extract(detail, '$.spans')) FROM audit_event WHERE kind='retention'"), 6);
	assert_false(file_holds("spantap.db", "zyzzyva"));
	assert_false(file_holds("spantap.db", "muzjiks"));
	assert_true(file_holds("spantap.db", "quixotry"));

	/* A capture that was killed closes nothing; the next one may erase what it left. */
	st = open_as(STORE_WRITE);
	assert_int_equal(store_capture_begin(st, instance, "x", 1), 0);
	struct span s = make(2, 20, SPAN_CHAT), *v;
	size_t n;
	assert_int_equal(store_spans(st, s.trace, &v, &n), 0);
	assert_true(slice_eq(span_get(&v[0], ATTR_SYSTEM_INSTRUCTIONS)->str, buf_slice(&shared)));
	store_spans_free(v, n);
	retain(st, &limits, 1000 * SECOND, &sum);
	assert_int_equal(sum.conversations, 3);
	span_release(&s);
	store_close(st);
	assert_int_equal(number("SELECT count(*) FROM block"), 0);
	assert_int_equal(number("SELECT count(*) FROM used"), 0);
	assert_int_equal(number("SELECT count(*) FROM value"), 0);
	assert_int_equal(number("SELECT count(*) FROM trace"), 0);
	buf_release(&shared);
}

static uint64_t file_size(void)
{
	struct stat sb;

	assert_int_equal(stat(in_dir("spantap.db"), &sb), 0);
	return (uint64_t)sb.st_size;
}

/* The file shrinks, the newest conversations stay, and those that go on are still read in full. */
static void test_size(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct store_limits limits = {.bytes = 1 << 20};
	struct store_erased sum = {0};
	struct buf text = {0};
	struct span *v;
	size_t n;

	srand(5);
	for (uint32_t trace = 1; trace <= 40; trace++) {
		buf_clear(&text);
		for (int i = 0; i < 20000; i++)
			buf_addf(&text, "%x ", rand());
		for (uint32_t k = 0; k < 3; k++) {
			struct span s = make(trace, 100 * trace + k, SPAN_CHAT);

			set(&s, ATTR_INPUT_MESSAGES, buf_slice(&text), (uint32_t[]){1000, 50000}, 2);
			put(st, &s);
		}
		finish(st, trace, 100 * trace + 9);
		assert_int_equal(store_commit(st), 0);
	}
	store_close(st);
	uint64_t before = file_size();
	st = open_as(STORE_WRITE);
	retain(st, &limits, 5000 * SECOND, &sum);
	store_close(st);
	assert_true(before > 4 << 20);
	print_message("%llu KB before, %llu KB after, %llu conversations erased\n",
	              (unsigned long long)before >> 10, (unsigned long long)file_size() >> 10,
	              (unsigned long long)sum.conversations);
	assert_true(file_size() <= (1 << 20) + (512 << 10));
	assert_true(sum.conversations < 40);
	assert_int_equal(number("SELECT min(start_wall_ns) / 100000000000 FROM trace"),
	                 sum.conversations + 1);
	st = open_as(STORE_READ);
	assert_int_equal(store_spans(st, (uint8_t[16]){40}, &v, &n), 0);
	assert_int_equal(n, 4);
	assert_true(slice_eq(span_get(&v[2], ATTR_INPUT_MESSAGES)->str, buf_slice(&text)));
	store_spans_free(v, n);
	store_close(st);
	buf_release(&text);
}

static void test_newer_blocks_do_not_lose_their_base(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct store_limits limits = {.age_ns = 50 * SECOND};
	struct store_erased sum = {0};
	struct buf text = {0}, changed = {0}, out = {0};

	srand(6);
	for (int i = 0; i < 2000; i++)
		buf_addf(&text, "%x ", rand());
	buf_addslice(&changed, buf_slice(&text));
	buf_adds(&changed, "changed");
	struct span s = make(1, 1, SPAN_CHAT);
	set(&s, ATTR_SYSTEM_INSTRUCTIONS, buf_slice(&text), NULL, 0);
	put(st, &s);
	finish(st, 1, 2);
	s = make(2, 100, SPAN_CHAT);
	set(&s, ATTR_SYSTEM_INSTRUCTIONS, buf_slice(&changed), NULL, 0);
	uint8_t id[8];
	memcpy(id, s.id, sizeof(id));
	put(st, &s);
	assert_int_equal(store_commit(st), 0);
	assert_int_equal(number("SELECT count(*) FROM block WHERE base IS NOT NULL"), 1);
	assert_true(number("SELECT length(bytes) FROM block WHERE base IS NOT NULL") < 100);
	retain(st, &limits, 100 * SECOND, &sum);
	assert_int_equal(sum.conversations, 1);
	assert_int_equal(sum.blocks, 0);
	assert_int_equal(store_value(st, id, ATTR_SYSTEM_INSTRUCTIONS, &out), 0);
	assert_true(slice_eq(buf_slice(&out), buf_slice(&changed)));
	retain(st, &limits, 1000 * SECOND, &sum);
	store_close(st);
	assert_int_equal(number("SELECT count(*) FROM block"), 0);
	buf_release(&text);
	buf_release(&changed);
	buf_release(&out);
}

/* Several readers while spans are written and erased: each sees whole conversations, and no error. */
static _Noreturn void read_for_ever(void)
{
	struct store *st = open_as(STORE_READ);

	for (;;) {
		struct arena a = {0};
		struct store_conversation *c;
		struct store_hit *h;
		size_t n = 0, n_hits = 0;

		if (store_conversations(st, &(struct store_choice){.until = UINT64_MAX}, 5, &a, &c, &n) ||
		    store_search(st, SLICE("word7919"), 5, &a, &h, &n_hits))
			_exit(1);
		for (size_t i = 0; i < n; i++) {
			struct span *v = NULL;
			size_t spans = 0;

			if (store_spans(st, c[i].trace, &v, &spans))
				_exit(2);
			if (spans && spans != 4) /* none: erased meanwhile */
				_exit(3);
			store_spans_free(v, spans);
		}
		arena_release(&a);
	}
}

static void test_readers(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	struct store_limits limits = {.age_ns = 300 * SECOND};
	struct store_erased sum = {0};
	struct buf text = {0};
	pid_t readers[3];
	int status;

	for (size_t i = 0; i < 3; i++)
		if ((readers[i] = fork()) == 0)
			read_for_ever();
	for (uint32_t trace = 1; trace <= 150; trace++) {
		for (uint32_t k = 0; k < 3; k++) {
			buf_clear(&text);
			for (uint32_t i = 0; i < 100 * (k + 1); i++)
				buf_addf(&text, "word%u ", (trace + i) * 7919);
			say(st, trace, 10 * trace + k, buf_str(&text));
		}
		finish(st, trace, 10 * trace + 4);
		assert_int_equal(store_commit(st), 0);
		retain(st, &limits, (10 * trace + 5) * SECOND, &sum);
	}
	assert_true(sum.conversations > 100);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(waitpid(readers[i], &status, WNOHANG), 0); /* none has ended by itself */
		kill(readers[i], SIGKILL);
		waitpid(readers[i], &status, 0);
	}
	store_close(st);
	buf_release(&text);
}

/* Heads and the key */

static void count_head(void *ctx, const struct store_head *h)
{
	uint64_t *v = ctx;

	if (v[0]++ == 0)
		v[1] = h->last;
	v[2] += h->state.n;
}

static void test_heads(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	uint8_t key[32];
	uint64_t seen[3] = {0};
	static struct store_head v[1000];

	memcpy(key, store_key(st), sizeof(key));
	assert_true(memcmp(key, (uint8_t[32]){0}, 32) != 0);
	for (uint32_t i = 0; i < STORE_HEADS_MAX / 1000 + 1; i++) {
		for (uint32_t k = 0; k < 1000; k++) {
			uint32_t n = i * 1000 + k;

			v[k] = (struct store_head){.state = SLICE("abc"), .last = n + 1};
			memcpy(v[k].link, &n, sizeof(n));
		}
		assert_int_equal(store_heads_put(st, v, 1000), 0);
	}
	v[999].state = SLICE("\0longer");
	v[999].last = 1 << 20;
	assert_int_equal(store_heads_put(st, &v[999], 1), 0);
	assert_int_equal(store_commit(st), 0);
	store_close(st);
	st = open_as(STORE_READ);
	assert_memory_equal(store_key(st), key, 32);
	assert_int_equal(store_heads_each(st, count_head, seen), 0);
	assert_int_equal(seen[0], STORE_HEADS_MAX);
	assert_int_equal(seen[1], 1 << 20);
	assert_int_equal(seen[2], 3 * STORE_HEADS_MAX + 4);
	store_close(st);
	assert_int_equal(number("SELECT min(last) FROM head"), 1001);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_texts_come_back),
	    TEST(test_equal_pieces_are_kept_once),
	    TEST(test_body),
	    TEST(test_damage_is_noticed),
	    TEST(test_search),
	    TEST(test_said_once),
	    TEST(test_numbers),
	    TEST(test_age),
	    TEST(test_size),
	    TEST(test_newer_blocks_do_not_lose_their_base),
	    TEST(test_readers),
	    TEST(test_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
