/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/text.h"
#include "llm/apis.h"
#include "llm/call.h"
#include "proto/sse.h"

/* How a response body is read; its first byte that is no blank decides. */
enum body_form {
	FORM_UNKNOWN,
	FORM_JSON,   /* collected, parsed at the end */
	FORM_EVENTS, /* decoded event by event, not kept */
};

/* One exchange that may be a call; exchange.user. */
struct pending {
	struct llm *llm;
	struct pending *prev, *next;
	struct exchange *x;
	const struct llm_api *api;
	enum api_fit fit;
	struct llm_call *call; /* NULL once it was handed over */
	bool begun;

	struct buf request;
	bool request_ended, request_parsed, request_hole, request_cut;

	enum body_form form;
	struct buf response;
	struct sse sse;
	struct answer answer;
	bool response_parsed, response_hole, response_cut;
	uint64_t response_last; /* when the latest byte of its body came */

	size_t held; /* what it adds to llm_stats.body_bytes_held */
};

struct llm {
	const struct llm_events *ev;
	void *ctx;
	struct llm_stats stats;
	struct pending *list;
};

struct llm *llm_new(const struct llm_events *ev, void *ctx)
{
	struct llm *l = xcalloc(1, sizeof(*l));

	l->ev = ev;
	l->ctx = ctx;
	return l;
}

const struct llm_stats *llm_stats(const struct llm *l)
{
	return &l->stats;
}

/* ---- memory ---- */

static void account(struct pending *p)
{
	size_t held =
	    p->request.cap + p->response.cap + p->answer.bytes + (p->call ? p->call->arena.bytes : 0);

	p->llm->stats.body_bytes_held += held - p->held;
	p->held = held;
}

static size_t unfinished(const struct pending *p)
{
	return p->request.cap + p->response.cap + p->answer.bytes;
}

/*
 * Too much is held: the largest unfinished body goes, and with it its call's
 * content.  What was parsed already stays, so that new bodies go first.
 */
static void shed(struct llm *l)
{
	while (l->stats.body_bytes_held > LLM_TOTAL_MAX) {
		struct pending *largest = l->list;

		for (struct pending *p = l->list; p; p = p->next)
			if (unfinished(p) > unfinished(largest))
				largest = p;
		if (!largest || !unfinished(largest))
			return;
		largest->request_cut = largest->request_cut || largest->request.cap;
		largest->response_cut = largest->response_cut || largest->response.cap;
		buf_release(&largest->request);
		buf_release(&largest->response);
		answer_shed(&largest->answer);
		account(largest);
	}
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
	account(p);
	shed(p->llm);
}

static void drop(struct pending *p)
{
	if (p->prev)
		p->prev->next = p->next;
	else
		p->llm->list = p->next;
	if (p->next)
		p->next->prev = p->prev;

	p->x->user = NULL;
	p->llm->stats.body_bytes_held -= p->held;
	llm_call_free(p->call);
	buf_release(&p->request);
	buf_release(&p->response);
	sse_release(&p->sse);
	answer_release(&p->answer);
	free(p);
}

/* ---- request ---- */

/* The target without query, and without scheme and authority if it has them (a proxy's). */
static struct slice path_of(struct slice target)
{
	const char *authority = target.n && target.p[0] != '/' ? slice_find(target, SLICE("://")) : NULL;
	struct slice path;

	if (authority) {
		struct slice rest = slice_from(target, (size_t)(authority - target.p) + 3);
		const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;

		target = slash ? slice_from(rest, (size_t)(slash - rest.p)) : SLICE("/");
	}
	return slice_cut(&target, '?', &path) ? path : target;
}

/* "host", "host:port", "[v6]:port". */
static struct slice split_host(struct slice value, int64_t *ret_port)
{
	struct slice host = slice_trim(value);
	const char *end = host.n && host.p[0] == '[' ? memchr(host.p, ']', host.n) : NULL;
	struct slice rest = end ? slice_from(host, (size_t)(end - host.p)) : host;
	const char *colon = rest.n ? memchr(rest.p, ':', rest.n) : NULL;
	uint64_t port;

