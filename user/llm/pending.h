/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending.h - one call in work, and the memory that all of them hold.
 *
 * A pending is made when a request's head fits an API, becomes a call with
 * pending_begin() and is handed over by pending_end().  All are on one list,
 * so that memory can be shed where most is held.  Private to llm.c (HTTP),
 * socket.c (WebSocket), mcp.c and mcp_stdio.c (exchanges that are no call).
 */
#ifndef SPANTAP_LLM_PENDING_H
#define SPANTAP_LLM_PENDING_H

#include "llm/apis.h"
#include "llm/framing.h"
#include "llm/repeat.h"
#include "llm/request.h"

struct socket;
struct mcp_stdio;

struct pending {
	struct llm *llm;
	struct pending *prev, *next;
	struct exchange *x;
	const struct llm_api *api;
	enum api_fit fit;
	struct llm_call *call; /* NULL once it was handed over */
	bool begun;
	bool by_shape; /* the path is not known: the body says which API it is */

	struct buf request;
	bool request_ended, request_parsed, request_hole, request_cut;

	struct framing framing;
	uint64_t n_values; /* of a stream, that were JSON */
	struct buf response;
	struct answer answer;
	bool response_parsed, response_hole, response_cut;
	bool unfinished;        /* the body ended within a value */
	uint64_t response_last; /* when the latest byte of its body came */

	struct socket *socket; /* the exchange was asked to become a WebSocket; then `call` is NULL */
	struct mcp_stdio *stdio; /* the exchange is a connection of JSON-RPC lines; then `call` is NULL */
	const char *doubt;     /* a WebSocket's call: why it is not certain */

	size_t held; /* what it adds to llm_stats.body_bytes_held */
};

struct mcp;

struct llm {
	const struct llm_events *ev;
	void *ctx;
	struct llm_stats stats;
	struct pending *list;
	struct mcp *mcp;
	struct request_memory requests;
	struct repeats repeats;
};

/* The target of an exchange; the slices point into it. */
struct api_target pending_target(const struct exchange *x);

/* The agent's own session id by the request's head, absent when there is none; points into the exchange. */
struct slice pending_session(const struct exchange *x);

/* With a fresh call that says where it was made. */
struct pending *pending_new(struct llm *l, struct exchange *x, const struct llm_api *api);
/* The body is that of another row: a fresh call of that. Nothing of an answer may have been taken. */
void pending_retry(struct pending *p, const struct llm_api *api);
void pending_free(struct pending *p); /* and its call, unless that was handed over */

void pending_account(struct pending *p);
/* Accounts, and sheds content where too much is held in all. */
void pending_weigh(struct pending *p);

void pending_begin(struct pending *p);
/* One value of the answer. */
void pending_value(struct pending *p, uint64_t ts, struct slice name, yyjson_val *value);
/* The answer is complete, or will never be: `why` it is incomplete, NULL when it is not. */
void pending_end(struct pending *p, uint64_t ts, const char *why);

/* What an exchange that speaks MCP does instead of beginning and ending a call (mcp.c). */
void mcp_begin(struct pending *p);
void mcp_head(struct pending *p);
void mcp_end(struct pending *p, uint64_t ts, const char *why);
void mcp_drop(struct pending *p);
size_t mcp_held(const struct pending *p);

/* Why an HTTP exchange gives no complete call; NULL when it does (damage.c). */
const char *pending_damage(const struct pending *p);
const char *pending_lost(enum gap_cause cause, bool request);

#endif
