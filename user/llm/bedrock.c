/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/bedrock.h"
#include "llm/path.h"

bool bedrock_method(const struct api_target *t, struct slice method)
{
	return slice_find(t->path, SLICE("/model/")) && slice_ends(t->path, method);
}

void bedrock_path(struct llm_call *call, const struct api_target *t)
{
	call->stream = slice_ends(t->path, SLICE("-stream"));
	call->request_model = path_after(&call->arena, t->path, SLICE("/model/"), "/");
	if (!call->guardrail.n) /* InvokeModel has it in a header */
		call->guardrail = arena_dup(
		    &call->arena, http_header_get(t->headers, SLICE("x-amzn-bedrock-guardrailidentifier")));
}

void bedrock_error(struct answer *a, yyjson_val *body)
{
	yyjson_val *message = json_get(body, "message"), *other = json_get(body, "Message");
	struct slice header = a->headers ? http_header_get(a->headers, SLICE("x-amzn-errortype")) : SLICE("");
	struct slice type = json_get_str(body, "__type"), before;

	if (a->call->status < 400)
		return;
	if (slice_cut(&header, ':', &before) && before.n)
		type = before;
	call_error(a->call, type, json_str(message ? message : other));
}

static int64_t or_0(int64_t tokens)
{
	return tokens == LLM_NONE ? 0 : tokens;
}

/* With a cache, inputTokens is what neither came from it nor went to it; totalTokens is the sum of all. */
static void sum(struct answer *a)
{
	struct llm_usage *raw = &a->usage, *u = &a->call->usage;

	*u = *raw;
	if (raw->input != LLM_NONE)
		u->input = raw->input + or_0(raw->cache_read) + or_0(raw->cache_creation);
}

void bedrock_usage(struct answer *a, yyjson_val *v)
{
	struct llm_usage *raw = &a->usage;

	answer_tokens(&raw->input, json_get_int(v, "inputTokens"));
	answer_tokens(&raw->output, json_get_int(v, "outputTokens"));
	answer_tokens(&raw->cache_read, json_get_int(v, "cacheReadInputTokenCount"));
	answer_tokens(&raw->cache_creation, json_get_int(v, "cacheWriteInputTokenCount"));
	answer_tokens(&raw->cache_read, json_get_int(v, "cacheReadInputTokens"));
	answer_tokens(&raw->cache_creation, json_get_int(v, "cacheWriteInputTokens"));
	sum(a);
}

void bedrock_latency(struct answer *a, yyjson_val *metrics)
{
	int64_t ms = json_get_int(metrics, "latencyMs");

	if (ms >= 0 && ms < 1000000000)
		a->call->server_time.total = ms * 1000000;
}

static int64_t header_count(const struct answer *a, struct slice name)
{
	uint64_t n;

	return a->headers && slice_u64(slice_trim(http_header_get(a->headers, name)), &n) && n <= INT64_MAX
	           ? (int64_t)n
	           : LLM_NONE;
}

/* A body's own counts stand: of some models the two differ. */
void bedrock_counts(struct answer *a, yyjson_val *metrics)
{
	struct llm_usage *u = &a->call->usage, *raw = &a->usage;
	struct slice input = SLICE("x-amzn-bedrock-input-token-count");
	struct slice output = SLICE("x-amzn-bedrock-output-token-count");

	if (u->output == LLM_NONE) {
		answer_tokens(&u->output, json_get_int(metrics, "outputTokenCount"));
		answer_tokens(&u->output, header_count(a, output));
	}
	if (u->input != LLM_NONE)
		return;
	answer_tokens(&raw->input, json_get_int(metrics, "inputTokenCount"));
	answer_tokens(&raw->input, header_count(a, input));
	answer_tokens(&raw->cache_read, json_get_int(metrics, "cacheReadInputTokenCount"));
	answer_tokens(&raw->cache_creation, json_get_int(metrics, "cacheWriteInputTokenCount"));
	raw->output = u->output;
	sum(a);
}
