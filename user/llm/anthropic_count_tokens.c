/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anthropic's count of tokens: a request of messages that nobody answers.  Its
 * messages are not taken, so that it is no turn of the conversation that they
 * are from; the count is no usage, nothing was used.
 */
#include "llm/apis.h"
#include "llm/call.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_ends(t->path, SLICE("/v1/messages/count_tokens")) ? API_YES : API_NO;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *messages = json_get(body, "messages");

	call->request_model = json_get_str(body, "model");
	if (yyjson_is_arr(messages))
		call->input_count = (int64_t)yyjson_arr_size(messages);
	return yyjson_is_arr(messages);
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *error = json_get(body, "error");

	answer_tokens(&a->call->output_count, json_get_int(body, "input_tokens"));
	if (error)
		call_error(a->call, json_get_str(error, "type"), json_get_str(error, "message"));
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api anthropic_count_tokens_api = {
    .name = "anthropic.count_tokens",
    .provider = "anthropic",
    .operation = "count_tokens",
    .request_only = true,
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
