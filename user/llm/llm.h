/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llm.h - HTTP exchanges in, LLM calls out.
 *
 * Which API an exchange speaks is decided by the rows of the table in apis.c:
 * by path, host and the shape of the body, never by the host alone (gateways
 * and OpenAI-compatible servers use any host).  Bodies are collected, bounded,
 * and parsed once when complete; streams are decoded value by value (framing.h).
 *
 * Unknown is never 0: numbers that the wire did not carry are LLM_NONE / NAN /
 * absent slices.
 */
#ifndef SPANTAP_LLM_H
#define SPANTAP_LLM_H

#include <math.h>

#include "base/buf.h"
#include "llm/pieces.h"
#include "proto/proto.h"

#define LLM_NONE (-1) /* an integer that was not given */

#define LLM_BODY_MAX  (64u << 20)  /* of one body; beyond it the call is marked cut */
#define LLM_TOTAL_MAX (512u << 20) /* of all unfinished bodies; then the largest is cut first */

#define LLM_CHUNKS_MAX 4096 /* times kept of one stream: 32 KiB, a few minutes of it */

enum llm_part_kind {
	LLM_TEXT,
	LLM_REASONING,
	LLM_TOOL_CALL,   /* id, name, text = arguments: the exact JSON text as sent */
	LLM_TOOL_RESULT, /* id, text = the result: its text, or JSON when it is structured */
	LLM_MEDIA, /* name = modality or mime type, text = uri or id; inline data is given by length only */
	LLM_OTHER, /* name = the provider's type, text = raw JSON; "refusal": its text */
};

struct llm_part {
	enum llm_part_kind kind;
	struct slice id, name, text;
	bool is_error;  /* LLM_TOOL_RESULT: the client says the tool failed */
	bool is_server; /* LLM_TOOL_CALL/RESULT: run by the provider, not by the agent */
	uint64_t bytes; /* LLM_MEDIA: length of inline data as sent; 0 for a reference */
};

struct llm_message {
	struct slice role; /* system developer user assistant tool */
	struct llm_part *parts;
	size_t n_parts;
	struct slice finish_reason; /* output messages: as the provider says it */
	struct keyed_hash id;       /* within the run: messages of one id are equal; all zero: it has none */
};

struct llm_messages {
	struct llm_message *v;
	size_t n;
};

struct llm_tool_def {
	struct slice type, name, description;
	struct slice parameters; /* JSON schema, raw */
};

/* LLM_NONE where not reported. Normalised: input includes cached tokens, output includes reasoning. */
struct llm_usage {
	int64_t input, output, cache_read, cache_creation, reasoning;
};

/* What usage consists of, and what else is counted with it, where the provider says so. */
enum llm_detail {
	LLM_TEXT_INPUT, /* tokens by modality: parts of input and output */
	LLM_IMAGE_INPUT,
	LLM_AUDIO_INPUT,
	LLM_VIDEO_INPUT,
	LLM_TEXT_OUTPUT,
	LLM_IMAGE_OUTPUT,
	LLM_AUDIO_OUTPUT,
	LLM_TOOL_INPUT,          /* tokens that the provider's own tools put in; not in input (Gemini) */
	LLM_CACHE_CREATION_1H,   /* tokens of cache_creation that are kept for an hour (Anthropic) */
	LLM_PREDICTION_ACCEPTED, /* tokens of output that the request predicted (OpenAI) */
	LLM_PREDICTION_REJECTED,
	LLM_WEB_SEARCHES, /* requests made by the provider's tools */
	LLM_WEB_FETCHES,
	LLM_SERVER_TOOLS,
	LLM_DETAILS
};

/* One of what a retrieval or a reranking found, best first. */
struct llm_document {
	struct slice id;   /* of a reranking: the document's place in the request */
	double score;      /* as the provider says it (some give distances); NAN: not said */
	struct slice text; /* absent when it was not given */
};

/* ns as the server measured them (Ollama, Groq, Bedrock, OpenAI); LLM_NONE where it says nothing. */
struct llm_server_time {
	int64_t total, load, input,
	    output;    /* load: of the model; input, output: reading and writing tokens */
	int64_t queue; /* before it began */
};

enum llm_state {
	LLM_COMPLETE = 0,
	LLM_INCOMPLETE, /* bytes are missing, or the stream ended early; why_incomplete says it */
};

struct llm_call {
	/* where */
	struct conn_info conn; /* a copy */
	bool is_server;        /* the traced process answers (gateway, local model) */
	uint32_t stream_id;
	struct slice protocol;       /* "http/1.1", "http/1.0", "h2": static text; absent when not known */
	uint64_t request_offset;     /* of the exchange; of a WebSocket's nth call, n more */
	struct slice server_address; /* without port */
	int64_t server_port;         /* LLM_NONE: not known */
	struct slice user_agent;
	struct slice traceparent; /* W3C trace context of an instrumented client; absent when none */
	struct slice session_key; /* an agent's own session id from header or body; absent when none */

	/* what was asked, as it was sent */
	struct slice method, target; /* absent when the head was not seen; a path with its query */
	const char *scheme;          /* https, http; ws and wss are these too */
	struct http_headers request_headers;
	struct buf body; /* decoded; empty when it was cut or is damaged, memory was short, or begin() released it */
	bool body_is_json;
	struct pieces pieces; /* of `body`, when it is JSON */

