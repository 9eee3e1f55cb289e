/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/call.h"
#include "llm/http.h"
#include "llm/mcp_channel.h"
#include "llm/mcp_stdio.h"
#include "llm/multipart.h"
#include "llm/pending.h"
#include "llm/socket.h"
#include "llm/unread.h"

static void on_mcp(void *ctx, const struct mcp_request *m)
{
	struct llm *l = ctx;

	l->stats.mcp_requests++;
	l->ev->mcp(l->ctx, m);
}

struct llm *llm_new(const struct llm_events *ev, void *ctx)
{
	struct llm *l = xcalloc(1, sizeof(*l));

	l->ev = ev;
	l->ctx = ctx;
	l->mcp = mcp_new(on_mcp, l);
	request_memory_init(&l->requests);
	repeats_init(&l->repeats);
	return l;
}

const struct llm_stats *llm_stats(const struct llm *l)
{
	return &l->stats;
}

static void collect(struct pending *p, struct buf *body, bool *cut, struct slice s)
{
	if (*cut)
		return;
	if (body->n + s.n > LLM_BODY_MAX) {
		*cut = true;
		buf_release(body);
	} else {
		buf_addslice(body, s);
	}
	pending_weigh(p);
}

static void drop(struct pending *p)
{
	p->x->user = NULL;
	socket_free(p->socket);
	mcp_stdio_free(p->stdio);
	pending_free(p);
}

/* ---- request ---- */

static bool asks_for_websocket(const struct exchange *x)
{
	struct slice upgrade = http_header_get(&x->request_headers, SLICE("upgrade"));

	if (slice_eq(x->method, SLICE("CONNECT"))) /* RFC 8441 */
		return slice_eq(http_header_get(&x->request_headers, SLICE(":protocol")), SLICE("websocket"));
	return slice_eq(x->method, SLICE("GET")) && slice_caseeq(upgrade, SLICE("websocket"));
}

/* Its head is not known, so its body must tell (http2.h). */
static bool path_unknown(const struct exchange *x)
{
	bool may_be_post = !x->method.p || slice_eq(x->method, SLICE("POST"));

	return slice_eq(x->protocol, SLICE("h2")) && !x->target.p && may_be_post && x->damage;
}

/* A connection whose messages are lines. */
static void on_lines(struct llm *l, struct exchange *x)
{
	struct pending *p = l->ev->mcp ? pending_new(l, x, &mcp_api) : NULL;

	x->user = p;
	if (!p)
		return;
	llm_call_free(p->call);
	p->call = NULL;
	answer_release(&p->answer);
	p->stdio = mcp_stdio_new(p);
	pending_account(p);
}

static void on_request(void *ctx, struct exchange *x)
{
	struct llm *l = ctx;
	struct api_target t = pending_target(x);
	enum api_fit fit = API_NO;
	bool socket = asks_for_websocket(x);
	enum unread unread = unread_kind(x);
	const struct llm_api *api = unread ? NULL : api_find(&t, socket, &fit);
	bool by_shape = !api && !socket && !unread && path_unknown(x);
	struct pending *p;

	x->user = NULL;
	if (slice_eq(x->protocol, SLICE("jsonrpc"))) {
		on_lines(l, x);
		return;
	}
	l->stats.grpc += unread == UNREAD_GRPC;
	l->stats.batches += unread == UNREAD_BATCH;
	if (by_shape)
		api = &openai_chat_api; /* until the body is there */
	if (!api || (api == &mcp_api && !l->ev->mcp)) {
		l->stats.other_exchanges++;
		return;
	}
	p = pending_new(l, x, api);
	p->fit = fit;
	p->by_shape = by_shape;
	x->user = p;
	if (socket) {
		if (api->path)
			api->path(p->call, &t);
		p->socket = socket_new(p, p->call->request_model);
		llm_call_free(p->call);
		p->call = NULL;
		answer_release(&p->answer);
		pending_account(p);
	}
}

static void on_request_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	struct pending *p = x->user;

	(void)ctx, (void)ts;
	if (!p || !p->call || p->request_ended)
		return;
	p->call->request_bytes += s.n;
	if (p->request_hole)
		return;
	collect(p, &p->request, &p->request_cut, s);
}

