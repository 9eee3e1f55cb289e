/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAI chat completions, and what many other hosts offer under that shape.
 *
 * Where providers differ, what is seen on the wire decides: tool calls with one
 * index for several ids or with none, reasoning under three names, usage in
 * the last chunk, in a choice or in x_groq, an error object within a stream.
 */
#include "llm/openai.h"

/* Hosts that serve this API under a path of their own. */
static const struct {
	struct slice host, begin, end;
} other_paths[] = {
    {{"api.writer.com", 14}, {"/v1/chat", 8}, {"/v1/chat", 8}},
    {{"api.portkey.ai", 14}, {"/v1/prompts/", 12}, {"/completions", 12}},
};

static enum api_fit fit(const struct api_target *t)
{
	if (slice_ends(t->path, SLICE("/chat/completions")) ||
	    slice_ends(t->path, SLICE("/v1/agents/completions"))) /* Mistral */
		return API_YES;
	for (size_t i = 0; i < sizeof(other_paths) / sizeof(*other_paths); i++)
		if (slice_caseeq(t->host, other_paths[i].host) &&
		    slice_starts(t->path, other_paths[i].begin) && slice_ends(t->path, other_paths[i].end))
			return API_YES;
	return API_NO;
}

/* A piece of thinking: its text, or a list of text parts (Mistral). */
static struct slice thinking_text(yyjson_val *v)
{
	return yyjson_is_arr(v) ? json_get_str(yyjson_arr_get_first(v), "text") : json_str(v);
}

static void audio_part(struct llm_call *call, struct llm_message *m, yyjson_val *audio)
{
	call_part(call, m,
	          (struct llm_part){
	              .kind = LLM_MEDIA,
	              .name = SLICE("audio"),
	              .text = json_get_str(audio, "id"),
	              .bytes = json_get_str(audio, "data").n,
	          });
}

static void file_part(struct llm_call *call, struct llm_message *m, yyjson_val *file)
{
	struct slice data = json_get_str(file, "file_data"), id = json_get_str(file, "file_id");

	call_media_url(call, m, SLICE("file"), data.p ? data : id);
}

static void content_part(struct llm_call *call, struct llm_message *m, yyjson_val *part)
{
	struct slice type = json_get_str(part, "type");
	yyjson_val *image = json_get(part, "image_url");

	if (yyjson_is_str(part)) {
		call_text(call, m, LLM_TEXT, json_str(part));
	} else if (slice_eq(type, SLICE("text"))) {
		call_text(call, m, LLM_TEXT, json_get_str(part, "text"));
	} else if (slice_eq(type, SLICE("thinking"))) {
		call_text(call, m, LLM_REASONING, thinking_text(json_get(part, "thinking")));
	} else if (image) {
		call_media_url(call, m, SLICE("image"),
		               yyjson_is_str(image) ? json_str(image) : json_get_str(image, "url"));
	} else if (slice_eq(type, SLICE("input_audio"))) {
		audio_part(call, m, json_get(part, "input_audio"));
	} else if (slice_eq(type, SLICE("file"))) {
		file_part(call, m, json_get(part, "file"));
	} else if (slice_eq(type, SLICE("document_url"))) {
		call_media_url(call, m, SLICE("document"), json_get_str(part, "document_url"));
	} else if (yyjson_is_obj(part)) {
		call_part(
		    call, m,
		    (struct llm_part){.kind = LLM_OTHER, .name = type, .text = json_raw(&call->arena, part)});
	}
}

static void content(struct llm_call *call, struct llm_message *m, yyjson_val *v)
{
	size_t i, n;
	yyjson_val *part;

	if (yyjson_is_str(v))
		call_text(call, m, LLM_TEXT, json_str(v));
	yyjson_arr_foreach(v, i, n, part) content_part(call, m, part);
}

