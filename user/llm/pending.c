/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/call.h"
#include "llm/mcp_stdio.h"
#include "llm/pending.h"

/* ---- memory ---- */

static size_t unfinished(const struct pending *p)
{
	size_t body = p->call ? p->call->body.cap : 0;

	return p->request.cap + body + p->response.cap + p->answer.bytes + framing_held(&p->framing);
}

void pending_account(struct pending *p)
{
	size_t held = unfinished(p) + (p->call ? p->call->arena.bytes : 0);

	if (p->call && p->api == &mcp_api)
		held += mcp_held(p);
	if (p->stdio)
		held += mcp_stdio_held(p->stdio);

	p->llm->stats.body_bytes_held += held - p->held;
	p->held = held;
}

/*
 * Too much is held: the largest unfinished body goes, and with it its call's
 * content.  What was parsed already stays, so that new bodies go first.
 */
static void shed(struct llm *l)
{
	uint64_t before = UINT64_MAX; /* a framing keeps a little: no progress, no end */

	while (l->stats.body_bytes_held > LLM_TOTAL_MAX && l->stats.body_bytes_held < before) {
		struct pending *largest = l->list;

		before = l->stats.body_bytes_held;

		for (struct pending *p = l->list; p; p = p->next)
			if (unfinished(p) > unfinished(largest))
				largest = p;
		if (!largest || !unfinished(largest))
			return;
		largest->request_cut = largest->request_cut || largest->request.cap;
		largest->response_cut = largest->response_cut || largest->response.cap;
		buf_release(&largest->request);
		buf_release(&largest->response);
		if (largest->call) {
			buf_release(&largest->call->body);
			largest->call->pieces = (struct pieces){0};
		}
		answer_shed(&largest->answer);
		if (framing_held(&largest->framing)) {
			framing_gap(&largest->framing);
			largest->answer.cut = true;
		}
		pending_account(largest);
	}
}

void pending_weigh(struct pending *p)
{
	pending_account(p);
	shed(p->llm);
}

void pending_free(struct pending *p)
{
	if (p->prev)
		p->prev->next = p->next;
	else
		p->llm->list = p->next;
	if (p->next)
		p->next->prev = p->prev;

	p->llm->stats.body_bytes_held -= p->held;
	if (p->call && p->api == &mcp_api)
		mcp_drop(p);
	llm_call_free(p->call);
	buf_release(&p->request);
	buf_release(&p->response);
	framing_release(&p->framing);
	answer_release(&p->answer);
	free(p);
}

/* ---- what the head says ---- */

/* The target without scheme and authority if it has them (a proxy's). */
static struct slice local_target(struct slice target)
{
	const char *authority = target.n && target.p[0] != '/' ? slice_find(target, SLICE("://")) : NULL;
	struct slice rest;
	const char *slash;

	if (!authority)
		return target;
	rest = slice_from(target, (size_t)(authority - target.p) + 3);
	slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
	return slash ? slice_from(rest, (size_t)(slash - rest.p)) : SLICE("/");
}

/* "host", "host:port", "[v6]:port". */
static struct slice split_host(struct slice value, bool tls, int64_t *ret_port)
{
	struct slice host = slice_trim(value);
	const char *end = host.n && host.p[0] == '[' ? memchr(host.p, ']', host.n) : NULL;
	struct slice rest = end ? slice_from(host, (size_t)(end - host.p)) : host;
	const char *colon = rest.n ? memchr(rest.p, ':', rest.n) : NULL;
	uint64_t port;

	*ret_port = host.n ? (tls ? 443 : 80) : LLM_NONE;
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

static struct slice host_of(const struct exchange *x, int64_t *ret_port)
{
	static const char *const authority[] = {"host", ":authority", NULL};

	return split_host(first_header(&x->request_headers, authority), !x->conn || x->conn->lib != EV_LIB_SOCKET, ret_port);
}

struct api_target pending_target(const struct exchange *x)
{
	struct slice rest = local_target(x->target);
	struct api_target t = {.method = x->method, .headers = &x->request_headers, .path = rest};
	int64_t port;

	t.host = host_of(x, &port);
	if (slice_cut(&rest, '?', &t.path))
		t.query = rest;
	return t;
}

struct slice pending_session(const struct exchange *x)
{
	static const char *const sessions[] = {"x-claude-code-session-id", "session-id", "session_id",
	                                       "x-session-id", NULL};

