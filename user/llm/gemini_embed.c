/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Embeddings of Google: embedContent and batchEmbedContents, and Vertex AI's
 * older predict, which is any model's method: its body decides.
 */
#include "llm/gemini.h"

static enum api_fit fit(const struct api_target *t)
{
	if (slice_ends(t->path, SLICE(":embedContent")) || slice_ends(t->path, SLICE(":batchEmbedContents")))
		return API_YES;
	return slice_ends(t->path, SLICE(":predict")) && slice_find(t->path, SLICE("/models/")) ? API_SHAPE
	                                                                                        : API_NO;
}

static int64_t dimensions(yyjson_val *v)
{
	int64_t n = json_int(gemini_get(v, "outputDimensionality"));

	return n != LLM_NONE
	           ? n
	           : json_int(gemini_get(gemini_get(v, "embedContentConfig"), "outputDimensionality"));
}

/* Text embeddings have content; image and video models of the same method have a prompt. */
static bool predict_request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *instances = json_get(body, "instances"), *v;
	size_t i, n;

	yyjson_arr_foreach(instances, i, n, v) if (!json_get(v, "content")) return false;
	call->input_count = (int64_t)yyjson_arr_size(instances);
	call->dimensions = dimensions(json_get(body, "parameters"));
	return call->input_count > 0;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *list = json_get(body, "requests");

	if (json_get(body, "instances"))
		return predict_request(call, body);
	call->input_count = list ? (int64_t)yyjson_arr_size(list) : 1;
	call->dimensions = dimensions(list ? yyjson_arr_get_first(list) : body);
	return list || json_get(body, "content");
}

/* predict: each prediction counts its own tokens. */
static void predictions(struct answer *a, yyjson_val *list)
{
	int64_t sum = LLM_NONE;
	yyjson_val *v;
	size_t i, n;

	yyjson_arr_foreach(list, i, n, v)
	{
		yyjson_val *statistics = json_get(json_get(v, "embeddings"), "statistics");
		int64_t tokens = LLM_NONE;

		answer_tokens(&tokens, json_int(gemini_get(statistics, "tokenCount")));
		if (tokens != LLM_NONE)
			sum = tokens + (sum == LLM_NONE ? 0 : sum);
	}
	a->call->output_count = (int64_t)yyjson_arr_size(list);
	answer_tokens(&a->call->usage.input, sum);
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *list = json_get(body, "embeddings"), *usage = gemini_get(body, "usageMetadata");

	if (yyjson_is_arr(json_get(body, "predictions")))
		predictions(a, json_get(body, "predictions"));
	else if (list || json_get(body, "embedding"))
		a->call->output_count = list ? (int64_t)yyjson_arr_size(list) : 1;
	answer_tokens(&a->call->usage.input, json_int(gemini_get(usage, "promptTokenCount")));
	gemini_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api gemini_embed_api = {
    .name = "gemini.embed",
    .provider = "gcp.gemini",
    .operation = "embeddings",
    .fit = fit,
    .request = request,
    .path = gemini_path,
    .response = response,
    .event = event,
};
