/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anthropic messages, at Anthropic, at gateways and on Vertex AI.
 *
 * A message is a list of content blocks.  In a stream each block is started,
 * extended by deltas and stopped, by index; message_delta carries the reason
 * to stop and overrides the usage of message_start.
 */
#include "llm/apis.h"
#include "llm/call.h"

#define VERTEX_MODELS SLICE("/publishers/anthropic/models/")

static enum api_fit fit(const struct api_target *t)
{
	if (slice_find(t->path, VERTEX_MODELS) &&
	    (slice_ends(t->path, SLICE(":rawPredict")) || slice_ends(t->path, SLICE(":streamRawPredict"))))
		return API_YES;
	if (!slice_ends(t->path, SLICE("/v1/messages")))
		return API_NO;
	if (http_header_get(t->headers, SLICE("anthropic-version")).p ||
	    slice_ends(t->host, SLICE("anthropic.com")))
		return API_YES;
	return API_SHAPE;
}

static void from_path(struct llm_call *call, const struct api_target *t)
{
	if (!call->request_model.n)
		call->request_model = arena_dup(&call->arena, api_between(t->path, VERTEX_MODELS, ':'));
}

static bool is_server_call(struct slice type)
{
	return slice_eq(type, SLICE("server_tool_use")) || slice_eq(type, SLICE("mcp_tool_use"));
}

static bool is_server_result(struct slice type)
{
	return slice_ends(type, SLICE("_tool_result"));
}

/* An image or a document: base64, url, file id; other sources are text. */
static void media(struct llm_call *call, struct llm_message *m, struct slice type, yyjson_val *block)
{
	yyjson_val *source = json_get(block, "source");
	struct slice how = json_get_str(source, "type"), mime = json_get_str(source, "media_type");
	struct llm_part part = {.kind = LLM_MEDIA, .name = mime.n ? mime : type};

	if (slice_eq(how, SLICE("base64"))) {
		part.bytes = json_get_str(source, "data").n;
	} else if (slice_eq(how, SLICE("url"))) {
		part.text = json_get_str(source, "url");
	} else if (slice_eq(how, SLICE("file"))) {
		part.text = json_get_str(source, "file_id");
	} else {
		part =
		    (struct llm_part){.kind = LLM_OTHER, .name = type, .text = json_raw(&call->arena, block)};
	}
	call_part(call, m, part);
}

static bool is_media(struct slice type)
{
	return slice_eq(type, SLICE("image")) || slice_eq(type, SLICE("document"));
}

/* Whether a tool result is made of texts and media only. */
static bool is_plain(yyjson_val *list)
{
	size_t i, n;
	yyjson_val *block;

	yyjson_arr_foreach(list, i, n, block)
	{
		struct slice type = json_get_str(block, "type");

		if (!slice_eq(type, SLICE("text")) && !is_media(type))
			return false;
	}
	return true;
}

/* The texts in one, media as parts behind it; a result with anything else in it as JSON. */
static void tool_result(struct llm_call *call, struct llm_message *m, yyjson_val *block)
{
	yyjson_val *v = json_get(block, "content"), *inner;
	struct llm_part part = {.kind = LLM_TOOL_RESULT,
	                        .id = json_get_str(block, "tool_use_id"),
	                        .text = json_str(v),
	                        .is_error = yyjson_is_true(json_get(block, "is_error"))};
	bool plain = yyjson_is_arr(v) && is_plain(v);
	struct buf text = {0};
	size_t i, n;

	if (plain) {
		yyjson_arr_foreach(v, i, n, inner) buf_addslice(&text, json_get_str(inner, "text"));
		part.text = arena_dup(&call->arena, buf_slice(&text));
		buf_release(&text);
	} else if (!yyjson_is_str(v)) {
		part.text = json_raw(&call->arena, v);
	}
	call_part(call, m, part);

	yyjson_arr_foreach(v, i, n, inner)
	{
		struct slice type = json_get_str(inner, "type");

		if (plain && is_media(type))
			media(call, m, type, inner);
	}
}

