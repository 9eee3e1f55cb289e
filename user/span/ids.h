/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ids.h - the names of spans and traces.
 *
 * An id is the head of a SHA-256 over what identifies the thing on the
 * machine, never over what it says: ids are the same in every replay and
 * disclose nothing.  The rules stand in span.h.
 */
#ifndef SPANTAP_IDS_H
#define SPANTAP_IDS_H

#include "span/span.h"

struct span_id {
	uint8_t b[8];
};

struct trace_id {
	uint8_t b[16];
};

/* Of what was said: keyed, for comparing only, never an id (conversation.h). */
struct link {
	uint8_t b[16];
};

struct span_id id_chat(const uint8_t instance[16], const struct llm_call *call);
/* ts: of the exec; a process executes one program at a time, and who begins late has not counted them. */
struct span_id id_process(const uint8_t instance[16], const struct ev_proc *proc, uint64_t ts);
struct mcp_request;
struct span_id id_mcp(const uint8_t instance[16], const struct mcp_request *m);
struct http_request;
struct span_id id_http(const uint8_t instance[16], const struct http_request *r);
struct span_id id_tool(const struct span_id *chat, uint64_t index);
struct span_id id_turn(const struct span_id *first_chat);
struct span_id id_conversation(const struct span_id *first_chat);
bool id_none(struct span_id id);
bool id_eq(struct span_id a, struct span_id b);
struct trace_id id_trace(const struct span_id *first_chat);

#endif
