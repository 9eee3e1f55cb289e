/* SPDX-License-Identifier: Apache-2.0 */
/* Ollama's /api/generate: a prompt and its continuation. */
#include "llm/call.h"
#include "llm/ollama.h"

static enum api_fit fit(const struct api_target *t)
{
	return ollama_fit(t, SLICE("/api/generate"));
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *prompt = json_get(body, "prompt"), *v;
	struct slice system = json_get_str(body, "system");
	struct llm_message *m = system.n ? call_message(call, &call->system, SLICE("system")) : NULL;
	size_t i, n;

	ollama_parameters(call, body);
	if (m)
		call_text(call, m, LLM_TEXT, system);
	m = call_message(call, &call->input, SLICE("user"));
	call_text(call, m, LLM_TEXT, json_str(prompt));
	yyjson_arr_foreach(json_get(body, "images"), i, n, v) call_part(
	    call, m, (struct llm_part){.kind = LLM_MEDIA, .name = SLICE("image"), .bytes = json_str(v).n});
	return call->request_model.p && yyjson_is_str(prompt);
}

static void response(struct answer *a, yyjson_val *body)
{
	answer_add(a, 0, LLM_REASONING, 0, json_get_str(body, "thinking"));
	answer_add(a, 0, LLM_TEXT, 0, json_get_str(body, "response"));
	ollama_end(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api ollama_generate_api = {
    .name = "ollama.generate",
    .provider = "ollama",
    .operation = "text_completion",
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
