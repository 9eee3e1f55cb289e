/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAI completions: a prompt is continued.  The API before chat, kept by many
 * servers of open models; and fill-in-the-middle (Mistral's fim, a suffix).
 */
#include "llm/openai.h"

static enum api_fit fit(const struct api_target *t)
{
	if (slice_ends(t->path, SLICE("/chat/completions")) || !slice_ends(t->path, SLICE("/completions")))
		return API_NO;
	return slice_ends(t->path, SLICE("/v1/completions")) ||
	               slice_ends(t->path, SLICE("/fim/completions")) ||
	               slice_find(t->path, SLICE("/deployments/"))
	           ? API_YES
	           : API_SHAPE;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *stop = json_get(body, "stop"), *prompt = json_get(body, "prompt"), *v;
	size_t i, n;

	if (!yyjson_is_obj(body) || (!prompt && !json_get(body, "model")))
		return false;
	call->request_model = json_get_str(body, "model");
	call->stream = yyjson_is_true(json_get(body, "stream"));
	call->max_tokens = json_get_int(body, "max_tokens");
	call->choice_count = json_get_int(body, "n");
	call->seed = json_get_int(body, "seed");
	call->temperature = json_get_num(body, "temperature");
	call->top_p = json_get_num(body, "top_p");
	call->top_k = json_get_num(body, "top_k");
	call->frequency_penalty = json_get_num(body, "frequency_penalty");
	call->presence_penalty = json_get_num(body, "presence_penalty");
	call->input_count = openai_input_count(prompt);
	call_stop(call, json_str(stop));
	yyjson_arr_foreach(stop, i, n, v) call_stop(call, json_str(v));
	openai_input_texts(call, prompt);
	return true;
}

static void take_choice(struct answer *a, int64_t index, yyjson_val *choice)
{
	yyjson_val *text = json_get(choice, "text"), *delta = json_get(choice, "delta");

	/* Mistral's fim answers as chat does, Together in both ways at once. */
	if (!text)
		text = json_get(delta ? delta : json_get(choice, "message"), "content");
	answer_add(a, index, LLM_TEXT, 0, json_str(text));
	answer_stop(a, index, json_get_str(choice, "finish_reason"));
}

static void response(struct answer *a, yyjson_val *body)
{
	size_t i, n;
	yyjson_val *choice;

	openai_head(a, body);
	yyjson_arr_foreach(json_get(body, "choices"), i, n, choice)
	{
		int64_t index = json_get_int(choice, "index");

		take_choice(a, index == LLM_NONE ? (int64_t)i : index, choice);
	}
	openai_usage(a->call, json_get(body, "usage"));
	openai_failed(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api openai_completions_api = {
    .name = "openai.completions",
    .provider = "openai",
    .operation = "text_completion",
    .fit = fit,
    .request = request,
    .path = openai_path,
    .response = response,
    .event = event,
};
