/* SPDX-License-Identifier: Apache-2.0 */
/* Mistral OCR: a document is read, page by page, as Markdown. */
#include "llm/apis.h"
#include "llm/call.h"

static enum api_fit fit(const struct api_target *t)
{
	if (!slice_ends(t->path, SLICE("/v1/ocr")))
		return API_NO;
	return slice_ends(t->host, SLICE("mistral.ai")) ? API_YES : API_SHAPE;
}

/* Some of these members hold a URL, others an object around one. */
static struct slice url_of(yyjson_val *document)
{
	yyjson_val *image = json_get(document, "image_url");
	struct slice url = json_get_str(document, "document_url"), id = json_get_str(document, "file_id");

	if (url.n || id.n)
		return url.n ? url : id;
	return yyjson_is_str(image) ? json_str(image) : json_get_str(image, "url");
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *document = json_get(body, "document");
	struct llm_message *m;

	if (!yyjson_is_obj(document))
		return false;
	call->request_model = json_get_str(body, "model");
	m = call_message(call, &call->input, SLICE("user"));
	if (m)
		call_media_url(call, m, SLICE("document"), url_of(document));
	return true;
}

static void response(struct answer *a, yyjson_val *body)
{
	yyjson_val *pages = json_get(body, "pages"), *page;
	size_t i, n;

	answer_once(a, &a->call->response_model, json_get_str(body, "model"));
	if (yyjson_is_arr(pages))
		a->call->output_count = (int64_t)yyjson_arr_size(pages);
	yyjson_arr_foreach(pages, i, n, page)
	    answer_add(a, 0, LLM_TEXT, (int64_t)i, json_get_str(page, "markdown"));
	if (a->call->status >= 400)
		call_error(a->call, json_get_str(body, "type"), json_get_str(body, "message"));
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	response(a, data);
}

const struct llm_api mistral_ocr_api = {
    .name = "mistral.ocr",
    .provider = "mistral_ai",
    .operation = "ocr",
    .request_only = true,
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
};
