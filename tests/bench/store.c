/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - what the store takes, and what reading it costs beside plain SQLite.
 *
 * usage: store
 * SPANS=1000000 CALLS=200 ROUNDS=5
 *
 * Writing: a session of CALLS calls with bodies of 300 KB, each with 6 KB that are new, a commit each; one
 * text of 64 MiB. Reading: a store of SPANS spans in conversations of 100, each operation of the product
 * beside one plain query that steps through the same rows, in turns; what is printed is the ratio of the
 * 25th percentiles. Each operation runs in a process of its own: its peak of memory is its own.
 */
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "bench/harness/figure.h"
#include "store/figures.h"
#include "store/store.h"

#define PER_TRACE 100
#define BODY      (300u << 10)
#define NEW       (6u << 10)

static char dir[64];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of this process: what others do meanwhile does not count. */
static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	(void)sb, (void)type, (void)ftw;
	return remove(path);
}

static void make_dir(void)
{
	strcpy(dir, "/tmp/spantap-bench-XXXXXX");
	if (!mkdtemp(dir))
		abort();
}

static void remove_dir(void)
{
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct store *open_as(enum store_mode mode)
{
	struct buf error = {0};
	struct store *st = NULL;

	if (store_open(dir, mode, &st, &error)) {
		fprintf(stderr, "%s\n", buf_str(&error));
		exit(1);
	}
	return st;
}

static void must(struct store *st, int r)
{
	if (r < 0) {
		fprintf(stderr, "%s\n", store_error(st));
		exit(1);
	}
}

static uint64_t seed = 1;

static unsigned dice(unsigned n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(seed >> 33) % n;
}

/* Words of six letters: three of a vocabulary of 20,000 in four, the fourth seen once. */
static void add_text(struct buf *out, size_t n)
{
	for (size_t end = out->n + n; out->n < end;) {
		uint64_t h = (dice(4) ? dice(20000) : dice(1 << 30)) * 0x9e3779b97f4a7c15;

		for (int i = 0; i < 6; i++, h >>= 5)
			buf_addc(out, (char)('a' + (h >> 32) % 26));
		buf_addc(out, ' ');
	}
}

static struct span make(uint32_t trace, uint32_t n, enum span_kind kind)
{
	struct span s = {.kind = kind,
	                 .start = n * 1000ULL,
	                 .end = n * 1000ULL + 900,
	                 .start_wall = 1700000000000000000 + trace * 1000000ULL + n * 1000ULL};

	memcpy(s.trace, &trace, sizeof(trace));
	memcpy(s.id, &n, sizeof(n));
	memcpy(s.id + 4, &trace, sizeof(trace));
	s.name = arena_dup(&s.arena, SLICE("chat model"));
	span_set_bool(&s, ATTR_COMPLETE, true);
	span_set_str(&s, ATTR_OPERATION_NAME, SLICE("chat"));
	span_set_str(&s, ATTR_PROVIDER_NAME, SLICE("openai"));
	span_set_str(&s, ATTR_RESPONSE_MODEL, SLICE("model"));
	span_set_str(&s, ATTR_SERVER_ADDRESS, SLICE("api.example.com"));
	span_set_str(&s, ATTR_CONVERSATION_ID, SLICE("conversation"));
	span_set_int(&s, ATTR_USAGE_INPUT_TOKENS, 1000);
	span_set_int(&s, ATTR_USAGE_OUTPUT_TOKENS, 100);
	return s;
}

static void set_messages(struct span *s, struct slice text, const uint32_t *cuts, size_t n)
{
	uint32_t *copy = arena_alloc(&s->arena, (n + 1) * sizeof(*copy));

	memcpy(copy, cuts, n * sizeof(*copy));
	span_own_pieces(s, ATTR_INPUT_MESSAGES, arena_dup(&s->arena, text), copy, n);
}

/* A message of `n` bytes at the end of `out`. */
static void add_message(struct buf *out, size_t n)
{
	buf_adds(out, out->n ? ",{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\""
	                     : "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"");
	add_text(out, n);
	buf_adds(out, "\"}]}");
}

static uint64_t database_size(void)
{
	char path[128];
	struct stat sb;

	snprintf(path, sizeof(path), "%s/spantap.db", dir);
	return stat(path, &sb) == 0 ? (uint64_t)sb.st_size : 0;
}

static void write_session(unsigned long calls)
{
	struct buf text = {0};
	static uint32_t cuts[65536];
	size_t n = 0;
	uint64_t bytes = 0;
	double insert = 0, commit = 0;

	make_dir();
	struct store *st = open_as(STORE_WRITE);
	while (text.n < BODY) {
		if (text.n)
			cuts[n++] = (uint32_t)text.n;
		add_message(&text, NEW / 2);
	}
	for (uint32_t i = 0; i < calls; i++) {
		struct span s = make(1, i + 1, SPAN_CHAT);

		for (int k = 0; k < 2; k++) {
			cuts[n++] = (uint32_t)text.n;
			add_message(&text, NEW / 2);
		}
		set_messages(&s, buf_slice(&text), cuts, n);
		bytes += text.n;
		double t0 = now();
		must(st, store_insert(st, &s));
		double t1 = now();
		must(st, store_commit(st));
		insert += t1 - t0;
		commit += now() - t1;
		span_release(&s);
	}
	store_close(st);
	printf("session: %lu calls, %.0f MB: %.2f ms to insert and %.2f ms to commit a call, %.0f MB/s, "
	       "1/%.1f on disk\n",
	       calls, (double)bytes / 1e6, insert / (double)calls * 1e3, commit / (double)calls * 1e3,
	       (double)bytes / 1e6 / insert, (double)bytes / (double)database_size());
	buf_release(&text);
	remove_dir();
}

static void write_large(unsigned long mib)
{
	struct buf text = {0};
	struct span s = make(1, 1, SPAN_CHAT);

	make_dir();
	add_message(&text, mib << 20);
	struct store *st = open_as(STORE_WRITE);
	set_messages(&s, buf_slice(&text), NULL, 0);
	double t0 = now();
	must(st, store_insert(st, &s));
	double t1 = now();
	must(st, store_commit(st));
	printf("one text of %lu MiB: %.0f ms to insert, %.0f ms to commit\n", mib, (t1 - t0) * 1e3,
	       (now() - t1) * 1e3);
	span_release(&s);
	store_close(st);
	buf_release(&text);
	remove_dir();
}

static void fill(unsigned long spans)
{
	struct store *st = open_as(STORE_WRITE);
	double t0 = now(), c0 = cpu();

	for (uint32_t i = 0; i < spans; i++) {
		struct span s = make(i / PER_TRACE, i % PER_TRACE + 1, i % 2 ? SPAN_TOOL : SPAN_CHAT);
		struct buf text = {0};

		add_message(&text, 200);
		buf_addc(&text, ']');
		if (i % 2)
			span_set_str(&s, ATTR_TOOL_CALL_RESULT, buf_slice(&text));
		else
			set_messages(&s, buf_slice(&text), NULL, 0);
		must(st, store_insert(st, &s));
		if (i % 1000 == 999)
			must(st, store_commit(st));
		span_release(&s);
		buf_release(&text);
	}
	must(st, store_commit(st));
	store_close(st);
	printf("%lu spans: %.1f us a span, %.1f us of CPU, %.0f bytes a span on disk\n", spans,
	       (now() - t0) / (double)spans * 1e6, (cpu() - c0) / (double)spans * 1e6,
	       (double)database_size() / (double)spans);
}

/* In a process of its own, whose peak of memory is printed. */
static void write_apart(void (*write)(unsigned long n), unsigned long n)
{
	struct rusage usage;
	int status;

	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		write(n);
		exit(0);
	}
	if (wait4(pid, &status, 0, &usage) != pid || status)
		exit(1);
	printf("  peak of the writer: %ld MiB\n", usage.ru_maxrss / 1024);
}

/* Operations of the product, and plain queries for the same rows. */

static unsigned long n_spans;

static void do_ls(struct store *st)
{
	struct arena a = {0};
	struct store_conversation *v;
	size_t n;

	must(st, store_conversations(st, &(struct store_choice){.until = UINT64_MAX}, 20, &a, &v, &n));
	arena_release(&a);
}

static void do_show(struct store *st)
{
	struct span *v;
	size_t n;
	uint32_t trace = (uint32_t)(n_spans / PER_TRACE / 2);
	uint8_t id[16] = {0};

	memcpy(id, &trace, sizeof(trace));
	must(st, store_spans(st, id, &v, &n));
	store_spans_free(v, n);
}

static void do_search(struct store *st)
{
	struct arena a = {0};
	struct store_hit *v;
	struct buf word = {0};
	size_t n;

	seed = 77;
	add_text(&word, 1);
	must(st, store_search(st, buf_slice(&word), 20, &a, &v, &n));
	arena_release(&a);
	buf_release(&word);
}

static void count(void *ctx, const struct store_figure *f)
{
	*(uint64_t *)ctx += f->duration;
}

static void do_stats(struct store *st)
{
	uint64_t total = 0;

	must(st, store_figures(st, 0, UINT64_MAX, count, &total));
}

static const struct operation {
	const char *name;
	void (*run)(struct store *st);
	const char *sql; /* %d: a conversation */
} operations[] = {
    {"ls", do_ls,
     "SELECT * FROM span WHERE trace IN (SELECT trace FROM trace ORDER BY call_wall_ns DESC LIMIT 20)"},
    {"show", do_show,
     "SELECT * FROM span LEFT JOIN value ON value.span=seq WHERE trace=X'%08X000000000000000000000000'"},
    {"search", do_search,
     "SELECT * FROM words JOIN block ON num=words.rowid WHERE words MATCH '%s' ORDER BY num DESC LIMIT 20"},
    {"stats", do_stats, "SELECT * FROM span"},
};

static void run_plain(const char *sql)
{
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *q;

	snprintf(path, sizeof(path), "%s/spantap.db", dir);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) ||
	    sqlite3_prepare_v2(db, sql, -1, &q, NULL)) {
		fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
		exit(1);
	}
	while (sqlite3_step(q) == SQLITE_ROW)
		for (int i = 0; i < sqlite3_column_count(q); i++)
			sqlite3_column_blob(q, i);
	sqlite3_finalize(q);
	sqlite3_close(db);
}

