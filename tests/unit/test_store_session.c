/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A synthetic session of an agent: each of its calls sends all that was said
 * before, the tools and the system prompt again.  What it takes on disk, and
 * that every body comes back byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/hash.h"
#include "store/store.h"

#define CALLS   100
#define TOOLS   20
#define SMALLER 20 /* the store, than what was captured */

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
	strcpy(dir, "/dev/shm/spantap-session-XXXXXX"); /* in memory: here no sync has to wait for a disk */
	return mkdtemp(dir) || mkdtemp(strcpy(dir, "/tmp/spantap-session-XXXXXX")) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	buf_release(&error);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Text of a small language: words of a vocabulary of 20,000, some numbers; zstd makes a third of it. */
static uint64_t seed = 1;

static unsigned dice(unsigned n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(seed >> 33) % n;
}

static void add_word(struct buf *out, unsigned number)
{
	static const char *const syllables[] = {"ka",  "re",  "mo", "ti",  "lus", "pen", "dor", "vi",
	                                        "sha", "gro", "en", "quo", "bal", "fi",  "zu",  "tam"};
	uint64_t h = (number + 1) * 0x9e3779b97f4a7c15;

	for (unsigned n = 2 + h % 3; n; n--) {
		h ^= h >> 29;
		h *= 0xbf58476d1ce4e5b9;
		buf_adds(out, syllables[h >> 60]);
	}
}

static void add_text(struct buf *out, size_t n)
{
	for (size_t end = out->n + n; out->n < end;) {
		if (dice(8) == 0)
			buf_addf(out, "%x", dice(1 << 30));
		else
			add_word(out, dice(20000));
		buf_adds(out, dice(12) ? " " : "\\n");
	}
}

/* A text under construction with the places where it may be cut. */
struct cut_text {
	struct buf text;
	uint32_t cuts[4096];
	size_t n;
};

static void cut(struct cut_text *p)
{
	p->cuts[p->n++] = (uint32_t)p->text.n;
}

static void set_pieces(struct span *s, enum attr_key key, struct cut_text *p)
{
	uint32_t *cuts = arena_alloc(&s->arena, (p->n + 1) * sizeof(*cuts));

	memcpy(cuts, p->cuts, p->n * sizeof(*cuts));
	span_own_pieces(s, key, arena_dup(&s->arena, buf_slice(&p->text)), cuts, p->n);
}

/* What was said so far: a question, then an answer that calls a tool and the tool's result, by turns. */
struct session {
	struct buf said[2 * CALLS + 1];
	size_t n;
	struct buf tools[TOOLS], system;
	struct hash bodies[CALLS];
	uint64_t captured;
};

/* As a client of Anthropic's API writes it; the mark of the prompt cache wanders with the last message. */
static void write_body(const struct session *x, struct cut_text *p)
{
	buf_addf(&p->text, "{\"model\":\"m\",\"max_tokens\":32000,\"stream\":true,\"system\":[");
	cut(p);
	buf_addf(&p->text, "{\"type\":\"text\",\"text\":\"%s\"}", x->system.p);
	cut(p);
	buf_adds(&p->text, "],\"tools\":[");
	for (size_t i = 0; i < TOOLS; i++) {
		cut(p);
		buf_addf(&p->text, "%s{\"name\":\"tool%zu\",\"description\":\"%s\"}", i ? "," : "", i,
		         x->tools[i].p);
	}
	cut(p);
	buf_adds(&p->text, "],\"messages\":[");
	for (size_t i = 0; i < x->n; i++) {
		cut(p);
		buf_addf(
		    &p->text,
		    i == 0 ? "%s{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"%s\""
		    : i & 1
		        ? "%s{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"%s\""
		        : "%s{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"content\":\"%s\"",
		    i ? "," : "", x->said[i].p);
		buf_adds(&p->text, i + 1 == x->n ? ",\"cache_control\":{\"type\":\"ephemeral\"}}]}" : "}]}");
	}
	cut(p);
	buf_adds(&p->text, "]}");
}

/* As our spans have it. */
static void write_messages(const struct session *x, struct cut_text *p)
{
	buf_addc(&p->text, '[');
	for (size_t i = 0; i < x->n; i++) {
		if (i)
			cut(p);
		buf_addf(&p->text, "%s{\"role\":\"%s\",\"parts\":[{\"type\":\"%s\",\"%s\":\"%s\"}]}",
		         i ? "," : "",
		         i == 0  ? "user"
		         : i & 1 ? "assistant"
		                 : "tool",
		         i & 1 || !i ? "text" : "tool_call_response", i & 1 || !i ? "content" : "response",
		         x->said[i].p);
	}
	buf_addc(&p->text, ']');
}

static struct span make(uint32_t n, enum span_kind kind)
{
	struct span s = {.kind = kind,
	                 .start = n * 1000ULL,
	                 .end = n * 1000ULL + 900,
	                 .trace = {7},
	                 .start_wall = 1700000000000000000 + n * 1000ULL};

	memcpy(s.id, &n, sizeof(n));
	s.name = arena_dup(&s.arena, SLICE("chat m"));
	span_set_bool(&s, ATTR_COMPLETE, true);
	span_set_str(&s, ATTR_CONVERSATION_ID, SLICE("session"));
	return s;
}

static void put(struct store *st, struct span *s)
{
	if (store_insert(st, s))
		fail_msg("%s", store_error(st));
	span_release(s);
}

static void set_tools(const struct session *x, struct span *s)
{
	struct cut_text p = {0};

	for (size_t i = 0; i < TOOLS; i++) {
		if (i)
			cut(&p);
		buf_addf(&p.text, "%s{\"type\":\"function\",\"name\":\"tool%zu\",\"description\":\"%s\"}",
		         i ? "," : "[", i, x->tools[i].p);
	}
	buf_addc(&p.text, ']');
	set_pieces(s, ATTR_TOOL_DEFINITIONS, &p);
	buf_release(&p.text);
}

