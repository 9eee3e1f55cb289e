/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retrieval.h - what the rows of vector stores share.
 *
 * A search over HTTP is a call of its own kind (gen_ai.operation.name
 * "retrieval"): a collection, a number of results, seldom a text (most clients
 * embed it themselves and send the vector), and documents with scores.  What
 * only writes to a store is not reported.
 */
#ifndef SPANTAP_LLM_RETRIEVAL_H
#define SPANTAP_LLM_RETRIEVAL_H

#include "llm/answer.h"
#include "llm/apis.h"
#include "llm/call.h"

/* Ids are strings or numbers. */
struct slice retrieval_id(yyjson_val *v);

/* The text among the fields that are stored with a vector, under the names that frameworks give it. */
struct slice retrieval_text(yyjson_val *fields);

/* How many results there are; a list that is missing leaves the count unknown. */
void retrieval_count(struct answer *a, yyjson_val *list);

#endif
