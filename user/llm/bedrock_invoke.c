/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amazon Bedrock's InvokeModel: each model family has the body of its maker's
 * own API, or one that only Bedrock has.
 *
 * The ARN of an inference profile hides the model, so the family is told by
 * the fields of the body, of a response as of a request: each is asked in the
 * order of the table.  An event of a stream is {"bytes"}, base64 of one value
 * of the family's stream, padded by "p" against guesses from lengths; the last
 * one has amazon-bedrock-invocationMetrics.
 */
#include <sodium.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/bedrock.h"
#include "llm/cohere.h"

static enum api_fit fit(const struct api_target *t)
{
	return bedrock_method(t, SLICE("/invoke")) || bedrock_method(t, SLICE("/invoke-with-response-stream"))
	           ? API_YES
	           : API_NO;
}

static bool has(yyjson_val *v, const char *key)
{
	yyjson_val *field = json_get(v, key);

	return field && !yyjson_is_null(field);
}

/* ---- families that only Bedrock has ---- */

/* A prompt and a text: Llama, Mistral's and AI21's older models, Claude 2, DeepSeek, Titan. */
static void prompt_request(struct llm_call *call, yyjson_val *body)
{
	static const char *const limits[] = {"max_gen_len", "max_tokens_to_sample", "max_tokens",
	                                     "maxTokens",   "maxTokenCount",        NULL};
	yyjson_val *titan = json_get(body, "textGenerationConfig"), *config = titan ? titan : body, *v;
	struct llm_message *m = call_message(call, &call->input, SLICE("user"));
	struct slice prompt = json_get_str(body, "prompt");
	size_t i, n;

	call_text(call, m, LLM_TEXT, prompt.p ? prompt : json_get_str(body, "inputText"));
	for (const char *const *key = limits; *key && call->max_tokens == LLM_NONE; key++)
		call->max_tokens = json_get_int(config, *key);
	call->temperature = json_get_num(config, "temperature");
	call->top_p = json_get_num(config, has(config, "topP") ? "topP" : "top_p");
	call->top_k = json_get_num(config, has(config, "topKReturn") ? "topKReturn" : "top_k");
	yyjson_arr_foreach(json_get(config, "stop"), i, n, v) call_stop(call, json_str(v));
	yyjson_arr_foreach(json_get(config, "stop_sequences"), i, n, v) call_stop(call, json_str(v));
	yyjson_arr_foreach(json_get(config, "stopSequences"), i, n, v) call_stop(call, json_str(v));
}

static void take(struct answer *a, int64_t index, struct slice text, struct slice reason)
{
	answer_add(a, index, LLM_TEXT, 0, text);
	if (reason.n)
		answer_stop(a, index, reason);
}

static void llama_response(struct answer *a, yyjson_val *body)
{
	take(a, 0, json_get_str(body, "generation"), json_get_str(body, "stop_reason"));
	answer_tokens(&a->call->usage.input, json_get_int(body, "prompt_token_count"));
	answer_tokens(&a->call->usage.output, json_get_int(body, "generation_token_count"));
}

static void mistral_response(struct answer *a, yyjson_val *body)
{
	size_t i, n;
	yyjson_val *v;

	yyjson_arr_foreach(json_get(body, "outputs"), i, n, v)
	    take(a, (int64_t)i, json_get_str(v, "text"), json_get_str(v, "stop_reason"));
}

static void claude2_response(struct answer *a, yyjson_val *body)
{
	take(a, 0, json_get_str(body, "completion"), json_get_str(body, "stop_reason"));
}

/* Each result counts its own tokens; a stream's events are results with a total. */
static void titan_response(struct answer *a, yyjson_val *body)
{
	struct llm_usage *u = &a->call->usage;
	int64_t sum = LLM_NONE;
	size_t i, n;
	yyjson_val *v;

	yyjson_arr_foreach(json_get(body, "results"), i, n, v)
	{
		int64_t tokens = LLM_NONE;

		take(a, (int64_t)i, json_get_str(v, "outputText"), json_get_str(v, "completionReason"));
		answer_tokens(&tokens, json_get_int(v, "tokenCount"));
		if (tokens != LLM_NONE)
			sum = tokens + (sum == LLM_NONE ? 0 : sum);
	}
	if (has(body, "outputText"))
		take(a, 0, json_get_str(body, "outputText"), json_get_str(body, "completionReason"));
	answer_tokens(&u->input, json_get_int(body, "inputTextTokenCount"));
	answer_tokens(&u->output, sum);
	answer_tokens(&u->output, json_get_int(body, "totalOutputTextTokenCount"));
}