/* The texts of a tool result in one; its other parts follow as parts of their own. */
static void tool_result(struct llm_call *call, struct llm_message *m, yyjson_val *message)
{
	yyjson_val *v = json_get(message, "content"), *part;
	struct llm_part result = {.kind = LLM_TOOL_RESULT,
	                          .id = json_get_str(message, "tool_call_id"),
	                          .name = json_get_str(message, "name"),
	                          .text = json_str(v)};
	struct buf text = {0};
	size_t i, n;

	if (yyjson_is_arr(v)) {
		yyjson_arr_foreach(v, i, n, part) buf_addslice(&text, json_get_str(part, "text"));
		result.text = arena_dup(&call->arena, buf_slice(&text));
		buf_release(&text);
	} else if (yyjson_is_obj(v)) {
		result.text = json_raw(&call->arena, v);
	}
	call_part(call, m, result);
	yyjson_arr_foreach(v, i, n, part) if (!json_get(part, "text")) content_part(call, m, part);
}

/* The object that holds name and arguments: "function", or "custom" with its input as it is. */
static yyjson_val *callee(yyjson_val *tool_call, const char **ret_arguments)
{
	yyjson_val *custom = json_get(tool_call, "custom");
	bool is_custom = json_get_str(custom, "name").n || json_get_str(custom, "input").n;

	*ret_arguments = is_custom ? "input" : "arguments";
	return is_custom ? custom : json_get(tool_call, "function");
}

static void tool_call_part(struct llm_call *call, struct llm_message *m, yyjson_val *tool_call)
{
	const char *arguments;
	yyjson_val *f = callee(tool_call, &arguments);

	call_part(call, m,
	          (struct llm_part){
	              .kind = LLM_TOOL_CALL,
	              .id = json_get_str(tool_call, "id"),
	              .name = json_get_str(f, "name"),
	              .text = openai_arguments(call, json_get(f, arguments)),
	          });
}

/* Reasoning as text: DeepSeek's name, OpenRouter's and vLLM's, then OpenRouter's list. */
static struct slice reasoning_text(yyjson_val *message)
{
	struct slice s = json_get_str(message, "reasoning_content");

	return s.n ? s : json_get_str(message, "reasoning");
}

static void input_message(struct llm_call *call, yyjson_val *v)
{
	struct slice role = json_get_str(v, "role");
	struct llm_message *m = yyjson_is_obj(v) ? call_message(call, &call->input, role) : NULL;
	yyjson_val *function = json_get(v, "function_call"), *tool_call;
	size_t i, n;

	if (!m)
		return;
	call_text(call, m, LLM_REASONING, reasoning_text(v));
	if (slice_eq(role, SLICE("tool")) || slice_eq(role, SLICE("function")))
		tool_result(call, m, v);
	else
		content(call, m, json_get(v, "content"));
	yyjson_arr_foreach(json_get(v, "tool_calls"), i, n, tool_call) tool_call_part(call, m, tool_call);
	if (yyjson_is_obj(function))
		call_part(call, m,
		          (struct llm_part){
		              .kind = LLM_TOOL_CALL,
		              .name = json_get_str(function, "name"),
		              .text = openai_arguments(call, json_get(function, "arguments")),
		          });
	if (yyjson_is_obj(json_get(v, "audio")))
		audio_part(call, m, json_get(v, "audio"));
}

static void tools(struct llm_call *call, yyjson_val *body)
{
	size_t i, n;
	yyjson_val *tool;

	yyjson_arr_foreach(json_get(body, "tools"), i, n, tool)
	{
		struct slice type = json_get_str(tool, "type");
		yyjson_val *inner = json_get(tool, slice_eq(type, SLICE("custom")) ? "custom" : "function");

		if (yyjson_is_obj(tool))
			openai_tool_def(call, type, inner ? inner : tool);
	}
	yyjson_arr_foreach(json_get(body, "functions"), i, n, tool) if (yyjson_is_obj(tool))
	    openai_tool_def(call, SLICE("function"), tool);
}

/* response_format says text or a kind of JSON; without it, spoken answers are asked for by modality. */
static struct slice output_type(yyjson_val *body)
{
	struct slice type = openai_output_type(json_get(body, "response_format"));
	size_t i, n;
	yyjson_val *modality;

	if (slice_eq(type, SLICE("json")))
		return type;
	yyjson_arr_foreach(json_get(body, "modalities"), i, n,
	                   modality) if (slice_eq(json_str(modality), SLICE("audio"))) return SLICE("speech");
	return type;
}

static int64_t first_int(yyjson_val *body, const char *key, const char *otherwise)
{
	int64_t v = json_get_int(body, key);

	return v != LLM_NONE ? v : json_get_int(body, otherwise);
}

