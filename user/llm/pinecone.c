/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinecone: POST /query by vector or id, /records/namespaces/NS/search by text
 * or vector.  The index is the host: NAME-PROJECT.svc.ENVIRONMENT.pinecone.io.
 */
#include "llm/retrieval.h"

static const struct slice domain = {".pinecone.io", 12};

static enum api_fit fit(const struct api_target *t)
{
	bool records =
	    slice_starts(t->path, SLICE("/records/namespaces/")) && slice_ends(t->path, SLICE("/search"));

	if (!records && !slice_eq(t->path, SLICE("/query")))
		return API_NO;
	return slice_ends(t->host, domain) ? API_YES : API_SHAPE;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *query = json_get(body, "query"), *inputs = json_get(query, "inputs");

	call->top_k = json_get_num(body, "topK");
	if (query) {
		call->top_k = json_get_num(query, "top_k");
		call->query = json_get_str(inputs, "text");
		return inputs || json_get(query, "vector") || json_get(query, "id");
	}
	return !isnan(call->top_k) &&
	       (json_get(body, "vector") || json_get(body, "id") || json_get(body, "sparseVector"));
}

static void from_path(struct llm_call *call, const struct api_target *t)
{
	struct slice label = t->host, rest = t->host;

	if (!slice_ends(t->host, domain))
		return;
	slice_cut(&rest, '.', &label);
	for (size_t i = label.n; i-- > 1;)
		if (label.p[i] == '-') {
			label.n = i;
			break;
		}
	call->data_source = arena_dup(&call->arena, label);
}

static void take_error(struct answer *a, yyjson_val *body)
{
	yyjson_val *error = json_get(body, "error"), *code = json_get(body, "code");

	if (yyjson_is_obj(error))
		call_error(a->call, json_get_str(error, "code"), json_get_str(error, "message"));
	else if (a->call->status >= 400)
		call_error(a->call, retrieval_id(code), json_get_str(body, "message"));
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *matches = json_get(body, "matches"), *hits = json_get(json_get(body, "result"), "hits"),
	           *v;
	size_t i, n;

	retrieval_count(a, matches ? matches : hits);
	yyjson_arr_foreach(matches, i, n, v)
	    call_document(a->call, retrieval_id(json_get(v, "id")), json_get_num(v, "score"),
	                  retrieval_text(json_get(v, "metadata")));
	yyjson_arr_foreach(hits, i, n, v)
	    call_document(a->call, retrieval_id(json_get(v, "_id")), json_get_num(v, "_score"),
	                  retrieval_text(json_get(v, "fields")));
	take_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api pinecone_api = {
    .name = "pinecone",
    .provider = "pinecone",
    .operation = "retrieval",
    .fit = fit,
    .request = request,
    .path = from_path,
    .response = response,
    .event = event,
};
