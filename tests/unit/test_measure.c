/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured of a span, and what is not because it is not known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "metrics/openmetrics.h"
#include "sink/measure.h"

static struct span span_of(enum span_kind kind, double seconds)
{
	struct span s = {
	    .kind = kind, .start = 1000, .start_wall = 1700000000000000000ull, .id = {1}, .trace = {2}};

	s.end = s.start + (uint64_t)(seconds * 1e9);
	return s;
}

static struct span call(double seconds, bool complete)
{
	struct span s = span_of(SPAN_CHAT, seconds);

	span_set_str(&s, ATTR_OPERATION_NAME, SLICE("chat"));
	span_set_str(&s, ATTR_PROVIDER_NAME, SLICE("openai"));
	span_set_str(&s, ATTR_RESPONSE_MODEL, SLICE("gpt-4o-mini-2024-07-18"));
	span_set_str(&s, ATTR_CALL_KIND, SLICE("main"));
	span_set_int(&s, ATTR_SERVER_PORT, 443);
	span_set_bool(&s, ATTR_COMPLETE, complete);
	return s;
}

/* The text of what is measured of `s`, which is released. */
static const char *measured(struct span *s)
{
	static struct buf text;
	struct registry *r = registry_new(1);

	measure_span(r, s);
	buf_release(&text);
	openmetrics_write(&text, r, METRICS_TEXT);
	registry_free(r);
	span_release(s);
	return buf_str(&text);
}

static void has(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("'%s' is not in:\n%s", what, text);
}

static void lacks(const char *text, const char *what)
{
	if (strstr(text, what))
		fail_msg("'%s' is in:\n%s", what, text);
}

static void test_a_call_that_says_nothing(void **state)
{
	struct span s = call(0.5, true);
	const char *text = measured(&s);

	(void)state;
	has(text, "gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name=\"chat\",gen_ai_"
	          "provider_name=\"openai\","
	          "gen_ai_response_model=\"gpt-4o-mini-2024-07-18\",server_port=\"443\"} 1\n");
	has(text, "spantap_calls_total{spantap_call_kind=\"main\",spantap_complete=\"true\"} 1\n");
	lacks(text, "token_usage");
	lacks(text, "time_to_first_chunk");
	lacks(text, "time_per_output_chunk");
	has(text, "spantap_cost_unknown_total{gen_ai_provider_name=\"openai\"} 1\n"); /* it will have cost
	                                                                                 something */
	lacks(text, "usd");
	lacks(text, "_server_");
}

static void test_what_was_cut_off_has_no_duration(void **state)
{
	struct span s = call(0.5, false);

	(void)state;
	lacks(measured(&s), "duration_seconds");
	s = call(0.5, false);
	s.status = SPAN_ERROR;
	span_set_str(&s, ATTR_ERROR_TYPE, SLICE("503"));
	const char *text = measured(&s);
	has(text, "server_port=\"443\",error_type=\"503\",le=\"0.64\"} 1\n");
	has(text, "spantap_complete=\"false\"} 1\n");
}

static void test_tokens_cost_and_chunks(void **state)
{
	struct span s = call(0.5, true);

	(void)state;
	span_set_int(&s, ATTR_USAGE_INPUT_TOKENS, 1000000);
	span_set_int(&s, ATTR_USAGE_OUTPUT_TOKENS, 0);
	span_set_int(&s, ATTR_USAGE_CACHE_READ, 7);
	span_set_double(&s, ATTR_TIME_TO_FIRST_CHUNK, 0.02);
	struct span_gaps gaps = {.counts = {3, 0, 1}, .sum = 0.05};
	s.gaps = &gaps;
	const char *text = measured(&s);
	has(text, "gen_ai_token_type=\"input\",le=\"1048576.0\"} 1\n");
	has(text, "gen_ai_token_type=\"input\"} 1000000\n");
	has(text, "gen_ai_token_type=\"output\",le=\"1.0\"} 1\n"); /* 0 that was said is not unknown */
	has(text, "gen_ai_token_type=\"cache_read\"} 7\n");
	lacks(text, "\"reasoning\"");
	has(text, "spantap_cost_usd_total{gen_ai_provider_name=\"openai\",gen_ai_response_model=\"gpt-4o-"
	          "mini-2024-07-18\"} 0.");
	has(text, "time_to_first_chunk_seconds_bucket{gen_ai_operation_name=\"chat\",gen_ai_provider_name="
	          "\"openai\","
	          "gen_ai_response_model=\"gpt-4o-mini-2024-07-18\",server_port=\"443\",le=\"0.02\"} 1\n");
	has(text, "time_per_output_chunk_seconds_bucket{gen_ai_operation_name=\"chat\",gen_ai_provider_name="
	          "\"openai\","
	          "gen_ai_response_model=\"gpt-4o-mini-2024-07-18\",server_port=\"443\",le=\"0.04\"} 4\n");
	has(text, "server_port=\"443\"} 0.05\n");

	s = call(0.5, true);
	span_set_str(&s, ATTR_RESPONSE_MODEL, SLICE("of nobody"));
	span_set_int(&s, ATTR_USAGE_INPUT_TOKENS, 5);
	text = measured(&s);
	has(text, "spantap_cost_unknown_total{gen_ai_provider_name=\"openai\"} 1\n");
	lacks(text, "usd");
}

