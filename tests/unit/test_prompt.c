/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/hash.h"
#include "cmd/prompt.h"

/* A call whose messages are the words of `words`: "u:hello a:world" are one of the user and one of the
 * assistant. */
static struct span call(const char *tools, const char *system, const char *words)
{
	struct span s = {.kind = SPAN_CHAT};
	struct buf json = {0};
	struct slice rest = slice_str(words), word;

	while (slice_cut(&rest, ' ', &word))
		if (word.n > 2)
			buf_addf(&json,
			         "%s{\"role\":\"%s\",\"parts\":[{\"type\":\"text\",\"content\":\"%.*s\"}]}",
			         json.n ? "," : "[", word.p[0] == 'u' ? "user" : "assistant", (int)word.n - 2,
			         word.p + 2);
	buf_adds(&json, json.n ? "]" : "[]");
	span_set_str(&s, ATTR_INPUT_MESSAGES, buf_slice(&json));
	if (tools)
		span_set_str(&s, ATTR_TOOL_DEFINITIONS, slice_str(tools));
	if (system)
		span_set_str(&s, ATTR_SYSTEM_INSTRUCTIONS, slice_str(system));
	buf_release(&json);
	return s;
}

/* "=0,0,2 ~2,2 +3,3,1": edits as text. */
static void compare(const char *a, const char *b, const char *expected)
{
	struct span sa = call(NULL, NULL, a), sb = call(NULL, NULL, b);
	struct arena arena = {0};
	struct prompt pa, pb;
	struct prompt_edit *v;
	struct buf got = {0};

	prompt_read(&pa, &sa, &arena);
	prompt_read(&pb, &sb, &arena);
	size_t n = prompt_compare(&pa, &pb, PROMPT_MESSAGES, &arena, &v);
	for (size_t i = 0; i < n; i++)
		buf_addf(&got, "%s%c%zu,%zu,%zu", i ? " " : "", "=~+-"[v[i].change], v[i].a, v[i].b, v[i].n);
	assert_string_equal(buf_str(&got), expected);
	buf_release(&got);
	arena_release(&arena);
	span_release(&sa);
	span_release(&sb);
}

static void edits(void **state)
{
	(void)state;
	compare("", "", "");
	compare("u:one", "u:one", "=0,0,1");
	compare("u:one", "u:one a:two u:three", "=0,0,1 +1,1,2");
	compare("u:one a:two u:three", "u:one", "=0,0,1 -1,1,2");
	compare("u:one a:two u:three", "u:one a:TWO u:three", "=0,0,1 ~1,1,1 =2,2,1");
	compare("u:one a:two u:three", "u:one u:TWO u:three", "=0,0,1 -1,1,1 +2,1,1 =2,2,1");
	compare("u:a a:b u:c a:d", "u:c a:d u:e", "-0,0,2 =2,0,2 +4,2,1");
	compare("u:a a:b u:c a:d u:e", "u:a u:c a:D u:e", "=0,0,1 -1,1,1 =2,1,1 ~3,2,1 =4,3,1");
}

/* Whatever the edits are, they lead from the one list to the other. */
static void edits_are_complete(void **state)
{
	(void)state;
	srand(7);
	for (int round = 0; round < 300; round++) {
		struct buf words[2] = {0};
		struct span s[2];
		struct prompt p[2];
		struct arena arena = {0};
		struct prompt_edit *v;

		for (int k = 0; k < 2; k++) {
			for (int i = rand() % 30; i > 0; i--)
				buf_addf(&words[k], "%c:%d ", rand() % 2 ? 'u' : 'a', rand() % 5);
			s[k] = call(NULL, NULL, buf_str(&words[k]));
			prompt_read(&p[k], &s[k], &arena);
		}
		size_t n = prompt_compare(&p[0], &p[1], PROMPT_MESSAGES, &arena, &v), a = 0, b = 0;
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(v[i].a, a);
			assert_int_equal(v[i].b, b);
			for (size_t j = 0; j < v[i].n && v[i].change == PROMPT_SAME; j++)
				assert_true(slice_eq(p[0].items[PROMPT_MESSAGES][a + j].text,
				                     p[1].items[PROMPT_MESSAGES][b + j].text));
			a += v[i].change != PROMPT_ADDED ? v[i].n : 0;
			b += v[i].change != PROMPT_REMOVED ? v[i].n : 0;
		}
		assert_int_equal(a, p[0].n[PROMPT_MESSAGES]);
		assert_int_equal(b, p[1].n[PROMPT_MESSAGES]);
		for (int k = 0; k < 2; k++) {
			span_release(&s[k]);
			buf_release(&words[k]);
		}
		arena_release(&arena);
	}
}

