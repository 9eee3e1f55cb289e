/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openai.h - what OpenAI's APIs, and those that imitate them, have in common.
 */
#ifndef SPANTAP_LLM_OPENAI_H
#define SPANTAP_LLM_OPENAI_H

#include "llm/apis.h"
#include "llm/call.h"

/* Azure names the model in the path: /openai/deployments/NAME/…; so did the first completions:
 * /engines/NAME/… */
void openai_path(struct llm_call *call, const struct api_target *t);

/*
 * {"error": {type, code, message}}, the error in pieces at the top level, or as
 * text under "error" or "detail" (FastAPI). The type comes first, then the code.
 */
void openai_error(struct answer *a, yyjson_val *body);
/* Takes the error of a whole response or of an event, if it is one; false when it is none. */
bool openai_failed(struct answer *a, yyjson_val *body);

/* id, model, service_tier, system_fingerprint: the first that is not empty stays. */
void openai_head(struct answer *a, yyjson_val *body);

/*
 * Usage under the names of chat completions and of responses, Mistral's,
 * DeepSeek's, and OpenRouter's cost, Groq's times, and the details of all; what
 * is not there stays as it is.
 */
void openai_usage(struct llm_call *call, yyjson_val *usage);

struct slice openai_arguments(struct llm_call *call, yyjson_val *v); /* text as it is, other JSON as text */
void openai_tool_def(struct llm_call *call, struct slice type, yyjson_val *function);
/* {"type": "json_schema"} and its like as a word of the conventions; absent stays absent. */
struct slice openai_output_type(yyjson_val *format);

/* How many inputs: one for a text and for a list of tokens, else the list's length. LLM_NONE for none. */
int64_t openai_input_count(yyjson_val *input);

/* The inputs of APIs that take texts, as messages of the user. */
void openai_input_texts(struct llm_call *call, yyjson_val *input);

#endif