static bool is_multipart(const struct pending *p)
{
	return multipart_is(http_header_get(&p->x->request_headers, SLICE("content-type")));
}

static bool parse_text(struct pending *p, struct slice text)
{
	struct slice type = http_header_get(&p->x->request_headers, SLICE("content-type"));
	yyjson_doc *doc = is_multipart(p) ? multipart_read(&p->call->arena, type, text)
	                                  : json_read_into(&p->call->arena, text);
	bool shaped = doc && p->api->request(p->call, yyjson_doc_get_root(doc));

	p->request_parsed = doc != NULL;
	yyjson_doc_free(doc);
	return shaped;
}

/* All of it but the messages that are known already. */
static bool parse_news(struct pending *p)
{
	struct slice body = buf_slice(&p->request);
	struct repeat rep = repeat_find(&p->llm->repeats, p->call, p->api->name, p->api->messages);
	struct buf rest = {0};
	bool shaped;

	if (rep.n_known)
		repeat_cut(&rep, p->call, body, &rest);
	shaped = parse_text(p, rep.n_known ? buf_slice(&rest) : body);
	buf_release(&rest);
	if ((shaped && repeat_join(&p->llm->repeats, &rep, p->call)) || !rep.n_known)
		return shaped;
	pending_retry(p, p->api);
	return parse_text(p, body);
}

/* A header's session key is the agent's word; what the body says comes second. */
static bool parse_request(struct pending *p)
{
	struct slice header_key = pending_session(p->x);
	bool shaped;

	if (is_multipart(p)) {
		shaped = parse_text(p, buf_slice(&p->request));
	} else {
		request_pieces(&p->llm->requests, p->call, buf_slice(&p->request));
		shaped = parse_news(p);
	}
	if (header_key.n)
		p->call->session_key = arena_dup(&p->call->arena, header_key);
	return shaped;
}

/* Several APIs have paths like this one. */
static bool try_next(struct pending *p, const struct api_target *t)
{
	const struct llm_api *api = p->request_parsed ? api_next(t, p->api) : NULL;

	if (!api || (api == &mcp_api && !p->llm->ev->mcp))
		return false;
	pending_retry(p, api);
	return true;
}

/* The call becomes one of the API that the body is of; false: of none. */
static bool find_by_shape(struct pending *p)
{
	yyjson_doc *doc = json_read(buf_slice(&p->request));
	const struct llm_api *api = api_by_shape(yyjson_doc_get_root(doc));

	yyjson_doc_free(doc);
	if (api)
		pending_retry(p, api);
	return api != NULL;
}

static void keep_request(struct pending *p)
{
	if (p->api != &mcp_api)
		request_body(&p->llm->requests, p->call, &p->request, p->request_parsed && !is_multipart(p));
}

/* The request is as complete as it will be. False: this is no LLM call, `p` is gone. */
static bool begin(struct pending *p)
{
	bool whole = p->request_ended && !p->request_hole && !p->request_cut;
	bool found = !p->by_shape || (whole && !p->x->response_start && find_by_shape(p));
	bool shaped = whole && found && parse_request(p);
	struct api_target t = pending_target(p->x);

	while (whole && found && !shaped && p->fit == API_SHAPE && !p->x->response_start && try_next(p, &t))
		shaped = parse_request(p);

	if (!shaped && p->fit != API_YES) {
		p->llm->stats.other_exchanges++;
		drop(p);
		return false;
	}
	/* A request may say nothing; what it does not say is not lost. */
	p->request_parsed = p->request_parsed || (whole && !p->call->request_bytes && !p->x->damage);
	if (whole && (p->request_parsed || !(p->x->damage & DAMAGE_ENCODING)))
		keep_request(p);
	buf_release(&p->request);
	if (p->api->path)
		p->api->path(p->call, &t);
	p->call->request_start = p->x->request_start;
	p->call->request_end = p->x->request_end;
	pending_weigh(p);
	pending_begin(p);
	return true;
}

