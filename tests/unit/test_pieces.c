/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "llm/pieces.h"

/* "LIST:PIECE|…" */
static void check(const char *json, const char *expected)
{
	size_t n = strlen(json);
	char *exact = xmalloc(n ? n : 1); /* in memory of exactly its size */
	struct arena a = {0};
	struct buf log = {0};

	memcpy(exact, json, n);
	struct pieces p = pieces_find(&a, slice_of(exact, n));
	for (size_t i = 0; i < p.n; i++)
		buf_addf(&log, "%s:%.*s|", p.v[i].list, (int)(p.v[i].to - p.v[i].from), exact + p.v[i].from);
	assert_string_equal(buf_str(&log), expected);
	buf_release(&log);
	arena_release(&a);
	free(exact);
}

static void test_lists(void **state)
{
	(void)state;
	check("{\"model\":\"m\",\"messages\":[{\"a\":1}, {\"b\":[1,2]} ],\"stream\":true}",
	      "messages:{\"a\":1}|messages:{\"b\":[1,2]}|");
	check(" { \"system\" : \"be, \\\"nice\\\"\" , \"tools\" : [ {} ] } ",
	      "system:\"be, \\\"nice\\\"\"|tools:{}|");
	check(
	    "{\"request\":{\"contents\":[{\"parts\":[{\"text\":\"]}\"}]}],\"systemInstruction\":{\"x\":1}}}",
	    "contents:{\"parts\":[{\"text\":\"]}\"}]}|systemInstruction:{\"x\":1}|");
	check("{\"toolConfig\":{\"tools\":[1,2]},\"messages\":[\"a\",null,3]}",
	      "tools:1|tools:2|messages:\"a\"|messages:null|messages:3|");
	check("{\"metadata\":{\"messages\":[1]},\"x\":[{\"messages\":[2]}]}", "");
	check("{\"messages\":[]}", "");
	check("{}", "");
	check("[{\"messages\":[1]}]", "");
	check("", "");
}

/* What a parser might understand otherwise. */
static void test_refused(void **state)
{
	(void)state;
	check("{\"mess\\u0061ges\":[1],\"messages\":[2]}", "");
	check("{\"messages\":[1],\"messages\":[2]}", "");
	check("{\"messages\":[],\"request\":{\"messages\":[2]}}", "");
	check("{\"messages\":[1,,2]}", "");
	check("{\"messages\":[1,2}", "");
	check("{\"messages\":[1,2]", "");
	check("{\"messages\":[\"a", "");
	check("{\"messages\"", "");
	check("{\"messages\":[{\"a\":\"\\\"}]}", "");
}

/* Strings of every length, with escapes at every place, end where a parser says. */
static void test_strings(void **state)
{
	(void)state;
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		static const char *const parts[] = {"\\\\", "\\\"", "\\n", "x",      "abcdefgh",
		                                    "{",    "]",    ",",   "\\u0041"};
		struct buf json = {0}, expected = {0};
		struct arena a = {0};
		size_t n = (size_t)rand() % 90;

		buf_adds(&expected, "\"");
		for (size_t k = 0; k < n; k++)
			buf_adds(&expected, parts[(unsigned)rand() % (i % 2 ? 2 : 9)]);
		buf_adds(&expected, "\"");
		buf_adds(&json, "{\"messages\":[");
		buf_addslice(&json, buf_slice(&expected));
		buf_adds(&json, ",1]}");
		yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
		assert_non_null(doc);
		yyjson_doc_free(doc);
		struct pieces p = pieces_find(&a, buf_slice(&json));
		assert_int_equal(p.n, 2);
		assert_true(
		    slice_eq(slice_of(json.p + p.v[0].from, p.v[0].to - p.v[0].from), buf_slice(&expected)));
		buf_release(&json);
		buf_release(&expected);
		arena_release(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
