/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAI responses: over HTTP as one object or as SSE, and over a WebSocket
 * whose messages are the same events (Codex).
 *
 * An answer is a list of items by output_index: messages of parts by
 * content_index, reasoning, calls.  Deltas extend them, output_item.done and
 * the last event repeat them whole; what is there already is not taken again.
 */
#include "llm/openai_items.h"

/* One block an item's part; summaries of reasoning are numbered apart from its content. */
#define PART_KEYS 65536
#define SUMMARY   32768

static enum api_fit fit(const struct api_target *t)
{
	if (!slice_ends(t->path, SLICE("/responses")))
		return API_NO;
	return slice_ends(t->path, SLICE("/v1/responses")) ||
	               slice_ends(t->path, SLICE("/openai/responses")) ||
	               slice_ends(t->path, SLICE("/codex/responses"))
	           ? API_YES
	           : API_SHAPE;
}

/* ---- request ---- */

static void instructions(struct llm_call *call, yyjson_val *v)
{
	struct llm_message *m = yyjson_is_str(v) ? call_message(call, &call->system, SLICE("system")) : NULL;

	if (m)
		call_text(call, m, LLM_TEXT, json_str(v));
}

/* A tool that the provider runs has a type of its own and no schema. */
static void tools(struct llm_call *call, yyjson_val *list)
{
	size_t i, n;
	yyjson_val *tool;

	yyjson_arr_foreach(list, i, n, tool) if (yyjson_is_obj(tool))
	    openai_tool_def(call, json_get_str(tool, "type"), tool);
}

static void set(struct slice *field, struct slice s)
{
	if (s.n)
		*field = s;
}

static int64_t max_tokens(yyjson_val *body)
{
	int64_t n = json_get_int(body, "max_output_tokens");

	return n != LLM_NONE ? n : json_get_int(body, "max_response_output_tokens"); /* realtime, once */
}

void openai_response_request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *conversation = json_get(body, "conversation");
	struct slice effort = json_get_str(json_get(body, "reasoning"), "effort");

	set(&call->request_model, json_get_str(body, "model"));
	call->stream = call->stream || yyjson_is_true(json_get(body, "stream"));
	if (max_tokens(body) != LLM_NONE)
		call->max_tokens = max_tokens(body);
	if (!isnan(json_get_num(body, "temperature")))
		call->temperature = json_get_num(body, "temperature");
	if (!isnan(json_get_num(body, "top_p")))
		call->top_p = json_get_num(body, "top_p");
	set(&call->request_service_tier, json_get_str(body, "service_tier"));
	set(&call->reasoning_effort, effort);
	set(&call->output_type, openai_output_type(json_get(json_get(body, "text"), "format")));
	set(&call->prompt_id, json_get_str(json_get(body, "prompt"), "id"));
	set(&call->prompt_version, json_get_str(json_get(body, "prompt"), "version"));
	set(&call->previous_response_id, json_get_str(body, "previous_response_id"));
	set(&call->conversation_id,
	    yyjson_is_str(conversation) ? json_str(conversation) : json_get_str(conversation, "id"));
	set(&call->session_key, json_get_str(json_get(body, "client_metadata"), "session_id"));
	call->warm_up = yyjson_is_false(json_get(body, "generate"));
	if (json_get(body, "instructions"))
		call->system = (struct llm_messages){0};
	if (json_get(body, "tools")) {
		call->tools = NULL;
		call->n_tools = 0;
	}
	instructions(call, json_get(body, "instructions"));
	openai_input(call, json_get(body, "input"));
	tools(call, json_get(body, "tools"));
}

/* `input` is also that of embeddings and moderations: a text or a list of them. */
static bool shape(yyjson_val *body)
{
	static const char *const own[] = {
	    "instructions", "previous_response_id", "max_output_tokens", "store", "include", "reasoning",
	    "stream"};
	yyjson_val *input = json_get(body, "input");

	if (!json_get_str(body, "model").n || !input || json_get(body, "messages"))
		return false;
	if (yyjson_is_obj(yyjson_arr_get_first(input)))
		return true;
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (json_get(body, own[i]))
			return true;
	return false;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	if (!yyjson_is_obj(body) ||
	    (!json_get(body, "input") && !json_get(body, "prompt") && !json_get(body, "model")))
		return false;
	openai_response_request(call, body);
	return true;
}

/* ---- answer ---- */

static int64_t key_of(int64_t item, int64_t part)
{
	return item < 0 || item >= ANSWER_BLOCKS_MAX || part < 0 || part >= PART_KEYS
	           ? LLM_NONE
	           : item * PART_KEYS + part;
}

static struct answer_block *block(struct answer *a, enum llm_part_kind kind, int64_t key)
{
	struct answer_choice *c = key == LLM_NONE ? NULL : answer_choice(a, 0);
	struct answer_block *b = c ? answer_find(c, kind, key) : NULL;

	return b || !c ? b : answer_block(a, c, kind, key);
}

/* All of a text that may have been there in part, or not at all. */
static void whole_text(struct answer *a, enum llm_part_kind kind, int64_t key, struct slice text,
                       struct slice name)
{
	struct answer_block *b = text.n ? block(a, kind, key) : NULL;