	*ret_port = host.n ? 443 : LLM_NONE;
	if (colon) {
		if (slice_u64(slice_from(host, (size_t)(colon - host.p) + 1), &port) && port && port <= 65535)
			*ret_port = (int64_t)port;
		host.n = (size_t)(colon - host.p);
	}
	return end ? slice_of(host.p + 1, (size_t)(end - host.p) - 1) : host;
}

static struct slice first_header(const struct http_headers *h, const char *const *names)
{
	struct slice v = {0};

	for (; *names && !v.n; names++)
		v = http_header_get(h, slice_str(*names));
	return v;
}

static void set_where(struct llm_call *call, const struct exchange *x, struct slice host, int64_t port)
{
	static const char *const sessions[] = {"x-claude-code-session-id", "session-id", "session_id",
	                                       "x-session-id", NULL};
	const struct http_headers *h = &x->request_headers;

	if (x->conn)
		call->conn = *x->conn;
	call->is_server = x->request_dir == EV_DIR_READ;
	call->stream_id = x->stream;
	call->request_offset = x->request_offset;
	call->server_address = host.n ? arena_dup(&call->arena, host) : (struct slice){0};
	call->server_port = port;
	call->user_agent = arena_dup(&call->arena, http_header_get(h, SLICE("user-agent")));
	call->session_key = arena_dup(&call->arena, first_header(h, sessions));
}

/* gRPC has paths and frames of its own (http2.h). */
static bool is_grpc(const struct exchange *x)
{
	return slice_starts(http_header_get(&x->request_headers, SLICE("content-type")),
	                    SLICE("application/grpc"));
}

