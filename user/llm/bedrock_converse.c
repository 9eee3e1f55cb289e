/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Amazon Bedrock's Converse: one shape for all models, also that of Nova's own
 * invoke bodies.
 *
 * A content block is an object with one field that says its kind.  In a stream
 * the kind of an event is its name, in Nova's invoke stream the only field.
 */
#include "llm/bedrock.h"

static enum api_fit fit(const struct api_target *t)
{
	return bedrock_method(t, SLICE("/converse")) || bedrock_method(t, SLICE("/converse-stream")) ? API_YES
	                                                                                             : API_NO;
}

/* ---- request ---- */

static struct slice source_uri(yyjson_val *source)
{
	struct slice s3 = json_get_str(json_get(source, "s3Location"), "uri");

	return s3.n ? s3 : json_get_str(source, "uri");
}

/* image, document, video, audio: bytes are base64. */
static bool media(struct llm_call *call, struct llm_message *m, yyjson_val *block)
{
	static const char *const kinds[] = {"image", "document", "video", "audio"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		yyjson_val *v = json_get(block, kinds[i]), *source = json_get(v, "source");

		if (!source)
			continue;
		call_part(call, m,
		          (struct llm_part){
		              .kind = LLM_MEDIA,
		              .name = slice_str(kinds[i]),
		              .text = source_uri(source),
		              .bytes = json_get_str(source, "bytes").n + json_get_str(source, "text").n,
		          });
		return true;
	}
	return false;
}

/* Texts, reasoning, and the texts within citations and guarded content. */
static bool text(struct llm_call *call, struct llm_message *m, yyjson_val *block)
{
	yyjson_val *reasoning = json_get(block, "reasoningContent"), *cited, *v;
	yyjson_val *guarded = json_get(json_get(block, "guardContent"), "text");
	size_t i, n;

	if (json_get(block, "text") || guarded) {
		call_text(call, m, LLM_TEXT, json_get_str(guarded ? guarded : block, "text"));
	} else if (json_get(reasoning, "redactedContent")) {
		call_part(call, m, (struct llm_part){.kind = LLM_REASONING, .name = SLICE("redacted")});
	} else if (reasoning) {
		call_text(call, m, LLM_REASONING, json_get_str(json_get(reasoning, "reasoningText"), "text"));
	} else if ((cited = json_get(json_get(block, "citationsContent"), "content"))) {
		yyjson_arr_foreach(cited, i, n, v) call_text(call, m, LLM_TEXT, json_get_str(v, "text"));
	} else {
		return false;
	}
	return true;
}

/* Whether a tool result is made of texts and media only. */
static bool is_plain(yyjson_val *list)
{
	size_t i, n;
	yyjson_val *v;

	yyjson_arr_foreach(list, i, n, v) if (!json_get(v, "text") && !json_get(v, "image") &&
	                                      !json_get(v, "document") && !json_get(v, "video")) return false;
	return true;
}

/* The texts in one, media as parts behind it; a single JSON as it is, any other mixture as JSON. */
static void tool_result(struct llm_call *call, struct llm_message *m, yyjson_val *result)
{
	yyjson_val *list = json_get(result, "content"), *v;
	yyjson_val *only = yyjson_arr_size(list) == 1 ? json_get(yyjson_arr_get_first(list), "json") : NULL;
	struct llm_part part = {.kind = LLM_TOOL_RESULT,
	                        .id = json_get_str(result, "toolUseId"),
	                        .is_error = slice_eq(json_get_str(result, "status"), SLICE("error"))};
	bool plain = is_plain(list);
	struct buf joined = {0};
	size_t i, n;

	if (plain) {
		yyjson_arr_foreach(list, i, n, v) buf_addslice(&joined, json_get_str(v, "text"));
		part.text = arena_dup(&call->arena, buf_slice(&joined));
		buf_release(&joined);
	} else {
		part.text = json_raw(&call->arena, only ? only : list);
	}
	call_part(call, m, part);
	yyjson_arr_foreach(list, i, n, v) if (plain) media(call, m, v);
}

/* The name of a block's only field. */
static struct slice kind_of(yyjson_val *block)
{
	yyjson_val *key, *value;
	struct slice kind = {0};
	size_t i, n;

	yyjson_obj_foreach(block, i, n, key, value) if (!kind.n) kind = json_str(key);
	return kind;
}

