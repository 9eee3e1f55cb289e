/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ollama.h - what the rows of Ollama's own API share (it also speaks OpenAI's).
 *
 * Answers stream unless the request says "stream": false: one JSON object a
 * line, the last with done, the reason, the counts and the durations in ns.
 */
#ifndef SPANTAP_LLM_OLLAMA_H
#define SPANTAP_LLM_OLLAMA_H

#include "llm/answer.h"
#include "llm/apis.h"

/* API_YES for Ollama's hosts and clients; else the body decides: many paths end like these. */
enum api_fit ollama_fit(const struct api_target *t, struct slice end);

/* Model, stream, options and format. */
void ollama_parameters(struct llm_call *call, yyjson_val *body);

/* The counts and durations of the last object, its reason, errors. */
void ollama_end(struct answer *a, yyjson_val *body);

#endif
