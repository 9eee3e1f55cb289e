/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weaviate's GraphQL: { Get { Class(nearText: {concepts: ["a"]}, limit: 2) … } }.
 * Only searches count: a Get without one lists objects.  Newer clients search
 * over gRPC, which is not seen here.
 */
#include <ctype.h>
#include <stdlib.h>

#include "llm/retrieval.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_ends(t->path, SLICE("/v1/graphql")) ? API_SHAPE : API_NO;
}

/* ---- the query's text ---- */

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* What stands behind a word, blanks and any of `skip` passed over; absent when the word is not there. */
static struct slice behind(struct slice s, const char *word, const char *skip)
{
	struct slice w = slice_str(word);

	for (const char *p; (p = slice_find(s, w));) {
		bool whole = p == s.p || !is_name(p[-1]);

		s = slice_from(s, (size_t)(p - s.p) + w.n);
		if (!whole || (s.n && is_name(s.p[0])))
			continue;
		while (s.n && (isspace((unsigned char)s.p[0]) || strchr(skip, s.p[0])))
			s = slice_from(s, 1);
		return s;
	}
	return (struct slice){0};
}

static struct slice name_at(struct slice s)
{
	size_t n = 0;

	while (n < s.n && is_name(s.p[n]))
		n++;
	return n ? slice_of(s.p, n) : (struct slice){0};
}

/* A string literal, as it is written. */
static struct slice string_at(struct slice s)
{
	size_t n = 1;

	if (!s.n || s.p[0] != '"')
		return (struct slice){0};
	while (n < s.n && s.p[n] != '"')
		n += s.p[n] == '\\' ? 2 : 1;
	return n < s.n ? slice_of(s.p + 1, n - 1) : (struct slice){0};
}

static bool is_search(struct slice text)
{
	static const char *const words[] = {"nearText",  "nearVector", "nearObject", "nearImage", "nearAudio",
	                                    "nearVideo", "bm25",       "hybrid",     "ask"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (behind(text, words[i], "").p)
			return true;
	return false;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	struct slice text = json_get_str(body, "query"), get = behind(text, "Get", "{");
	struct slice asked = string_at(behind(text, "concepts", ":["));
	uint64_t limit;

	if (!get.p || !is_search(get))
		return false;
	if (!asked.p)
		asked = string_at(behind(get, "query", ":"));
	if (!asked.p)
		asked = string_at(behind(get, "question", ":"));
	call->data_source = name_at(get);
	call->query = asked;
	if (slice_u64(name_at(behind(get, "limit", ":")), &limit) && limit <= INT32_MAX)
		call->top_k = (double)limit;
	return true;
}

/* ---- response ---- */

/* Of a document: score of bm25 and hybrid (a string), else certainty, else distance. */
static double score_of(yyjson_val *more)
{
	struct slice text = json_get_str(more, "score");
	char number[32];

	if (text.n && text.n < sizeof(number)) {
		memcpy(number, text.p, text.n);
		number[text.n] = 0;
		return strtod(number, NULL);
	}
	return json_num(json_get(more, json_get(more, "certainty") ? "certainty" : "distance"));
}

static void take_class(struct answer *a, yyjson_val *list)
{
	size_t i, n;
	yyjson_val *v;

	retrieval_count(a, list);
	yyjson_arr_foreach(list, i, n, v)
	{
		yyjson_val *more = json_get(v, "_additional");

		call_document(a->call, retrieval_id(json_get(more, "id")), score_of(more), retrieval_text(v));
	}
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *classes = json_get(json_get(body, "data"), "Get"), *key, *list;
	yyjson_val *error = yyjson_arr_get_first(json_get(body, "errors"));
	yyjson_val *other = yyjson_arr_get_first(json_get(body, "error"));
	size_t i, n;

	if (classes)
		yyjson_obj_foreach(classes, i, n, key, list) take_class(a, list);
	call_error(a->call, (struct slice){0}, json_get_str(error ? error : other, "message"));
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api weaviate_api = {
    .name = "weaviate",
    .provider = "weaviate",
    .operation = "retrieval",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