	if (!b)
		return;
	answer_once(a, &b->name, name);
	if (!b->text.n)
		answer_append(a, b, text);
}

static void take_parts(struct answer *a, int64_t index, yyjson_val *list)
{
	size_t i, n;
	yyjson_val *part;

	yyjson_arr_foreach(list, i, n, part)
	{
		struct slice text = json_get_str(part, "text");

		whole_text(a, LLM_TEXT, key_of(index, (int64_t)i),
		           text.n ? text : json_get_str(part, "transcript"), (struct slice){0});
		whole_text(a, LLM_OTHER, key_of(index, (int64_t)i), json_get_str(part, "refusal"),
		           SLICE("refusal"));
	}
}

static void take_reasoning(struct answer *a, int64_t index, yyjson_val *item)
{
	size_t i, n;
	yyjson_val *part;

	yyjson_arr_foreach(json_get(item, "summary"), i, n, part)
	    whole_text(a, LLM_REASONING, key_of(index, SUMMARY + (int64_t)i), json_get_str(part, "text"),
	               (struct slice){0});
	yyjson_arr_foreach(json_get(item, "content"), i, n, part) whole_text(
	    a, LLM_REASONING, key_of(index, (int64_t)i), json_get_str(part, "text"), (struct slice){0});
}

/*
 * A call begins with its item and grows by deltas; `done` brings it whole.  Of
 * a picture, only the length is kept.
 */
static void take_call(struct answer *a, int64_t index, yyjson_val *item, bool done)
{
	struct openai_call c = openai_call_of(item);
	struct slice picture = json_get_str(item, "result");
	struct answer_block *b = block(a, LLM_TOOL_CALL, key_of(index, 0));

	if (!b)
		return;
	a->carried = a->carried || !b->id.p;
	b->is_server = c.is_server;
	answer_once(a, &b->id, c.id);
	answer_once(a, &b->name, c.name);
	if (!done)
		return;
	if (picture.n && slice_eq(c.name, SLICE("image_generation_call"))) {
		b->bytes = picture.n;
		answer_once(a, &b->initial, json_get_str(item, "revised_prompt"));
	} else if (!b->text.n && !b->initial.p && answer_room(a, 0)) {
		struct slice text = openai_call_text(a->call, &c, item);

		/* JSON was written into the arena, a string is the document's. */
		b->initial = c.content && yyjson_is_str(json_get(item, c.content))
		                 ? arena_dup(&a->call->arena, text)
		                 : text;
	}
}

static void take_other(struct answer *a, int64_t index, yyjson_val *item)
{
	struct answer_block *b = block(a, LLM_OTHER, key_of(index, 0));

	if (!b || b->name.p || !answer_room(a, 0))
		return;
	answer_once(a, &b->name, json_get_str(item, "type"));
	b->initial = json_raw(&a->call->arena, item);
}

static void take_item(struct answer *a, int64_t index, yyjson_val *item, bool done)
{
	struct slice type = json_get_str(item, "type");

	if (!yyjson_is_obj(item))
		return;
	if (slice_eq(type, SLICE("message")))
		take_parts(a, index, json_get(item, "content"));
	else if (slice_eq(type, SLICE("reasoning")))
		take_reasoning(a, index, item);
	else if (openai_call_of(item).is_call)
		take_call(a, index, item, done);
	else if (done)
		take_other(a, index, item);
}

/* The object of a whole response, and of the events that carry one. */
static void take_response(struct answer *a, yyjson_val *r)
{
	struct llm_call *call = a->call;
	struct slice status = json_get_str(r, "status");
	yyjson_val *conversation = json_get(r, "conversation");
	size_t i, n;
	yyjson_val *item;

	openai_head(a, r);
	if (status.n && !slice_eq(status, call->response_status) && answer_room(a, status.n))
		call->response_status = arena_dup(&call->arena, status);
	answer_once(a, &call->response_conversation, json_get_str(conversation, "id"));
	answer_once(a, &call->response_conversation, json_get_str(r, "conversation_id"));
	openai_usage(call, json_get(r, "usage"));
	answer_tokens(&call->details[LLM_WEB_SEARCHES],
	              json_get_int(json_get(json_get(r, "tool_usage"), "web_search"), "num_requests"));
	yyjson_arr_foreach(json_get(r, "output"), i, n, item) take_item(a, (int64_t)i, item, true);
}

/*
 * The last word on a response: why it stopped, and its error if it has one.
 * otherwise: the status of one that does not say it itself.
 */
static void stop(struct answer *a, yyjson_val *r, struct slice otherwise)
{
	yyjson_val *details = json_get(r, "status_details"); /* realtime */
	struct slice reason = json_get_str(json_get(r, "incomplete_details"), "reason");
	struct slice status = json_get_str(r, "status");

	openai_failed(a, r);
	if (yyjson_is_obj(json_get(details, "error")))
		openai_error(a, details);
	status = status.n ? status : otherwise;
	if (status.n)
		a->call->response_status = arena_dup(&a->call->arena, status);
	reason = reason.n ? reason : json_get_str(details, "reason");
	answer_stop(a, 0, reason.n ? reason : status);
}

