/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "span/rules.h"

static struct span make(uint32_t trace, const char *host, const char *model, const char *agent)
{
	struct span s = {.kind = SPAN_CHAT, .name = SLICE("chat")};

	memcpy(s.trace, &trace, sizeof(trace));
	span_set_str(&s, ATTR_SERVER_ADDRESS, slice_str(host));
	span_set_str(&s, ATTR_REQUEST_MODEL, slice_str(model));
	span_set_str(&s, ATTR_AGENT_NAME, slice_str(agent));
	span_set_str(&s, ATTR_TOOL_CALL_RESULT, SLICE("what was said"));
	return s;
}

static struct rules *parsed(const char *lines)
{
	struct buf error = {0};
	struct rules *r = rules_new(slice_str(lines), &error);

	if (!r)
		fail_msg("%s", buf_str(&error));
	return r;
}

static enum content_level level(struct rules *r, uint32_t trace, const char *host, const char *model,
                                const char *agent)
{
	struct span s = make(trace, host, model, agent);
	enum content_level l = rules_level(r, &s, CONTENT_REDACTED);

	span_release(&s);
	return l;
}

static void test_matching(void **state)
{
	struct rules *r = parsed("host:api.openai.com content:none\n"
	                         "agent:codex model:gpt-* content:shape\n"
	                         "host:*.internal content:full\n"
	                         "model:*secret* content:none\n");

	(void)state;
	assert_int_equal(level(r, 1, "api.openai.com", NULL, NULL), CONTENT_NONE);
	assert_int_equal(level(r, 2, "API.OpenAI.com", NULL, NULL), CONTENT_NONE);
	assert_int_equal(level(r, 3, "api.openai.com.evil", NULL, NULL), CONTENT_REDACTED);
	assert_int_equal(level(r, 4, "h", "gpt-4", "codex"), CONTENT_SHAPE);
	assert_int_equal(level(r, 5, "h", "gpt-4", "claude"), CONTENT_REDACTED);
	assert_int_equal(level(r, 6, "h", "gpt-4", NULL), CONTENT_REDACTED);
	assert_int_equal(level(r, 7, "x.internal", "m", NULL),
	                 CONTENT_REDACTED); /* never above what is kept */
	assert_int_equal(level(r, 8, "x.internal", "gpt-secret", "codex"), CONTENT_NONE); /* the lowest */
	assert_int_equal(level(r, 9, NULL, NULL, NULL), CONTENT_REDACTED);
	rules_free(r);
	r = parsed("");
	assert_int_equal(level(r, 1, "api.openai.com", "m", "a"), CONTENT_REDACTED);
	rules_free(r);
	rules_free(NULL);
}

/* What follows in the trace repeats what was said. */
static void test_traces(void **state)
{
	struct rules *r = parsed("host:a content:none\nhost:b content:shape");

	(void)state;
	assert_int_equal(level(r, 1, "c", NULL, NULL), CONTENT_REDACTED);
	assert_int_equal(level(r, 1, "b", NULL, NULL), CONTENT_SHAPE);
	assert_int_equal(level(r, 1, NULL, NULL, NULL), CONTENT_SHAPE);
	assert_int_equal(level(r, 2, NULL, NULL, NULL), CONTENT_REDACTED);
	assert_int_equal(level(r, 1, "a", NULL, NULL), CONTENT_NONE);
	assert_int_equal(level(r, 1, "b", NULL, NULL), CONTENT_NONE);
	/* One that goes on is not forgotten for others. */
	for (uint32_t i = 0; i < 3 * RULES_TRACES_MAX; i++) {
		level(r, 10 + i, "a", NULL, NULL);
		if (i % 1000 == 0)
			assert_int_equal(level(r, 1, NULL, NULL, NULL), CONTENT_NONE);
	}
	assert_int_equal(level(r, 10 + 3 * RULES_TRACES_MAX - 1, NULL, NULL, NULL), CONTENT_NONE);
	rules_free(r);
}

static void test_lowering(void **state)
{
	struct rules *r = parsed("host:a content:none");
	struct span s = make(1, "a", "m", NULL);

	(void)state;
	rules_lower(r, &s, CONTENT_NONE, CONTENT_REDACTED);
	assert_null(span_get(&s, ATTR_TOOL_CALL_RESULT));
	assert_non_null(span_get(&s, ATTR_REQUEST_MODEL));
	assert_true(slice_eq(span_get(&s, ATTR_CONTENT_LEVEL)->str, SLICE("none")));
	span_release(&s);
	rules_free(r);
}

static void test_refused(void **state)
{
	static const char *const wrong[] = {"content:none",
	                                    "host:a",
	                                    "host:a content:some",
	                                    "host:a content:none content:full",
	                                    "host:a host:b content:none",
	                                    "path:a content:none",
	                                    "host: content:none",
	                                    "host content:none",
	                                    "host:a content:none\n:x content:none"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct buf error = {0};

		assert_null(rules_new(slice_str(wrong[i]), &error));
		assert_true(error.n > 10);
		buf_release(&error);
	}
	struct buf many = {0}, error = {0};
	for (int i = 0; i <= RULES_MAX; i++)
		buf_adds(&many, "host:a content:none\n");
	assert_null(rules_new(buf_slice(&many), &error));
	buf_clear(&many);
	buf_adds(&many, "content:none host:");
	for (int i = 0; i < RULE_TEXT_MAX; i++)
		buf_addc(&many, 'a');
	assert_null(rules_new(buf_slice(&many), &error));
	buf_release(&many);
	buf_release(&error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_matching), cmocka_unit_test(test_traces),
	                                   cmocka_unit_test(test_lowering), cmocka_unit_test(test_refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
