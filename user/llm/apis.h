/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apis.h - which API an exchange speaks: one row an API, one file a row.
 *
 * A row says by the request's head whether it fits, reads the request's JSON
 * into the call, and reads the response (one JSON value, or event by event)
 * into the answer (answer.h).  Rows keep no state of their own.
 */
#ifndef SPANTAP_LLM_APIS_H
#define SPANTAP_LLM_APIS_H

#include "llm/answer.h"
#include "llm/json.h"
#include "llm/llm.h"

enum api_fit {
	API_NO,
	API_SHAPE, /* the path fits, but others use it too: the body decides */
	API_YES,
};

/* What the request's head says. */
struct api_target {
	struct slice host; /* without port; absent when unknown */
	struct slice path; /* without query */
	const struct http_headers *headers;
};

struct llm_api {
	const char *name;      /* llm_call.api */
	const char *provider;  /* for a host that is on no list: the flavour of the API */
	const char *operation; /* gen_ai.operation.name */

	enum api_fit (*fit)(const struct api_target *t);
	/* Whether the body has the shape of this API's requests. Its strings live as long as the call. */
	bool (*request)(struct llm_call *call, yyjson_val *body);
	/* What the path says where the body does not; also called when there is no body. */
	void (*path)(struct llm_call *call, struct slice path);
	/* A whole response body, also that of an error. Strings die with the document. */
	void (*response)(struct answer *a, yyjson_val *body);
	/* One event of a stream. */
	void (*event)(struct answer *a, struct slice event, yyjson_val *data);
};

extern const struct llm_api openai_chat_api;
extern const struct llm_api anthropic_messages_api;

/* The row that fits best, NULL for none. */
const struct llm_api *api_find(const struct api_target *t, enum api_fit *ret_fit);

/* gen_ai.provider.name by host; `flavour` when the host is not known. */
const char *api_provider(struct slice host, const char *flavour);

#endif