static void on_request_end(void *ctx, struct exchange *x)
{
	struct pending *p = x->user;

	(void)ctx;
	if (p && p->call && !p->begun) {
		p->request_ended = true;
		begin(p);
	}
}

/* ---- response ---- */

static void on_value(void *ctx, uint64_t ts, struct slice name, struct slice data)
{
	struct pending *p = ctx;
	yyjson_doc *doc;

	if (p->answer.done)
		return;
	if (slice_eq(slice_trim(data), SLICE("[DONE]"))) {
		p->answer.done = true;
		p->call->response_bytes = framing_position(&p->framing);
		return;
	}
	doc = json_read(data);
	p->n_values += doc != NULL;
	if (doc)
		pending_value(p, ts, name, yyjson_doc_get_root(doc));
	else if (p->api->text)
		p->api->text(&p->answer, name, data);
	yyjson_doc_free(doc);
	if (p->answer.done)
		p->call->response_bytes = framing_position(&p->framing);
}

static void on_failed(void *ctx, uint64_t ts, struct slice type, struct slice data)
{
	struct pending *p = ctx;
	yyjson_doc *doc = json_read(data);
	struct slice message = json_get_str(yyjson_doc_get_root(doc), "message");

	(void)ts;
	if (!p->answer.done)
		call_error(p->call, type, message.n ? message : data);
	p->answer.done = true;
	p->call->response_bytes = framing_position(&p->framing);
	yyjson_doc_free(doc);
}

static const struct framing_events framing_events = {on_value, on_failed};

static bool is_open(const struct pending *p)
{
	return p->framing.form == FRAMING_UNKNOWN;
}

/* Text that is no JSON: an answer where the API allows it, else an error's text. */
static void take_text(struct pending *p, struct slice body)
{
	struct slice type = http_header_get(&p->x->response_headers, SLICE("content-type"));

	if (p->call->status >= 400) {
		body.n = body.n < CALL_ERROR_MAX ? body.n : CALL_ERROR_MAX;
		call_error(p->call, (struct slice){0}, slice_trim(body));
	} else if (p->api->plain && !slice_find(type, SLICE("json"))) {
		answer_add(&p->answer, 0, LLM_TEXT, 0, body);
		p->response_parsed = true;
	}
}

/* A stream of values that is labelled as one value; nothing is taken unless a whole value is there. */
static bool take_values(struct pending *p, struct slice body)
{
	if (!slice_starts(slice_trim(body), SLICE("{")) || p->call->status >= 400)
		return false;
	p->answer.is_stream = true;
	framing_as_values(&p->framing);
	framing_feed(&p->framing, p->response_last, body);
	if (p->n_values)
		return true;
	framing_release(&p->framing);
	p->answer.is_stream = false;
	return false;
}

static void parse_whole(struct pending *p)
{
	struct slice body = buf_slice(&p->response);
	yyjson_doc *doc = json_read(body);

	p->response_parsed = doc != NULL;
	if (doc)
		p->api->response(&p->answer, yyjson_doc_get_root(doc));
	else if (body.n && !take_values(p, body))
		take_text(p, body);
	yyjson_doc_free(doc);
}

static void take_media(struct pending *p)
{
	struct slice type = http_header_get(&p->x->response_headers, SLICE("content-type"));
	struct answer_choice *c = answer_choice(&p->answer, 0);
	struct answer_block *b = c ? answer_block(&p->answer, c, LLM_MEDIA, 0) : NULL;
	struct slice name;

	if (!b)
		return;
	slice_cut(&type, ';', &name);
	b->name = arena_dup(&p->call->arena, slice_trim(name));
	b->bytes = p->call->response_bytes;
	p->response_parsed = true;
}

static void finish(struct pending *p, uint64_t ts)
{
	struct exchange *x = p->x;
	struct llm_call *call = p->call;

	call->status = x->status;
	p->answer.at = ts;
	if (p->framing.form == FRAMING_MEDIA && !p->response_hole)
		take_media(p);
	else if (!framing_streams(&p->framing) && !p->response_hole)
		parse_whole(p);
	call->framing = framing_name(&p->framing);
	p->unfinished = framing_finish(&p->framing);
	call->response_start = x->response_start;
	call->response_head = x->response_head;
	pending_end(p, ts, pending_damage(p));
}

