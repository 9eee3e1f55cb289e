/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bedrock.h - what the rows of Amazon Bedrock's runtime share.
 *
 * POST /model/MODEL/METHOD, where MODEL is an id or the ARN of an inference
 * profile, percent-encoded.  An error is {"message"} with its type in the
 * header x-amzn-errortype ("ValidationException:http://…"), tokens are counted
 * in headers too, and streams are AWS event streams.
 */
#ifndef SPANTAP_LLM_BEDROCK_H
#define SPANTAP_LLM_BEDROCK_H

#include "llm/answer.h"
#include "llm/apis.h"
#include "llm/call.h"

bool bedrock_method(const struct api_target *t, struct slice method);
void bedrock_path(struct llm_call *call, const struct api_target *t);

/* The error that a body is, if it is one. */
void bedrock_error(struct answer *a, yyjson_val *body);

/* inputTokens and its like: cached tokens are not in them. Also Nova's spelling. */
/* {"latencyMs"} */
void bedrock_latency(struct answer *a, yyjson_val *metrics);
void bedrock_usage(struct answer *a, yyjson_val *v);

/*
 * x-amzn-bedrock-*-token-count of the response, and the metrics that end an
 * invoke stream: for what the body left open.
 */
void bedrock_counts(struct answer *a, yyjson_val *metrics);

#endif
