/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cohere's second chat API: messages and tools as OpenAI has them, answers and
 * server-sent events of its own.  What the model says before it calls tools,
 * its plan, is reasoning.
 */
#include "llm/call.h"
#include "llm/cohere.h"

static enum api_fit fit(const struct api_target *t)
{
	return cohere_fit(t, SLICE("/v2/chat"));
}

/* A tool's result may be documents: where it has no text, the first of them is the result. */
static void document_results(struct llm_call *call)
{
	for (size_t i = 0; i < call->input.n; i++) {
		struct llm_message *m = &call->input.v[i];
		struct llm_part *result = m->parts, *next;

		if (m->n_parts < 2 || result->kind != LLM_TOOL_RESULT || result->text.n)
			continue;
		next = result + 1;
		if (next->kind != LLM_OTHER || !slice_eq(next->name, SLICE("document")))
			continue;
		result->text = next->text;
		memmove(next, next + 1, (m->n_parts - 2) * sizeof(*next));
		m->n_parts--;
	}
}

/* The plan goes before what it led to. */
static void plans(struct llm_call *call, yyjson_val *messages)
{
	size_t i, n, at = 0;
	yyjson_val *v;

	yyjson_arr_foreach(messages, i, n, v)
	{
		struct slice plan = json_get_str(v, "tool_plan");
		struct llm_message *m = yyjson_is_obj(v) && at < call->input.n ? &call->input.v[at++] : NULL;
		size_t before = m ? m->n_parts : 0;

		if (!m || !plan.n)
			continue;
		call_text(call, m, LLM_REASONING, plan);
		if (m->n_parts == before)
			continue;
		memmove(m->parts + 1, m->parts, before * sizeof(*m->parts));
		m->parts[0] = (struct llm_part){.kind = LLM_REASONING, .text = plan};
	}
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	bool shaped = openai_chat_api.request(call, body);

	cohere_parameters(call, body);
	document_results(call);
	plans(call, json_get(body, "messages"));
	return shaped;
}

static void take_content(struct answer *a, int64_t key, yyjson_val *v)
{
	answer_add(a, 0, LLM_TEXT, key, json_get_str(v, "text"));
	answer_add(a, 0, LLM_REASONING, key, json_get_str(v, "thinking"));
}

static void take_tool_call(struct answer *a, int64_t key, yyjson_val *v)
{
	struct answer_choice *c = yyjson_is_obj(v) ? answer_choice(a, 0) : NULL;
	struct answer_block *b = c ? answer_find(c, LLM_TOOL_CALL, key) : NULL;
	yyjson_val *function = json_get(v, "function");

	if (!b && c)
		b = answer_block(a, c, LLM_TOOL_CALL, key);
	if (!b)
		return;
	answer_once(a, &b->id, json_get_str(v, "id"));
	answer_once(a, &b->name, json_get_str(function, "name"));
	answer_append(a, b, json_get_str(function, "arguments"));
	a->carried = true;
}

static void take_end(struct answer *a, yyjson_val *v)
{
	if (json_get_str(v, "finish_reason").n)
		answer_stop(a, 0, json_get_str(v, "finish_reason"));
	cohere_usage(a, json_get(v, "usage"));
	if (slice_starts(json_get_str(v, "finish_reason"), SLICE("ERROR")))
		call_error(a->call, json_get_str(v, "finish_reason"), json_get_str(v, "error"));
}

#define PLAN_KEY (-2) /* no content block has it */

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *m = json_get(body, "message"), *v;
	size_t i, n;

	answer_once(a, &a->call->response_id, json_get_str(body, "id"));
	answer_add(a, 0, LLM_REASONING, PLAN_KEY, json_get_str(m, "tool_plan"));
	yyjson_arr_foreach(json_get(m, "content"), i, n, v) take_content(a, (int64_t)i, v);
	yyjson_arr_foreach(json_get(m, "tool_calls"), i, n, v) take_tool_call(a, (int64_t)i, v);
	take_end(a, body);
	cohere_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	struct slice type = json_get_str(data, "type");
	int64_t key = json_get_int(data, "index");
	yyjson_val *delta = json_get(data, "delta"), *m = json_get(delta, "message");

	if (!type.n)
		type = name;
	answer_once(a, &a->call->response_id, json_get_str(data, "id"));
	if (slice_starts(type, SLICE("content-")))
		take_content(a, key, json_get(m, "content"));
	else if (slice_starts(type, SLICE("tool-call-")))
		take_tool_call(a, key, json_get(m, "tool_calls"));
	else if (slice_eq(type, SLICE("tool-plan-delta")))
		answer_add(a, 0, LLM_REASONING, PLAN_KEY, json_get_str(m, "tool_plan"));
	else if (slice_eq(type, SLICE("message-end"))) /* [DONE] follows */
		take_end(a, delta);
	else if (!type.n)
		call_error(a->call, (struct slice){0}, json_get_str(data, "message"));
}

const struct llm_api cohere_chat_v2_api = {
    .name = "cohere.chat.v2",
    .provider = "cohere",
    .operation = "chat",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