static struct span priced(void)
{
	struct span s = call(0.5, true);

	span_set_int(&s, ATTR_USAGE_INPUT_TOKENS, 1000);
	span_set_int(&s, ATTR_USAGE_OUTPUT_TOKENS, 1000);
	return s;
}

static void test_what_a_call_costs(void **state)
{
	struct span s = priced();

	(void)state;
	has(measured(&s), "spantap_cost_usd_total{");
	s = priced(); /* the list has no price for it */
	span_set_str(&s, ATTR_OPENAI_RESPONSE_SERVICE_TIER, SLICE("priority"));
	const char *text = measured(&s);
	lacks(text, "usd");
	has(text, "spantap_cost_unknown_total");
	s = call(0.5, true);
	s.status = SPAN_ERROR;
	lacks(measured(&s), "cost");
	s = priced();
	s.attrs[0].str = SLICE("count_tokens");
	text = measured(&s);
	lacks(text, "cost");
	lacks(text, "token_usage");
	s = call(0.5, true);
	for (size_t i = 0; i < s.n_attrs; i++)
		if (s.attrs[i].key == ATTR_CALL_KIND)
			s.attrs[i].str = SLICE("relay");
	text = measured(&s);
	lacks(text, "cost");
	lacks(text, "gen_ai_client");
	has(text, "spantap_calls_total{spantap_call_kind=\"relay\"");
}

static void test_the_server_side(void **state)
{
	struct span s = call(1, true);

	(void)state;
	span_set_str(&s, ATTR_CALL_SIDE, SLICE("server"));
	span_set_double(&s, ATTR_TIME_TO_FIRST_CHUNK, 0.1);
	span_set_int(&s, ATTR_USAGE_OUTPUT_TOKENS, 10);
	const char *text = measured(&s);
	lacks(text, "gen_ai_client");
	has(text, "gen_ai_server_request_duration_seconds_count{");
	has(text, "gen_ai_server_time_to_first_token_seconds_bucket{");
	has(text, "gen_ai_server_time_per_output_token_seconds_sum{gen_ai_operation_name=\"chat\",gen_ai_"
	          "provider_name=\"openai\","
	          "gen_ai_response_model=\"gpt-4o-mini-2024-07-18\",server_port=\"443\"} 0.1\n");
}

static void test_tools(void **state)
{
	struct span s = span_of(SPAN_TOOL, 9);

	(void)state;
	span_set_str(&s, ATTR_TOOL_NAME, SLICE("shell"));
	span_set_double(&s, ATTR_TOOL_STARTED, 2.0);
	const char *text = measured(&s);
	lacks(text, "duration_seconds");
	has(text, "spantap_tools_untimed_total{gen_ai_tool_name=\"shell\"} 1\n");
	s = span_of(SPAN_TOOL, 9);
	span_set_str(&s, ATTR_TOOL_NAME, SLICE("shell"));
	span_set_double(&s, ATTR_TOOL_STARTED, 2.0);
	span_set_double(&s, ATTR_TOOL_ENDED, 2.25);
	text = measured(&s);
	has(text, "gen_ai_execute_tool_duration_seconds_sum{gen_ai_tool_name=\"shell\"} 0.25\n");
	lacks(text, "untimed");
}

static struct span mcp(const char *side, const char *asked_by, const char *protocol)
{
	struct span s = span_of(SPAN_MCP, 0.03);

	span_set_str(&s, ATTR_MCP_METHOD, SLICE("tools/list"));
	span_set_str(&s, ATTR_MCP_SIDE, slice_str(side));
	span_set_str(&s, ATTR_MCP_ASKED_BY, slice_str(asked_by));
	span_set_str(&s, ATTR_MCP_PROTOCOL, slice_str(protocol));
	span_set_bool(&s, ATTR_COMPLETE, true);
	return s;
}

static void test_mcp_is_of_who_asks_or_answers(void **state)
{
	struct span s = mcp("client", "client", "mcp");

	(void)state;
	has(measured(&s),
	    "mcp_client_operation_duration_seconds_bucket{mcp_method_name=\"tools/list\",le=\"0.05\"} 1\n");
	s = mcp("server", "server", "mcp");
	has(measured(&s), "mcp_client_operation_duration_seconds_count");
	s = mcp("client", "server", "mcp");
	has(measured(&s), "mcp_server_operation_duration_seconds_count");
	s = mcp("server", "client", "mcp");
	lacks(measured(&s), "mcp_client");
	s = mcp("client", "client", "a2a");
	lacks(measured(&s), "mcp_");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_call_that_says_nothing),
	    cmocka_unit_test(test_what_was_cut_off_has_no_duration),
	    cmocka_unit_test(test_tokens_cost_and_chunks),
	    cmocka_unit_test(test_what_a_call_costs),
	    cmocka_unit_test(test_the_server_side),
	    cmocka_unit_test(test_tools),
	    cmocka_unit_test(test_mcp_is_of_who_asks_or_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
