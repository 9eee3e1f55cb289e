/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <yyjson.h>

#include "cmd/chrome.h"

static struct span make(uint8_t id, enum span_kind kind, uint64_t start, uint64_t end)
{
	struct span s = {.kind = kind, .start = start, .end = end, .start_wall = 1764000000000000001 + start};

	s.id[0] = id;
	s.name = SLICE("a\033]52;c;\302\233");
	return s;
}

/* Two tools at a time, then a third: the third one finds the first row free again. */
static void test_rows(void **state)
{
	const struct span v[] = {
	    make(1, SPAN_CHAT, 0, 100),   make(2, SPAN_TOOL, 100, 500), make(3, SPAN_TOOL, 150, 600),
	    make(4, SPAN_TOOL, 500, 700), make(5, SPAN_CHAT, 700, 900),
	};
	static const char *const rows[] = {"model calls", "tools", "tools 2", "tools", "model calls"};
	struct buf out = {0}, json = {0};
	yyjson_val *e;
	size_t i, n, slices = 0;

	(void)state;
	chrome_add(&out, 7, NULL, v, 5);
	assert_null(memchr(out.p, '\033', out.n));
	assert_null(memmem(out.p, out.n, "\302\233", 2));
	buf_addf(&json, "[%.*s]", (int)out.n - 2, out.p);
	yyjson_doc *d = yyjson_read(json.p, json.n, 0);
	assert_non_null(d);
	yyjson_val *events = yyjson_doc_get_root(d);
	yyjson_arr_foreach(events, i, n, e)
	{
		size_t j, m, named = 0;
		yyjson_val *name;

		assert_int_equal(yyjson_get_uint(yyjson_obj_get(e, "pid")), 7);
		if (!yyjson_equals_str(yyjson_obj_get(e, "ph"), "X"))
			continue;
		yyjson_arr_foreach(events, j, m, name)
		{
			if (!yyjson_equals_str(yyjson_obj_get(name, "name"), "thread_name") ||
			    !yyjson_equals(yyjson_obj_get(name, "tid"), yyjson_obj_get(e, "tid")))
				continue;
			assert_string_equal(
			    yyjson_get_str(yyjson_obj_get(yyjson_obj_get(name, "args"), "name")),
			    rows[slices]);
			named++;
		}
		assert_int_equal(named, 1);
		slices++;
	}
	assert_int_equal(slices, 5);
	assert_non_null(strstr(buf_str(&out), "\"ts\":1764000000000000.101,\"dur\":0.400"));
	yyjson_doc_free(d);
	buf_release(&json);
	buf_release(&out);
}

static void test_nothing(void **state)
{
	struct buf out = {0};

	(void)state;
	chrome_add(&out, 1, NULL, NULL, 0);
	assert_int_equal(out.n, 0);
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
