/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/ollama.h"
#include "llm/call.h"

enum api_fit ollama_fit(const struct api_target *t, struct slice end)
{
	if (!slice_ends(t->path, end))
		return API_NO;
	if (slice_starts(http_header_get(t->headers, SLICE("user-agent")), SLICE("ollama")) ||
	    slice_eq(slice_str(api_provider(t->host, "")), SLICE("ollama")))
		return API_YES;
	return API_SHAPE;
}

void ollama_parameters(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *o = json_get(body, "options"), *format = json_get(body, "format");
	yyjson_val *stop = json_get(o, "stop"), *think = json_get(body, "think"), *v;
	size_t i, n;

	call->request_model = json_get_str(body, "model");
	call->stream = !yyjson_is_false(json_get(body, "stream"));
	call->max_tokens = json_get_int(o, "num_predict");
	if (call->max_tokens < 0) /* -1: no limit, -2: the context */
		call->max_tokens = LLM_NONE;
	call->seed = json_get_int(o, "seed");
	call->temperature = json_get_num(o, "temperature");
	call->top_p = json_get_num(o, "top_p");
	call->top_k = json_get_num(o, "top_k");
	call->frequency_penalty = json_get_num(o, "frequency_penalty");
	call->presence_penalty = json_get_num(o, "presence_penalty");
	call->reasoning_effort = json_str(think);
	if (yyjson_is_obj(format) || slice_eq(json_str(format), SLICE("json")))
		call->output_type = SLICE("json");
	call_stop(call, json_str(stop));
	yyjson_arr_foreach(stop, i, n, v) call_stop(call, json_str(v));
}

void ollama_end(struct answer *a, yyjson_val *body)
{
	struct llm_call *call = a->call;
	struct llm_server_time *t = &call->server_time;

	answer_once(a, &call->response_model, json_get_str(body, "model"));
	answer_tokens(&call->usage.input, json_get_int(body, "prompt_eval_count"));
	answer_tokens(&call->usage.output, json_get_int(body, "eval_count"));
	answer_tokens(&t->total, json_get_int(body, "total_duration"));
	answer_tokens(&t->load, json_get_int(body, "load_duration"));
	answer_tokens(&t->input, json_get_int(body, "prompt_eval_duration"));
	answer_tokens(&t->output, json_get_int(body, "eval_duration"));
	if (yyjson_is_true(json_get(body, "done"))) {
		if (json_get_str(body, "done_reason").n)
			answer_stop(a, 0, json_get_str(body, "done_reason"));
		a->finished = a->done = true; /* older servers give no reason */
	}
	if (json_get(body, "error"))
		call_error(call, (struct slice){0}, json_get_str(body, "error"));
}