static void plain_sql(const struct operation *o, struct buf *out)
{
	struct buf word = {0};

	seed = 77;
	add_text(&word, 1);
	word.n = 6;
	if (strstr(o->sql, "%s"))
		buf_addf(out, o->sql, buf_str(&word));
	else
		buf_addf(out, o->sql, __builtin_bswap32((unsigned)(n_spans / PER_TRACE / 2)));
	buf_release(&word);
}

struct measured {
	double seconds;
	long kib;
};

/* In a process of its own. */
static struct measured measure(const struct operation *o, bool plain)
{
	struct measured m = {0};
	struct rusage usage;
	int fds[2], status;

	if (pipe(fds))
		abort();
	pid_t pid = fork();
	if (pid == 0) {
		struct buf sql = {0};

		plain_sql(o, &sql);
		double t0 = now();
		if (plain) {
			run_plain(buf_str(&sql));
		} else {
			struct store *st = open_as(STORE_READ);

			o->run(st);
			store_close(st);
		}
		m.seconds = now() - t0;
		_exit(write(fds[1], &m, sizeof(m)) != sizeof(m));
	}
	close(fds[1]);
	if (read(fds[0], &m, sizeof(m)) != sizeof(m))
		exit(1);
	close(fds[0]);
	wait4(pid, &status, 0, &usage);
	m.kib = usage.ru_maxrss;
	return m;
}