/* OpenAI's name, then OpenRouter's. */
static struct slice effort(yyjson_val *body)
{
	struct slice s = json_get_str(body, "reasoning_effort");

	return s.n ? s : json_get_str(json_get(body, "reasoning"), "effort");
}

/* What Anthropic, Ollama and Cohere have and OpenAI has not tells it from theirs. */
static bool shape(yyjson_val *body)
{
	static const char *const of_others[] = {"system", "options",   "keep_alive", "p",
	                                        "k",      "documents", "thinking"};
	yyjson_val *message = yyjson_arr_get_first(json_get(body, "messages"));

	if (!json_get_str(message, "role").n || !json_get_str(body, "model").n ||
	    slice_starts(json_get_str(body, "model"), SLICE("claude")))
		return false;
	for (size_t i = 0; i < sizeof(of_others) / sizeof(*of_others); i++)
		if (json_get(body, of_others[i]))
			return false;
	return true;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *stop = json_get(body, "stop"), *v;
	size_t i, n;

	if (!yyjson_is_obj(body))
		return false;

	call->request_model = json_get_str(body, "model");
	call->stream = yyjson_is_true(json_get(body, "stream"));
	call->max_tokens = first_int(body, "max_completion_tokens", "max_tokens");
	call->choice_count = json_get_int(body, "n");
	call->seed = first_int(body, "seed", "random_seed");
	call->temperature = json_get_num(body, "temperature");
	call->top_p = json_get_num(body, "top_p");
	call->top_k = json_get_num(body, "top_k");
	call->frequency_penalty = json_get_num(body, "frequency_penalty");
	call->presence_penalty = json_get_num(body, "presence_penalty");
	call->request_service_tier = json_get_str(body, "service_tier");
	call->output_type = output_type(body);
	call->reasoning_effort = effort(body);

	call_stop(call, json_str(stop));
	yyjson_arr_foreach(stop, i, n, v) call_stop(call, json_str(v));
	yyjson_arr_foreach(json_get(body, "messages"), i, n, v) input_message(call, v);
	tools(call, body);
	return yyjson_is_arr(json_get(body, "messages"));
}

/* The block that a piece of a tool call belongs to. */
static struct answer_block *tool_block(struct answer *a, struct answer_choice *c, yyjson_val *piece,
                                       bool named)
{
	struct slice id = json_get_str(piece, "id");
	int64_t key = json_get_int(piece, "index");
	struct answer_block *last = NULL;

	for (size_t i = c->n; a->is_stream && i-- > 0;) {
		struct answer_block *b = &c->blocks[i];

		if (b->kind != LLM_TOOL_CALL || (key != LLM_NONE && b->key != key))
			continue;
		if (id.n && slice_eq(id, b->id))
			return b;
		if (!last)
			last = b;
	}

	bool fresh = !last || (id.n && last->id.n) || (key == LLM_NONE && named);
	return fresh ? answer_block(a, c, LLM_TOOL_CALL, key) : last;
}

static void take_call(struct answer *a, struct answer_block *b, struct slice id, yyjson_val *f,
                      const char *arguments)
{
	struct slice name = json_get_str(f, "name");

	if (!b)
		return;
	a->carried = a->carried || name.n;
	answer_once(a, &b->id, id);
	answer_once(a, &b->name, name);
	answer_append(a, b, openai_arguments(a->call, json_get(f, arguments)));
}

static void take_tool_calls(struct answer *a, int64_t index, yyjson_val *list)
{
	size_t i, n;
	yyjson_val *piece;

	yyjson_arr_foreach(list, i, n, piece)
	{
		const char *arguments;
		yyjson_val *f = callee(piece, &arguments);
		struct answer_choice *c = answer_choice(a, index);

		if (c)
			take_call(a, tool_block(a, c, piece, json_get_str(f, "name").n > 0),
			          json_get_str(piece, "id"), f, arguments);
	}
}

