/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gemini's interactions: an input, and the steps that answer it (thoughts, model
 * output, function calls).  An interaction has a life (in_progress, completed,
 * …) and can be continued by its id.  In a stream a step is started, extended
 * by deltas and stopped, by index.
 */
#include "llm/gemini.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_ends(t->path, SLICE("/interactions")) ? API_SHAPE : API_NO;
}

/* ---- request ---- */

static void content(struct llm_call *call, struct llm_message *m, yyjson_val *v)
{
	struct slice type = json_get_str(v, "type");

	if (yyjson_is_str(v))
		call_text(call, m, LLM_TEXT, json_str(v));
	else if (slice_eq(type, SLICE("text")))
		call_text(call, m, LLM_TEXT, json_get_str(v, "text"));
	else if (json_get(v, "mime_type"))
		call_part(call, m,
		          (struct llm_part){
		              .kind = LLM_MEDIA,
		              .name = json_get_str(v, "mime_type"),
		              .text = json_get_str(v, "uri"),
		              .bytes = json_get_str(v, "data").n,
		          });
	else if (slice_eq(type, SLICE("function_result")))
		call_part(call, m,
		          (struct llm_part){
		              .kind = LLM_TOOL_RESULT,
		              .id = json_get_str(v, "call_id"),
		              .name = json_get_str(v, "name"),
		              .text = json_raw(&call->arena, json_get(v, "result")),
		              .is_error = yyjson_is_true(json_get(v, "is_error")),
		          });
	else if (slice_eq(type, SLICE("function_call")))
		call_part(call, m,
		          (struct llm_part){
		              .kind = LLM_TOOL_CALL,
		              .id = json_get_str(v, "id"),
		              .name = json_get_str(v, "name"),
		              .text = json_raw(&call->arena, json_get(v, "arguments")),
		          });
	else if (yyjson_is_obj(v))
		call_part(
		    call, m,
		    (struct llm_part){.kind = LLM_OTHER, .name = type, .text = json_raw(&call->arena, v)});
}

static void contents(struct llm_call *call, struct llm_message *m, yyjson_val *v)
{
	size_t i, n;
	yyjson_val *one;

	if (m && !yyjson_is_arr(v))
		content(call, m, v);
	yyjson_arr_foreach(v, i, n, one) if (m) content(call, m, one);
}

/* A text, contents, or turns with a role each. */
static void input(struct llm_call *call, yyjson_val *v)
{
	bool turns = json_get_str(yyjson_arr_get_first(v), "role").n > 0;
	size_t i, n;
	yyjson_val *turn;

	if (!turns) {
		contents(call, call_message(call, &call->input, SLICE("user")), v);
		return;
	}
	yyjson_arr_foreach(v, i, n, turn)
	{
		struct slice role = json_get_str(turn, "role");

		if (slice_eq(role, SLICE("model")))
			role = SLICE("assistant");
		contents(call, call_message(call, &call->input, role), json_get(turn, "content"));
	}
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *config = json_get(body, "generation_config"),
	           *system = json_get(body, "system_instruction");
	yyjson_val *v;
	size_t i, n;

	call->request_model = json_get_str(body, json_get(body, "model") ? "model" : "agent");
	call->stream = yyjson_is_true(json_get(body, "stream"));
	call->previous_response_id = json_get_str(body, "previous_interaction_id");
	call->max_tokens = json_get_int(config, "max_output_tokens");
	call->seed = json_get_int(config, "seed");
	call->temperature = json_get_num(config, "temperature");
	call->top_p = json_get_num(config, "top_p");
	call->reasoning_effort = json_get_str(config, "thinking_level");
	yyjson_arr_foreach(json_get(config, "stop_sequences"), i, n, v) call_stop(call, json_str(v));
	if (system)
		contents(call, call_message(call, &call->system, SLICE("system")), system);
	input(call, json_get(body, "input"));
	yyjson_arr_foreach(json_get(body, "tools"), i, n, v)
	    call_tool(call, (struct llm_tool_def){
	                        .type = json_get_str(v, "type"),
	                        .name = json_get_str(v, "name"),
	                        .description = json_get_str(v, "description"),
	                        .parameters = json_raw(&call->arena, json_get(v, "parameters")),
	                    });
	return call->request_model.n && json_get(body, "input");
}

