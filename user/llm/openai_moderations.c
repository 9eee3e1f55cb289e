/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAI moderations: inputs are judged; each result says flagged or not, as text. */
#include "llm/openai.h"

static enum api_fit fit(const struct api_target *t)
{
	if (!slice_ends(t->path, SLICE("/moderations")))
		return API_NO;
	return slice_ends(t->path, SLICE("/v1/moderations")) ? API_YES : API_SHAPE;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *input = json_get(body, "input");

	if (!yyjson_is_obj(body) || !input)
		return false;
	call->request_model = json_get_str(body, "model");
	call->input_count = openai_input_count(input);
	openai_input_texts(call, input);
	return true;
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *results = json_get(body, "results"), *result;
	size_t i, n;

	openai_head(a, body);
	if (yyjson_is_arr(results))
		a->call->output_count = (int64_t)yyjson_arr_size(results);
	yyjson_arr_foreach(results, i, n, result)
	    answer_add(a, 0, LLM_TEXT, (int64_t)i,
	               yyjson_is_true(json_get(result, "flagged")) ? SLICE("flagged") : SLICE("not flagged"));
	openai_failed(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api openai_moderations_api = {
    .name = "openai.moderations",
    .provider = "openai",
    .operation = "moderation",
    .request_only = true,
    .fit = fit,
    .request = request,
    .path = openai_path,
    .response = response,
    .event = event,
};