static void input_block(struct llm_call *call, struct llm_message *m, yyjson_val *block)
{
	struct slice type = json_get_str(block, "type");
	struct llm_part part = {.name = json_get_str(block, "name"), .is_server = is_server_call(type)};

	if (slice_eq(type, SLICE("text"))) {
		call_text(call, m, LLM_TEXT, json_get_str(block, "text"));
	} else if (slice_eq(type, SLICE("thinking"))) {
		call_text(call, m, LLM_REASONING, json_get_str(block, "thinking"));
	} else if (slice_eq(type, SLICE("redacted_thinking"))) {
		call_part(call, m, (struct llm_part){.kind = LLM_REASONING, .name = SLICE("redacted")});
	} else if (slice_eq(type, SLICE("tool_use")) || part.is_server) {
		part.kind = LLM_TOOL_CALL;
		part.id = json_get_str(block, "id");
		part.text = json_raw(&call->arena, json_get(block, "input"));
		call_part(call, m, part);
	} else if (slice_eq(type, SLICE("tool_result"))) {
		tool_result(call, m, block);
	} else if (is_media(type)) {
		media(call, m, type, block);
	} else if (is_server_result(type)) {
		part.kind = LLM_TOOL_RESULT;
		part.id = json_get_str(block, "tool_use_id");
		part.name = type;
		part.text = json_raw(&call->arena, json_get(block, "content"));
		part.is_server = true;
		call_part(call, m, part);
	} else if (yyjson_is_obj(block)) {
		part.kind = LLM_OTHER;
		part.name = type;
		part.text = json_raw(&call->arena, block);
		call_part(call, m, part);
	}
}

static void message(struct llm_call *call, struct llm_messages *list, struct slice role, yyjson_val *content)
{
	struct llm_message *m = call_message(call, list, role);
	size_t i, n;
	yyjson_val *block;

	if (!m)
		return;
	call_text(call, m, LLM_TEXT, json_str(content));
	yyjson_arr_foreach(content, i, n, block) input_block(call, m, block);
}

/* A tool that the provider runs has a type of its own and no schema. */
static void tool_def(struct llm_call *call, yyjson_val *tool)
{
	struct slice type = json_get_str(tool, "type");

	call_tool(call, (struct llm_tool_def){
	                    .type = type.n && !slice_eq(type, SLICE("custom")) ? type : SLICE("function"),
	                    .name = json_get_str(tool, "name"),
	                    .description = json_get_str(tool, "description"),
	                    .parameters = json_raw(&call->arena, json_get(tool, "input_schema")),
	                });
}

/*
 * metadata.user_id of Claude Code names the session: user_X_account_Y_session_ID,
 * or a JSON object as text with a session_id.
 */
static void session(struct llm_call *call, struct slice user_id)
{
	const struct slice word = SLICE("session_");
	const char *at = slice_find(user_id, word);
	yyjson_doc *doc;

	if (!at)
		return;
	doc = user_id.p[0] == '{' ? json_read(user_id) : NULL;
	if (doc)
		call->session_key =
		    arena_dup(&call->arena, json_get_str(yyjson_doc_get_root(doc), "session_id"));
	else
		call->session_key = slice_from(user_id, (size_t)(at - user_id.p) + word.n);
	yyjson_doc_free(doc);
}

static struct slice output_type(yyjson_val *body)
{
	yyjson_val *config = json_get(body, "output_config"), *format = json_get(body, "output_format");
	struct slice type = json_get_str(format ? format : json_get(config, "format"), "type");

	return slice_starts(type, SLICE("json")) ? SLICE("json") : type;
}

