/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "proto/json_stream.h"

static void on_value(void *ctx, uint64_t ts, struct slice value)
{
	struct buf *log = ctx;

	(void)ts;
	buf_addslice(log, value);
	buf_addc(log, '|');
}

static void feed(struct json_stream *s, struct slice text, size_t piece)
{
	while (text.n) {
		size_t n = text.n < piece ? text.n : piece;
		char *exact = xmalloc(n); /* in memory of exactly its size */

		memcpy(exact, text.p, n);
		json_stream_feed(s, 1, slice_of(exact, n));
		free(exact);
		text = slice_from(text, n);
	}
}

/* "\x01" in the text stands for a gap. */
static void run(struct buf *log, struct slice text, size_t piece)
{
	struct json_stream s;
	struct slice part;

	json_stream_init(&s, on_value, log);
	for (bool first = true; slice_cut(&text, '\x01', &part); first = false) {
		if (!first)
			json_stream_gap(&s);
		feed(&s, part, piece);
	}
	if (json_stream_finish(&s))
		buf_adds(log, "cut");
	if (s.array)
		buf_adds(log, s.ended ? "]" : "[");
	if (s.dropped)
		buf_addf(log, "-%llu", (unsigned long long)s.dropped);
	json_stream_release(&s);
}

static const struct {
	const char *in, *out;
} cases[] = {
    {"{\"a\":1}\n{\"b\":2}\n", "{\"a\":1}|{\"b\":2}|"},
    {"{\"a\":1}{\"b\":2}", "{\"a\":1}|{\"b\":2}|"},
    {"{\"a\":1}\r\n\r\n{\"b\":{\"c\":[{}]}}\r\n", "{\"a\":1}|{\"b\":{\"c\":[{}]}}|"},
    {"[{\"a\":1}\n,\r\n{\"b\":[1]}\n]", "{\"a\":1}|{\"b\":[1]}|]"},
    {"[{\n  \"a\": [\n    {\n      \"b\": 1\n    }\n  ]\n}\n,\n{}]",
     "{\n  \"a\": [\n    {\n      \"b\": 1\n    }\n  ]\n}|{}|]"},
    {"[]", "]"},
    {"[{\"a\":1}", "{\"a\":1}|cut["},
    {"[[1],[2]]", "[1]|[2]|]"},
    {"{\"a\":\"}{\\\"}\\\\\"}\n{}", "{\"a\":\"}{\\\"}\\\\\"}|{}|"},
    {"1 true \"{\" {\"a\":1}", "{\"a\":1}|"},
    {"{\"a\":", "cut"},
    {"{\"a\":\"x\ny\"}\n{\"b\":1}\n", "{\"b\":1}|-1"},
    {"{\"a\":1}\n{\"lost\x01\":2}\n{\"c\":3}\n", "{\"a\":1}|{\"c\":3}|-1"},
    {"{\"a\":1}\n\x01{\"not known to begin a line\":2}\n{\"c\":3}\n", "{\"a\":1}|{\"c\":3}|-1"},
    {"[{\n  \"a\": {\x01\n    \"b\": {\n    }\n  }\n}\n,\n{\n  \"c\": 3\n}\n]", "{\n  \"c\": 3\n}|]-1"},
    {"", ""},
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (size_t piece = 1; piece < 60; piece++) {
			struct buf log = {0};

			run(&log, slice_str(cases[i].in), piece);
			if (!slice_eq(buf_slice(&log), slice_str(cases[i].out)))
				fail_msg("case %zu, pieces of %zu: %s", i, piece, buf_str(&log));
			buf_release(&log);
		}
}

/* A value that is too long is dropped, what follows is read, and nothing stays held. */
static void test_too_long(void **state)
{
	struct json_stream s;
	struct buf log = {0}, text = {0};

	(void)state;
	buf_adds(&text, "{\"a\":\"");
	buf_reserve(&text, JSON_STREAM_MAX + 100);
	while (text.n < JSON_STREAM_MAX + 10)
		buf_adds(&text, "xxxxxxxxxxxxxxxx");
	buf_adds(&text, "\"}\n{\"b\":1}\n");
	for (int at_once = 0; at_once < 2; at_once++) {
		buf_clear(&log);
		json_stream_init(&s, on_value, &log);
		feed(&s, buf_slice(&text), at_once ? SIZE_MAX : 1 << 20);
		assert_true(slice_eq(buf_slice(&log), SLICE("{\"b\":1}|")));
		assert_true(s.dropped == 1 && s.value.cap < 100000);
		json_stream_release(&s);
	}
	buf_release(&text);
	buf_release(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_too_long)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
