/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - putting a call together.
 *
 * Slices given here must live in the call's arena already (a request's strings
 * do, see json_read_into()); what comes from elsewhere goes through
 * arena_dup() first.
 */
#ifndef SPANTAP_LLM_CALL_H
#define SPANTAP_LLM_CALL_H

#include "llm/llm.h"

#define CALL_MESSAGES_MAX 65536 /* of one list; further ones are dropped */
#define CALL_PARTS_MAX    16384 /* of one message */
#define CALL_TOOLS_MAX    4096
#define CALL_ERROR_MAX    1024 /* bytes of an error body that is no JSON */

/* Every number unknown. */
struct llm_call *call_new(void);

/* A new message, valid until the next one; NULL when the list is full. */
struct llm_message *call_message(struct llm_call *call, struct llm_messages *list, struct slice role);
void call_part(struct llm_call *call, struct llm_message *m, struct llm_part part);
/* As call_part() with nothing but text; empty text makes no part. */
void call_text(struct llm_call *call, struct llm_message *m, enum llm_part_kind kind, struct slice text);
void call_tool(struct llm_call *call, struct llm_tool_def tool);
void call_stop(struct llm_call *call, struct slice stop);
/* One of what was found; copies. */
void call_document(struct llm_call *call, struct slice id, double score, struct slice text);
void call_encoding_format(struct llm_call *call, struct slice format);
void call_chunk(struct llm_call *call, uint64_t ts); /* content came */
/*
 * A media part whose source is a URL: its text, unless it is a data: URL, of
 * which only the type (as name) and the length are kept.
 */
void call_media_url(struct llm_call *call, struct llm_message *m, struct slice modality, struct slice url);

/* Copies; the first error stays. Either may be absent. */
void call_error(struct llm_call *call, struct slice type, struct slice message);

#endif
