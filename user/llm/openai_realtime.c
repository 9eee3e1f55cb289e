/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAI realtime, over a WebSocket (OpenAI, Azure, xAI, gateways): a session
 * whose conversation the provider keeps.  A response is asked for by
 * response.create, or begun by the server when it heard the user out.
 *
 * What a call was asked is what the session is set to, and the items that the
 * client put into the conversation since the response before.
 */
#include "llm/openai_items.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_ends(t->path, SLICE("/realtime")) && !slice_eq(t->method, SLICE("POST")) ? API_YES
	                                                                                      : API_NO;
}

static void path(struct llm_call *call, const struct api_target *t)
{
	struct slice model = api_between(t->query, SLICE("model="), '&');

	if (!model.n)
		model = api_between(t->query, SLICE("deployment="), '&');
	if (!call->request_model.n)
		call->request_model = arena_dup(&call->arena, model);
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	openai_response_request(call, body);
	return true;
}

static void context(struct llm_call *call, const struct api_session *s)
{
	yyjson_doc *settings = json_read_into(&call->arena, buf_slice(&s->settings));
	yyjson_doc *items = json_read_into(&call->arena, buf_slice(&s->items));

	openai_response_request(call, yyjson_doc_get_root(settings));
	openai_input(call, yyjson_doc_get_root(items));
	yyjson_doc_free(settings);
	yyjson_doc_free(items);
}

static void add_item(struct api_session *s, yyjson_val *item)
{
	struct arena scratch = {0};
	struct slice text = json_raw(&scratch, item);

	if (text.n && s->items.n + text.n + 2 < API_SESSION_MAX) {
		if (s->items.n)
			s->items.p[s->items.n - 1] = ',';
		else
			buf_addc(&s->items, '[');
		buf_addslice(&s->items, text);
		buf_addc(&s->items, ']');
	}
	arena_release(&scratch);
}

static void set_session(struct api_session *s, yyjson_val *session)
{
	struct slice model = json_get_str(session, "model");
	struct arena scratch = {0};
	struct slice text = json_raw(&scratch, session);

	if (model.n && !slice_eq(model, s->model) && s->arena.bytes < 65536)
		s->model = arena_dup(&s->arena, model);
	buf_clear(&s->settings);
	if (text.n < API_SESSION_MAX)
		buf_addslice(&s->settings, text);
	arena_release(&scratch);
}

static struct api_message message(struct api_session *s, bool from_client, yyjson_val *v)
{
	struct slice type = json_get_str(v, "type");

	if (from_client && slice_eq(type, SLICE("conversation.item.create")))
		add_item(s, json_get(v, "item"));
	else if (!from_client &&
	         (slice_eq(type, SLICE("session.created")) || slice_eq(type, SLICE("session.updated"))))
		set_session(s, json_get(v, "session"));
	return openai_response_message(from_client, v);
}

const struct llm_api openai_realtime_api = {
    .name = "openai.realtime",
    .provider = "openai",
    .operation = "chat",
    .unasked = true,
    .fit = fit,
    .request = request,
    .path = path,
    .event = openai_response_event,
    .message = message,
    .context = context,
};
