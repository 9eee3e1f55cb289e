/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "span/conversation.h"

static const struct chain_key key = {.hash = {.poly = "0123456789abcdef0123456789abcde"}};

static struct link tip(const struct llm_message *m, size_t n, struct chain *ret)
{
	struct arena a = {0};
	struct chain c = {0};

	chain_extend(&c, &key, &a, m, n);
	struct link l = c.n ? c.v[c.n - 1] : (struct link){{0}};
	*ret = c;
	ret->v = NULL;
	arena_release(&a);
	return l;
}

#define PART(k, t, ...)                                                                                      \
	{                                                                                                    \
		.kind = k, .text = {t, sizeof(t) - 1}, __VA_ARGS__                                           \
	}
#define MESSAGE(r, p, count)                                                                                 \
	{                                                                                                    \
		.role = {r, sizeof(r) - 1}, .parts = p, .n_parts = count                                     \
	}

/* The same conversation as two clients, or one client twice, may write it. */
static void canonical_form(void **state)
{
	struct llm_part ask[] = {PART(LLM_TEXT, "do it")}, sys[] = {PART(LLM_TEXT, "it is noon")};
	struct llm_part answer[] = {
	    PART(LLM_REASONING, "hm"), PART(LLM_TEXT, "yes\n"), PART(LLM_TEXT, " "),
	    PART(LLM_TOOL_CALL, "{\"b\": 2, \"a\": [1.0]}", .id = {"x", 1}, .name = {"f", 1})};
	struct llm_part text[] = {PART(LLM_TEXT, " yes")};
	struct llm_part call[] = {
	    PART(LLM_TOOL_CALL, "{\"a\":[1],\"b\":2}", .id = {"y", 1}, .name = {"f", 1})};
	struct llm_part other[] = {
	    PART(LLM_TOOL_CALL, "{\"a\":[1],\"b\":3}", .id = {"y", 1}, .name = {"f", 1})};
	struct llm_message one[] = {MESSAGE("system", sys, 1), MESSAGE("user", ask, 1),
	                            MESSAGE("assistant", answer, 4)};
	struct llm_message two[] = {MESSAGE("user", ask, 1), MESSAGE("assistant", text, 1),
	                            MESSAGE("assistant", call, 1)};
	struct llm_message three[] = {MESSAGE("user", ask, 1), MESSAGE("assistant", text, 1),
	                              MESSAGE("assistant", other, 1)};
	struct chain c;

	(void)state;
	struct link a = tip(one, 3, &c), b = tip(two, 3, &c);
	assert_true(link_eq(a, b));
	assert_int_equal(c.n, 3);
	assert_int_equal(c.answered, 2);
	assert_false(c.new_prompt);
	assert_false(link_eq(a, tip(three, 3, &c)));
	tip(one, 2, &c);
	assert_int_equal(c.answered, 0);
	assert_true(c.new_prompt);
}

static void time_is_counted_once(void **state)
{
	struct intervals iv = {0};

	(void)state;
	assert_int_equal(intervals_union(&iv), 0);
	intervals_add(&iv, 5, 6);
	intervals_add(&iv, 0, 10);
	intervals_add(&iv, 8, 12);
	intervals_add(&iv, 20, 20);
	intervals_add(&iv, 30, 31);
	assert_int_equal(intervals_union(&iv), 13);
	for (uint64_t i = 0; i < 3 * INTERVALS_MAX; i++)
		intervals_add(&iv, 100 + 2 * i, 101 + 2 * i);
	assert_int_equal(iv.n, INTERVALS_MAX);
	free(iv.v);
}

/* Each moment counts once, and none outside of the turn. */
static void time_is_split(void **state)
{
	struct intervals v[SPENDINGS] = {0};

	(void)state;
	intervals_add(&v[SPENT_MODEL], 100, 200);
	intervals_add(&v[SPENT_MODEL], 400, 500);
	intervals_add(&v[SPENT_WAITING], 200, 250);
	intervals_add(&v[SPENT_TOOL], 150, 180); /* while the model speaks */
	intervals_add(&v[SPENT_TOOL], 250, 300);
	intervals_add(&v[SPENT_TOOL], 260, 320);
	intervals_add(&v[SPENT_UNKNOWN], 310, 340);
	intervals_add(&v[SPENT_WAITING], 330, 350);
	intervals_add(&v[SPENT_UNKNOWN], 490, UINT64_MAX);
	struct time_split s = time_split(v, 100, 510);
	assert_int_equal(s.ns[SPENT_MODEL], 200);
	assert_int_equal(s.ns[SPENT_TOOL], 70);
	assert_int_equal(s.ns[SPENT_UNKNOWN], 20 + 10);
	assert_int_equal(s.ns[SPENT_WAITING], 50 + 10);
	assert_int_equal(s.agent, 410 - 200 - 70 - 30 - 60);
	for (int i = 0; i < SPENDINGS; i++)
		free(v[i].v);
}

static void ids_that_tell(void **state)
{
	static const char *const tell[] = {"toolu_01AbkJc84N6kWsZukA3qF8TD", "call_rVVbdIkdGQuKDslbcJIRpCkV",
	                                   "chatcmpl-tool-0f9ac1b2d3", "fc_0f0576f7b4635831006a6bb1"};
	static const char *const count[] = {"",
	                                    "call_0",
	                                    "functions.get_temperature:0",
	                                    "1",
	                                    "call_list_000001",
	                                    "getCurrentWeatherForecast",
	                                    "12345678901234567890"};

	(void)state;
	for (size_t i = 0; i < sizeof(tell) / sizeof(*tell); i++)
		assert_true(id_tells(slice_str(tell[i])));
	for (size_t i = 0; i < sizeof(count) / sizeof(*count); i++)
		assert_false(id_tells(slice_str(count[i])));
}

static void heads_are_bounded(void **state)
{
	struct heads hs;
	struct link l = {{0}};

	(void)state;
	heads_init(&hs, NULL);
	struct past *first = past_get(&hs, (struct span_id){{1}});
	struct owner o = {.past = first};
	for (uint32_t i = 1; i <= HEADS_MAX + 1000; i++) {
		memcpy(l.b, &i, sizeof(i));
		heads_add(&hs, l, &o);
	}
	assert_int_equal(hs.map.n, HEADS_MAX);
	for (uint8_t i = 1; i < 10; i++) {
		o.past = past_get(&hs, (struct span_id){{i}});
		heads_add(&hs, l, &o);
		past_unref(&hs, o.past);
	}
	assert_int_equal(heads_find(&hs, l)->n, HEAD_OWNERS_MAX);
	assert_int_equal(heads_find(&hs, l)->owners[0].past->id.b[0], 9);
	assert_int_equal(hs.pasts.n, 1 + HEAD_OWNERS_MAX);
	past_unref(&hs, first);
	heads_release(&hs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(canonical_form),    cmocka_unit_test(time_is_counted_once),
	    cmocka_unit_test(time_is_split),     cmocka_unit_test(ids_that_tell),
	    cmocka_unit_test(heads_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
