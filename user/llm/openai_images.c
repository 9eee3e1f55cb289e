/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAI images: made from a prompt, edited, varied.  What came is known by
 * number, length and URL; a stream (gpt-image) repeats drafts before the picture.
 */
#include "llm/openai.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_ends(t->path, SLICE("/images/generations")) ||
	               slice_ends(t->path, SLICE("/images/edits")) ||
	               slice_ends(t->path, SLICE("/images/variations"))
	           ? API_YES
	           : API_NO;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	if (!yyjson_is_obj(body))
		return false;
	call->request_model = json_get_str(body, "model");
	call->stream = yyjson_is_true(json_get(body, "stream"));
	call->choice_count = json_get_int(body, "n");
	call->output_type = SLICE("image");
	openai_input_texts(call, json_get(body, "prompt"));
	return true;
}

static void take_picture(struct answer *a, int64_t key, yyjson_val *picture)
{
	struct answer_choice *c = answer_choice(a, 0);
	struct answer_block *b = c ? answer_block(a, c, LLM_MEDIA, key) : NULL;

	if (!b)
		return;
	a->carried = true;
	b->name = SLICE("image");
	b->bytes = json_get_str(picture, "b64_json").n;
	b->initial = arena_dup(&a->call->arena, json_get_str(picture, "url"));
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *data = json_get(body, "data"), *picture;
	size_t i, n;

	openai_head(a, body);
	if (yyjson_is_arr(data))
		a->call->output_count = (int64_t)yyjson_arr_size(data);
	yyjson_arr_foreach(data, i, n, picture) take_picture(a, (int64_t)i, picture);
	openai_usage(a->call, json_get(body, "usage"));
	openai_failed(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	struct slice type = json_get_str(data, "type");

	type = type.n ? type : name;
	if (slice_ends(type, SLICE(".completed"))) {
		take_picture(a, 0, data);
		a->call->output_count = 1;
		openai_usage(a->call, json_get(data, "usage"));
		a->finished = a->done = true;
	} else if (slice_eq(type, SLICE("error")) || json_get(data, "error")) {
		openai_error(a, data);
	}
}

const struct llm_api openai_images_api = {
    .name = "openai.images",
    .provider = "openai",
    .operation = "image_generation",
    .request_only = true,
    .plain = true,
    .fit = fit,
    .request = request,
    .path = openai_path,
    .response = response,
    .event = event,
};
