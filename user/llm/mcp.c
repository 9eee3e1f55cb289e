/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MCP over HTTP: the row of apis.c, and what joins it to an exchange.
 *
 * The streamable transport (since 2025-03-26) has one URL: POST carries
 * messages, GET opens a stream of the server's own, DELETE ends the session;
 * clients say Accept: application/json, text/event-stream, and after the
 * beginning Mcp-Session-Id and MCP-Protocol-Version.  The older one has a GET
 * stream whose first event, "endpoint", names the URL for POSTs.
 */
#include <stdio.h>

#include "llm/call.h"
#include "llm/mcp_channel.h"
#include "llm/pending.h"

/* ---- which exchanges ---- */

static bool has_word(struct slice path, const char *const *words)
{
	struct slice part;

	while (slice_cut(&path, '/', &part))
		for (const char *const *w = words; *w; w++)
			if (slice_caseeq(part, slice_str(*w)))
				return true;
	return false;
}

/* Other paths may speak it too, but without a sign in the head each JSON body would have to be read. */
static enum api_fit fit(const struct api_target *t)
{
	static const char *const stream_paths[] = {"mcp", "sse", NULL};
	static const char *const post_paths[] = {"mcp", "sse",     "message", "messages",
	                                         "rpc", "jsonrpc", "a2a",     NULL};
	bool session = http_header_get(t->headers, SLICE("mcp-session-id")).n ||
	               http_header_get(t->headers, SLICE("mcp-protocol-version")).n;
	struct slice accept = http_header_get(t->headers, SLICE("accept"));
	struct slice type = http_header_get(t->headers, SLICE("content-type"));
	bool events = slice_find(accept, SLICE("text/event-stream")) != NULL;

	if (slice_eq(t->method, SLICE("GET")))
		return events && (session || has_word(t->path, stream_paths)) ? API_YES : API_NO;
	if (!slice_eq(t->method, SLICE("POST")))
		return API_NO;
	if (session)
		return API_YES;
	if (!slice_starts(type, SLICE("application/json")))
		return API_NO;
	return events || t->path.n <= 1 || has_word(t->path, post_paths) ||
	               slice_find(t->query, SLICE("session"))
	           ? API_SHAPE
	           : API_NO;
}

/* ---- messages ---- */

static struct mcp_channel *channel_of(struct llm_call *call)
{
	if (!call->user)
		call->user = mcp_channel_new();
	return call->user;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	bool known = false;

	if (!jsonrpc_is(body))
		return false;
	for (size_t i = 0; i < jsonrpc_count(body); i++) {
		struct jsonrpc_message m = jsonrpc_read(jsonrpc_at(body, i));

		known = known || !m.method.n || mcp_knows(&m);
	}
	mcp_channel_take(channel_of(call), false, 0, 0, body);
	return known;
}

static void take(struct answer *a, yyjson_val *v)
{
	if (a->call->user)
		mcp_channel_take(a->call->user, true, a->at, a->at, v);
}

/* An error that is no JSON-RPC: {"error":"invalid_token"} of OAuth, {"detail":…} of web frameworks. */
static void response(struct answer *a, yyjson_val *body)
{
	struct slice error = json_get_str(body, "error"), text = json_get_str(body, "error_description");

	if (jsonrpc_is(body))
		take(a, body);
	else if (a->call->status >= 400)
		call_error(a->call, error,
		           text.n ? text
		                  : json_get_str(body, json_get(body, "detail") ? "detail" : "message"));
}

/* A POST's stream has said all when each of its requests is answered. */
static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	struct mcp_channel *c = a->call->user;

	(void)name;
	take(a, data);
	a->done = c && !c->is_stream && !mcp_channel_waits(c);
}

static void text(struct answer *a, struct slice name, struct slice data)
{
	struct mcp_channel *c = a->call->user;

	if (c && c->is_stream && !c->endpoint.n && slice_eq(name, SLICE("endpoint"))) {
		c->endpoint = arena_dup(&c->arena, slice_trim(data));
		c->where.transport = "sse";
	}
}

