/* SPDX-License-Identifier: Apache-2.0 */
/* Retrieve of Amazon Bedrock's knowledge bases: POST /knowledgebases/ID/retrieve. */
#include "llm/bedrock.h"
#include "llm/path.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_find(t->path, SLICE("/knowledgebases/")) && slice_ends(t->path, SLICE("/retrieve"))
	           ? API_YES
	           : API_NO;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *query = json_get(body, "retrievalQuery");
	yyjson_val *search = json_get(json_get(body, "retrievalConfiguration"), "vectorSearchConfiguration");

	call->query = json_get_str(query, "text");
	call->top_k = json_get_num(search, "numberOfResults");
	return query != NULL;
}

static void from_path(struct llm_call *call, const struct api_target *t)
{
	call->data_source = path_after(&call->arena, t->path, SLICE("/knowledgebases/"), "/");
}

/* Where a document lies is an object of one field beside "type": what is a URI in it, or an id. */
static struct slice location(yyjson_val *v)
{
	yyjson_val *key, *value;
	struct slice found = {0};
	size_t i, n;

	if (!v)
		return found;
	yyjson_obj_foreach(v, i, n, key, value)
	{
		struct slice uri = json_get_str(value, "uri"), url = json_get_str(value, "url");
		struct slice id = json_get_str(value, "id");

		if (!found.n)
			found = uri.n ? uri : url.n ? url : id;
	}
	return found;
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *list = json_get(body, "retrievalResults"), *v;
	size_t i, n;

	if (yyjson_is_arr(list))
		a->call->output_count = (int64_t)yyjson_arr_size(list);
	yyjson_arr_foreach(list, i, n, v)
	    call_document(a->call, location(json_get(v, "location")), json_get_num(v, "score"),
	                  json_get_str(json_get(v, "content"), "text"));
	bedrock_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api bedrock_retrieve_api = {
    .name = "bedrock.retrieve",
    .provider = "aws.bedrock",
    .operation = "retrieval",
    .fit = fit,
    .request = request,
    .path = from_path,
    .response = response,
    .event = event,
};