/* Before tool_calls there was one call, without an id; some hosts always send an empty one. */
static void take_function_call(struct answer *a, int64_t index, yyjson_val *f)
{
	bool empty = !json_get_str(f, "name").n && !json_get_str(f, "arguments").n;
	struct answer_choice *c = empty ? NULL : answer_choice(a, index);

	if (!c)
		return;
	struct answer_block *b = answer_find(c, LLM_TOOL_CALL, LLM_NONE);
	take_call(a, b ? b : answer_block(a, c, LLM_TOOL_CALL, LLM_NONE), (struct slice){0}, f, "arguments");
}

static void take_content(struct answer *a, int64_t index, yyjson_val *v)
{
	size_t i, n;
	yyjson_val *part;

	answer_add(a, index, LLM_TEXT, 0, json_str(v));
	yyjson_arr_foreach(v, i, n, part)
	{
		answer_add(a, index, LLM_TEXT, 0, json_get_str(part, "text"));
		answer_add(a, index, LLM_REASONING, 0, thinking_text(json_get(part, "thinking")));
	}
}

static void take_reasoning(struct answer *a, int64_t index, yyjson_val *m)
{
	struct slice s = reasoning_text(m);
	size_t i, n;
	yyjson_val *detail;

	answer_add(a, index, LLM_REASONING, 0, s);
	if (s.n)
		return;
	yyjson_arr_foreach(json_get(m, "reasoning_details"), i, n, detail)
	{
		answer_add(a, index, LLM_REASONING, 0, json_get_str(detail, "text"));
		answer_add(a, index, LLM_REASONING, 0, json_get_str(detail, "summary"));
	}
}

static void take_audio(struct answer *a, int64_t index, yyjson_val *audio)
{
	struct slice id = json_get_str(audio, "id"), data = json_get_str(audio, "data");
	struct answer_choice *c = id.n || data.n ? answer_choice(a, index) : NULL;
	struct answer_block *b;

	if (!c)
		return;
	b = answer_find(c, LLM_MEDIA, 0);
	if (!b)
		b = answer_block(a, c, LLM_MEDIA, 0);
	if (!b)
		return;
	b->name = SLICE("audio");
	b->bytes += data.n;
	answer_once(a, &b->initial, id);
	a->carried = a->carried || data.n;
}

static void take_refusal(struct answer *a, int64_t index, struct slice text)
{
	struct answer_choice *c = text.n ? answer_choice(a, index) : NULL;
	struct answer_block *b;

	answer_add(a, index, LLM_OTHER, 0, text);
	b = c ? answer_find(c, LLM_OTHER, 0) : NULL;
	if (b)
		b->name = SLICE("refusal");
}

/* A message of a whole response, or what a chunk adds to it: the fields are the same. */
static void take_message(struct answer *a, int64_t index, yyjson_val *m)
{
	take_reasoning(a, index, m);
	take_content(a, index, json_get(m, "content"));
	take_refusal(a, index, json_get_str(m, "refusal"));
	take_tool_calls(a, index, json_get(m, "tool_calls"));
	take_function_call(a, index, json_get(m, "function_call"));
	take_audio(a, index, json_get(m, "audio"));
}

static void take_chunk(struct answer *a, yyjson_val *body)
{
	struct llm_call *call = a->call;
	yyjson_val *choices = json_get(body, "choices"), *error = json_get(body, "error"), *choice;
	size_t i, n;

	openai_head(a, body);
	yyjson_arr_foreach(choices, i, n, choice)
	{
		int64_t index = json_get_int(choice, "index");
		yyjson_val *m = json_get(choice, a->is_stream ? "delta" : "message");

		index = index == LLM_NONE ? (int64_t)i : index;
		take_message(a, index, m ? m : json_get(choice, "message"));
		answer_stop(a, index, json_get_str(choice, "finish_reason"));
		openai_usage(call, json_get(choice, "usage"));
	}
	openai_usage(call, json_get(body, "usage"));
	openai_usage(call, json_get(json_get(body, "x_groq"), "usage"));
	if ((error && !yyjson_is_null(error)) || (!choices && call->status >= 400))
		openai_error(a, body);
}

static void response(struct answer *a, yyjson_val *body)
{
	take_chunk(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	take_chunk(a, data);
}

const struct llm_api openai_chat_api = {
    .name = "openai.chat",
    .provider = "openai",
    .operation = "chat",
    .fit = fit,
    .shape = shape,
    .request = request,
    .messages = "messages",
    .path = openai_path,
    .response = response,
    .event = event,
};