static void feed(struct pending *p, uint64_t ts, struct slice s)
{
	struct framing_hint hint = {
	    .content_type = http_header_get(&p->x->response_headers, SLICE("content-type")),
	    .status = p->x->status,
	    .after_hole = p->response_hole,
	    .plain = p->api->plain,
	};

	if (is_open(p)) {
		p->framing.ev = &framing_events;
		p->framing.ctx = p;
		if (!framing_decide(&p->framing, &hint, s))
			return;
		p->call->status = p->x->status;
		p->answer.is_stream = framing_streams(&p->framing);
	}

	if (framing_streams(&p->framing)) {
		framing_feed(&p->framing, ts, s);
		pending_weigh(p);
	} else if (!p->response_hole && p->framing.form != FRAMING_MEDIA) {
		collect(p, &p->response, &p->response_cut, s);
	}
}

/*
 * An answer that said its last word is handed over at once: clients keep the
 * connection, and the end of the HTTP message may never be read.
 */
static void on_response_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	struct pending *p = x->user;

	(void)ctx;
	if (!p || !p->call)
		return;
	if (!p->answer.done)
		p->call->response_bytes += s.n;
	p->response_last = ts;
	feed(p, ts, s);
	if (p->answer.done && p->begun)
		finish(p, ts);
}

static void on_response(void *ctx, struct exchange *x)
{
	struct pending *p = x->user;

	(void)ctx;
	if (p && p->call && p->begun && p->api == &mcp_api)
		mcp_head(p);
}

static void on_body_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	struct pending *p = x->user;

	(void)ctx;
	if (p && p->socket)
		socket_gap(p->socket, dir, ts);
	if (p && p->stdio)
		mcp_stdio_gap(p->stdio, dir, ts, n);
	if (!p || !p->call)
		return;
	if (dir == x->request_dir) {
		p->request_hole = true;
		buf_release(&p->request);
	} else {
		p->response_hole = p->response_hole || !p->answer.done;
		buf_release(&p->response);
		framing_gap(&p->framing);
	}
	pending_account(p);
}

static void on_message(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, struct slice s, bool text)
{
	struct pending *p = x->user;

	(void)ctx, (void)text;
	if (p && p->socket)
		socket_message(p->socket, dir, ts, s);
	if (p && p->stdio) {
		if (mcp_stdio_message(p->stdio, dir, ts, s))
			pending_weigh(p);
		else
			drop(p); /* something else is spoken here */
	}
}

/* The end of a response; where it was not seen, the last that was. */
static uint64_t end_of(const struct pending *p)
{
	const struct exchange *x = p->x;
	const uint64_t seen[] = {x->response_end, p->response_last, x->response_head, x->request_end};

	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		if (seen[i])
			return seen[i];
	return x->request_start;
}

static void on_end(void *ctx, struct exchange *x)
{
	struct pending *p = x->user;

	if (!p) {
		http_give(ctx, x);
		return;
	}
	if (p->socket && !socket_end(p->socket, end_of(p))) {
		p->llm->stats.other_exchanges++;
		http_give(p->llm, x);
	}
	if (p->stdio)
		mcp_stdio_end(p->stdio, end_of(p));
	if (p->call && !p->begun && !begin(p)) {
		http_give(ctx, x);
		return;
	}
	if (p->call)
		finish(p, end_of(p));
	drop(p);
}

const struct proto_events llm_proto_events = {
    .request = on_request,
    .request_body = on_request_body,
    .request_end = on_request_end,
    .response = on_response,
    .response_body = on_response_body,
    .body_gap = on_body_gap,
    .message = on_message,
    .end = on_end,
};

void llm_free(struct llm *l)
{
	if (!l)
		return;
	while (l->list)
		on_end(l, l->list->x);
	mcp_free(l->mcp);
	request_memory_release(&l->requests);
	repeats_release(&l->repeats);
	free(l);
}
