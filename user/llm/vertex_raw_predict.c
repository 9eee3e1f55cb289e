/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rawPredict and streamRawPredict of Vertex AI for publishers whose own API is
 * in OpenAI's shape (Mistral, AI21, …). Anthropic's models have their own row.
 */
#include "llm/gemini.h"

static enum api_fit fit(const struct api_target *t)
{
	bool raw =
	    slice_ends(t->path, SLICE(":rawPredict")) || slice_ends(t->path, SLICE(":streamRawPredict"));

	return raw && slice_find(t->path, SLICE("/publishers/")) &&
	               !slice_find(t->path, SLICE("/publishers/anthropic/"))
	           ? API_SHAPE
	           : API_NO;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	return openai_chat_api.request(call, body);
}

static void response(struct answer *a, yyjson_val *body)
{
	openai_chat_api.response(a, body);
	gemini_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	openai_chat_api.event(a, name, data);
}

const struct llm_api vertex_raw_predict_api = {
    .name = "vertex.raw_predict",
    .provider = "gcp.vertex_ai",
    .operation = "chat",
    .fit = fit,
    .request = request,
    .path = gemini_path,
    .response = response,
    .event = event,
};
