/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openai_items.h - the items of OpenAI responses, as messages.
 *
 * A request holds items: messages, calls and their outputs, reasoning, what the
 * provider ran.  Those of the model that follow each other make one message of
 * the assistant, as they did in the answer that they are taken from.
 */
#ifndef SPANTAP_LLM_OPENAI_ITEMS_H
#define SPANTAP_LLM_OPENAI_ITEMS_H

#include "llm/openai.h"

/* How an item that is no message, no reasoning and no output calls a tool. */
struct openai_call {
	struct slice id;     /* that its output names; the item's own where it has no other */
	struct slice name;   /* the function's, or the item's type */
	const char *content; /* its member that says what is asked; NULL: the whole item */
	bool is_call;
	bool is_server; /* the provider runs it */
};

/* Reads `item` as a call; is_call is false when it is none. */
struct openai_call openai_call_of(yyjson_val *item);
/* What is asked, as text. */
struct slice openai_call_text(struct llm_call *call, const struct openai_call *c, yyjson_val *item);

/* Text of reasoning: all parts of its summary, then of its content. */
void openai_reasoning(struct buf *out, yyjson_val *item);

/* "input" of a request: text, or a list of items. */
void openai_input(struct llm_call *call, yyjson_val *input);

/* Instructions, parameters, tools and input of a response that is asked for; what is absent stays as it is.
 */
void openai_response_request(struct llm_call *call, yyjson_val *body);

/* One event of a response, of the responses API and of realtime: openai_responses.c. */
void openai_response_event(struct answer *a, struct slice name, yyjson_val *data);
/* One message of a WebSocket that carries such events. */
struct api_message openai_response_message(bool from_client, yyjson_val *v);

#endif
