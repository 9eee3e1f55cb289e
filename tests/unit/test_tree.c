/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "base/alloc.h"
#include "sink/line.h"
#include "sink/tree.h"
#include "sink/waterfall.h"

#define MS   1000000ull
#define MAXN 64

static struct span spans[MAXN];
static size_t n_spans;

/* A span that begins at `start` ms; the parent is given by its number, 0: none. */
static struct span *add(enum span_kind kind, uint8_t id, uint8_t parent, uint64_t start, uint64_t ms)
{
	struct span *s = &spans[n_spans++];

	*s = (struct span){.kind = kind, .start = start * MS, .end = (start + ms) * MS};
	memset(s->trace, 0x3f, sizeof(s->trace));
	s->id[7] = id;
	s->parent[7] = parent;
	span_set_bool(s, ATTR_COMPLETE, true);
	return s;
}

static int set_up(void **state)
{
	(void)state;
	n_spans = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	while (n_spans)
		span_release(&spans[--n_spans]);
	return 0;
}

static struct buf print(const struct tree_conf *conf)
{
	struct buf out = {0};

	tree_print(&out, conf, spans, n_spans);
	buf_str(&out);
	return out;
}

static void user_says(struct span *s, const char *text)
{
	struct buf b = {0};

	buf_addf(&b, "[{\"role\":\"user\",\"parts\":[{\"type\":\"text\",\"content\":\"%s\"}]}]", text);
	span_set_str(s, ATTR_INPUT_MESSAGES, buf_slice(&b));
	buf_release(&b);
}

static void answers(struct span *s, const char *text, const char *finish)
{
	struct buf b = {0};
	struct slice reason = slice_str(finish);

	buf_addf(&b, "[{\"role\":\"assistant\",\"parts\":[{\"type\":\"text\",\"content\":\"%s\"}]}]", text);
	span_set_str(s, ATTR_OUTPUT_MESSAGES, buf_slice(&b));
	span_set_strs(s, ATTR_RESPONSE_FINISH_REASONS, &reason, 1);
	buf_release(&b);
}

/* A turn with two calls and a tool; as the spans arrive, children first. */
static void add_session(void)
{
	struct slice argv[] = {SLICE("pytest"), SLICE("-x"), SLICE("tests/a very long path/that goes on.py")};
	struct span *s = add(SPAN_CHAT, 3, 2, 10, 2100);

	span_set_str(s, ATTR_REQUEST_MODEL, SLICE("some-model"));
	span_set_double(s, ATTR_TIME_TO_FIRST_CHUNK, 0.42);
	span_set_int(s, ATTR_USAGE_INPUT_TOKENS, 1200);
	span_set_int(s, ATTR_USAGE_OUTPUT_TOKENS, 80);
	span_set_int(s, ATTR_USAGE_CACHE_READ, 900);
	user_says(s, "fix the failing test in foo.py, then tell me what was wrong with it and why");
	answers(s, "I will run the tests first.", "tool_use");
	s = add(SPAN_PROCESS, 5, 4, 2200, 1100);
	span_set_int(s, ATTR_PROCESS_PID, 1234);
	span_set_strs(s, ATTR_PROCESS_COMMAND_ARGS, argv, 3);
	span_set_int(s, ATTR_PROCESS_EXIT_CODE, 1);
	span_set_double(s, ATTR_LINK_CONFIDENCE, 0.6);
	span_set_str(s, ATTR_LINK_EVIDENCE, SLICE("time"));
	s = add(SPAN_PROCESS, 6, 5, 2300, 5);
	span_set_str(s, ATTR_PROCESS_EXECUTABLE_NAME, SLICE("git"));
	span_set_int(s, ATTR_PROCESS_EXIT_SIGNAL, 9);
	s = add(SPAN_PROCESS, 8, 5, 2310, 7);
	span_set_bool(s, ATTR_COMPLETE, true);
	span_set_str(s, ATTR_PROCESS_EXECUTABLE_NAME, SLICE("sh"));
	s = add(SPAN_PROCESS, 9, 5, 2320, 8);
	span_set_bool(s, ATTR_COMPLETE, false);
	span_set_str(s, ATTR_INCOMPLETE_REASON, SLICE("the exit was not seen"));
	span_set_str(s, ATTR_PROCESS_EXECUTABLE_NAME, SLICE("ls"));
	s = add(SPAN_TOOL, 4, 2, 2150, 1200);
	span_set_str(s, ATTR_TOOL_NAME, SLICE("bash"));
	span_set_str(s, ATTR_TOOL_CALL_ARGUMENTS,
	             SLICE("{\"timeout\":5,\"command\":\"pytest -x\\n| tail\"}"));
	s = add(SPAN_CHAT, 7, 2, 3400, 900);
	span_set_str(s, ATTR_REQUEST_MODEL, SLICE("some-model"));
	span_set_bool(s, ATTR_COMPLETE, false);
	span_set_str(s, ATTR_INCOMPLETE_REASON, SLICE("the stream ended early"));
	span_set_int(s, ATTR_LOST_BYTES, 12);
	s->status = SPAN_ERROR;
	s->status_message = arena_dup(&s->arena, SLICE("Overloaded"));
	span_set_str(s, ATTR_ERROR_TYPE, SLICE("overloaded_error"));
	s = add(SPAN_TURN, 2, 1, 10, 4300);
	span_set_int(s, ATTR_TURN_INDEX, 1);
	s = add(SPAN_CONVERSATION, 1, 0, 10, 4300);
	span_set_str(s, ATTR_AGENT_NAME, SLICE("an-agent"));
}