/* max_tokens must be there; the rest tells it from chat completions. */
static bool shape(yyjson_val *body)
{
	yyjson_val *tool = yyjson_arr_get_first(json_get(body, "tools"));

	if (!yyjson_is_arr(json_get(body, "messages")) || !yyjson_is_int(json_get(body, "max_tokens")))
		return false;
	return slice_starts(json_get_str(body, "model"), SLICE("claude")) || json_get(body, "system") ||
	       json_get(tool, "input_schema");
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *messages = json_get(body, "messages"), *system = json_get(body, "system"), *v;
	size_t i, n;

	if (!yyjson_is_arr(messages))
		return false;

	call->request_model = json_get_str(body, "model");
	call->stream = yyjson_is_true(json_get(body, "stream"));
	call->max_tokens = json_get_int(body, "max_tokens");
	call->temperature = json_get_num(body, "temperature");
	call->top_p = json_get_num(body, "top_p");
	call->top_k = json_get_num(body, "top_k");
	call->request_service_tier = json_get_str(body, "service_tier");
	call->output_type = output_type(body);
	call->reasoning_effort = json_get_str(json_get(body, "output_config"), "effort");
	call->reasoning_budget = json_get_int(json_get(body, "thinking"), "budget_tokens");
	session(call, json_get_str(json_get(body, "metadata"), "user_id"));

	yyjson_arr_foreach(json_get(body, "stop_sequences"), i, n, v) call_stop(call, json_str(v));
	if (system && !yyjson_is_null(system))
		message(call, &call->system, SLICE("system"), system);
	yyjson_arr_foreach(messages, i, n, v) if (yyjson_is_obj(v))
	    message(call, &call->input, json_get_str(v, "role"), json_get(v, "content"));
	yyjson_arr_foreach(json_get(body, "tools"), i, n, v) if (yyjson_is_obj(v)) tool_def(call, v);
	return true;
}

/* A block of a whole response, or the start of one in a stream. */
static void take_block(struct answer *a, int64_t key, yyjson_val *block)
{
	struct arena *arena = &a->call->arena;
	struct slice type = json_get_str(block, "type");
	struct answer_choice *c = yyjson_is_obj(block) ? answer_choice(a, 0) : NULL;
	struct answer_block *b = c ? answer_block(a, c, LLM_OTHER, key) : NULL;

	if (!b)
		return;
	if (slice_eq(type, SLICE("text"))) {
		b->kind = LLM_TEXT;
		answer_append(a, b, json_get_str(block, "text"));
	} else if (slice_eq(type, SLICE("thinking"))) {
		b->kind = LLM_REASONING;
		answer_append(a, b, json_get_str(block, "thinking"));
	} else if (slice_eq(type, SLICE("redacted_thinking"))) {
		b->kind = LLM_REASONING;
		b->name = SLICE("redacted");
		a->carried = true;
	} else if (slice_eq(type, SLICE("tool_use")) || is_server_call(type)) {
		b->kind = LLM_TOOL_CALL;
		b->id = arena_dup(arena, json_get_str(block, "id"));
		b->name = arena_dup(arena, json_get_str(block, "name"));
		b->initial = json_raw(arena, json_get(block, "input"));
		b->is_server = is_server_call(type);
		a->carried = true;
	} else if (is_server_result(type)) {
		b->kind = LLM_TOOL_RESULT;
		b->id = arena_dup(arena, json_get_str(block, "tool_use_id"));
		b->name = arena_dup(arena, type);
		b->initial = json_raw(arena, json_get(block, "content"));
		b->is_server = true;
	} else {
		b->name = arena_dup(arena, type);
		b->initial = json_raw(arena, block);
	}
}

static void take_delta(struct answer *a, int64_t key, yyjson_val *delta)
{
	struct answer_choice *c = answer_choice(a, 0);
	struct answer_block *b = NULL;

	for (size_t i = c ? c->n : 0; i-- > 0 && !b;)
		if (c->blocks[i].key == key)
			b = &c->blocks[i];
	if (!b)
		return;
	if (b->kind == LLM_TEXT)
		answer_append(a, b, json_get_str(delta, "text"));
	else if (b->kind == LLM_REASONING)
		answer_append(a, b, json_get_str(delta, "thinking"));
	else if (b->kind == LLM_TOOL_CALL)
		answer_append(a, b, json_get_str(delta, "partial_json"));
}

