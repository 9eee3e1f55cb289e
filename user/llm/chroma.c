/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chroma: POST …/collections/ID/query, below /api/v1 or
 * /api/v2/tenants/T/databases/D.  Results come by field, each a list a query.
 */
#include "llm/path.h"
#include "llm/retrieval.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_find(t->path, SLICE("/api/v")) && slice_find(t->path, SLICE("/collections/")) &&
	               slice_ends(t->path, SLICE("/query"))
	           ? API_SHAPE
	           : API_NO;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *vectors = json_get(body, "query_embeddings"), *texts = json_get(body, "query_texts");
	yyjson_val *list = yyjson_is_arr(vectors) ? vectors : texts;

	call->input_count = (int64_t)yyjson_arr_size(list);
	call->top_k = json_get_num(body, "n_results");
	call->query = json_str(yyjson_arr_get_first(texts));
	return yyjson_is_arr(list);
}

static void from_path(struct llm_call *call, const struct api_target *t)
{
	call->data_source = path_after(&call->arena, t->path, SLICE("/collections/"), "/");
}

/* The nth list of a field: that of the nth query. */
static yyjson_val *nth(yyjson_val *body, const char *field, size_t n)
{
	return yyjson_arr_get(json_get(body, field), n);
}

static void response(struct answer *a, yyjson_val *body)
{
	struct slice type = json_get_str(body, "error"), message = json_get_str(body, "message");
	yyjson_val *ids = json_get(body, "ids"), *list, *id;
	size_t i, n, k, m;

	yyjson_arr_foreach(ids, i, n, list)
	{
		retrieval_count(a, list);
		yyjson_arr_foreach(list, k, m, id) call_document(
		    a->call, retrieval_id(id), json_num(yyjson_arr_get(nth(body, "distances", i), k)),
		    json_str(yyjson_arr_get(nth(body, "documents", i), k)));
	}
	if (a->call->status >= 400)
		call_error(a->call, type, message.n ? message : json_get_str(body, "detail"));
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api chroma_api = {
    .name = "chroma",
    .provider = "chroma",
    .operation = "retrieval",
    .fit = fit,
    .request = request,
    .path = from_path,
    .response = response,
    .event = event,
};