static void test_golden(void **state)
{
	(void)state;
	struct tree_conf conf = {.columns = 80};

	add_session();
	struct buf out = print(&conf);
	assert_string_equal(
	    out.p, "an-agent · 3f3f3f3f · 4.30 s · 2 calls, 1 tool · 1,200→80 tokens + ? for 1 call\n"
	           "  some-model · 1 error · 2 incomplete\n"
	           "└─ turn 1 · 4.30 s · \"fix the failing test in foo.py, then tell me what was wro…\n"
	           "   ├─ #1 chat some-model · 2.10 s, first token 420 ms\n"
	           "   │    1,200→80 tokens (900 cached) · tool_use · \"I will run the tests first.\"\n"
	           "   ├─ tool bash: pytest -x | tail · 1.20 s\n"
	           "   │  └─ [1234] pytest -x tests/a very long path… · 1.10 s · exit 1\n"
	           "   │       ~ linked by time, 60% sure\n"
	           "   │     ├─ [?] git · 5.0 ms · killed by signal 9 SIGKILL\n"
	           "   │     ├─ [?] sh · 7.0 ms · exec\n"
	           "   │     └─ [?] ls · 8.0 ms · exit ?\n"
	           "   │          ! incomplete: the exit was not seen\n"
	           "   └─ #2 chat some-model · 900 ms · ?→? tokens\n"
	           "        error: overloaded_error: Overloaded\n"
	           "        ! incomplete: the stream ended early, 12 bytes lost\n");
	buf_release(&out);
	conf.ascii = true;
	out = print(&conf);
	for (size_t i = 0; i < out.n; i++)
		assert_true(out.p[i] == '\n' || (out.p[i] >= ' ' && out.p[i] <= '~'));
	assert_non_null(strstr(out.p, "   |- #1 chat some-model - 2.10 s"));
	buf_release(&out);
}

/* No line wider than `columns`, nothing on it that a terminal could obey. */
static void check_lines(struct slice out, size_t columns)
{
	struct slice line;

	for (size_t i = 0; i < out.n; i++)
		assert_true(out.p[i] == '\n' || ((unsigned char)out.p[i] >= 0x20 && out.p[i] != 0x7f));
	assert_null(slice_find(out, SLICE("\u202e")));
	assert_null(slice_find(out, SLICE("\u200b")));
	while (slice_cut(&out, '\n', &line)) {
		size_t width = 0;

		for (size_t i = 0; i < line.n;) {
			unsigned char c = (unsigned char)line.p[i];
			size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

			/* Of what these tests print, CJK and emoji are wide. */
			width += n == 4 || (n == 3 && c >= 0xe3) ? 2 : 1;
			i += n;
		}
		if (width > columns)
			fail_msg("%zu columns: %.*s", width, (int)line.n, line.p);
	}
}

