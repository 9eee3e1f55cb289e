/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/openai.h"

void openai_path(struct llm_call *call, const struct api_target *t)
{
	struct slice model = api_between(t->path, SLICE("/deployments/"), '/');

	if (!model.n)
		model = api_between(t->path, SLICE("/engines/"), '/');
	if (!call->request_model.n)
		call->request_model = arena_dup(&call->arena, model);
}

/* A code may be a number. */
static struct slice code_of(yyjson_val *e)
{
	yyjson_val *code = json_get(e, "code");

	return yyjson_is_raw(code) ? slice_of(yyjson_get_raw(code), yyjson_get_len(code)) : json_str(code);
}

void openai_error(struct answer *a, yyjson_val *body)
{
	yyjson_val *error = json_get(body, "error");
	yyjson_val *e = yyjson_is_obj(error) ? error : body;
	struct slice type = json_get_str(e, "type"), message = json_get_str(e, "message");

	/* An event's own type says only that it is one. */
	if (!type.n || (e == body && slice_eq(type, SLICE("error"))))
		type = code_of(e);
	if (!message.n)
		message = json_str(error);
	if (!message.n)
		message = json_get_str(body, "detail");
	call_error(a->call, type, message);
}

bool openai_failed(struct answer *a, yyjson_val *body)
{
	yyjson_val *error = json_get(body, "error");
	bool failed = (error && !yyjson_is_null(error)) || a->call->status >= 400;

	if (failed)
		openai_error(a, body);
	return failed;
}

void openai_head(struct answer *a, yyjson_val *body)
{
	struct llm_call *call = a->call;

	answer_once(a, &call->response_id, json_get_str(body, "id"));
	answer_once(a, &call->response_model, json_get_str(body, "model"));
	answer_once(a, &call->service_tier, json_get_str(body, "service_tier"));
	answer_once(a, &call->system_fingerprint, json_get_str(body, "system_fingerprint"));
}

/* Tokens by modality, and what else a list of details has. */
static void take_details(struct llm_call *call, yyjson_val *in, yyjson_val *out)
{
	const struct {
		enum llm_detail detail;
		yyjson_val *of;
		const char *name;
	} fields[] = {
	    {LLM_TEXT_INPUT, in, "text_tokens"},
	    {LLM_IMAGE_INPUT, in, "image_tokens"},
	    {LLM_AUDIO_INPUT, in, "audio_tokens"},
	    {LLM_VIDEO_INPUT, in, "video_tokens"},
	    {LLM_TEXT_OUTPUT, out, "text_tokens"},
	    {LLM_IMAGE_OUTPUT, out, "image_tokens"},
	    {LLM_AUDIO_OUTPUT, out, "audio_tokens"},
	    {LLM_PREDICTION_ACCEPTED, out, "accepted_prediction_tokens"},
	    {LLM_PREDICTION_REJECTED, out, "rejected_prediction_tokens"},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		answer_tokens(&call->details[fields[i].detail], json_get_int(fields[i].of, fields[i].name));
}

/* Groq: seconds. */
static void take_time(int64_t *field, yyjson_val *usage, const char *name)
{
	double s = json_get_num(usage, name);

	if (s >= 0 && s < 1e6)
		*field = (int64_t)(s * 1e9);
}

void openai_usage(struct llm_call *call, yyjson_val *v)
{
	struct llm_usage *u = &call->usage;
	yyjson_val *in = json_get(v, "prompt_tokens_details"),
	           *out = json_get(v, "completion_tokens_details");
	double cost = json_get_num(v, "cost");

	answer_tokens(&u->input, json_get_int(v, "prompt_tokens"));
	answer_tokens(&u->input, json_get_int(v, "input_tokens"));
	answer_tokens(&u->output, json_get_int(v, "completion_tokens"));
	answer_tokens(&u->output, json_get_int(v, "output_tokens"));
	answer_tokens(&u->cache_read, json_get_int(v, "num_cached_tokens"));       /* Mistral */
	answer_tokens(&u->cache_read, json_get_int(v, "prompt_cache_hit_tokens")); /* DeepSeek */
	in = in ? in : json_get(v, "input_tokens_details");
	out = out ? out : json_get(v, "output_tokens_details");
	in = in ? in : json_get(v, "input_token_details"); /* realtime */
	answer_tokens(&u->cache_read, json_get_int(in, "cached_tokens"));
	answer_tokens(&u->cache_creation, json_get_int(in, "cache_write_tokens"));
	answer_tokens(&u->reasoning, json_get_int(out, "reasoning_tokens"));
	take_details(call, in, out ? out : json_get(v, "output_token_details"));
	answer_tokens(&call->details[LLM_SERVER_TOOLS],
	              json_get_int(v, "num_server_side_tools_used")); /* xAI */
	answer_tokens(&call->details[LLM_WEB_SEARCHES],
	              json_get_int(json_get(v, "server_tool_use"), "web_search_requests")); /* OpenRouter */
	take_time(&call->server_time.total, v, "total_time");
	take_time(&call->server_time.input, v, "prompt_time");
	take_time(&call->server_time.output, v, "completion_time");
	take_time(&call->server_time.queue, v, "queue_time");
	if (!isnan(cost))
		call->cost = cost;
}

struct slice openai_arguments(struct llm_call *call, yyjson_val *v)
{
	return !v || yyjson_is_null(v) ? (struct slice){0}
	       : yyjson_is_str(v)      ? json_str(v)
	                               : json_raw(&call->arena, v);
}

void openai_tool_def(struct llm_call *call, struct slice type, yyjson_val *function)
{
	call_tool(call, (struct llm_tool_def){
	                    .type = type,
	                    .name = json_get_str(function, "name"),
	                    .description = json_get_str(function, "description"),
	                    .parameters = json_raw(&call->arena, json_get(function, "parameters")),
	                });
}

struct slice openai_output_type(yyjson_val *format)
{
	struct slice type = json_get_str(format, "type");

	return slice_starts(type, SLICE("json")) ? SLICE("json") : type;
}

int64_t openai_input_count(yyjson_val *input)
{
	if (!input || yyjson_is_null(input))
		return LLM_NONE;
	if (!yyjson_is_arr(input))
		return 1;
	return yyjson_is_raw(yyjson_arr_get_first(input)) ? 1 : (int64_t)yyjson_arr_size(input);
}

void openai_input_texts(struct llm_call *call, yyjson_val *input)
{
	size_t i, n;
	yyjson_val *v;

	if (yyjson_is_str(input)) {
		struct llm_message *m = call_message(call, &call->input, SLICE("user"));

		if (m)
			call_text(call, m, LLM_TEXT, json_str(input));
	}
	yyjson_arr_foreach(input, i, n, v) if (yyjson_is_str(v)) openai_input_texts(call, v);
}
