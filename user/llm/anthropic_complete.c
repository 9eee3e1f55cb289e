/* SPDX-License-Identifier: Apache-2.0 */
/* Anthropic text completions, the API before messages. */
#include "llm/apis.h"
#include "llm/call.h"

static enum api_fit fit(const struct api_target *t)
{
	if (!slice_ends(t->path, SLICE("/v1/complete")))
		return API_NO;
	return slice_ends(t->host, SLICE("anthropic.com")) ? API_YES : API_SHAPE;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	struct slice prompt = json_get_str(body, "prompt");
	struct llm_message *m;
	size_t i, n;
	yyjson_val *v;

	if (!prompt.p || !json_get(body, "max_tokens_to_sample"))
		return false;
	call->request_model = json_get_str(body, "model");
	call->stream = yyjson_is_true(json_get(body, "stream"));
	call->max_tokens = json_get_int(body, "max_tokens_to_sample");
	call->temperature = json_get_num(body, "temperature");
	call->top_p = json_get_num(body, "top_p");
	call->top_k = json_get_num(body, "top_k");
	yyjson_arr_foreach(json_get(body, "stop_sequences"), i, n, v) call_stop(call, json_str(v));
	m = call_message(call, &call->input, SLICE("user"));
	if (m)
		call_text(call, m, LLM_TEXT, prompt);
	return true;
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *error = json_get(body, "error");

	if (error) {
		call_error(a->call, json_get_str(error, "type"), json_get_str(error, "message"));
		return;
	}
	answer_once(a, &a->call->response_id, json_get_str(body, "id"));
	answer_once(a, &a->call->response_model, json_get_str(body, "model"));
	answer_add(a, 0, LLM_TEXT, 0, json_get_str(body, "completion"));
	if (json_get_str(body, "stop_reason").n)
		answer_stop(a, 0, json_get_str(body, "stop_reason"));
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	if (!slice_eq(json_get_str(data, "type"), SLICE("ping")))
		response(a, data);
}

const struct llm_api anthropic_complete_api = {
    .name = "anthropic.complete",
    .provider = "anthropic",
    .operation = "text_completion",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