/* AI21's Jurassic: completions of data and a reason; tokens are listed, one an element. */
static void jurassic_response(struct answer *a, yyjson_val *body)
{
	yyjson_val *id = json_get(body, "id"), *v;
	size_t i, n;

	if (yyjson_is_raw(id))
		answer_once(a, &a->call->response_id, slice_of(yyjson_get_raw(id), yyjson_get_len(id)));
	answer_once(a, &a->call->response_id, json_str(id));
	yyjson_arr_foreach(json_get(body, "completions"), i, n, v)
	    take(a, (int64_t)i, json_get_str(json_get(v, "data"), "text"),
	         json_get_str(json_get(v, "finishReason"), "reason"));
}

/* ---- embeddings ---- */

static void embed_request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *nova = json_get(body, "singleEmbeddingParams"), *v;
	size_t i, n;

	call->operation = "embeddings";
	call->stream = false;
	call->input_count = 1;
	call->dimensions = json_get_int(body, "dimensions");
	if (nova)
		call->dimensions = json_get_int(nova, "embeddingDimension");
	else if (has(body, "embeddingConfig"))
		call->dimensions = json_get_int(json_get(body, "embeddingConfig"), "outputEmbeddingLength");
	yyjson_arr_foreach(json_get(body, "embeddingTypes"), i, n, v) call_encoding_format(call, json_str(v));
}

static void embed_response(struct answer *a, yyjson_val *body)
{
	a->call->operation = "embeddings";
	a->call->output_count =
	    json_get(body, "embedding") ? 1 : cohere_embeddings(json_get(body, "embeddings"));
	answer_tokens(&a->call->usage.input, json_get_int(body, "inputTextTokenCount"));
}

/* ---- which family ---- */

static bool is_embed_request(yyjson_val *v, bool embed_model)
{
	struct slice task = json_get_str(v, "taskType");

	return slice_ends(task, SLICE("_EMBEDDING")) || has(v, "embeddingTypes") || has(v, "normalize") ||
	       has(v, "embeddingConfig") || has(v, "inputImage") || (embed_model && has(v, "inputText"));
}

static bool is_converse_request(yyjson_val *v)
{
	yyjson_val *content = json_get(yyjson_arr_get_first(json_get(v, "messages")), "content");

	return has(v, "inferenceConfig") || has(v, "schemaVersion") || has(v, "toolConfig") ||
	       (yyjson_is_arr(content) && has(yyjson_arr_get_first(content), "text") &&
	        !has(yyjson_arr_get_first(content), "type"));
}

/* The row that reads a request's body; NULL: one of the families above, or none. */
static const struct llm_api *request_row(yyjson_val *v)
{
	if (has(v, "anthropic_version") && has(v, "messages"))
		return &anthropic_messages_api;
	if (has(v, "messages"))
		return is_converse_request(v) ? &bedrock_converse_api : &openai_chat_api;
	if (has(v, "message"))
		return &cohere_chat_v1_api;
	if (has(v, "texts") || has(v, "images") || has(v, "inputs"))
		return &cohere_embed_api;
	if (has(v, "query") && has(v, "documents"))
		return &rerank_api;
	if (has(v, "num_generations") || has(v, "return_likelihoods") || (has(v, "prompt") && has(v, "p")))
		return &cohere_generate_api;
	return NULL;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	const struct llm_api *row = request_row(body);

	if (row) {
		call->operation = row->operation;
		return row->request(call, body);
	}
	if (is_embed_request(body, false)) {
		embed_request(call, body);
	} else if (has(body, "prompt") || has(body, "inputText")) {
		prompt_request(call, body);
	} else if (yyjson_is_obj(body)) {
		call->operation = "generate_content"; /* images and what else may come */
		call->request_only = true;
	}
	return true;
}

static void from_path(struct llm_call *call, const struct api_target *t)
{
	bedrock_path(call, t);
	if (slice_find(call->request_model, SLICE("titan-embed")))
		call->operation = "embeddings";
	if (!slice_eq(slice_str(call->operation), SLICE("embeddings")))
		return;
	call->stream = false;
	if (call->input_count == LLM_NONE && call->request_bytes)
		call->input_count = 1;
}

/* ---- which family, by a field of its responses ---- */

/* The counts of Bedrock are its own, without what Cohere adds to the prompt. */
static void cohere_chat_read(struct answer *a, yyjson_val *body)
{
	struct llm_usage before = a->call->usage;

	answer_once(a, &a->call->response_id, json_get_str(body, "response_id"));
	cohere_chat_v1_api.response(a, body);
	a->call->usage = before;
}