static void call(struct store *st, struct session *x, uint32_t n)
{
	struct span s = make(4 * n, SPAN_CHAT), tool = make(4 * n + 1, SPAN_TOOL);
	struct cut_text body = {0}, messages = {0};
	struct buf answer = {0}, system = {0};

	write_body(x, &body);
	write_messages(x, &messages);
	x->captured += body.text.n;
	x->bodies[n] = hash_bytes(buf_slice(&body.text));
	set_pieces(&s, ATTR_REQUEST_BODY, &body);
	set_pieces(&s, ATTR_INPUT_MESSAGES, &messages);
	set_tools(x, &s);
	buf_addf(&system, "[{\"type\":\"text\",\"content\":\"%s\"}]", x->system.p);
	span_set_str(&s, ATTR_SYSTEM_INSTRUCTIONS, buf_slice(&system));

	struct buf *said = &x->said[x->n++];
	add_text(said, 300 + dice(1500));
	buf_str(said);
	buf_addf(&answer,
	         "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"%s\"}],"
	         "\"finish_reason\":\"tool_use\"}]",
	         said->p);
	x->captured += answer.n;
	span_set_str(&s, ATTR_OUTPUT_MESSAGES, buf_slice(&answer));
	put(st, &s);

	said = &x->said[x->n++];
	add_text(said, 500 + dice(7000));
	buf_str(said);
	span_set_str(&tool, ATTR_TOOL_CALL_RESULT, buf_slice(said));
	put(st, &tool);
	assert_int_equal(store_commit(st), 0);
	buf_release(&body.text);
	buf_release(&messages.text);
	buf_release(&answer);
	buf_release(&system);
}

static void begin(struct session *x)
{
	seed = 1;
	add_text(&x->system, 12000);
	buf_str(&x->system);
	for (size_t i = 0; i < TOOLS; i++) {
		add_text(&x->tools[i], 1400);
		buf_str(&x->tools[i]);
	}
	add_text(&x->said[x->n], 800);
	buf_str(&x->said[x->n++]);
}

static void end(struct session *x)
{
	for (size_t i = 0; i < x->n; i++)
		buf_release(&x->said[i]);
	for (size_t i = 0; i < TOOLS; i++)
		buf_release(&x->tools[i]);
	buf_release(&x->system);
}

static uint64_t size_of(const char *name)
{
	char path[128];
	struct stat sb;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return stat(path, &sb) == 0 ? (uint64_t)sb.st_size : 0;
}

static struct store *open_as(enum store_mode mode)
{
	struct store *st = NULL;

	if (store_open(dir, mode, &st, &error))
		fail_msg("%s", buf_str(&error));
	return st;
}

static void check_body(struct store *st, const struct session *x, uint32_t n)
{
	uint8_t id[8], trace[16] = {7};
	struct buf body = {0};

	assert_int_equal(store_call(st, trace, n + 1, id), 0);
	if (store_value(st, id, ATTR_REQUEST_BODY, &body))
		fail_msg("call %u: %s", n + 1, store_error(st));
	struct hash h = hash_bytes(buf_slice(&body));
	assert_memory_equal(h.b, x->bodies[n].b, sizeof(h.b));
	buf_release(&body);
}

/* How much general compression would make of a body, for comparison. */
static double plain_ratio(const struct session *x)
{
	struct cut_text body = {0};

	write_body(x, &body);
	size_t cap = ZSTD_compressBound(body.text.n);
	char *out = malloc(cap);
	double r = (double)body.text.n / (double)ZSTD_compress(out, cap, body.text.p, body.text.n, 3);
	free(out);
	buf_release(&body.text);
	return r;
}

static void test_session(void **state)
{
	(void)state;
	struct store *st = open_as(STORE_WRITE);
	static struct session x;
	struct span *v;
	size_t n;

	begin(&x);
	for (uint32_t i = 0; i < CALLS; i++)
		call(st, &x, i);
	store_close(st); /* the last one: checkpoint */
	uint64_t size = size_of("spantap.db") + size_of("spantap.db-wal") + size_of("spantap.db-shm");

	st = open_as(STORE_READ);
	for (uint32_t i = CALLS; i-- > 0;)
		check_body(st, &x, i);
	assert_int_equal(store_spans(st, (uint8_t[16]){7}, &v, &n), 0);
	assert_int_equal(n, 2 * CALLS);
	for (size_t i = 0; i < n; i++)
		assert_null(span_get(&v[i], ATTR_REQUEST_BODY));
	struct cut_text messages = {0};
	x.n -= 2; /* before the last answer */
	write_messages(&x, &messages);
	x.n += 2;
	for (size_t i = 0; i < n; i++) {
		const struct attr *a = span_get(&v[i], ATTR_INPUT_MESSAGES);

		if (i != n - 2)
			continue;
		assert_true(slice_eq(a->str, buf_slice(&messages.text)));
		assert_int_equal(a->n_cuts, messages.n);
		assert_memory_equal(a->cuts, messages.cuts, messages.n * sizeof(*a->cuts));
	}
	store_spans_free(v, n);
	print_message("FIGURE store: %d calls, %.1f MB captured, %.2f MB stored, 1/%.1f (one body under "
	              "zstd: 1/%.1f)\n",
	              CALLS, (double)x.captured / 1e6, (double)size / 1e6, (double)x.captured / (double)size,
	              plain_ratio(&x));
	assert_true(size * SMALLER <= x.captured);
	buf_release(&messages.text);
	store_close(st);
	end(&x);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
