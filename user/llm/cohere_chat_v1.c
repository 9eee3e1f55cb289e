/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cohere's first chat API: one new message and the history before it.  Streams
 * are JSON, one event a line; the last one repeats the whole answer.
 */
#include "llm/call.h"
#include "llm/cohere.h"

static enum api_fit fit(const struct api_target *t)
{
	return cohere_fit(t, SLICE("/v1/chat"));
}

/* ---- request ---- */

static struct slice role_of(struct slice role)
{
	static const struct {
		struct slice said, name;
	} roles[] = {
	    {{"USER", 4}, {"user", 4}},
	    {{"CHATBOT", 7}, {"assistant", 9}},
	    {{"SYSTEM", 6}, {"system", 6}},
	    {{"TOOL", 4}, {"tool", 4}},
	};

	for (size_t i = 0; i < sizeof(roles) / sizeof(*roles); i++)
		if (slice_caseeq(role, roles[i].said))
			return roles[i].name;
	return role;
}

/* Calls have no ids: a result names the call that it answers. */
static void tool_results(struct llm_call *call, struct llm_message *m, yyjson_val *list)
{
	size_t i, n;
	yyjson_val *v;

	yyjson_arr_foreach(list, i, n, v)
	    call_part(call, m,
	              (struct llm_part){
	                  .kind = LLM_TOOL_RESULT,
	                  .name = json_get_str(json_get(v, "call"), "name"),
	                  .text = json_raw(&call->arena, json_get(v, "outputs")),
	              });
}

static void history_entry(struct llm_call *call, yyjson_val *v)
{
	struct llm_message *m = call_message(call, &call->input, role_of(json_get_str(v, "role")));
	size_t i, n;
	yyjson_val *asked;

	if (!m)
		return;
	call_text(call, m, LLM_TEXT, json_get_str(v, "message"));
	yyjson_arr_foreach(json_get(v, "tool_calls"), i, n, asked)
	    call_part(call, m,
	              (struct llm_part){
	                  .kind = LLM_TOOL_CALL,
	                  .name = json_get_str(asked, "name"),
	                  .text = json_raw(&call->arena, json_get(asked, "parameters")),
	              });
	tool_results(call, m, json_get(v, "tool_results"));
}

static void new_message(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *results = json_get(body, "tool_results");
	struct slice text = json_get_str(body, "message");
	struct llm_message *m =
	    yyjson_arr_size(results) ? call_message(call, &call->input, SLICE("tool")) : NULL;

	if (m)
		tool_results(call, m, results);
	m = text.n ? call_message(call, &call->input, SLICE("user")) : NULL;
	if (m)
		call_text(call, m, LLM_TEXT, text);
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	struct slice preamble = json_get_str(body, "preamble");
	struct llm_message *m = preamble.n ? call_message(call, &call->system, SLICE("system")) : NULL;
	size_t i, n;
	yyjson_val *v;

	call->request_model = json_get_str(body, "model");
	call->stream = yyjson_is_true(json_get(body, "stream"));
	call->conversation_id = json_get_str(body, "conversation_id");
	cohere_parameters(call, body);
	if (m)
		call_text(call, m, LLM_TEXT, preamble);
	yyjson_arr_foreach(json_get(body, "chat_history"), i, n, v) history_entry(call, v);
	new_message(call, body);
	yyjson_arr_foreach(json_get(body, "tools"), i, n, v)
	    call_tool(call, (struct llm_tool_def){
	                        .type = SLICE("function"),
	                        .name = json_get_str(v, "name"),
	                        .description = json_get_str(v, "description"),
	                        .parameters = json_raw(&call->arena, json_get(v, "parameter_definitions")),
	                    });
	return yyjson_is_str(json_get(body, "message"));
}

/* ---- response ---- */

static void take_tool_calls(struct answer *a, yyjson_val *list)
{
	struct answer_choice *c = yyjson_arr_size(list) ? answer_choice(a, 0) : NULL;
	size_t i, n;
	yyjson_val *v;

	if (!c || answer_find(c, LLM_TOOL_CALL, 0))
		return;
	yyjson_arr_foreach(list, i, n, v)
	{
		struct answer_block *b = answer_block(a, c, LLM_TOOL_CALL, (int64_t)i);

		if (!b)
			return;
		b->name = arena_dup(&a->call->arena, json_get_str(v, "name"));
		b->initial = json_raw(&a->call->arena, json_get(v, "parameters"));
		a->carried = true;
	}
}

static void take_stop(struct answer *a, yyjson_val *v)
{
	struct slice reason = json_get_str(v, "finish_reason");

	if (reason.n)
		answer_stop(a, 0, reason);
}

static void response(struct answer *a, yyjson_val *body)
{
	answer_once(a, &a->call->response_id, json_get_str(body, "generation_id"));
	answer_add(a, 0, LLM_TEXT, 0, json_get_str(body, "text"));
	take_tool_calls(a, json_get(body, "tool_calls"));
	take_stop(a, body);
	cohere_usage(a, json_get(body, "meta"));
	cohere_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	struct slice type = json_get_str(data, "event_type");
	yyjson_val *whole = json_get(data, "response");

	(void)name;
	answer_once(a, &a->call->response_id, json_get_str(data, "generation_id"));
	if (slice_eq(type, SLICE("text-generation")))
		answer_add(a, 0, LLM_TEXT, 0, json_get_str(data, "text"));
	else if (slice_eq(type, SLICE("tool-calls-chunk")))
		a->carried = true; /* tool-calls-generation has it whole */
	else
		take_tool_calls(a, json_get(whole ? whole : data, "tool_calls"));
	take_stop(a, data);
	cohere_usage(a, json_get(whole, "meta"));
	a->done = yyjson_is_true(json_get(data, "is_finished"));
	if (slice_starts(json_get_str(data, "finish_reason"), SLICE("ERROR")))
		call_error(a->call, json_get_str(data, "finish_reason"), json_get_str(data, "error"));
	else if (!type.n)
		call_error(a->call, (struct slice){0}, json_get_str(data, "message"));
}

const struct llm_api cohere_chat_v1_api = {
    .name = "cohere.chat.v1",
    .provider = "cohere",
    .operation = "chat",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
