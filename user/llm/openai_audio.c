/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAI audio: speech from text (bytes of sound, or SSE), text from speech
 * (JSON, plain text, subtitles, or SSE).  Sound comes as a form's file.
 */
#include "llm/openai.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_ends(t->path, SLICE("/audio/speech")) ||
	               slice_ends(t->path, SLICE("/audio/transcriptions")) ||
	               slice_ends(t->path, SLICE("/audio/translations"))
	           ? API_YES
	           : API_NO;
}

static void path(struct llm_call *call, const struct api_target *t)
{
	bool speech = slice_ends(t->path, SLICE("/speech"));

	openai_path(call, t);
	call->operation = speech ? "speech" : "transcription";
	if (speech)
		call->output_type = SLICE("speech");
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *file = json_get(body, "file");
	struct llm_message *m;

	if (!yyjson_is_obj(body))
		return false;
	call->request_model = json_get_str(body, "model");
	call->temperature = json_get_num(body, "temperature");
	call->stream = yyjson_is_true(json_get(body, "stream")) ||
	               slice_eq(json_get_str(body, "stream_format"), SLICE("sse"));
	openai_input_texts(call, json_get(body, "input"));
	openai_input_texts(call, json_get(body, "prompt"));
	m = file ? call_message(call, &call->input, SLICE("user")) : NULL;
	if (m)
		call_part(call, m,
		          (struct llm_part){.kind = LLM_MEDIA,
		                            .name = SLICE("audio"),
		                            .bytes = (uint64_t)(json_get_int(file, "bytes") > 0
		                                                    ? json_get_int(file, "bytes")
		                                                    : 0)});
	return true;
}

static void sound(struct answer *a, struct slice base64)
{
	struct answer_choice *c = base64.n ? answer_choice(a, 0) : NULL;
	struct answer_block *b = c ? answer_find(c, LLM_MEDIA, 0) : NULL;

	if (c && !b)
		b = answer_block(a, c, LLM_MEDIA, 0);
	if (!b)
		return;
	a->carried = true;
	b->name = SLICE("audio");
	b->bytes += base64.n;
}

static void response(struct answer *a, yyjson_val *body)
{
	openai_head(a, body);
	answer_add(a, 0, LLM_TEXT, 0, json_get_str(body, "text"));
	sound(a, json_get_str(body, "audio_data")); /* Mistral */
	openai_usage(a->call, json_get(body, "usage"));
	openai_failed(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	struct slice type = json_get_str(data, "type");

	type = type.n ? type : name;
	if (slice_ends(type, SLICE("text.delta"))) {
		answer_add(a, 0, LLM_TEXT, 0, json_get_str(data, "delta"));
	} else if (slice_eq(type, SLICE("speech.audio.delta"))) {
		sound(a, json_get_str(data, "audio"));
	} else if (slice_ends(type, SLICE(".done"))) {
		openai_usage(a->call, json_get(data, "usage"));
		a->finished = a->done = true;
	} else if (slice_eq(type, SLICE("error")) || json_get(data, "error")) {
		openai_error(a, data);
	}
}

const struct llm_api openai_audio_api = {
    .name = "openai.audio",
    .provider = "openai",
    .operation = "speech",
    .request_only = true,
    .plain = true,
    .fit = fit,
    .request = request,
    .path = path,
    .response = response,
    .event = event,
};
