/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/openai_items.h"

/* Calls that the agent itself runs: their outputs come as items of the next request. */
static const struct {
	const char *type, *content;
} own_calls[] = {
    {"function_call", "arguments"}, {"custom_tool_call", "input"},     {"local_shell_call", "action"},
    {"shell_call", "action"},       {"apply_patch_call", "operation"}, {"computer_call", "action"},
};

static bool is_call_type(struct slice type)
{
	static const char *const others[] = {"mcp_list_tools", "mcp_approval_request", "tool_search_output"};

	if (slice_ends(type, SLICE("_call")))
		return true;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (slice_eq(type, slice_str(others[i])))
			return true;
	return false;
}

struct openai_call openai_call_of(yyjson_val *item)
{
	struct slice type = json_get_str(item, "type"), call_id = json_get_str(item, "call_id");
	struct slice name = json_get_str(item, "name");
	struct openai_call c = {.id = call_id.n ? call_id : json_get_str(item, "id"),
	                        .name = type,
	                        .is_call = is_call_type(type),
	                        .is_server = true};

	for (size_t i = 0; i < sizeof(own_calls) / sizeof(*own_calls); i++)
		if (slice_eq(type, slice_str(own_calls[i].type))) {
			c.content = own_calls[i].content;
			c.is_server = false;
			if (name.n)
				c.name = name;
		}
	return c;
}

struct slice openai_call_text(struct llm_call *call, const struct openai_call *c, yyjson_val *item)
{
	return openai_arguments(call, c->content ? json_get(item, c->content) : item);
}

void openai_reasoning(struct buf *out, yyjson_val *item)
{
	size_t i, n;
	yyjson_val *part;

	yyjson_arr_foreach(json_get(item, "summary"), i, n, part)
	    buf_addslice(out, json_get_str(part, "text"));
	yyjson_arr_foreach(json_get(item, "content"), i, n, part)
	    buf_addslice(out, json_get_str(part, "text"));
}

static void file_part(struct llm_call *call, struct llm_message *m, yyjson_val *part)
{
	struct slice data = json_get_str(part, "file_data"), url = json_get_str(part, "file_url");

	call_media_url(call, m, SLICE("file"), data.n ? data : url.n ? url : json_get_str(part, "file_id"));
}

static void content_part(struct llm_call *call, struct llm_message *m, yyjson_val *part)
{
	struct slice type = json_get_str(part, "type"), url = json_get_str(part, "image_url");
	struct llm_part other = {.kind = LLM_OTHER, .name = type};

	if (slice_ends(type, SLICE("text"))) {
		call_text(call, m, LLM_TEXT, json_get_str(part, "text"));
	} else if (slice_ends(type, SLICE("image")) || slice_eq(type, SLICE("computer_screenshot"))) {
		call_media_url(call, m, SLICE("image"), url.n ? url : json_get_str(part, "file_id"));
	} else if (slice_eq(type, SLICE("input_file"))) {
		file_part(call, m, part);
	} else if (slice_ends(type, SLICE("_audio"))) {
		yyjson_val *audio = json_get(part, "input_audio");

		call_part(call, m,
		          (struct llm_part){.kind = LLM_MEDIA,
		                            .name = SLICE("audio"),
		                            .bytes = json_get_str(audio ? audio : part, "data").n});
	} else if (yyjson_is_obj(part)) {
		other.text = slice_eq(type, SLICE("refusal")) ? json_get_str(part, "refusal")
		                                              : json_raw(&call->arena, part);
		call_part(call, m, other);
	}
}

static void content(struct llm_call *call, struct llm_message *m, yyjson_val *v)
{
	size_t i, n;
	yyjson_val *part;

	call_text(call, m, LLM_TEXT, json_str(v));
	yyjson_arr_foreach(v, i, n, part) content_part(call, m, part);
}