static struct prompt_prefix prefix(struct span a, struct span b)
{
	struct arena arena = {0};
	struct prompt pa, pb;

	prompt_read(&pa, &a, &arena);
	prompt_read(&pb, &b, &arena);
	struct prompt_prefix p = prompt_prefix(&pa, &pb);
	arena_release(&arena);
	span_release(&a);
	span_release(&b);
	return p;
}

#define TOOL(name)   "[{\"type\":\"function\",\"name\":\"" name "\"}]"
#define SYSTEM(text) "[{\"type\":\"text\",\"content\":\"" text "\"}]"

static void where_the_cache_breaks(void **state)
{
	struct prompt_prefix p;

	(void)state;
	p = prefix(call(NULL, SYSTEM("be brief"), "u:one"),
	           call(NULL, SYSTEM("be brief"), "u:one a:two u:three"));
	assert_false(p.broken);
	assert_int_equal(p.common, 8 + 3);
	assert_int_equal(p.total, 8 + 3 + 3 + 5);

	p = prefix(call(NULL, SYSTEM("day 24"), "u:one"), call(NULL, SYSTEM("day 25"), "u:one a:two"));
	assert_true(p.broken);
	assert_int_equal(p.section, PROMPT_SYSTEM);
	assert_int_equal(p.item, 0);
	assert_int_equal(p.at, 5);
	assert_int_equal(p.common, 5);

	p = prefix(call(TOOL("x"), NULL, "u:one"), call(TOOL("y"), NULL, "u:one"));
	assert_true(p.broken);
	assert_int_equal(p.section, PROMPT_TOOLS);
	p = prefix(call(TOOL("x"), NULL, "u:one"), call(NULL, NULL, "u:one"));
	assert_true(p.broken);
	assert_int_equal(p.section, PROMPT_TOOLS);

	p = prefix(call(NULL, NULL, "u:one a:two u:three"), call(NULL, NULL, "u:one a:tWo u:three"));
	assert_true(p.broken);
	assert_int_equal(p.section, PROMPT_MESSAGES);
	assert_int_equal(p.item, 1);
	assert_int_equal(p.at, 1);
	assert_int_equal(p.common, 4);

	/* The beginning of A, and the same in another role. */
	p = prefix(call(NULL, NULL, "u:one a:two"), call(NULL, NULL, "u:one"));
	assert_false(p.broken);
	p = prefix(call(NULL, NULL, "u:one a:two"), call(NULL, NULL, "a:one a:two"));
	assert_true(p.broken);
	assert_int_equal(p.common, 0);
}

static void characters_stay_whole(void **state)
{
	(void)state;
	assert_int_equal(prompt_common(SLICE("ab\xc3\xa9"), SLICE("ab\xc3\xa8")), 2);
	assert_int_equal(prompt_common(SLICE("ab\xc3\xa9"), SLICE("ab\xc3\xa9x")), 4);
	assert_int_equal(prompt_common(SLICE(""), SLICE("x")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(edits),
	    cmocka_unit_test(edits_are_complete),
	    cmocka_unit_test(where_the_cache_breaks),
	    cmocka_unit_test(characters_stay_whole),
	};

	hash_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