/* Mistral's newer models say stop_reason where OpenAI says finish_reason; DeepSeek's choices are texts. */
static void choices_read(struct answer *a, yyjson_val *body)
{
	size_t i, n;
	yyjson_val *v;

	(a->is_stream ? openai_chat_api.event(a, (struct slice){0}, body)
	              : openai_chat_api.response(a, body));
	yyjson_arr_foreach(json_get(body, "choices"), i, n, v)
	{
		int64_t index = json_get_int(v, "index");

		if (!has(v, "finish_reason"))
			take(a, index == LLM_NONE ? (int64_t)i : index, json_get_str(v, "text"),
			     json_get_str(v, "stop_reason"));
	}
}

static void results_read(struct answer *a, yyjson_val *body)
{
	if (has(yyjson_arr_get_first(json_get(body, "results")), "relevance_score"))
		rerank_api.response(a, body);
	else
		titan_response(a, body);
}

static void converse_read(struct answer *a, yyjson_val *body)
{
	bedrock_converse_api.response(a, body);
}

static void generations_read(struct answer *a, yyjson_val *body)
{
	cohere_generate_api.response(a, body);
}

static void anthropic_read(struct answer *a, yyjson_val *body)
{
	anthropic_messages_api.response(a, body);
}

static void anthropic_event(struct answer *a, yyjson_val *body)
{
	anthropic_messages_api.event(a, (struct slice){0}, body);
}

static void converse_event(struct answer *a, yyjson_val *body)
{
	bedrock_converse_api.event(a, (struct slice){0}, body);
}

static void cohere_chat_event(struct answer *a, yyjson_val *body)
{
	struct llm_usage before = a->call->usage;

	cohere_chat_v1_api.event(a, (struct slice){0}, body);
	a->call->usage = before;
}

static void generate_event(struct answer *a, yyjson_val *body)
{
	cohere_generate_api.event(a, (struct slice){0}, body);
}

struct family {
	const char *field; /* that no family further down has */
	void (*read)(struct answer *a, yyjson_val *body);
};

static const struct family answers[] = {
    {"generation", llama_response},      {"outputs", mistral_response},
    {"completion", claude2_response},    {"choices", choices_read},
    {"results", results_read},           {"completions", jurassic_response},
    {"embedding", embed_response},       {"embeddings", embed_response},
    {"output", converse_read},           {"generations", generations_read},
    {"generation_id", cohere_chat_read}, {"response_id", cohere_chat_read},
    {"content", anthropic_read},
};

static const struct family events[] = {
    {"generation", llama_response},        {"outputs", mistral_response},
    {"completion", claude2_response},      {"choices", choices_read},
    {"outputText", titan_response},        {"event_type", cohere_chat_event},
    {"is_finished", generate_event},       {"type", anthropic_event},
    {"messageStart", converse_event},      {"contentBlockStart", converse_event},
    {"contentBlockDelta", converse_event}, {"messageStop", converse_event},
    {"metadata", converse_event},
};

static void read_by(const struct family *list, size_t n, struct answer *a, yyjson_val *body)
{
	for (size_t i = 0; i < n; i++)
		if (has(body, list[i].field)) {
			list[i].read(a, body);
			return;
		}
}

static void response(struct answer *a, yyjson_val *body)
{
	if (a->call->status < 400)
		read_by(answers, sizeof(answers) / sizeof(*answers), a, body);
	bedrock_error(a, body);
	bedrock_counts(a, NULL);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	struct slice b64 = json_get_str(data, "bytes");
	unsigned char *bytes = b64.n ? xmalloc(b64.n) : NULL;
	size_t n = 0;
	yyjson_doc *doc = NULL;

	(void)name;
	if (bytes &&
	    !sodium_base642bin(bytes, b64.n, b64.p, b64.n, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL))
		doc = json_read(slice_of(bytes, n));
	if (doc) {
		yyjson_val *body = yyjson_doc_get_root(doc);
		yyjson_val *metrics = json_get(body, "amazon-bedrock-invocationMetrics");

		read_by(events, sizeof(events) / sizeof(*events), a, body);
		if (metrics)
			bedrock_counts(a, metrics);
		a->done = a->done || (metrics && a->finished);
	}
	yyjson_doc_free(doc);
	free(bytes);
}

const struct llm_api bedrock_invoke_api = {
    .name = "bedrock.invoke",
    .provider = "aws.bedrock",
    .operation = "text_completion",
    .fit = fit,
    .request = request,
    .path = from_path,
    .response = response,
    .event = event,
};
