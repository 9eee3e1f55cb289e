/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cohere's generate: a prompt and its continuations; gone from Cohere's own
 * service, alive for its older models on Bedrock.
 */
#include "llm/call.h"
#include "llm/cohere.h"

static enum api_fit fit(const struct api_target *t)
{
	return cohere_fit(t, SLICE("/v1/generate"));
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *prompt = json_get(body, "prompt");
	struct llm_message *m = call_message(call, &call->input, SLICE("user"));

	call->request_model = json_get_str(body, "model");
	call->stream = yyjson_is_true(json_get(body, "stream"));
	call->choice_count = json_get_int(body, "num_generations");
	cohere_parameters(call, body);
	call_text(call, m, LLM_TEXT, json_str(prompt));
	return yyjson_is_str(prompt);
}

static void take_generation(struct answer *a, int64_t index, yyjson_val *v)
{
	answer_add(a, index, LLM_TEXT, 0, json_get_str(v, "text"));
	if (json_get_str(v, "finish_reason").n)
		answer_stop(a, index, json_get_str(v, "finish_reason"));
}

static void response(struct answer *a, yyjson_val *body)
{
	size_t i, n;
	yyjson_val *v;

	answer_once(a, &a->call->response_id, json_get_str(body, "id"));
	yyjson_arr_foreach(json_get(body, "generations"), i, n, v) take_generation(a, (int64_t)i, v);
	cohere_usage(a, json_get(body, "meta"));
	cohere_error(a, body);
}

/* The index is given where there are several. The last event repeats what was generated. */
static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	int64_t index = json_get_int(data, "index");
	yyjson_val *whole = json_get(data, "response");

	(void)name;
	take_generation(a, index == LLM_NONE ? 0 : index, data);
	answer_once(a, &a->call->response_id, json_get_str(whole, "id"));
	cohere_usage(a, json_get(whole, "meta"));
	if (whole)
		a->done = true;
	if (slice_starts(json_get_str(data, "finish_reason"), SLICE("ERROR")))
		call_error(a->call, json_get_str(data, "finish_reason"), json_get_str(data, "error"));
}

const struct llm_api cohere_generate_api = {
    .name = "cohere.generate",
    .provider = "cohere",
    .operation = "text_completion",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