static void block_part(struct llm_call *call, struct llm_message *m, yyjson_val *block)
{
	yyjson_val *use = json_get(block, "toolUse"), *result = json_get(block, "toolResult");

	if (text(call, m, block) || media(call, m, block) || json_get(block, "cachePoint"))
		return;
	if (use)
		call_part(call, m,
		          (struct llm_part){
		              .kind = LLM_TOOL_CALL,
		              .id = json_get_str(use, "toolUseId"),
		              .name = json_get_str(use, "name"),
		              .text = json_raw(&call->arena, json_get(use, "input")),
		              .is_server = slice_eq(json_get_str(use, "type"), SLICE("server_tool_use")),
		          });
	else if (result)
		tool_result(call, m, result);
	else if (yyjson_is_obj(block))
		call_part(call, m,
		          (struct llm_part){.kind = LLM_OTHER,
		                            .name = kind_of(block),
		                            .text = json_raw(&call->arena, block)});
}

static void message(struct llm_call *call, struct llm_messages *list, struct slice role, yyjson_val *content)
{
	struct llm_message *m = call_message(call, list, role);
	size_t i, n;
	yyjson_val *v;

	if (!m)
		return;
	call_text(call, m, LLM_TEXT, json_str(content));
	yyjson_arr_foreach(content, i, n, v) block_part(call, m, v);
}

/* inferenceConfig; Nova's invoke body has top_k in it, and older names. */
static void parameters(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *config = json_get(body, "inferenceConfig"), *v;
	yyjson_val *more = json_get(body, "additionalModelRequestFields");
	size_t i, n;

	call->max_tokens = json_get_int(config, "maxTokens");
	if (call->max_tokens == LLM_NONE)
		call->max_tokens = json_get_int(config, "max_new_tokens");
	call->temperature = json_get_num(config, "temperature");
	call->top_p = json_num(json_get(config, json_get(config, "topP") ? "topP" : "top_p"));
	call->top_k = json_num(json_get(config, json_get(config, "topK") ? "topK" : "top_k"));
	if (isnan(call->top_k))
		call->top_k = json_get_num(more, "top_k");
	if (isnan(call->top_k))
		call->top_k = json_get_num(json_get(more, "inferenceConfig"), "topK");
	call->reasoning_effort = json_get_str(more, "reasoning_effort");
	if (!call->reasoning_effort.n)
		call->reasoning_effort = json_get_str(more, "reasoning_config");
	v = json_get(more, "thinking");
	call->reasoning_budget = json_get_int(v ? v : json_get(more, "reasoning_config"), "budget_tokens");
	call->guardrail = json_get_str(json_get(body, "guardrailConfig"), "guardrailIdentifier");
	yyjson_arr_foreach(json_get(config, "stopSequences"), i, n, v) call_stop(call, json_str(v));
}

static void tool(struct llm_call *call, yyjson_val *v)
{
	yyjson_val *spec = json_get(v, "toolSpec"), *system = json_get(v, "systemTool");
	yyjson_val *schema = json_get(json_get(spec, "inputSchema"), "json");

	if (spec || system)
		call_tool(call, (struct llm_tool_def){
		                    .type = spec ? SLICE("function") : SLICE("systemTool"),
		                    .name = json_get_str(spec ? spec : system, "name"),
		                    .description = json_get_str(spec, "description"),
		                    .parameters = json_raw(&call->arena, schema),
		                });
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *messages = json_get(body, "messages"), *system = json_get(body, "system"), *v;
	yyjson_val *format = json_get(json_get(body, "outputConfig"), "textFormat");
	size_t i, n;

	parameters(call, body);
	call->request_service_tier = json_get_str(json_get(body, "serviceTier"), "type");
	if (slice_starts(json_get_str(format, "type"), SLICE("json")))
		call->output_type = SLICE("json");
	if (system && yyjson_arr_size(system))
		message(call, &call->system, SLICE("system"), system);
	yyjson_arr_foreach(messages, i, n, v)
	    message(call, &call->input, json_get_str(v, "role"), json_get(v, "content"));
	yyjson_arr_foreach(json_get(json_get(body, "toolConfig"), "tools"), i, n, v) tool(call, v);
	return yyjson_is_arr(messages) || json_get(body, "promptVariables");
}

/* ---- response ---- */

static struct answer_block *block_of(struct answer *a, enum llm_part_kind kind, int64_t key)
{
	struct answer_choice *c = answer_choice(a, 0);
	struct answer_block *b = c ? answer_find(c, kind, key) : NULL;

	return b || !c ? b : answer_block(a, c, kind, key);
}

static void take_tool(struct answer *a, int64_t key, yyjson_val *use)
{
	struct answer_block *b = block_of(a, LLM_TOOL_CALL, key);
	yyjson_val *input = json_get(use, "input");

	if (!b)
		return;
	b->is_server = slice_eq(json_get_str(use, "type"), SLICE("server_tool_use"));
	answer_once(a, &b->id, json_get_str(use, "toolUseId"));
	answer_once(a, &b->name, json_get_str(use, "name"));
	b->initial = input ? json_raw(&a->call->arena, input) : SLICE("{}");
	a->carried = true;
}

