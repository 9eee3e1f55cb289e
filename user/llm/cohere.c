/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/cohere.h"
#include "llm/call.h"

enum api_fit cohere_fit(const struct api_target *t, struct slice end)
{
	if (!slice_ends(t->path, end))
		return API_NO;
	return slice_eq(slice_str(api_provider(t->host, "")), SLICE("cohere")) ? API_YES : API_SHAPE;
}

void cohere_usage(struct answer *a, yyjson_val *v)
{
	struct llm_usage *u = &a->call->usage;
	yyjson_val *billed = json_get(v, "billed_units"), *tokens = json_get(v, "tokens");

	answer_tokens(&u->input, json_get_int(billed, "input_tokens"));
	answer_tokens(&u->output, json_get_int(billed, "output_tokens"));
	answer_tokens(&u->input, json_get_int(tokens, "input_tokens"));
	answer_tokens(&u->output, json_get_int(tokens, "output_tokens"));
	answer_tokens(&u->cache_read, json_get_int(v, "cached_tokens"));
	answer_tokens(&a->call->details[LLM_IMAGE_INPUT], json_get_int(billed, "image_tokens"));
	answer_tokens(&a->call->details[LLM_IMAGE_INPUT], json_get_int(tokens, "image_tokens"));
}

int64_t cohere_embeddings(yyjson_val *v)
{
	yyjson_val *key, *list;
	int64_t count = yyjson_is_arr(v) ? (int64_t)yyjson_arr_size(v) : LLM_NONE;
	size_t i, n;

	if (yyjson_is_obj(v))
		yyjson_obj_foreach(v, i, n, key, list) count = (int64_t)yyjson_arr_size(list);
	return count;
}

void cohere_error(struct answer *a, yyjson_val *body)
{
	yyjson_val *message = json_get(body, "message");

	if (a->call->status >= 400)
		call_error(a->call, (struct slice){0}, json_str(message));
}

void cohere_parameters(struct llm_call *call, yyjson_val *body)
{
	size_t i, n;
	yyjson_val *v;

	call->max_tokens = json_get_int(body, "max_tokens");
	call->seed = json_get_int(body, "seed");
	call->temperature = json_get_num(body, "temperature");
	call->top_p = json_get_num(body, "p");
	call->top_k = json_get_num(body, "k");
	call->frequency_penalty = json_get_num(body, "frequency_penalty");
	call->presence_penalty = json_get_num(body, "presence_penalty");
	if (slice_starts(json_get_str(json_get(body, "response_format"), "type"), SLICE("json")))
		call->output_type = SLICE("json");
	yyjson_arr_foreach(json_get(body, "stop_sequences"), i, n, v) call_stop(call, json_str(v));
}
