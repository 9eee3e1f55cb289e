/* SPDX-License-Identifier: Apache-2.0 */
/* Ollama's /api/embed, and /api/embeddings that came before it. */
#include "llm/call.h"
#include "llm/ollama.h"

static enum api_fit fit(const struct api_target *t)
{
	enum api_fit now = ollama_fit(t, SLICE("/api/embed"));

	return now != API_NO ? now : ollama_fit(t, SLICE("/api/embeddings"));
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *input = json_get(body, "input"), *prompt = json_get(body, "prompt");

	ollama_parameters(call, body);
	call->stream = false;
	call->dimensions = json_get_int(body, "dimensions");
	call->input_count = yyjson_is_arr(input) ? (int64_t)yyjson_arr_size(input) : 1;
	return call->request_model.p &&
	       (yyjson_is_arr(input) || yyjson_is_str(input) || yyjson_is_str(prompt));
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *list = json_get(body, "embeddings");

	if (list || json_get(body, "embedding"))
		a->call->output_count = list ? (int64_t)yyjson_arr_size(list) : 1;
	ollama_end(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api ollama_embed_api = {
    .name = "ollama.embed",
    .provider = "ollama",
    .operation = "embeddings",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