/* ---- response ---- */

static struct answer_block *block_of(struct answer *a, enum llm_part_kind kind, int64_t key)
{
	struct answer_choice *c = answer_choice(a, 0);
	struct answer_block *b = c ? answer_find(c, kind, key) : NULL;

	return b || !c ? b : answer_block(a, c, kind, key);
}

/* A step of a whole answer, the start of one, or a piece of it; `type` is that of the step or the delta. */
static void take_step(struct answer *a, int64_t key, yyjson_val *v)
{
	struct slice type = json_get_str(v, "type");
	bool thought = slice_starts(type, SLICE("thought"));
	yyjson_val *list = json_get(v, thought ? "summary" : "content"), *part;
	struct answer_block *b;
	size_t i, n;

	if (slice_eq(type, SLICE("function_call"))) {
		b = block_of(a, LLM_TOOL_CALL, key);
		if (!b)
			return;
		answer_once(a, &b->id, json_get_str(v, "id"));
		answer_once(a, &b->name, json_get_str(v, "name"));
		if (json_get(v, "arguments"))
			b->initial = json_raw(&a->call->arena, json_get(v, "arguments"));
		a->carried = true;
		return;
	}
	answer_add(a, 0, thought ? LLM_REASONING : LLM_TEXT, key, json_get_str(v, "text"));
	answer_add(a, 0, LLM_REASONING, key, json_get_str(json_get(v, "content"), "text"));
	yyjson_arr_foreach(list, i, n, part)
	    answer_add(a, 0, thought ? LLM_REASONING : LLM_TEXT, key, json_get_str(part, "text"));
}

static void take_interaction(struct answer *a, yyjson_val *v)
{
	yyjson_val *steps = json_get(v, "steps"), *usage = json_get(v, "usage"), *one;
	struct llm_usage *u = &a->call->usage;
	int64_t thoughts = json_get_int(usage, "total_thought_tokens"), output = LLM_NONE;
	size_t i, n;

	answer_once(a, &a->call->response_id, json_get_str(v, "id"));
	answer_once(a, &a->call->response_model, json_get_str(v, "model"));
	answer_once(a, &a->call->service_tier, json_get_str(v, "service_tier"));
	if (json_get_str(v, "status").n)
		a->call->response_status = arena_dup(&a->call->arena, json_get_str(v, "status"));
	yyjson_arr_foreach(steps ? steps : json_get(v, "outputs"), i, n, one) take_step(a, (int64_t)i, one);
	answer_tokens(&u->input, json_get_int(usage, "total_input_tokens"));
	answer_tokens(&u->cache_read, json_get_int(usage, "total_cached_tokens"));
	answer_tokens(&u->reasoning, thoughts);
	answer_tokens(&output, json_get_int(usage, "total_output_tokens"));
	if (output != LLM_NONE)
		u->output = output + (u->reasoning == LLM_NONE ? 0 : u->reasoning);
}

static void response(struct answer *a, yyjson_val *body)
{
	take_interaction(a, body);
	gemini_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	struct slice type = json_get_str(data, "event_type");
	int64_t key = json_get_int(data, "index");

	if (!type.n)
		type = name;
	if (slice_eq(type, SLICE("step.start")))
		take_step(a, key, json_get(data, "step"));
	else if (slice_eq(type, SLICE("step.delta")))
		take_step(a, key, json_get(data, "delta"));
	else if (slice_starts(type, SLICE("interaction.")))
		take_interaction(a, json_get(data, "interaction"));
	if (slice_eq(type, SLICE("interaction.completed"))) /* [DONE] follows */
		a->finished = true;
	gemini_error(a, data);
}

const struct llm_api gemini_interactions_api = {
    .name = "gemini.interactions",
    .provider = "gcp.gemini",
    .operation = "generate_content",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
