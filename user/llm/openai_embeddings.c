/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAI embeddings: texts or tokens in, vectors out.  The vectors are counted, not kept. */
#include "llm/openai.h"

static enum api_fit fit(const struct api_target *t)
{
	if (!slice_ends(t->path, SLICE("/embeddings")))
		return API_NO;
	return slice_ends(t->path, SLICE("/v1/embeddings")) || slice_find(t->path, SLICE("/deployments/"))
	           ? API_YES
	           : API_SHAPE;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *input = json_get(body, "input");

	if (!yyjson_is_obj(body) || !input)
		return false;
	call->request_model = json_get_str(body, "model");
	call->dimensions = json_get_int(body, "dimensions");
	if (call->dimensions == LLM_NONE)
		call->dimensions = json_get_int(body, "output_dimension"); /* Mistral */
	call_encoding_format(call, json_get_str(body, "encoding_format"));
	call->input_count = openai_input_count(input);
	openai_input_texts(call, input);
	return true;
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *data = json_get(body, "data"), *usage = json_get(body, "usage");

	openai_head(a, body);
	if (yyjson_is_arr(data))
		a->call->output_count = (int64_t)yyjson_arr_size(data);
	answer_tokens(&a->call->usage.input, json_get_int(usage, "prompt_tokens"));
	openai_failed(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api openai_embeddings_api = {
    .name = "openai.embeddings",
    .provider = "openai",
    .operation = "embeddings",
    .fit = fit,
    .request = request,
    .path = openai_path,
    .response = response,
    .event = event,
};