	return first_header(&x->request_headers, sessions);
}

static void set_where(struct llm_call *call, const struct exchange *x)
{
	const struct http_headers *h = &x->request_headers;
	struct slice host = host_of(x, &call->server_port);

	if (x->conn)
		call->conn = *x->conn;
	call->is_server = x->request_dir == EV_DIR_READ;
	call->stream_id = x->stream;
	call->protocol = x->protocol; /* static text */
	call->request_offset = x->request_offset;
	call->server_address = host.n ? arena_dup(&call->arena, host) : (struct slice){0};
	call->user_agent = arena_dup(&call->arena, http_header_get(h, SLICE("user-agent")));
	call->traceparent = arena_dup(&call->arena, http_header_get(h, SLICE("traceparent")));
	call->session_key = arena_dup(&call->arena, pending_session(x));
	request_head(call, x, local_target(x->target));
}

static void fresh_call(struct pending *p, const struct llm_api *api)
{
	p->api = api;
	p->call = call_new();
	set_where(p->call, p->x);
	p->call->api = api->name;
	p->call->provider = api_provider(p->call->server_address, api->provider);
	p->call->operation = api->operation;
	p->call->request_only = api->request_only;
	answer_init(&p->answer, p->call);
	p->answer.headers = &p->x->response_headers;
}

struct pending *pending_new(struct llm *l, struct exchange *x, const struct llm_api *api)
{
	struct pending *p = xcalloc(1, sizeof(*p));

	p->llm = l;
	p->x = x;
	p->next = l->list;
	if (p->next)
		p->next->prev = p;
	l->list = p;
	fresh_call(p, api);
	pending_account(p);
	return p;
}

void pending_retry(struct pending *p, const struct llm_api *api)
{
	uint64_t request_bytes = p->call->request_bytes, response_bytes = p->call->response_bytes;

	if (p->api == &mcp_api)
		mcp_drop(p);
	llm_call_free(p->call);
	answer_release(&p->answer);
	fresh_call(p, api);
	p->call->request_bytes = request_bytes;
	p->call->response_bytes = response_bytes;
}

/* ---- life ---- */

void pending_begin(struct pending *p)
{
	p->begun = true;
	if (p->api == &mcp_api) {
		mcp_begin(p);
		return;
	}
	p->llm->stats.calls++;
	p->llm->ev->begin(p->llm->ctx, p->call);
}

void pending_value(struct pending *p, uint64_t ts, struct slice name, yyjson_val *value)
{
	struct answer *a = &p->answer;

	if (!answer_room(a, 0))
		return;
	a->carried = false;
	a->at = ts;
	p->api->event(a, name, value);
	if (p->call->error_type.p || p->call->error_message.p)
		a->done = true; /* nothing follows an error, and clients close the connection upon it */
	if (a->carried)
		call_chunk(p->call, ts);
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

/* How long the server says it took, ms, where the body says nothing of it. */
static void take_latency(struct llm_call *call, struct slice ms)
{
	uint64_t n;

	if (call->server_time.total == LLM_NONE && slice_u64(slice_trim(ms), &n) && n < 1000000000)
		call->server_time.total = (int64_t)n * 1000000;
}

void pending_end(struct pending *p, uint64_t ts, const char *why)
{
	static const char *const request_ids[] = {"request-id", "x-request-id", "apim-request-id",
	                                          "x-amzn-requestid", NULL};
	static const char *const latencies[] = {"openai-processing-ms", "x-amzn-bedrock-invocation-latency",
	                                        NULL};
	struct llm_call *call = p->call;
	struct slice request_id = first_header(&p->x->response_headers, request_ids);

	if (request_id.n && !call->request_id.n)
		call->request_id = arena_dup(&call->arena, request_id);
	take_latency(call, first_header(&p->x->response_headers, latencies));
	answer_finish(&p->answer);
	set_error_type(call);
	if (p->x->conn) /* its peer and server name take another way than its bytes, and may come behind them
	                 */
		call->conn = *p->x->conn;
	call->end = ts;
	call->lost_bytes = p->x->lost_bytes;
	call->damage = p->x->damage;
	call->why_incomplete = why;
	call->state = why ? LLM_INCOMPLETE : LLM_COMPLETE;
	if (p->api == &mcp_api) {
		mcp_end(p, ts, why);
		mcp_drop(p);
	} else {
		p->llm->stats.incomplete += call->state == LLM_INCOMPLETE;
	}

	p->call = NULL;
	buf_release(&p->request);
	buf_release(&p->response);
	answer_release(&p->answer);
	framing_release(&p->framing);
	pending_account(p);
	if (p->api == &mcp_api)
		llm_call_free(call);
	else
		p->llm->ev->end(p->llm->ctx, call);
}