static void test_hostile(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    "\033]52;c;cm0gLXJmIC8=\007",
	    "\u202edlrow olleh\u202c",
	    "a\nb\r\n\tc\x9b"
	    "31m",
	    "\xff\xfe\x80",
	    "日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語日本語",
	    "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀",
	    "\u200b\u200b\u200b",
	    "",
	    NULL, /* 1 MiB of blanks */
	    NULL, /* 1 MiB of x */
	};
	char *big = xmalloc(1 << 20);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		memset(big, i % 2 ? 'x' : ' ', 1 << 20);
		struct slice t = texts[i] ? slice_str(texts[i]) : slice_of(big, 1 << 20);

		for (uint8_t kind = 0; kind < SPAN_KINDS; kind++) {
			struct span *s = add((enum span_kind)kind, kind + 1, kind, 1, 1);
			struct slice argv[] = {t, t};

			s->name = arena_dup(&s->arena, t);
			s->status = SPAN_ERROR;
			s->status_message = arena_dup(&s->arena, t);
			for (int k = 0; k < ATTR_KEYS; k++) {
				if (attr_defs[k].type == ATTR_STR)
					span_set_str(s, (enum attr_key)k, t);
				else if (attr_defs[k].type == ATTR_STRS)
					span_set_strs(s, (enum attr_key)k, argv, 2);
				else if (attr_defs[k].type == ATTR_INT)
					span_set_int(s, (enum attr_key)k, INT64_MAX);
				else if (attr_defs[k].type == ATTR_DOUBLE)
					span_set_double(s, (enum attr_key)k, i % 2 ? 1e300 : -1e300);
				else
					span_set_bool(s, (enum attr_key)k, k == ATTR_TLS_LATE);
			}
		}
		for (int columns = 0; columns <= 200; columns += 40) {
			struct buf out = print(&(struct tree_conf){.columns = columns});

			check_lines(buf_slice(&out), columns ? (size_t)columns : 80);
			buf_release(&out);
		}
		tear_down(NULL);
	}
	free(big);
}

/* Parents that are their own children, ids twice, parents that were never seen: each span is shown once. */
static void test_odd_parents(void **state)
{
	(void)state;
	add(SPAN_PROCESS, 1, 2, 1, 1);
	add(SPAN_PROCESS, 2, 3, 2, 1);
	add(SPAN_PROCESS, 3, 1, 3, 1);
	add(SPAN_PROCESS, 4, 4, 4, 1);
	add(SPAN_PROCESS, 5, 99, 5, 1);
	add(SPAN_PROCESS, 5, 1, 6, 1);
	struct buf out = print(&(struct tree_conf){0});
	size_t lines = 0;

	for (size_t i = 0; i < out.n; i++)
		lines += out.p[i] == '\n';
	assert_int_equal(lines, 7);
	assert_int_equal(memcmp(out.p, "outside of any conversation\n", 28), 0);
	buf_release(&out);
}

static void test_deep(void **state)
{
	(void)state;
	struct tree *t = tree_new();
	struct buf out = {0};

	for (uint32_t i = 0; i < 20000; i++) {
		struct span s = {.kind = SPAN_PROCESS, .start = i, .end = i + 1};
		uint32_t parent = i;

		memcpy(s.id, &(uint32_t){i + 1}, 4);
		memcpy(s.parent, &parent, 4);
		tree_add(t, &s);
	}
	tree_write(t, &out, &(struct tree_conf){.columns = 80});
	check_lines(buf_slice(&out), 80);
	assert_non_null(strstr(buf_str(&out), "level 19999"));
	tree_free(t);
	buf_release(&out);
}

static const char *summary(const struct sink_summary *s, size_t calls)
{
	static struct buf b;

	buf_release(&b);
	tree_summary(&b, &(struct tree_conf){.columns = 80}, s, calls);
	check_lines(buf_slice(&b), 80);
	return buf_str(&b);
}