static void on_request(void *ctx, struct exchange *x)
{
	static const char *const authority[] = {"host", ":authority", NULL};
	struct llm *l = ctx;
	int64_t port;
	struct slice host = split_host(first_header(&x->request_headers, authority), &port);
	struct api_target t = {host, path_of(x->target), &x->request_headers};
	enum api_fit fit = API_NO;
	const struct llm_api *api =
	    slice_eq(x->method, SLICE("POST")) && !is_grpc(x) ? api_find(&t, &fit) : NULL;

	x->user = NULL;
	if (!api) {
		l->stats.other_exchanges++;
		return;
	}

	struct pending *p = xcalloc(1, sizeof(*p));
	p->llm = l;
	p->x = x;
	p->api = api;
	p->fit = fit;
	p->next = l->list;
	if (p->next)
		p->next->prev = p;
	l->list = p;
	x->user = p;

	p->call = call_new();
	p->call->api = api->name;
	p->call->provider = api_provider(host, api->provider);
	p->call->operation = api->operation;
	set_where(p->call, x, host, port);
	answer_init(&p->answer, p->call);
	account(p);
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

static void set_digest(struct pending *p)
{
	struct hash digest = hash_bytes(buf_slice(&p->request));
	struct buf hex = {0};

	text_hex(&hex, digest.b, sizeof(digest.b));
	p->call->request_sha256 = arena_dup(&p->call->arena, buf_slice(&hex));
	buf_release(&hex);
}

/* A header's session key is the agent's word; what the body says comes second. */
static bool parse_request(struct pending *p)
{
	struct slice header_key = p->call->session_key;
	yyjson_doc *doc = json_read_into(&p->call->arena, buf_slice(&p->request));
	bool shaped = doc && p->api->request(p->call, yyjson_doc_get_root(doc));

	p->request_parsed = doc != NULL;
	yyjson_doc_free(doc);
	if (header_key.n)
		p->call->session_key = header_key;
	return shaped;
}

/* The request is as complete as it will be. False: this is no LLM call, `p` is gone. */
static bool begin(struct pending *p)
{
	bool whole = p->request_ended && !p->request_hole && !p->request_cut;
	bool shaped = whole && parse_request(p);

	if (!shaped && p->fit != API_YES) {
		p->llm->stats.other_exchanges++;
		drop(p);
		return false;
	}
	if (whole && (p->request_parsed || !(p->x->damage & DAMAGE_ENCODING)))
		set_digest(p);
	buf_release(&p->request);
	if (p->api->path)
		p->api->path(p->call, path_of(p->x->target));
	p->call->request_start = p->x->request_start;
	p->call->request_end = p->x->request_end;
	account(p);
	shed(p->llm);

	p->begun = true;
	p->llm->stats.calls++;
	p->llm->ev->begin(p->llm->ctx, p->call);
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

static const char *lost_text(bool request, enum gap_cause cause)
{
	switch (cause) {
	case GAP_RING:
		return request ? "request bytes lost: ring full" : "response bytes lost: ring full";
	case GAP_UNREADABLE:
		return request ? "request bytes lost: memory not readable"
		               : "response bytes lost: memory not readable";
	case GAP_TOO_LONG:
		return request ? "request bytes lost: one call longer than this kernel can copy"
		               : "response bytes lost: one call longer than this kernel can copy";
	case GAP_CRASH:
		return request ? "request bytes lost: a record crashed the decoder"
		               : "response bytes lost: a record crashed the decoder";
	default:
		return request ? "request bytes lost: cause not known"
		               : "response bytes lost: cause not known";
	}
}

static const char *why_lost(const struct exchange *x, bool request)
{
	return !x->cause && x->why ? x->why : lost_text(request, x->cause);
}

static const char *why_request(const struct pending *p)
{
	const struct exchange *x = p->x;

	if (p->request_hole || x->damage & (DAMAGE_REQUEST_HEAD | DAMAGE_REQUEST_BODY))
		return why_lost(x, true);
	if (x->damage & DAMAGE_LATE)
		return "the connection is older than the capture: which answer belongs to which request is "
		       "not certain";
	if (p->request_cut)
		return "request body larger than the limit";
	if (!p->request_ended)
		return "request cut: the connection or the capture ended";
	if (!p->request_parsed && x->damage & DAMAGE_ENCODING)
		return "request body cannot be decoded";
	return p->request_parsed ? NULL : "request body is not JSON";
}

static const char *why_dropped(const struct pending *p)
{
	if (p->response_cut || p->answer.cut)
		return "response body larger than the limit";
	return p->sse.dropped ? "response event larger than the limit" : NULL;
}

static const char *why_body(const struct pending *p)
{
	bool ok = p->x->status >= 200 && p->x->status < 300;

	if (why_dropped(p) || p->response_parsed)
		return why_dropped(p);
	if (p->form == FORM_EVENTS)
		return p->answer.finished || p->call->error_type.p
		           ? NULL
		           : "response cut: the stream ended before its last event";
	if (!ok)
		return NULL;
	return p->call->response_bytes ? "response body is not JSON" : "response body is empty";
}

static const char *why_response(const struct pending *p)
{
	const struct exchange *x = p->x;

	/* A head after a hole may be that of another request. */
	if (p->response_hole || x->damage & DAMAGE_RESPONSE_HEAD)
		return why_lost(x, false);
	if (p->answer.done ||
	    (p->response_parsed && x->response_end)) /* nothing that mattered came after it */
		return why_dropped(p);
	if (x->damage & DAMAGE_RESPONSE_BODY)
		return why_lost(x, false);
	if (x->damage & DAMAGE_SYNTAX)
		return x->why ? x->why : "response is not valid HTTP";
	if (x->damage & DAMAGE_ENCODING && p->request_parsed)
		return "response body cannot be decoded";
	if (!x->status)
		return "no response: the connection or the capture ended";
	if (x->damage & DAMAGE_CUT)
		return "response cut: the connection or the capture ended";
	return why_body(p);
}

static void parse_response(struct pending *p)
{
	struct slice body = buf_slice(&p->response);
	yyjson_doc *doc = p->response_hole ? NULL : json_read(body);

	p->response_parsed = doc != NULL;
	if (doc)
		p->api->response(&p->answer, yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	if (!doc && p->call->status >= 400 && body.n) {
		body.n = body.n < CALL_ERROR_MAX ? body.n : CALL_ERROR_MAX;
		call_error(p->call, (struct slice){0}, slice_trim(body));
	}
}

/* error.type is low in variety: the provider's word, else the status, else the conventions' word for none. */
static void set_error_type(struct llm_call *call)
{
	char status[8];

	if (call->error_type.p || (call->status < 400 && !call->error_message.p))
		return;
	snprintf(status, sizeof(status), "%u", call->status);
	call->error_type = arena_dup(&call->arena, call->status >= 400 ? slice_str(status) : SLICE("_OTHER"));
}

static void finish(struct pending *p, uint64_t ts)
{
	static const char *const request_ids[] = {"request-id", "x-request-id", "apim-request-id",
	                                          "x-amzn-requestid", NULL};
	struct exchange *x = p->x;
	struct llm_call *call = p->call;
	struct slice request_id = first_header(&x->response_headers, request_ids);

	call->status = x->status;
	if (request_id.n)
		call->request_id = arena_dup(&call->arena, request_id);
	if (p->form == FORM_EVENTS)
		sse_finish(&p->sse);
	else
		parse_response(p);
	answer_finish(&p->answer);
	set_error_type(call);

	call->response_start = x->response_start;
	call->response_head = x->response_head;
	call->end = ts;
	call->lost_bytes = x->lost_bytes;
	call->damage = x->damage;
	call->why_incomplete = why_request(p);
	if (!call->why_incomplete)
		call->why_incomplete = why_response(p);
	call->state = call->why_incomplete ? LLM_INCOMPLETE : LLM_COMPLETE;
	p->llm->stats.incomplete += call->state == LLM_INCOMPLETE;

	p->call = NULL;
	buf_release(&p->response);
	answer_release(&p->answer);
	sse_release(&p->sse);
	account(p);
	p->llm->ev->end(p->llm->ctx, call);
}

static void on_event(void *ctx, uint64_t ts, struct slice name, struct slice data)
{
	struct pending *p = ctx;
	struct answer *a = &p->answer;

	if (a->done)
		return;
	if (slice_eq(slice_trim(data), SLICE("[DONE]"))) {
		a->done = true;
		return;
	}

	yyjson_doc *doc = json_read(data);
	a->carried = false;
	if (doc)
		p->api->event(a, name, yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	if (p->call->error_type.p || p->call->error_message.p)
		a->done = true; /* nothing follows an error, and clients close the connection upon it */
	if (a->carried) {
		p->call->n_chunks++;
		if (!p->call->first_token)
			p->call->first_token = ts;
	}
}

static bool one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

/*
 * JSON and other text begin where an event stream cannot; servers label both
 * wrongly, so the label only decides what the first byte leaves open.
 */
static enum body_form form_of(const struct exchange *x, char first, bool after_hole)
{
	struct slice type = http_header_get(&x->response_headers, SLICE("content-type"));
	bool labelled = slice_find(type, SLICE("event-stream")) != NULL;

	if ((first == '{' || first == '[') && !(after_hole && labelled))
		return FORM_JSON;
	return labelled || (x->status < 400 && one_of(first, "dei:r")) ? FORM_EVENTS : FORM_JSON;
}

static void feed(struct pending *p, uint64_t ts, struct slice s)
{
	if (p->form == FORM_UNKNOWN) {
		while (s.n && one_of(s.p[0], " \t\r\n"))
			s = slice_from(s, 1);
		if (!s.n)
			return;
		p->form = form_of(p->x, s.p[0], p->response_hole);
		p->call->status = p->x->status;
		p->answer.is_stream = p->form == FORM_EVENTS;
		if (p->form == FORM_EVENTS)
			sse_init(&p->sse, on_event, p);
		if (p->form == FORM_EVENTS && p->response_hole)
			sse_gap(&p->sse);
	}

	if (p->form == FORM_EVENTS) {
		sse_feed(&p->sse, ts, s);
		account(p);
		shed(p->llm);
	} else if (!p->response_hole) {
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
	p->call->response_bytes += s.n;
	p->response_last = ts;
	feed(p, ts, s);
	if (p->answer.done && p->begun)
		finish(p, ts);
}

static void on_response(void *ctx, struct exchange *x)
{
	(void)ctx, (void)x;
}

static void on_body_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	struct pending *p = x->user;

	(void)ctx, (void)ts, (void)n;
	if (!p || !p->call)
		return;
	if (dir == x->request_dir) {
		p->request_hole = true;
		buf_release(&p->request);
	} else {
		p->response_hole = p->response_hole || !p->answer.done;
		buf_release(&p->response);
		if (p->form == FORM_EVENTS)
			sse_gap(&p->sse);
	}
	account(p);
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

	(void)ctx;
	if (!p)
		return;
	if (p->call && !p->begun && !begin(p))
		return;
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
    .end = on_end,
};

void llm_free(struct llm *l)
{
	if (!l)
		return;
	while (l->list)
		on_end(l, l->list->x);
	free(l);
}
