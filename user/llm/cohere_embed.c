/* SPDX-License-Identifier: Apache-2.0 */
/* Cohere's embeddings, both versions, at Cohere and on Bedrock. */
#include "llm/call.h"
#include "llm/cohere.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_ends(t->path, SLICE("/v1/embed")) || slice_ends(t->path, SLICE("/v2/embed"))
	           ? cohere_fit(t, SLICE("/embed"))
	           : API_NO;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	static const char *const lists[] = {"texts", "images", "inputs"};
	yyjson_val *v;
	size_t i, n;

	for (size_t k = 0; k < sizeof(lists) / sizeof(*lists) && call->input_count == LLM_NONE; k++)
		if (yyjson_is_arr(json_get(body, lists[k])))
			call->input_count = (int64_t)yyjson_arr_size(json_get(body, lists[k]));
	call->request_model = json_get_str(body, "model");
	call->dimensions = json_get_int(body, "output_dimension");
	yyjson_arr_foreach(json_get(body, "embedding_types"), i, n, v)
	    call_encoding_format(call, json_str(v));
	return call->input_count != LLM_NONE && (json_get(body, "input_type") || call->request_model.n);
}

static void response(struct answer *a, yyjson_val *body)
{
	answer_once(a, &a->call->response_id, json_get_str(body, "id"));
	a->call->output_count = cohere_embeddings(json_get(body, "embeddings"));
	cohere_usage(a, json_get(body, "meta"));
	cohere_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api cohere_embed_api = {
    .name = "cohere.embed",
    .provider = "cohere",
    .operation = "embeddings",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