	/* what was asked */
	const char *api;       /* row name in apis.c, e.g. "openai.chat" */
	const char *provider;  /* gen_ai.provider.name */
	const char *operation; /* gen_ai.operation.name */
	struct slice request_model;
	bool stream; /* asked for a stream */
	int64_t max_tokens, choice_count, seed;
	double temperature, top_p, top_k, frequency_penalty, presence_penalty; /* NAN: not given */
	struct slice *stop_sequences;
	size_t n_stop_sequences;
	struct slice output_type;               /* text, json, …; absent when not given */
	struct slice reasoning_effort;          /* as asked: low, high, …; absent when not given */
	int64_t reasoning_budget;               /* tokens, as asked */
	struct slice prompt_id, prompt_version; /* of a prompt that the provider keeps */
	struct slice guardrail;                 /* Bedrock: that is asked to look at it */
	struct slice agent_id;                  /* of an agent that the provider runs */
	struct slice previous_response_id;      /* the response that this one continues */
	struct slice conversation_id;           /* of a conversation that the provider keeps */
	bool warm_up;                           /* asked to prepare, not to answer */
	int64_t dimensions;                     /* embeddings: asked for */
	struct slice *encoding_formats;         /* embeddings */
	size_t n_encoding_formats;
	int64_t input_count;      /* embeddings, moderations, …: how many inputs */
	struct slice query;       /* retrieval, reranking: its text */
	struct slice data_source; /* retrieval: the collection, index or knowledge base */
	struct slice request_service_tier;
	struct llm_messages system; /* instructions given apart from the conversation (Anthropic) */
	struct llm_messages input;
	struct llm_tool_def *tools;
	size_t n_tools;

	/* what came back */
	struct llm_messages output; /* one message a choice */
	struct slice response_id, response_model, request_id, service_tier, system_fingerprint;
	struct slice *finish_reasons; /* as the provider says them, one a choice */
	size_t n_finish_reasons;
	struct llm_usage usage;
	int64_t details[LLM_DETAILS]; /* LLM_NONE where not reported */
	struct slice response_status; /* of a response that is an object with a life: queued, completed, … */
	struct slice response_conversation; /* the conversation it became part of */
	int64_t output_count;           /* embeddings, images: how many came; LLM_NONE for other answers */
	struct llm_document *documents; /* of a retrieval or a reranking */
	size_t n_documents;
	struct llm_server_time server_time;
	double cost;         /* as the provider says it, in its own unit; NAN: not said */
	const char *framing; /* of a streamed answer: sse, ndjson, json_array, aws_eventstream, websocket */
	/*
	 * The answer is none of tokens (speech, an image, a count), or is not read:
	 * what was asked, the status and what usage says are known, no more.
	 */
	bool request_only;
	uint16_t status;
	struct slice error_type, error_message; /* absent when the call succeeded */

	/* when (boot ns, 0: not reached) */
	uint64_t request_start, request_end, response_start, response_head;
	uint64_t first_token; /* first content (text, reasoning, tool call) of a stream */
	uint64_t end;
	uint64_t n_chunks;  /* stream events that carried content */
	uint64_t *chunk_at; /* when the first LLM_CHUNKS_MAX of them came */
	size_t n_chunk_at;

	/* how sure */
	enum llm_state state;
	uint64_t lost_bytes;
	unsigned damage;                        /* enum exchange_damage */
	const char *why_incomplete;             /* static text, NULL when complete */
	uint64_t request_bytes, response_bytes; /* decoded body sizes; of a stream up to its last event */
	struct slice request_sha256; /* 64 hex digits of the decoded request body; absent when cut */

	struct arena arena;         /* owns everything above but `body` and messages of other calls */
	struct repeated **repeated; /* messages of other calls in `input` (repeat.h), NULL among them */
	size_t n_repeated;
	void *user; /* downstream's */
};

void llm_call_free(struct llm_call *call); /* accepts NULL */

/* The gap between two content chunks that `percent` of the gaps do not exceed; false when there is none. */
bool llm_chunk_gap(const struct llm_call *call, unsigned percent, uint64_t *ret_ns);

/*
 * An exchange gives one call; one that was upgraded to WebSocket gives one for
 * each request message.
 *
 * begin(): the request is complete and parsed; `call` stays ours. end(): the
 * call is final; ownership passes to the receiver, who frees it.  end() comes
 * exactly once for each begin(): with the last event of a stream ("[DONE]",
 * message_stop), which may be long before the HTTP message ends, else with the
 * end of the exchange.  An exchange that turns out to be no LLM call gives
 * neither.
 */
struct mcp_request;
struct http_request;

struct llm_events {
	void (*begin)(void *ctx, struct llm_call *call);
	void (*end)(void *ctx, struct llm_call *call);
	/* An MCP request and its answer (mcp.h), valid during the call. NULL: they are not looked for. */
	void (*mcp)(void *ctx, const struct mcp_request *m);
	/* A request that was no call (http.h), valid during the call. NULL: they are not looked for. */
	void (*http)(void *ctx, const struct http_request *r);
};

struct llm;

struct llm_stats {
	uint64_t calls, incomplete, other_exchanges;
	uint64_t mcp_requests;
	uint64_t grpc, batches; /* passed over (unread.h); among the other exchanges */
	uint64_t body_bytes_held; /* unfinished bodies and what was parsed of calls in work */
};

struct llm *llm_new(const struct llm_events *ev, void *ctx);
/* To be passed to proto_open() with the struct llm as context. */
extern const struct proto_events llm_proto_events;
const struct llm_stats *llm_stats(const struct llm *l);
/* Calls still open end first, incomplete: close the connections before. */
void llm_free(struct llm *l);

/* "text_input" …: the words of the text form. */
const char *llm_detail_name(enum llm_detail d);

/* The text form of a call: the golden format of this seam. Details that are 0 are left out. */
void llm_call_print(struct buf *out, const struct llm_call *call);

#endif