static int64_t or_0(int64_t tokens)
{
	return tokens == LLM_NONE ? 0 : tokens;
}

/* input_tokens counts neither what was read from the cache nor what was written to it: the sum is the prompt.
 */
static void take_usage(struct answer *a, yyjson_val *v)
{
	struct llm_usage *raw = &a->usage, *u = &a->call->usage;
	int64_t *details = a->call->details;
	yyjson_val *tools = json_get(v, "server_tool_use");

	answer_tokens(&raw->input, json_get_int(v, "input_tokens"));
	answer_tokens(&raw->output, json_get_int(v, "output_tokens"));
	answer_tokens(&raw->cache_read, json_get_int(v, "cache_read_input_tokens"));
	answer_tokens(&raw->cache_creation, json_get_int(v, "cache_creation_input_tokens"));
	answer_tokens(&raw->reasoning, json_get_int(json_get(v, "output_tokens_details"), "thinking_tokens"));
	answer_once(a, &a->call->service_tier, json_get_str(v, "service_tier"));
	answer_tokens(&details[LLM_WEB_SEARCHES], json_get_int(tools, "web_search_requests"));
	answer_tokens(&details[LLM_WEB_FETCHES], json_get_int(tools, "web_fetch_requests"));
	answer_tokens(&details[LLM_CACHE_CREATION_1H],
	              json_get_int(json_get(v, "cache_creation"), "ephemeral_1h_input_tokens"));

	*u = *raw;
	if (raw->input != LLM_NONE)
		u->input = raw->input + or_0(raw->cache_read) + or_0(raw->cache_creation);
}

static void take_message(struct answer *a, yyjson_val *m)
{
	size_t i, n;
	yyjson_val *block;

	answer_once(a, &a->call->response_id, json_get_str(m, "id"));
	answer_once(a, &a->call->response_model, json_get_str(m, "model"));
	yyjson_arr_foreach(json_get(m, "content"), i, n, block) take_block(a, (int64_t)i, block);
	take_usage(a, json_get(m, "usage"));
	if (json_get_str(m, "stop_reason").n)
		answer_stop(a, 0, json_get_str(m, "stop_reason"));
}

static void take_error(struct answer *a, yyjson_val *body)
{
	yyjson_val *error = json_get(body, "error");
	struct slice message_text = json_get_str(error, "message");

	call_error(a->call, json_get_str(error, "type"), message_text.n ? message_text : json_str(error));
	answer_once(a, &a->call->request_id, json_get_str(body, "request_id"));
}

static void response(struct answer *a, yyjson_val *body)
{
	if (json_get(body, "error"))
		take_error(a, body);
	else
		take_message(a, body);
}

/* The type is in the data too, and some gateways send no event names. */
static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	struct slice type = json_get_str(data, "type");
	int64_t key = json_get_int(data, "index");

	if (!type.n)
		type = name;
	if (slice_eq(type, SLICE("content_block_delta"))) {
		take_delta(a, key, json_get(data, "delta"));
	} else if (slice_eq(type, SLICE("content_block_start"))) {
		take_block(a, key, json_get(data, "content_block"));
	} else if (slice_eq(type, SLICE("message_start"))) {
		take_message(a, json_get(data, "message"));
	} else if (slice_eq(type, SLICE("message_delta"))) {
		if (json_get_str(json_get(data, "delta"), "stop_reason").n)
			answer_stop(a, 0, json_get_str(json_get(data, "delta"), "stop_reason"));
		take_usage(a, json_get(data, "usage"));
	} else if (slice_eq(type, SLICE("message_stop"))) {
		a->done = true;
	} else if (slice_eq(type, SLICE("error"))) {
		take_error(a, data);
	}
}

const struct llm_api anthropic_messages_api = {
    .name = "anthropic.messages",
    .provider = "anthropic",
    .operation = "chat",
    .fit = fit,
    .shape = shape,
    .request = request,
    .messages = "messages",
    .path = from_path,
    .response = response,
    .event = event,
};