static void test_summary(void **state)
{
	(void)state;
	assert_string_equal(
	    summary(&(struct sink_summary){.captured_bytes = 1234567, .tls_connections = 1}, 3),
	    "captured 1.2 MB · nothing lost\n");
	assert_string_equal(
	    summary(&(struct sink_summary){.captured_bytes = 1, .lost_bytes = 12, .life_lost = 1000}, 3),
	    "captured 1 byte · lost 12 bytes of payload: ring full\n"
	    "  lost 1,000 process and connection records: ring full\n");
	assert_string_equal(summary(&(struct sink_summary){.no_tls = true}, 0),
	                    "captured 0 bytes · no LLM call was seen\n"
	                    "  no process uses a TLS library that spantap knows: see spantap doctor\n"
	                    "  nothing lost\n");
	assert_string_equal(summary(&(struct sink_summary){.captured_bytes = 5000, .tls_connections = 2}, 0),
	                    "captured 5,000 bytes · no LLM call was seen\n"
	                    "  2 connections, no LLM call on any of them · nothing lost\n");
	assert_string_equal(
	    summary(
	        &(struct sink_summary){.captured_bytes = 5000, .tls_connections = 2, .unknown_protocol = 1},
	        3),
	    "captured 5,000 bytes · 1 connection passed over: neither HTTP/1 nor HTTP/2\n"
	    "  nothing lost\n");
	assert_string_equal(summary(&(struct sink_summary){.captured_bytes = 1, .grpc = 3, .batches = 1}, 3),
	                    "captured 1 byte · gRPC passed over: 3 exchanges\n"
	                    "  batches passed over: 1, their requests are answered later · nothing lost\n");
	assert_non_null(strstr(summary(NULL, 1), "not known"));
	summary(NULL, 0);
	buf_release(&(struct buf){0});
}

/* What speaks names its operation too; what does not is not asked for tokens. Processes that work say so. */
static void test_other_kinds(void **state)
{
	(void)state;
	struct tree_conf conf = {.columns = 100};
	struct span *s;

	s = add(SPAN_CHAT, 3, 2, 100, 20);
	span_set_str(s, ATTR_OPERATION_NAME, SLICE("embeddings"));
	span_set_str(s, ATTR_REQUEST_MODEL, SLICE("vectors"));
	span_set_int(s, ATTR_USAGE_INPUT_TOKENS, 7);
	s = add(SPAN_CHAT, 4, 2, 130, 20);
	span_set_str(s, ATTR_OPERATION_NAME, SLICE("retrieval"));
	span_set_str(s, ATTR_DATA_SOURCE_ID, SLICE("animals"));
	span_set_str(s, ATTR_RETRIEVAL_QUERY, SLICE("foxes"));
	s = add(SPAN_TOOL, 5, 2, 200, 900);
	span_set_str(s, ATTR_TOOL_NAME, SLICE("build"));
	s = add(SPAN_MCP, 6, 5, 210, 12);
	s->name = arena_dup(&s->arena, SLICE("tools/call search"));
	span_set_str(s, ATTR_TOOL_CALL_ARGUMENTS, SLICE("{\"query\":\"fox\"}"));
	span_set_bool(s, ATTR_COMPLETE, false);
	span_set_str(s, ATTR_INCOMPLETE_REASON, SLICE("ring full"));
	span_set_int(s, ATTR_LOST_BYTES, 9);
	s = add(SPAN_PROCESS, 7, 5, 300, 500);
	span_set_str(s, ATTR_PROCESS_EXECUTABLE_NAME, SLICE("make"));
	span_set_double(s, ATTR_PROCESS_CPU_TIME, 0.4);
	s = add(SPAN_PROCESS, 8, 5, 301, 500);
	span_set_str(s, ATTR_PROCESS_EXECUTABLE_NAME, SLICE("sleep"));
	span_set_double(s, ATTR_PROCESS_CPU_TIME, 0.05); /* a tenth of it */
	s = add(SPAN_PROCESS, 9, 5, 302, 10);
	span_set_str(s, ATTR_PROCESS_EXECUTABLE_NAME, SLICE("true"));
	span_set_double(s, ATTR_PROCESS_CPU_TIME, 0.009);
	s = add(SPAN_TURN, 2, 1, 10, 1200);
	span_set_int(s, ATTR_TURN_INDEX, 1);
	s = add(SPAN_CONVERSATION, 1, 0, 10, 1200);
	struct buf out = print(&conf);
	assert_string_equal(strchr(out.p, '\n') + 1, "└─ turn 1 · 1.20 s\n"
	                                             "   ├─ #1 embeddings vectors · 20 ms · 7 tokens\n"
	                                             "   ├─ #2 retrieval animals · 20 ms · \"foxes\"\n"
	                                             "   └─ tool build · 900 ms\n"
	                                             "      ├─ mcp tools/call search: fox · 12 ms\n"
	                                             "      │    ! incomplete: ring full, 9 bytes lost\n"
	                                             "      ├─ [?] make · 500 ms · 400 ms CPU · exec\n"
	                                             "      ├─ [?] sleep · 500 ms · exec\n"
	                                             "      └─ [?] true · 10 ms · exec\n");
	buf_release(&out);
}