static void compare(const struct operation *o, unsigned long rounds)
{
	struct figure ours = {.n = 0}, plain = {.n = 0};
	long kib = 0, plain_kib = 0;

	for (unsigned long i = 0; i < rounds; i++) {
		struct measured m = measure(o, false);

		figure_add(&ours, m.seconds * 1e6);
		kib = m.kib > kib ? m.kib : kib;
		m = measure(o, true);
		figure_add(&plain, m.seconds * 1e6);
		plain_kib = m.kib > plain_kib ? m.kib : plain_kib;
	}
	printf("%-6s %8.0f us, plain SQLite %8.0f us: %5.2f times; %ld MiB, plain %ld MiB\n", o->name,
	       figure_at(&ours, 25), figure_at(&plain, 25), figure_at(&ours, 25) / figure_at(&plain, 25),
	       kib / 1024, plain_kib / 1024);
}

int main(void)
{
	unsigned long rounds = figure_parameter("ROUNDS", 5);

	setvbuf(stdout, NULL, _IOLBF, 0);
	n_spans = figure_parameter("SPANS", 1000000);
	write_apart(write_session, figure_parameter("CALLS", 200));
	write_apart(write_large, 64);
	make_dir();
	write_apart(fill, n_spans);
	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		compare(&operations[i], rounds);
	remove_dir();
	return 0;
}
