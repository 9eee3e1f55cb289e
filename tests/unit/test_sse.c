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

static const struct {
	const char *in, *out;
} cases[] = {
    {"data: a\n\n", "a|"},
    {"data: a\r\n\r\ndata: b\r\rdata: c\n\n", "a|b|c|"},
    {"\xef\xbb\xbf"
     "data: bom\n\n",
     "bom|"},
    {"\xef\xbb\xbf\xef\xbb\xbf"
     "data: no\n\n",
     ""},
    {"data: 1\ndata: 2\ndata\n\n", "1\\n2\\n|"},
    {"data:x\ndata:  two blanks\n\n", "x\\n two blanks|"},
    {"event: ping\ndata: {}\n\ndata: next\n\n", "ping={}|next|"},
    {"event: none\n\ndata: a\n\n", "a|"},
    {"event: a\nevent: b\ndata: x\n\n", "b=x|"},
    {"event: a\nevent:\ndata: x\n\n", "x|"},
    {": comment\nid: 7\nretry: 10\nunknown: x\ndata: y\n\n", "y|"},
    {"data\n\n", "|"},
    {"data:\n\ndata\ndata\n\n", "|\\n|"},
    {"\n\n\r\n\rdata: a\n\n", "a|"},
    {"data: a\n\ndata: b\n", "a|cut"},
    {"data: a\n\ndata: b", "a|cut"},
    {"data: a\n\n: keep-alive", "a|"},
    {"Data: a\n data: b\ndata : c\n\n", ""},
};

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
	    cmocka_unit_test(test_gap),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
