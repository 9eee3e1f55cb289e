/* SPDX-License-Identifier: Apache-2.0 */
/* Ollama's /api/chat. */
#include "llm/call.h"
#include "llm/ollama.h"

static enum api_fit fit(const struct api_target *t)
{
	return ollama_fit(t, SLICE("/api/chat"));
}

static void images(struct llm_call *call, struct llm_message *m, yyjson_val *list)
{
	size_t i, n;
	yyjson_val *v;

	yyjson_arr_foreach(list, i, n, v) call_part(
	    call, m, (struct llm_part){.kind = LLM_MEDIA, .name = SLICE("image"), .bytes = json_str(v).n});
}

/* Tool calls have ids in newer versions only; a result names the tool. */
static void input_message(struct llm_call *call, yyjson_val *v)
{
	struct slice role = json_get_str(v, "role"), text = json_get_str(v, "content");
	struct llm_message *m = yyjson_is_obj(v) ? call_message(call, &call->input, role) : NULL;
	size_t i, n;
	yyjson_val *asked;

	if (!m)
		return;
	call_text(call, m, LLM_REASONING, json_get_str(v, "thinking"));
	if (slice_eq(role, SLICE("tool")))
		call_part(call, m,
		          (struct llm_part){
		              .kind = LLM_TOOL_RESULT,
		              .id = json_get_str(v, "tool_call_id"),
		              .name = json_get_str(v, "tool_name"),
		              .text = text,
		          });
	else
		call_text(call, m, LLM_TEXT, text);
	images(call, m, json_get(v, "images"));
	yyjson_arr_foreach(json_get(v, "tool_calls"), i, n, asked)
	    call_part(call, m,
	              (struct llm_part){
	                  .kind = LLM_TOOL_CALL,
	                  .id = json_get_str(asked, "id"),
	                  .name = json_get_str(json_get(asked, "function"), "name"),
	                  .text = json_raw(&call->arena, json_get(json_get(asked, "function"), "arguments")),
	              });
}

static void tool(struct llm_call *call, yyjson_val *v)
{
	yyjson_val *f = json_get(v, "function");

	call_tool(call, (struct llm_tool_def){
	                    .type = json_get_str(v, "type"),
	                    .name = json_get_str(f, "name"),
	                    .description = json_get_str(f, "description"),
	                    .parameters = json_raw(&call->arena, json_get(f, "parameters")),
	                });
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *messages = json_get(body, "messages"), *v;
	size_t i, n;

	ollama_parameters(call, body);
	yyjson_arr_foreach(messages, i, n, v) input_message(call, v);
	yyjson_arr_foreach(json_get(body, "tools"), i, n, v) tool(call, v);
	return call->request_model.p && yyjson_is_arr(messages);
}

/* A call comes whole, each in an object of its own or several in one. */
static void take_tool_call(struct answer *a, yyjson_val *v)
{
	struct arena *arena = &a->call->arena;
	struct answer_choice *c = answer_choice(a, 0);
	struct answer_block *b = c ? answer_block(a, c, LLM_TOOL_CALL, (int64_t)c->n) : NULL;
	yyjson_val *f = json_get(v, "function");

	if (!b)
		return;
	b->id = arena_dup(arena, json_get_str(v, "id"));
	b->name = arena_dup(arena, json_get_str(f, "name"));
	b->initial = json_raw(arena, json_get(f, "arguments"));
	a->carried = true;
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *m = json_get(body, "message"), *v;
	size_t i, n;

	answer_add(a, 0, LLM_REASONING, 0, json_get_str(m, "thinking"));
	answer_add(a, 0, LLM_TEXT, 0, json_get_str(m, "content"));
	yyjson_arr_foreach(json_get(m, "tool_calls"), i, n, v) take_tool_call(a, v);
	ollama_end(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api ollama_chat_api = {
    .name = "ollama.chat",
    .provider = "ollama",
    .operation = "chat",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