static void response(struct answer *a, yyjson_val *body)
{
	if (openai_failed(a, body) && !json_get_str(body, "status").n)
		return;
	take_response(a, body);
	stop(a, body, (struct slice){0});
}

static void take_delta(struct answer *a, struct slice type, yyjson_val *data)
{
	static const struct {
		const char *type, *part;
		enum llm_part_kind kind;
		int64_t base;
	} deltas[] = {
	    {"response.output_text.delta", "content_index", LLM_TEXT, 0},
	    {"response.text.delta", "content_index", LLM_TEXT, 0},
	    {"response.output_audio_transcript.delta", "content_index", LLM_TEXT, 0},
	    {"response.audio_transcript.delta", "content_index", LLM_TEXT, 0},
	    {"response.refusal.delta", "content_index", LLM_OTHER, 0},
	    {"response.reasoning_text.delta", "content_index", LLM_REASONING, 0},
	    {"response.reasoning_summary_text.delta", "summary_index", LLM_REASONING, SUMMARY},
	    {"response.function_call_arguments.delta", NULL, LLM_TOOL_CALL, 0},
	    {"response.custom_tool_call_input.delta", NULL, LLM_TOOL_CALL, 0},
	};
	struct slice delta = json_get_str(data, "delta");

	for (size_t i = 0; i < sizeof(deltas) / sizeof(*deltas); i++) {
		int64_t part = deltas[i].part ? json_get_int(data, deltas[i].part) : 0;
		int64_t key = key_of(json_get_int(data, "output_index"),
		                     deltas[i].base + (part == LLM_NONE ? 0 : part));
		struct answer_block *b;

		if (!slice_eq(type, slice_str(deltas[i].type)))
			continue;
		b = delta.n ? block(a, deltas[i].kind, key) : NULL;
		if (b && deltas[i].kind == LLM_OTHER)
			b->name = SLICE("refusal");
		if (b)
			answer_append(a, b, delta);
	}
}

/* Sound, of which the length is kept. */
static void take_sound(struct answer *a, yyjson_val *data)
{
	struct slice delta = json_get_str(data, "delta");
	struct answer_block *b =
	    delta.n ? block(a, LLM_MEDIA, key_of(json_get_int(data, "output_index"), 0)) : NULL;

	if (!b)
		return;
	a->carried = true;
	b->name = SLICE("audio");
	b->bytes += delta.n;
}

static bool is_last(struct slice type)
{
	static const char *const last[] = {"response.completed", "response.incomplete", "response.failed",
	                                   "response.cancelled", "response.done"};

	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++)
		if (slice_eq(type, slice_str(last[i])))
			return true;
	return false;
}

/* The type is in the data too, and some hosts send no event names. */
void openai_response_event(struct answer *a, struct slice name, yyjson_val *data)
{
	struct slice type = json_get_str(data, "type");
	yyjson_val *r = json_get(data, "response");

	type = type.n ? type : name;
	if (slice_ends(type, SLICE("audio.delta"))) {
		take_sound(a, data);
	} else if (slice_ends(type, SLICE(".delta"))) {
		take_delta(a, type, data);
	} else if (slice_eq(type, SLICE("response.output_item.added"))) {
		take_item(a, json_get_int(data, "output_index"), json_get(data, "item"), false);
	} else if (slice_eq(type, SLICE("response.output_item.done"))) {
		take_item(a, json_get_int(data, "output_index"), json_get(data, "item"), true);
	} else if (slice_eq(type, SLICE("error")) || (!type.n && json_get(data, "error"))) {
		openai_error(a, data);
	} else if (r) {
		take_response(a, r);
		if (is_last(type)) {
			stop(a, r, slice_from(type, SLICE("response.").n));
			a->done = true;
		}
	}
}

/* The request is in the message itself, or under "response". */
struct api_message openai_response_message(bool from_client, yyjson_val *v)
{
	struct slice type = json_get_str(v, "type"), id = json_get_str(json_get(v, "response"), "id");
	struct api_message m = {.response = id.n ? id : json_get_str(v, "response_id")};
	yyjson_val *inner = json_get(v, "response");

	if (from_client && slice_eq(type, SLICE("response.create"))) {
		m.kind = MESSAGE_REQUEST;
		m.request = yyjson_is_obj(inner) ? inner : v;
	} else if (!from_client && slice_eq(type, SLICE("response.created"))) {
		m.kind = MESSAGE_BEGIN;
	} else if (!from_client &&
	           (slice_starts(type, SLICE("response.")) || slice_eq(type, SLICE("error")))) {
		m.kind = MESSAGE_EVENT;
	}
	return m;
}

static struct api_message message(struct api_session *s, bool from_client, yyjson_val *v)
{
	(void)s;
	return openai_response_message(from_client, v);
}

const struct llm_api openai_responses_api = {
    .name = "openai.responses",
    .provider = "openai",
    .operation = "chat",
    .fit = fit,
    .shape = shape,
    .request = request,
    .path = openai_path,
    .response = response,
    .event = openai_response_event,
    .message = message,
};
