/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rerankers: a query and documents in, the documents' scores out.  Cohere's
 * shape, which Jina, Voyage, vLLM and Bedrock's Cohere models share; a result
 * names a document by its place in the request.
 */
#include "llm/call.h"
#include "llm/cohere.h"

static enum api_fit fit(const struct api_target *t)
{
	return cohere_fit(t, SLICE("/rerank"));
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *documents = json_get(body, "documents"), *top = json_get(body, "top_n");

	call->request_model = json_get_str(body, "model");
	call->query = json_get_str(body, "query");
	call->top_k = json_num(top ? top : json_get(body, "top_k"));
	if (yyjson_is_arr(documents))
		call->input_count = (int64_t)yyjson_arr_size(documents);
	return call->query.p && yyjson_is_arr(documents);
}

static struct slice document_text(yyjson_val *v)
{
	yyjson_val *document = json_get(v, "document");

	return yyjson_is_str(document) ? json_str(document) : json_get_str(document, "text");
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *results = json_get(body, "results"), *usage = json_get(body, "usage"), *v;
	yyjson_val *list = results ? results : json_get(body, "data");
	size_t i, n;

	answer_once(a, &a->call->response_id, json_get_str(body, "id"));
	answer_once(a, &a->call->response_model, json_get_str(body, "model"));
	if (yyjson_is_arr(list))
		a->call->output_count = (int64_t)yyjson_arr_size(list);
	yyjson_arr_foreach(list, i, n, v)
	{
		yyjson_val *index = json_get(v, "index");
		struct slice id = slice_of(yyjson_get_raw(index), yyjson_get_len(index));

		call_document(a->call, yyjson_is_raw(index) ? id : (struct slice){0},
		              json_get_num(v, "relevance_score"), document_text(v));
	}
	cohere_usage(a, json_get(body, "meta"));
	answer_tokens(&a->call->usage.input, json_get_int(usage, "total_tokens"));
	cohere_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api rerank_api = {
    .name = "rerank",
    .provider = "cohere",
    .operation = "rerank",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
