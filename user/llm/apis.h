/* SPDX-License-Identifier: Apache-2.0 */
/*
 * apis.h - which API an exchange speaks: one row an API, one file a row.
 *
 * A row says by the request's head whether it fits, reads the request's JSON
 * into the call, and reads the response (one JSON value, or event by event)
 * into the answer (answer.h).  Rows keep no state of their own, and know
 * nothing of HTTP versions, framings (framing.h) and holes.
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
	struct slice method;
	struct slice host;  /* without port; absent when unknown */
	struct slice path;  /* without query */
	struct slice query; /* absent when there is none */
	const struct http_headers *headers;
};

/* What is known of a WebSocket session; the slices live as long as it does. */
struct api_session {
	struct arena arena;
	struct slice model;  /* that calls use which name none */
	struct buf settings; /* JSON that holds for all calls, as the row keeps it */
	struct buf items;    /* JSON that the next call answers to, likewise; emptied when a call begins */
};

#define API_SESSION_MAX (1u << 20) /* bytes of either; what would go beyond is not kept */

/* One WebSocket message, as a row reads it. */
struct api_message {
	enum {
		MESSAGE_OTHER,   /* says nothing about a call */
		MESSAGE_REQUEST, /* from the client: begins a call */
		MESSAGE_BEGIN,   /* from the server: an answer begins; goes to event() too */
		MESSAGE_EVENT,   /* from the server: goes to event() */
	} kind;
	yyjson_val *request; /* MESSAGE_REQUEST: for request() */
	struct slice
	    response; /* the id of the response that an event is part of; absent when it does not say */
};

struct llm_api {
	const char *name;      /* llm_call.api */
	const char *provider;  /* for a host that is on no list: the flavour of the API */
	const char *operation; /* gen_ai.operation.name; a word of ours where the conventions have none */

	bool any_method;   /* fit() looks at the method itself; else only POST comes to it */
	bool plain;        /* text and media are answers here, not only JSON */
	bool request_only; /* see llm_call.request_only */
	bool unasked;      /* WebSocket: the server also answers what it heard, without a request */

	enum api_fit (*fit)(const struct api_target *t);
	/*
	 * Whether a request with this body is of this API and hardly of another; asked
	 * where the path is not known (HTTP/2 joined late). NULL: its bodies do not tell.
	 */
	bool (*shape)(yyjson_val *body);
	/*
	 * Whether the body has the shape of this API's requests. Its strings live as
	 * long as the call. A multipart form comes as an object too (multipart.h).
	 */
	bool (*request)(struct llm_call *call, yyjson_val *body);
	/*
	 * The list (a key of pieces.c) of which request() reads each element into one message of call->input,
	 * by nothing but what stands in the element; NULL where it is otherwise.
	 */
	const char *messages;
	/* What the head says where the body does not; also called when there is no body. */
	void (*path)(struct llm_call *call, const struct api_target *t);
	/* A whole response body, also that of an error. Strings die with the document. */
	void (*response)(struct answer *a, yyjson_val *body);
	/*
	 * One value of a stream, whatever its framing; name: SSE's event, AWS's
	 * :event-type, absent when there is none.
	 */
	void (*event)(struct answer *a, struct slice name, yyjson_val *data);
	/* One event of a stream whose data is no JSON; may be NULL. */
	void (*text)(struct answer *a, struct slice name, struct slice data);
	/* One message of a WebSocket; NULL where the API has none. */
	struct api_message (*message)(struct api_session *s, bool from_client, yyjson_val *v);
	/* What the session says about a call that begins; may be NULL. */
	void (*context)(struct llm_call *call, const struct api_session *s);
};

extern const struct llm_api openai_chat_api;
extern const struct llm_api openai_responses_api;
extern const struct llm_api openai_realtime_api;
extern const struct llm_api openai_completions_api;
extern const struct llm_api openai_embeddings_api;
extern const struct llm_api openai_images_api;
extern const struct llm_api openai_audio_api;
extern const struct llm_api openai_moderations_api;
extern const struct llm_api mistral_ocr_api;
extern const struct llm_api anthropic_messages_api;
extern const struct llm_api anthropic_complete_api;
extern const struct llm_api anthropic_count_tokens_api;
extern const struct llm_api gemini_generate_api;
extern const struct llm_api gemini_embed_api;
extern const struct llm_api gemini_count_tokens_api;
extern const struct llm_api gemini_interactions_api;
extern const struct llm_api vertex_raw_predict_api;
extern const struct llm_api bedrock_converse_api;
extern const struct llm_api bedrock_invoke_api;
extern const struct llm_api bedrock_agent_api;
extern const struct llm_api bedrock_retrieve_api;
extern const struct llm_api cohere_chat_v1_api;
extern const struct llm_api cohere_chat_v2_api;
extern const struct llm_api cohere_generate_api;
extern const struct llm_api cohere_embed_api;
extern const struct llm_api rerank_api;
extern const struct llm_api ollama_chat_api;
extern const struct llm_api ollama_generate_api;
extern const struct llm_api ollama_embed_api;
extern const struct llm_api qdrant_api;
extern const struct llm_api chroma_api;
extern const struct llm_api pinecone_api;
extern const struct llm_api weaviate_api;
extern const struct llm_api mcp_api; /* speaks no LLM API: gives no call */

/* The row that fits best, NULL for none. socket: among those that have message(). */
const struct llm_api *api_find(const struct api_target *t, bool socket, enum api_fit *ret_fit);

/* The next row whose path fits, where the body has not the shape of those before; NULL for none. */
const struct llm_api *api_next(const struct api_target *t, const struct llm_api *after);

/* The row whose request this is by its body alone; NULL for none. */
const struct llm_api *api_by_shape(yyjson_val *body);

/* gen_ai.provider.name by host; `flavour` when the host is not known. */
const char *api_provider(struct slice host, const char *flavour);

/* The value of a query parameter or path part behind `before` up to `end`, as sent; absent when it is not
 * there. */
struct slice api_between(struct slice s, struct slice before, char end);

#endif