static void take_tool_result(struct answer *a, int64_t key, yyjson_val *result)
{
	struct answer_block *b = block_of(a, LLM_TOOL_RESULT, key);

	if (!b)
		return;
	b->name = SLICE("toolResult");
	answer_once(a, &b->id, json_get_str(result, "toolUseId"));
	b->initial = json_raw(&a->call->arena, json_get(result, "content"));
	b->is_server = true;
}

static void take_reasoning(struct answer *a, int64_t key, yyjson_val *v)
{
	yyjson_val *whole = json_get(v, "reasoningText");
	struct answer_block *b = json_get(v, "redactedContent") ? block_of(a, LLM_REASONING, key) : NULL;

	answer_add(a, 0, LLM_REASONING, key, json_get_str(whole ? whole : v, "text"));
	if (b) {
		b->name = SLICE("redacted");
		a->carried = true;
	}
}

static void take_other(struct answer *a, int64_t key, yyjson_val *block)
{
	struct answer_block *b = block_of(a, LLM_OTHER, key);

	if (!b)
		return;
	b->name = arena_dup(&a->call->arena, kind_of(block));
	b->initial = json_raw(&a->call->arena, block);
}

/* A block of a whole message, the start of one in a stream, or a piece of it. */
static void take_block(struct answer *a, int64_t key, yyjson_val *block)
{
	yyjson_val *cited = json_get(json_get(block, "citationsContent"), "content"), *v;
	size_t i, n;

	if (json_get(block, "text"))
		answer_add(a, 0, LLM_TEXT, key, json_get_str(block, "text"));
	else if (json_get(block, "toolUse"))
		take_tool(a, key, json_get(block, "toolUse"));
	else if (json_get(block, "toolResult"))
		take_tool_result(a, key, json_get(block, "toolResult"));
	else if (json_get(block, "reasoningContent"))
		take_reasoning(a, key, json_get(block, "reasoningContent"));
	else if (cited)
		yyjson_arr_foreach(cited, i, n, v) answer_add(a, 0, LLM_TEXT, key, json_get_str(v, "text"));
	else if (yyjson_obj_size(block))
		take_other(a, key, block);
}

static void take_delta(struct answer *a, int64_t key, yyjson_val *delta)
{
	yyjson_val *use = json_get(delta, "toolUse");
	struct answer_block *b = use ? block_of(a, LLM_TOOL_CALL, key) : NULL;

	if (b)
		answer_append(a, b, json_get_str(use, "input"));
	else if (!json_get(delta, "citation"))
		take_block(a, key, delta);
}

static void take_event(struct answer *a, struct slice name, yyjson_val *v)
{
	int64_t key = json_get_int(v, "contentBlockIndex");

	if (slice_eq(name, SLICE("contentBlockDelta"))) {
		take_delta(a, key, json_get(v, "delta"));
	} else if (slice_eq(name, SLICE("contentBlockStart"))) {
		take_block(a, key, json_get(v, "start"));
	} else if (slice_eq(name, SLICE("messageStop"))) {
		answer_stop(a, 0, json_get_str(v, "stopReason"));
	} else if (slice_eq(name, SLICE("metadata"))) {
		bedrock_usage(a, json_get(v, "usage"));
		bedrock_latency(a, json_get(v, "metrics"));
		answer_once(a, &a->call->service_tier, json_get_str(json_get(v, "serviceTier"), "type"));
		a->done = a->finished; /* always the last */
	} else if (slice_ends(name, SLICE("Exception"))) {
		call_error(a->call, name, json_get_str(v, "message"));
	}
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *m = json_get(json_get(body, "output"), "message"), *v;
	size_t i, n;

	yyjson_arr_foreach(json_get(m, "content"), i, n, v) take_block(a, (int64_t)i, v);
	if (json_get_str(body, "stopReason").n)
		answer_stop(a, 0, json_get_str(body, "stopReason"));
	bedrock_usage(a, json_get(body, "usage"));
	bedrock_latency(a, json_get(body, "metrics"));
	answer_once(a, &a->call->service_tier, json_get_str(json_get(body, "serviceTier"), "type"));
	bedrock_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	yyjson_val *key, *value;
	size_t i, n;

	if (name.n && !slice_eq(name, SLICE("chunk"))) {
		take_event(a, name, data);
		return;
	}
	yyjson_obj_foreach(data, i, n, key, value) take_event(a, json_str(key), value);
}

const struct llm_api bedrock_converse_api = {
    .name = "bedrock.converse",
    .provider = "aws.bedrock",
    .operation = "chat",
    .fit = fit,
    .request = request,
    .messages = "messages",
    .path = bedrock_path,
    .response = response,
    .event = event,
};
