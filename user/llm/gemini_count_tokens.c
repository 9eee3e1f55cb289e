/* SPDX-License-Identifier: Apache-2.0 */
/* Gemini's countTokens, also on Vertex AI: the count is the whole answer. */
#include "llm/gemini.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_ends(t->path, SLICE(":countTokens")) ? API_YES : API_NO;
}

/* The contents, or a whole request for generateContent. */
static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *inner = gemini_get(body, "generateContentRequest");
	yyjson_val *contents = json_get(inner ? inner : body, "contents");

	if (yyjson_is_arr(contents))
		call->input_count = (int64_t)yyjson_arr_size(contents);
	return contents || json_get(body, "instances");
}

static void response(struct answer *a, yyjson_val *body)
{
	answer_tokens(&a->call->output_count, json_int(gemini_get(body, "totalTokens")));
	gemini_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api gemini_count_tokens_api = {
    .name = "gemini.count_tokens",
    .provider = "gcp.gemini",
    .operation = "count_tokens",
    .request_only = true,
    .fit = fit,
    .request = request,
    .path = gemini_path,
    .response = response,
    .event = event,
};