static void test_sink(void **state)
{
	(void)state;
	char path[] = "/tmp/spantap-tree-XXXXXX", text[4096];
	struct sink_conf conf = {.tree_file = path, .color = true, .columns = 80, .store_dir = "x"};
	const char *why = NULL;
	void *sink;

	close(mkstemp(path));
	add_session();
	assert_int_equal(sink_tree.open(&conf, &sink, &why), 0);
	for (size_t i = 0; i < n_spans; i++)
		assert_int_equal(sink_tree.span(sink, &spans[i]), 0);
	for (uint32_t i = 0; i < 20000; i++) {
		struct span s = {.kind = SPAN_PROCESS};

		memcpy(s.id, &(uint32_t){i + 1000}, 4);
		assert_int_equal(sink_tree.span(sink, &s), 0);
	}
	assert_int_equal(sink_tree.commit(sink), 0);
	assert_int_equal(sink_tree.finish(sink, &(struct sink_summary){0}), 0);
	sink_tree.close(sink);
	int fd = open(path, O_RDONLY);
	lseek(fd, -200, SEEK_END);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	unlink(path);
	assert_non_null(strstr(text, "9 more spans are not shown here; 'spantap show ID' shows them all\n"));
	assert_null(strchr(text, '\033'));
	conf.tree_file = "";
	assert_int_equal(sink_tree.open(&conf, &sink, &why), 0);
	assert_null(sink);
	conf.tree_file = "/nowhere/x";
	assert_int_equal(sink_tree.open(&conf, &sink, &why), -2);
	free((char *)why);
}

static void test_waterfall(void **state)
{
	struct tree_conf conf = {.ascii = true, .columns = 80};
	struct buf out = {0};
	struct span *s;

	(void)state;
	add(SPAN_CONVERSATION, 1, 0, 0, 10000);
	s = add(SPAN_TURN, 2, 1, 0, 10000);
	span_set_int(s, ATTR_TURN_INDEX, 1);
	s = add(SPAN_CHAT, 3, 2, 0, 2000);
	span_set_str(s, ATTR_REQUEST_MODEL, SLICE("m\033[31m"));
	s = add(SPAN_TOOL, 4, 2, 2000, 6000);
	span_set_str(s, ATTR_TOOL_NAME, SLICE("bash"));
	span_set_double(s, ATTR_TOOL_STARTED, 4.0);
	s = add(SPAN_PROCESS, 5, 4, 6000, 1900);
	span_set_int(s, ATTR_PROCESS_PID, 7);
	span_set_bool(s, ATTR_COMPLETE, false);
	s = add(SPAN_TOOL, 6, 2, 2000, 1); /* shorter than a column; when it began is not known */
	s->status = SPAN_ERROR;
	add(SPAN_CHAT, 7, 2, 9000, 1000);
	waterfall_print(&out, &conf, spans, n_spans);
	assert_string_equal(
	    buf_str(&out),
	    "                                           0               5.00 s        10.00 s\n"
	    "turn 1                            10.00 s  #######%::::::::::::::========...####\n"
	    "  #1 chat m\\x1b[31m                2.00 s  #######\n"
	    "  tool bash                        6.00 s         :::::::::::::::========\n"
	    "    [7]                            1.90 s !                      -------\n"
	    "  tool ?                           1.0 ms         %\n"
	    "  #2 chat ?                        1.00 s                                   ####\n"
	    "\n"
	    "# model  = tool  % tool, its begin not seen  : waiting  ~ MCP, HTTP  - process  . agent\n");
	buf_release(&out);

	/* Times that make no sense stay inside the line. */
	spans[2].start = UINT64_MAX - 1;
	spans[2].end = UINT64_MAX;
	spans[3].end = 0;
	span_set_double(&spans[3], ATTR_TOOL_STARTED, 1e300);
	waterfall_print(&out, &conf, spans, n_spans);
	buf_release(&out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_golden),      TEST(test_hostile), TEST(test_odd_parents), TEST(test_deep),
	    TEST(test_other_kinds), TEST(test_summary), TEST(test_sink),        TEST(test_waterfall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