/* The texts of an output in one; its other parts follow as parts of their own. */
static void output(struct llm_call *call, yyjson_val *item)
{
	struct llm_message *m = call_message(call, &call->input, SLICE("tool"));
	struct slice id = json_get_str(item, "call_id");
	yyjson_val *v = json_get(item, "output"), *part;
	struct llm_part result = {.kind = LLM_TOOL_RESULT,
	                          .id = id.n ? id : json_get_str(item, "id"),
	                          .text = openai_arguments(call, v)};
	bool texts = yyjson_is_arr(v) && json_get(yyjson_arr_get_first(v), "type");
	struct buf text = {0};
	size_t i, n;

	if (!m)
		return;
	if (yyjson_is_obj(v) && json_get(v, "image_url"))
		result.text = (struct slice){0};
	yyjson_arr_foreach(v, i, n, part) buf_addslice(&text, json_get_str(part, "text"));
	if (texts)
		result.text = arena_dup(&call->arena, buf_slice(&text));
	buf_release(&text);
	call_part(call, m, result);
	if (yyjson_is_obj(v) && json_get(v, "image_url"))
		content_part(call, m, v);
	yyjson_arr_foreach(v, i, n, part) if (texts && !json_get(part, "text")) content_part(call, m, part);
}

/* The message that an item of the model is added to. */
static struct llm_message *assistant(struct llm_call *call, bool *follows)
{
	struct llm_messages *list = &call->input;

	if (*follows && list->n)
		return &list->v[list->n - 1];
	*follows = true;
	return call_message(call, list, SLICE("assistant"));
}

static void reasoning(struct llm_call *call, struct llm_message *m, yyjson_val *item)
{
	struct buf text = {0};

	openai_reasoning(&text, item);
	call_part(call, m,
	          (struct llm_part){
	              .kind = LLM_REASONING,
	              .id = json_get_str(item, "id"),
	              .text = arena_dup(&call->arena, buf_slice(&text)),
	          });
	buf_release(&text);
}

static void message(struct llm_call *call, yyjson_val *item, bool *follows)
{
	struct slice role = json_get_str(item, "role");
	struct llm_message *m;

	if (slice_eq(role, SLICE("assistant"))) {
		m = assistant(call, follows);
	} else {
		*follows = false;
		m = call_message(call, &call->input, role);
	}
	if (m)
		content(call, m, json_get(item, "content"));
}

/* follows: the item before was the model's too. */
static void input_item(struct llm_call *call, yyjson_val *item, bool *follows)
{
	struct slice type = json_get_str(item, "type");
	struct openai_call c = openai_call_of(item);
	struct llm_message *m;

	if (!type.n || slice_eq(type, SLICE("message"))) {
		message(call, item, follows);
		return;
	}
	if (slice_ends(type, SLICE("_output")) && !c.is_call) {
		*follows = false;
		output(call, item);
		return;
	}
	if (!c.is_call && !slice_eq(type, SLICE("reasoning")) && !slice_eq(type, SLICE("compaction"))) {
		*follows = false;
		m = call_message(call, &call->input, SLICE("user"));
	} else {
		m = assistant(call, follows);
	}
	if (!m)
		return;
	if (c.is_call)
		call_part(call, m,
		          (struct llm_part){.kind = LLM_TOOL_CALL,
		                            .id = c.id,
		                            .name = c.name,
		                            .text = openai_call_text(call, &c, item),
		                            .is_server = c.is_server});
	else if (slice_eq(type, SLICE("reasoning")))
		reasoning(call, m, item);
	else
		call_part(
		    call, m,
		    (struct llm_part){.kind = LLM_OTHER, .name = type, .text = json_raw(&call->arena, item)});
}

void openai_input(struct llm_call *call, yyjson_val *input)
{
	bool follows = false;
	size_t i, n;
	yyjson_val *item;

	if (yyjson_is_str(input)) {
		struct llm_message *m = call_message(call, &call->input, SLICE("user"));

		if (m)
			call_text(call, m, LLM_TEXT, json_str(input));
	}
	yyjson_arr_foreach(input, i, n, item) if (yyjson_is_obj(item)) input_item(call, item, &follows);
}
