/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/text.h"
#include "proto/sse.h"

static void on_event(void *ctx, uint64_t ts, struct slice event, struct slice data)
{
	struct buf *log = ctx;

	(void)ts;
	if (event.p) {
		text_escape(log, event);
		buf_addc(log, '=');
	}
	text_escape(log, data);
	buf_addc(log, '|');
}

/* The stream in pieces of `piece` bytes, each in memory of exactly its size. */
static void run(struct buf *log, struct slice s, size_t piece)
{
	struct sse sse;

	sse_init(&sse, on_event, log);
	while (s.n) {
		size_t n = s.n < piece ? s.n : piece;
		char *exact = xmalloc(n);

		memcpy(exact, s.p, n);
		sse_feed(&sse, 1, slice_of(exact, n));
		free(exact);
		s = slice_from(s, n);
	}
	if (sse_finish(&sse))
		buf_adds(log, "cut");
	assert_int_equal(sse.dropped, 0);
	sse_release(&sse);
}

/* WHATWG HTML 9.2.6, in its order; the last are its examples. */
static const struct {
	const char *in, *out;
} cases[] = {
    /* one leading BOM is ignored, a second one is part of a field name */
    {"\xef\xbb\xbf"
     "data: bom\n\n",
     "bom|"},
    {"\xef\xbb\xbf\xef\xbb\xbf"
     "data: no\n\n",
     ""},
    {"\xef\xbb\xbf\n\ndata: a\n\n", "a|"},
    {"data: a\n\n\xef\xbb\xbf"
     "data: no\n\n",
     "a|"},
    /* lines end in CR LF, LF or CR, in any mixture */
    {"data: a\r\n\r\ndata: b\r\rdata: c\n\n", "a|b|c|"},
    {"data: a\n\rdata: b\r\n\ndata: c\r\r\n", "a|b|c|"},
    {"\n\n\r\n\rdata: a\n\n", "a|"},
    /* a line that begins with a colon is ignored */
    {": comment\n:\n:data: x\ndata: y\n\n: z\n\n", "y|"},
    /* the first colon divides; one blank behind it is removed */
    {"data:x\ndata:  two blanks\ndata: a: b\ndata:\tc\n\n", "x\\n two blanks\\na: b\\n\\tc|"},
    /* without a colon the line is the name of a field, the value empty */
    {"data: 1\ndata: 2\ndata\n\n", "1\\n2\\n|"},
    /* event: the last one counts, for one event */
    {"event: ping\ndata: {}\n\ndata: next\n\n", "ping={}|next|"},
    {"event: a\nevent: b\ndata: x\n\n", "b=x|"},
    {"event: a\nevent:\ndata: x\n\n", "x|"},
    {"data: x\nevent: late\n\n", "late=x|"},
    /* id (also empty), retry (also no number): nothing to report, nothing lost */
    {"id: 7\nid\nid: a\nretry: 10\nretry: x\nretry\ndata: y\n\nid: 8\n\ndata: z\n\n", "y|z|"},
    /* other names are ignored; names are compared as they are */
    {"unknown: x\nData: a\n data: b\ndata : c\ndatas: d\ndat: e\n\n", ""},
    /* a blank line dispatches; without data it only forgets the event's name */
    {"event: none\n\ndata: a\n\n", "a|"},
    {"data\n\n", "|"},
    {"data:\n\ndata\ndata\n\n", "|\\n|"},
    /* what no blank line ended is discarded */
    {"data: a\n\ndata: b\n", "a|cut"},
    {"data: a\n\ndata: b", "a|cut"},
    {"data: a\n\nevent: b\n", "a|cut"},
    {"data: a\n\n: keep-alive", "a|"},
    {"data: a\n\n: keep-alive\n", "a|"},
    {"data: YHOO\ndata: +2\ndata: 10\n\n", "YHOO\\n+2\\n10|"},
    {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
     "first event|second event|cut"},
    {"data\n\ndata\ndata\n\ndata:", "|\\n|cut"},
    {"data:test\n\ndata: test\n\n", "test|test|"},
};

/* What C strings cannot hold: an id with a NUL is no id, data may hold one. */
static void test_nul(void **state)
{
	struct buf log = {0};

	(void)state;
	run(&log, SLICE("id: a\0b\ndata: x\0y\ndat\0a: z\n\n"), 5);
	assert_string_equal(buf_str(&log), "x\\x00y|");
	buf_release(&log);
}

static void test_rules(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t piece = 1; piece < 40; piece++) {
			struct buf log = {0};

			run(&log, slice_str(cases[i].in), piece);
			assert_string_equal(buf_str(&log), cases[i].out);
			buf_release(&log);
		}
	}
}

static void test_gap(void **state)
{
	struct buf log = {0};
	struct sse sse;

	(void)state;
	sse_init(&sse, on_event, &log);
	sse_feed(&sse, 1, SLICE("data: a\n\ndata: lo"));
	sse_gap(&sse);
	sse_feed(&sse, 1, SLICE("st\ndata: also\n\ndata: b\n\ndata: c\n"));
	sse_gap(&sse);
	/* The line end may end a line of which nothing is left: it closes no event. */
	sse_feed(&sse, 1, SLICE("\ndata: not sure\n\ndata: d\n\n"));
	assert_string_equal(buf_str(&log), "a|b|d|");
	assert_int_equal(sse.dropped, 2);
	assert_false(sse_finish(&sse));
	sse_release(&sse);
	buf_release(&log);
}

static void test_too_long(void **state)
{
	char *big = xcalloc(SSE_EVENT_MAX, 1);

	(void)state;
	memset(big, 'x', SSE_EVENT_MAX);
	for (size_t piece = SSE_EVENT_MAX / 3; piece <= SSE_EVENT_MAX; piece *= 2) {
		struct buf log = {0};
		struct sse sse;

		sse_init(&sse, on_event, &log);
		sse_feed(&sse, 1, SLICE("data: "));
		for (size_t at = 0; at < SSE_EVENT_MAX; at += piece)
			sse_feed(&sse, 1,
			         slice_of(big + at, SSE_EVENT_MAX - at < piece ? SSE_EVENT_MAX - at : piece));
		sse_feed(&sse, 1, SLICE("\ndata: tail\n\ndata: fine\n\n"));
		assert_string_equal(buf_str(&log), "fine|");
		assert_int_equal(sse.dropped, 1);
		assert_true(sse.line.cap + sse.data.cap < 1 << 17);
		sse_release(&sse);
		buf_release(&log);
	}
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_nul),
	    cmocka_unit_test(test_gap),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
