/* SPDX-License-Identifier: Apache-2.0 */
/* Qdrant: POST /collections/NAME/points/{search,query,recommend,discover}, also in batches and groups. */
#include "llm/path.h"
#include "llm/retrieval.h"

static enum api_fit fit(const struct api_target *t)
{
	static const char *const methods[] = {"/points/search", "/points/query", "/points/recommend",
	                                      "/points/discover"};

	if (!slice_find(t->path, SLICE("/collections/")))
		return API_NO;
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (slice_find(t->path, slice_str(methods[i])))
			return API_YES;
	return API_NO;
}

/* A query may be a text that the server embeds: {"text","model"}, alone or as what is near. */
static struct slice query_text(yyjson_val *v)
{
	yyjson_val *query = json_get(v, "query"), *nearest = json_get(query, "nearest");

	return json_get_str(nearest ? nearest : query, "text");
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *searches = json_get(body, "searches"), *first = yyjson_arr_get_first(searches);

	call->input_count = searches ? (int64_t)yyjson_arr_size(searches) : 1;
	call->top_k = json_get_num(first ? first : body, "limit");
	call->query = query_text(first ? first : body);
	return yyjson_is_obj(body);
}

static void from_path(struct llm_call *call, const struct api_target *t)
{
	call->data_source = path_after(&call->arena, t->path, SLICE("/collections/"), "/");
}

static void take_points(struct answer *a, yyjson_val *list)
{
	size_t i, n;
	yyjson_val *v;

	retrieval_count(a, list);
	yyjson_arr_foreach(list, i, n, v)
	    call_document(a->call, retrieval_id(json_get(v, "id")), json_get_num(v, "score"),
	                  retrieval_text(json_get(v, "payload")));
}

/* Points, {"points"}, {"groups"} of "hits", or a list of those. */
static void take_result(struct answer *a, yyjson_val *result)
{
	yyjson_val *groups = json_get(result, "groups"), *v;
	size_t i, n;

	yyjson_arr_foreach(groups, i, n, v) take_points(a, json_get(v, "hits"));
	if (yyjson_is_obj(result))
		take_points(a, json_get(result, "points"));
	else if (json_get(yyjson_arr_get_first(result), "id") || !yyjson_arr_size(result))
		take_points(a, result);
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *result = json_get(body, "result"), *first = yyjson_arr_get_first(result), *v;
	size_t i, n;

	if (yyjson_is_arr(first) || (yyjson_is_obj(first) && json_get(first, "points")))
		yyjson_arr_foreach(result, i, n, v) take_result(a, v);
	else
		take_result(a, result);
	call_error(a->call, (struct slice){0}, json_get_str(json_get(body, "status"), "error"));
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api qdrant_api = {
    .name = "qdrant",
    .provider = "qdrant",
    .operation = "retrieval",
    .fit = fit,
    .request = request,
    .path = from_path,
    .response = response,
    .event = event,
};
