/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cohere.h - what the rows of Cohere's APIs share, at Cohere and on Bedrock.
 */
#ifndef SPANTAP_LLM_COHERE_H
#define SPANTAP_LLM_COHERE_H

#include "llm/answer.h"
#include "llm/apis.h"

/* API_YES at Cohere itself; elsewhere a path like this is anyone's, and the body decides. */
enum api_fit cohere_fit(const struct api_target *t, struct slice end);

/* `usage` of v2, `meta` of v1: the tokens that were counted, else those that were billed. */
void cohere_usage(struct answer *a, yyjson_val *v);

/* How many there are in a list of vectors, or in an object with such a list for each encoding. */
int64_t cohere_embeddings(yyjson_val *v);

/* {"id","message"} with a status; v1 has no id. */
void cohere_error(struct answer *a, yyjson_val *body);

/* Sampling parameters have one name in all versions: p, k, … */
void cohere_parameters(struct llm_call *call, yyjson_val *body);

#endif