const struct llm_api mcp_api = {
    .name = "mcp",
    .provider = "",
    .operation = "",
    .any_method = true,
    .fit = fit,
    .request = request,
    .response = response,
    .event = event,
    .text = text,
};

/* ---- the exchange ---- */

static struct slice url_of(struct arena *arena, const struct api_target *t, int64_t port)
{
	struct buf url = {0};
	struct slice kept;

	buf_addslice(&url, t->host);
	buf_addf(&url, ":%lld", (long long)port);
	buf_addslice(&url, t->path);
	kept = arena_dup(arena, buf_slice(&url));
	buf_release(&url);
	return kept;
}

static void set_session(struct mcp_channel *c, const struct http_headers *h)
{
	struct slice session = http_header_get(h, SLICE("mcp-session-id"));

	if (!c->where.session_id.n)
		c->where.session_id = arena_dup(&c->arena, session);
}

void mcp_begin(struct pending *p)
{
	struct mcp_channel *c = channel_of(p->call);
	const struct exchange *x = p->x;
	const struct llm_call *call = p->call;
	struct api_target t = pending_target(x);
	struct slice target = t.path;

	c->where = (struct mcp_request){
	    .conn = call->conn,
	    .is_server = call->is_server,
	    .transport = "http",
	    .stream_id = call->stream_id,
	    .request_offset = call->request_offset,
	    .server_address = arena_dup(&c->arena, call->server_address),
	    .server_port = call->server_port,
	    .user_agent = arena_dup(&c->arena, call->user_agent),
	    .protocol_version =
	        arena_dup(&c->arena, http_header_get(t.headers, SLICE("mcp-protocol-version"))),
	    .traceparent = arena_dup(&c->arena, http_header_get(t.headers, SLICE("traceparent"))),
	    .request_start = call->request_start,
	    .request_end = call->request_end,
	};
	if (t.query.n)
		target = slice_of(t.path.p, (size_t)(t.query.p + t.query.n - t.path.p));
	c->is_stream = slice_eq(t.method, SLICE("GET"));
	c->url = url_of(&c->arena, &t, call->server_port);
	c->target = arena_dup(&c->arena, target);
	set_session(c, t.headers);
	mcp_channel_open(p->llm->mcp, c);
}

/* The response's head says the session that its request began. */
void mcp_head(struct pending *p)
{
	struct mcp_channel *c = p->call->user;

	set_session(c, &p->x->response_headers);
	mcp_channel_status(c, p->x->status);
}

/* A request whose body is lost: that there was one is all that is known. */
static void report_unknown(struct pending *p, struct mcp_channel *c, const char *why, uint64_t ts)
{
	struct mcp_request r = c->where;

	r.protocol = "mcp";
	r.status = p->x->status;
	r.end = ts;
	r.state = LLM_INCOMPLETE;
	r.why_incomplete = why;
	r.lost_bytes = p->x->lost_bytes;
	p->llm->ev->mcp(p->llm->ctx, &r);
}

void mcp_end(struct pending *p, uint64_t ts, const char *why)
{
	struct mcp_channel *c = p->call->user;
	bool failed = p->x->status >= 400 || p->call->error_message.p;
	char status[8];
	struct mcp_ending e = {.end = ts, .lost_bytes = p->x->lost_bytes};

	mcp_head(p);
	snprintf(status, sizeof(status), "%u", p->x->status);
	if (failed) {
		e.error_code = p->call->error_type.p ? p->call->error_type : slice_str(status);
		e.error_message = p->call->error_message;
	}
	/* A 202 has no body, and an answer that came is not made incomplete by what followed it. */
	if (p->x->damage || p->response_hole || p->request_hole || !p->x->status)
		e.why = why;
	if (!c->seen && !c->is_stream && e.why)
		report_unknown(p, c, e.why, ts);
	mcp_channel_end(c, &e);
}

void mcp_drop(struct pending *p)
{
	mcp_channel_free(p->call->user);
	p->call->user = NULL;
}

size_t mcp_held(const struct pending *p)
{
	const struct mcp_channel *c = p->call->user;

	return c ? c->held + c->arena.bytes : 0;
}
