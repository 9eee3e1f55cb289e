/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of --alert: what they may look like, and when they hold. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sink/alerts.h"

#define S        1000000000ull
#define TEN      "          "
#define TOO_LONG "error_rate>0.1 " TEN TEN TEN TEN TEN TEN TEN TEN "for 5m"

/* --- the grammar --- */

static void test_rules(void **state)
{
	static const struct {
		const char *text;
		struct alert_rule rule;
	} cases[] = {
	    {"error_rate>0.2 for 5m",
	     {ALERT_ERROR_RATE, false, 0.2, 300 * S, 300 * S, "error_rate>0.2 for 5m"}},
	    {" error_rate \t>=  20%   over 1h ",
	     {ALERT_ERROR_RATE, true, 0.2, 3600 * S, 0, "error_rate >= 20% over 1h"}},
	    {"p95_duration>1500ms", {ALERT_P95_DURATION, false, 1.5, 300 * S, 0, "p95_duration>1500ms"}},
	    {"p95_ttft>2 over 10s for 0.5h",
	     {ALERT_P95_TTFT, false, 2, 10 * S, 1800 * S, "p95_ttft>2 over 10s for 0.5h"}},
	    {"cost_per_day>.5", {ALERT_COST_PER_DAY, false, 0.5, 86400 * S, 0, "cost_per_day>.5"}},
	    {"tool_loop>=5", {ALERT_TOOL_LOOP, true, 5, 300 * S, 0, "tool_loop>=5"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct alert_rule *wanted = &cases[i].rule;
		struct alert_rule r;
		struct buf error = {0};

		if (alert_parse(slice_str(cases[i].text), &r, &error))
			fail_msg("%s: %s", cases[i].text, buf_str(&error));
		assert_int_equal(wanted->subject, r.subject);
		assert_int_equal(wanted->or_equal, r.or_equal);
		assert_true(fabs(wanted->limit - r.limit) < 1e-12);
		assert_int_equal(wanted->over, r.over);
		assert_int_equal(wanted->hold, r.hold);
		assert_string_equal(wanted->text, r.text);
		/* What is kept of it is the same rule. */
		struct alert_rule again;
		assert_int_equal(0, alert_parse(slice_str(r.text), &again, &error));
		assert_string_equal(r.text, again.text);
		assert_int_equal(r.over, again.over);
	}
}

static void test_wrong_rules(void **state)
{
	static const char *const wrong[] = {
	    "",
	    "x",
	    "error_rate",
	    "error_rate>",
	    "error_rate<0.1",
	    "error_rate>=",
	    "error_rate>-1",
	    "error_rate>1.1",
	    "error_rate>101%",
	    "error_rate>1e-1",
	    "error_rate>0.1.2",
	    "error_rate>.",
	    "error_rate>0.1s",
	    "error_rate>0.1 over",
	    "error_rate>0.1 over 5",
	    "error_rate>0.1 over 9s",
	    "error_rate>0.1 over 25h",
	    "error_rate>0.1 for 25h",
	    "error_rate>0.1 for 5m over 1h",
	    "error_rate>0.1 for 5m for 5m",
	    "error_rate>0.1 5m",

	    "p95_ttft>5d",
	    "p95_ttft>25h",
	    "tool_loop>1",
	    "tool_loop>=2000",
	    "tool_loop>5%",
	    "cost_per_day>5 over 1h",
	    "cost_per_day>$5",
	    "Error_rate>0.1",
	    "error_rate>0.1 for 5m;",
	    "error_rate>1111111111111111111111111111",
	    TOO_LONG,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct alert_rule r = {.limit = 7};
		struct buf error = {0};
		bool ok = alert_parse(slice_str(wrong[i]), &r, &error) == 0;

		if (ok)
			fail_msg("'%s' is a rule", wrong[i]);
		assert_true(error.n && r.limit == 7);
		buf_release(&error);
	}
	assert_null(alerts_new("x\ny"));
	assert_null(alerts_new(""));
}

/* --- when they hold --- */

static struct buf heard;

static void say(const char *line)
{
	buf_adds(&heard, line);
	buf_addc(&heard, '\n');
}

static void call(struct alerts *a, uint64_t now, double seconds, bool failed)
{
	struct span s = {.kind = SPAN_CHAT, .start = 1, .status = failed ? SPAN_ERROR : SPAN_UNSET};

	s.end = s.start + (uint64_t)(seconds * 1e9);
	span_set_bool(&s, ATTR_COMPLETE, true);
	span_set_double(&s, ATTR_TIME_TO_FIRST_CHUNK, seconds / 2);
	alerts_span(a, &s, now);
	span_release(&s);
}

static void tool(struct alerts *a, uint64_t now, const char *conversation, const char *name,
                 const char *arguments)
{
	struct span s = {.kind = SPAN_TOOL};

	span_set_str(&s, ATTR_CONVERSATION_ID, slice_str(conversation));
	span_set_str(&s, ATTR_TOOL_NAME, slice_str(name));
	span_set_str(&s, ATTR_TOOL_CALL_ARGUMENTS, slice_str(arguments));
	alerts_span(a, &s, now);
	span_release(&s);
}

/* The state of the only rule; -1: its value is not known. */
static double look(struct alerts *a, uint64_t now, struct registry *r, bool *ret_on)
{
	buf_clear(&heard);
	alerts_tick(a, now, r, say);
	const struct family *on = registry_family(r, METRIC_ALERT),
	                    *value = registry_family(r, METRIC_ALERT_VALUE);
	*ret_on = on->v[0]->value > 0;
	return value->n && series_known(value->v[0]) ? value->v[0]->value : -1;
}

static void test_error_rate(void **state)
{
	struct alerts *a = alerts_new("error_rate>0.5 over 60s for 5s");
	struct registry *r = registry_new(1);
	uint64_t t = 1000000 * S;
	bool on;

	(void)state;
	assert_true(look(a, t, r, &on) == -1 && !on);
	call(a, t, 1, false);
	assert_true(look(a, t, r, &on) == 0 && !on);
	for (int i = 0; i < 3; i++)
		call(a, t + 10 * S, 1, true);
	assert_true(look(a, t + 10 * S, r, &on) == 0.75 && !on);
	assert_true(look(a, t + 14 * S, r, &on) == 0.75 && !on);
	assert_true(look(a, t + 15 * S, r, &on) == 0.75 && on);
	assert_string_equal("alert: error_rate>0.5 over 60s for 5s: 3 of 4 calls failed: 'spantap ls "
	                    "--status err' shows them\n",
	                    buf_str(&heard));
	look(a, t + 16 * S, r, &on);
	assert_int_equal(0, heard.n);
	assert_true(look(a, t + 65 * S, r, &on) == 1 && on);
	assert_true(look(a, t + 75 * S, r, &on) == -1 && !on); /* no call in the window: nothing is known */
	assert_string_equal("alert over: error_rate>0.5 over 60s for 5s\n", buf_str(&heard));
	for (int i = 0; i < 3; i++)
		call(a, t + 500 * S, 1, true);
	look(a, t + 500 * S, r, &on);
	look(a, t + 506 * S, r, &on);
	assert_true(on);
	assert_true(registry_family(r, METRIC_ALERT_FIRED)->v[0]->value == 2);
	alerts_free(a);
	registry_free(r);
}

static void test_hold_begins_anew(void **state)
{
	struct alerts *a = alerts_new("error_rate>=0.5 over 60s for 10s");
	struct registry *r = registry_new(1);
	uint64_t t = 1000 * S;
	bool on;

	(void)state;
	call(a, t, 1, true);
	look(a, t, r, &on);
	call(a, t + 5 * S, 1, false);
	call(a, t + 5 * S, 1, false);
	look(a, t + 5 * S, r, &on);
	call(a, t + 6 * S, 1, true);
	assert_true(look(a, t + 6 * S, r, &on) == 0.5);
	look(a, t + 11 * S, r, &on);
	assert_false(on);
	look(a, t + 16 * S, r, &on);
	assert_true(on);
	alerts_free(a);
	registry_free(r);
}

static void test_quantiles_are_right_to_two_percent(void **state)
{
	struct alerts *a = alerts_new("p95_duration>100"), *first = alerts_new("p95_ttft>100");
	struct registry *r = registry_new(1), *r2 = registry_new(1);
	uint64_t t = 1000 * S;
	bool on;

	(void)state;
	for (int i = 1; i <= 1000; i++) {
		call(a, t, i * 0.01, false);
		call(first, t, i * 0.01, false);
		call(a, t, 5000, true); /* how long a failure takes is another question */
	}
	double v = look(a, t, r, &on);
	assert_true(fabs(v - 9.5) < 9.5 * 0.021);
	v = look(first, t, r2, &on);
	assert_true(fabs(v - 4.75) < 4.75 * 0.021);
	call(a, t, 1e9, false);
	call(a, t, 0, false);
	alerts_free(a);
	alerts_free(first);
	registry_free(r);
	registry_free(r2);
}

static void test_loops(void **state)
{
	struct alerts *a = alerts_new("tool_loop>=3 over 60s");
	struct registry *r = registry_new(1);
	uint64_t t = 1000 * S;
	bool on;

	(void)state;
	for (int i = 0; i < 2; i++) {
		tool(a, t, "one", "shell\x1b[31m", "{}");
		tool(a, t, "two", "shell", "{\"a\":1}");
		tool(a, t, "two", "shell", "{\"a\":2}");
		tool(a, t, "two", "shel", "l{\"a\":2}");
	}
	look(a, t, r, &on);
	assert_false(on);
	tool(a, t, "one", "shell\x1b[31m", "{}");
	assert_true(look(a, t, r, &on) == 3 && on);
	assert_string_equal("alert: tool_loop>=3 over 60s: 3 times shell\\x1b[31m: 'spantap show one' shows "
	                    "it; end the agent "
	                    "if it does not get on\n",
	                    buf_str(&heard));
	tool(a, t, "two", "shell", "{}"); /* another conversation's business */
	assert_true(look(a, t + 59 * S, r, &on) == 3 && on);
	tool(a, t + 60 * S, "one", "shell", "{\"b\":1}");
	assert_true(look(a, t + 60 * S, r, &on) == -1 && !on);
	for (int i = 0; i < 3; i++)
		tool(a, t + 70 * S, "one", "shell", "{\"b\":2}");
	look(a, t + 70 * S, r, &on);
	assert_true(on);
	look(a, t + 131 * S, r, &on);
	assert_false(on);

	struct span unknown = {.kind = SPAN_TOOL}; /* without arguments: equal to nothing */
	span_set_str(&unknown, ATTR_CONVERSATION_ID, SLICE("three"));
	span_set_str(&unknown, ATTR_TOOL_NAME, SLICE("shell"));
	for (int i = 0; i < 5; i++)
		alerts_span(a, &unknown, t + 140 * S);
	span_release(&unknown);
	look(a, t + 140 * S, r, &on);
	assert_false(on);
	char name[32];
	for (int i = 0; i < 3 * ALERT_CONVERSATIONS; i++) {
		snprintf(name, sizeof(name), "%d", i);
		tool(a, t, name, "shell", "{}");
	}
	alerts_free(a);
	registry_free(r);
}

static void test_cost(void **state)
{
	struct alerts *a = alerts_new("cost_per_day>0.5");
	struct registry *r = registry_new(1);
	uint64_t t = 100000 * S;
	bool on;

	(void)state;
	call(a, t, 1, false); /* its price is not known */
	assert_true(look(a, t, r, &on) == -1 && !on);
	struct span s = {.kind = SPAN_CHAT, .start = 1, .end = 2, .start_wall = 1760000000 * S};
	span_set_str(&s, ATTR_PROVIDER_NAME, SLICE("openai"));
	span_set_str(&s, ATTR_RESPONSE_MODEL, SLICE("gpt-4o-mini-2024-07-18"));
	span_set_int(&s, ATTR_USAGE_INPUT_TOKENS, 1000000);
	span_set_int(&s, ATTR_USAGE_OUTPUT_TOKENS, 1000000);
	span_set_bool(&s, ATTR_COMPLETE, true);
	alerts_span(a, &s, t);
	assert_true(look(a, t, r, &on) > 0.5 && on);
	assert_non_null(
	    strstr(buf_str(&heard), " and 1 calls whose price is not known: 'spantap cost' says for what"));
	look(a, t + 86399 * S - 1440 * S, r, &on);
	assert_true(on);
	look(a, t + 86401 * S, r, &on);
	assert_false(on);
	span_release(&s);
	alerts_free(a);
	registry_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rules),
	    cmocka_unit_test(test_wrong_rules),
	    cmocka_unit_test(test_error_rate),
	    cmocka_unit_test(test_hold_begins_anew),
	    cmocka_unit_test(test_quantiles_are_right_to_two_percent),
	    cmocka_unit_test(test_loops),
	    cmocka_unit_test(test_cost),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	buf_release(&heard);
	return failed;
}
