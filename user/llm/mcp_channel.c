/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/mcp_channel.h"

struct mcp_open {
	struct mcp_open *next;
	struct mcp_request r;
	bool answered; /* A2A: by one answer, more may follow */
	struct arena arena;
};

/* What initialize told of the two sides of a session. */
struct peer {
	struct slice url, session, server_name, server_version, client_name, protocol_version;
	struct arena arena;
};

struct mcp {
	void (*report)(void *ctx, const struct mcp_request *m);
	void *ctx;
	struct mcp_channel *channels;
	size_t held; /* by all of them */
	struct peer peers[MCP_PEERS_MAX];
	size_t n_peers; /* ever; the place of the next one is this modulo MCP_PEERS_MAX */
};

struct mcp *mcp_new(void (*report)(void *ctx, const struct mcp_request *m), void *ctx)
{
	struct mcp *mcp = xcalloc(1, sizeof(*mcp));

	mcp->report = report;
	mcp->ctx = ctx;
	return mcp;
}

void mcp_free(struct mcp *mcp)
{
	for (size_t i = 0; mcp && i < MCP_PEERS_MAX; i++)
		arena_release(&mcp->peers[i].arena);
	free(mcp);
}

/* ---- requests that wait ---- */

static void open_free(struct mcp_open *o)
{
	struct arena arena = o->arena;

	arena_release(&arena);
	free(o);
}

static void hold(struct mcp_channel *c, size_t more, size_t less)
{
	c->held += more - less;
	if (c->mcp)
		c->mcp->held += more - less;
}

static struct mcp_open *unlink_open(struct mcp_channel *c, struct mcp_open **at)
{
	struct mcp_open *o = *at;

	*at = o->next;
	o->next = NULL;
	c->n_open--;
	hold(c, 0, o->arena.bytes);
	return o;
}

static void append(struct mcp_channel *c, struct mcp_open *o)
{
	struct mcp_open **at = &c->first;

	while (*at)
		at = &(*at)->next;
	*at = o;
	c->n_open++;
	hold(c, o->arena.bytes, 0);
}

static void report(struct mcp_channel *c, struct mcp_open *o)
{
	o->r.server_name = c->where.server_name;
	o->r.server_version = c->where.server_version;
	if (!o->r.client_name.n)
		o->r.client_name = c->where.client_name;
	if (!o->r.session_id.n)
		o->r.session_id = c->where.session_id;
	if (!o->r.protocol_version.n)
		o->r.protocol_version = c->where.protocol_version;
	o->r.state = o->r.why_incomplete ? LLM_INCOMPLETE : LLM_COMPLETE;
	c->mcp->report(c->mcp->ctx, &o->r);
	open_free(o);
}

static void give_up_oldest(struct mcp_channel *c)
{
	struct mcp_open *o = unlink_open(c, &c->first);

	o->r.why_incomplete = "too much waits for an answer on this session";
	report(c, o);
}

static void wait_on(struct mcp_channel *c, struct mcp_open *o)
{
	append(c, o);
	while (c->mcp && c->n_open &&
	       (c->n_open > MCP_OPEN_MAX || c->held > MCP_HELD_MAX || c->mcp->held > MCP_TOTAL_MAX))
		give_up_oldest(c);
}

/* ---- channels and sessions ---- */

struct mcp_channel *mcp_channel_new(void)
{
	return xcalloc(1, sizeof(struct mcp_channel));
}

static void detach(struct mcp_channel *c)
{
	if (!c->mcp)
		return;
	if (c->prev)
		c->prev->next = c->next;
	else
		c->mcp->channels = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->mcp = NULL;
}

void mcp_channel_free(struct mcp_channel *c)
{
	if (!c)
		return;
	while (c->first)
		open_free(unlink_open(c, &c->first));
	detach(c);

	struct arena arena = c->arena;
	arena_release(&arena);
	free(c);
}

static bool posts_to(const struct mcp_channel *c, const struct mcp_channel *stream)
{
	return stream->endpoint.n && c->target.n > 1 && slice_ends(stream->endpoint, c->target) &&
	       slice_eq(c->where.server_address, stream->where.server_address);
}

static bool same_process(const struct conn_info *a, const struct conn_info *b)
{
	return a->id.proc.tgid == b->id.proc.tgid && a->id.proc.start == b->id.proc.start;
}

static bool same_session(const struct mcp_channel *a, const struct mcp_channel *b)
{
	struct slice x = a->where.session_id, y = b->where.session_id;

	if (posts_to(a, b) || posts_to(b, a))
		return true;
	if (a->endpoint.n && b->endpoint.n)
		return false;
	if (!slice_eq(a->url, b->url))
		return false;
	return x.n || y.n ? slice_eq(x, y) : same_process(&a->where.conn, &b->where.conn);
}

static struct mcp_channel *stream_for(const struct mcp_channel *c)
{
	for (struct mcp_channel *s = c->mcp->channels; s; s = s->next)
		if (s != c && s->is_stream && same_session(c, s))
			return s;
	return NULL;
}

static struct peer *peer_of(struct mcp *mcp, const struct mcp_channel *c)
{
	for (size_t i = 0; i < MCP_PEERS_MAX; i++)
		if (mcp->peers[i].url.n && slice_eq(mcp->peers[i].url, c->url) &&
		    slice_eq(mcp->peers[i].session, c->where.session_id))
			return &mcp->peers[i];
	return NULL;
}

static void set_names(struct mcp_channel *c, const struct mcp_request *from)
{
	c->where.server_name = arena_dup(&c->arena, from->server_name);
	c->where.server_version = arena_dup(&c->arena, from->server_version);
	c->where.client_name = arena_dup(&c->arena, from->client_name);
	if (!c->where.protocol_version.n)
		c->where.protocol_version = arena_dup(&c->arena, from->protocol_version);
}

static void know_names(struct mcp_channel *c)
{
	struct peer *p = peer_of(c->mcp, c);
	struct mcp_request known = {0};

	if (p) {
		known.server_name = p->server_name;
		known.server_version = p->server_version;
		known.client_name = p->client_name;
		known.protocol_version = p->protocol_version;
		set_names(c, &known);
		return;
	}
	for (struct mcp_channel *s = c->mcp->channels; s; s = s->next)
		if (s != c && s->is_stream && s->where.server_name.n && same_session(c, s)) {
			set_names(c, &s->where);
			return;
		}
}

static void remember(struct mcp_channel *c)
{
	struct peer *p = peer_of(c->mcp, c);

	if (!p)
		p = &c->mcp->peers[c->mcp->n_peers++ % MCP_PEERS_MAX];
	arena_release(&p->arena);
	*p = (struct peer){0};
	p->url = arena_dup(&p->arena, c->url);
	p->session = arena_dup(&p->arena, c->where.session_id);
	p->server_name = arena_dup(&p->arena, c->where.server_name);
	p->server_version = arena_dup(&p->arena, c->where.server_version);
	p->client_name = arena_dup(&p->arena, c->where.client_name);
	p->protocol_version = arena_dup(&p->arena, c->where.protocol_version);
}

/* The places of a request that its channel knows. Its slices are not copied: the channel may end first. */
static void set_where(struct mcp_open *o, const struct mcp_channel *c)
{
	const struct mcp_request *w = &c->where;
	struct mcp_request *r = &o->r;

	r->conn = w->conn;
	r->is_server = w->is_server;
	r->transport = w->transport;
	r->stream_id = w->stream_id;
	r->request_offset = w->request_offset;
	r->server_port = w->server_port;
	r->server_address = arena_dup(&o->arena, w->server_address);
	r->user_agent = arena_dup(&o->arena, w->user_agent);
	r->session_id = arena_dup(&o->arena, w->session_id);
	r->protocol_version = arena_dup(&o->arena, w->protocol_version);
	if (!r->traceparent.n)
		r->traceparent = arena_dup(&o->arena, w->traceparent);
	if (!r->request_start) {
		r->request_start = w->request_start;
		r->request_end = w->request_end;
	}
}

/* ---- what a message says ---- */

static const char *const a2a_methods[] = {
    "message/", "tasks/get", "tasks/cancel", "tasks/resubscribe", "tasks/pushNotificationConfig/", "agent/"};
static const char *const mcp_methods[] = {
    "initialize", "ping",      "tools/", "resources/",   "prompts/",       "completion/",
    "logging/",   "sampling/", "roots/", "elicitation/", "notifications/", "tasks/",
};

/* Whole names, or a name's beginning where that ends with a slash. */
static bool one_of(struct slice method, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct slice name = slice_str(names[i]);
		bool group = name.p[name.n - 1] == '/';

		if (group ? slice_starts(method, name) && method.n > name.n : slice_eq(method, name))
			return true;
	}
	return false;
}

/* tasks/get is both protocols': MCP's has a taskId, A2A's an id. */
static bool is_a2a(const struct jsonrpc_message *m)
{
	return one_of(m->method, a2a_methods, sizeof(a2a_methods) / sizeof(*a2a_methods)) &&
	       !json_get(m->params, "taskId");
}

bool mcp_knows(const struct jsonrpc_message *m)
{
	if (slice_eq(m->method, SLICE("initialize")) && !json_get(m->params, "protocolVersion"))
		return false; /* that of the language server protocol */
	return is_a2a(m) || one_of(m->method, mcp_methods, sizeof(mcp_methods) / sizeof(*mcp_methods));
}

static void set_target(struct mcp_open *o, const struct jsonrpc_message *m)
{
	struct slice name = json_get_str(m->params, "name");
	bool tool = slice_eq(m->method, SLICE("tools/call"));
	bool prompt = slice_eq(m->method, SLICE("prompts/get"));

	if (tool)
		o->r.tool = arena_dup(&o->arena, name);
	else if (prompt)
		o->r.prompt = arena_dup(&o->arena, name);
	o->r.resource_uri = arena_dup(&o->arena, json_get_str(m->params, "uri"));
	o->r.arguments = json_raw(&o->arena, tool || prompt ? json_get(m->params, "arguments") : m->params);
	o->r.traceparent = arena_dup(&o->arena, json_get_str(json_get(m->params, "_meta"), "traceparent"));
}

static struct mcp_open **find_open(struct mcp_channel *c, bool from_server, struct slice id)
{
	struct mcp_open **only = NULL;
	size_t n = 0;

	for (struct mcp_open **at = &c->first; *at; at = &(*at)->next) {
		if ((*at)->r.from_server == from_server || !(*at)->r.id.p)
			continue;
		if (id.p && slice_eq((*at)->r.id, id))
			return at;
		only = at;
		n++;
	}
	return !id.p && n == 1 ? only : NULL; /* an error may name no request */
}

/* The request of the same side that a notification takes back: nobody will answer it (MCP, utilities, cancellation). */
static void take_cancelled(struct mcp_channel *c, bool from_server, uint64_t end, const struct jsonrpc_message *m)
{
	yyjson_val *id = json_get(m->params, "requestId");
	struct slice raw = slice_of(yyjson_get_raw(id), yyjson_get_len(id));
	struct mcp_open **at, *o;

	if (!id || !slice_eq(m->method, SLICE("notifications/cancelled")))
		return;
	at = find_open(c, !from_server, yyjson_is_raw(id) ? raw : json_str(id));
	if (!at)
		return;
	o = unlink_open(c, at);
	o->r.error_code = arena_dup(&o->arena, SLICE("cancelled"));
	o->r.error_message = arena_dup(&o->arena, json_get_str(m->params, "reason"));
	o->r.end = end;
	report(c, o);
}

static void take_request(struct mcp_channel *c, bool from_server, uint64_t start, uint64_t end,
                         const struct jsonrpc_message *m)
{
	struct mcp_open *o = xcalloc(1, sizeof(*o));
	yyjson_val *client = json_get(m->params, "clientInfo");

	o->r.protocol = is_a2a(m) ? "a2a" : "mcp";
	o->r.from_server = from_server;
	o->r.request_start = start;
	o->r.request_end = end;
	o->r.server_port = LLM_NONE;
	o->r.id = arena_dup(&o->arena, m->id);
	o->r.method = arena_dup(&o->arena, m->method);
	set_target(o, m);
	o->r.client_name = arena_dup(&o->arena, json_get_str(client, "name"));
	if (c->mcp)
		set_where(o, c);
	if (m->kind == JSONRPC_NOTIFICATION && (from_server || c->is_lasting) && c->mcp) {
		if (c->is_lasting)
			take_cancelled(c, from_server, end, m);
		o->r.end = end;
		report(c, o);
	} else {
		wait_on(c, o);
	}
}

/* ---- answers ---- */

/* On the channel itself, then on those of the same session. */
static struct mcp_open **find_anywhere(struct mcp_channel **c, bool from_server, struct slice id)
{
	struct mcp_channel *self = *c;
	struct mcp_open **at = find_open(self, from_server, id);

	for (struct mcp_channel *s = self->mcp->channels; !at && s && id.p; s = s->next)
		if (s != self && same_session(self, s) && (at = find_open(s, from_server, id)))
			*c = s;
	return at;
}

static void take_initialize(struct mcp_channel *c, const struct mcp_open *o, yyjson_val *result)
{
	yyjson_val *info = json_get(result, "serverInfo");

	c->where.client_name = arena_dup(&c->arena, o->r.client_name);
	c->where.protocol_version = arena_dup(&c->arena, json_get_str(result, "protocolVersion"));
	c->where.server_name = arena_dup(&c->arena, json_get_str(info, "name"));
	c->where.server_version = arena_dup(&c->arena, json_get_str(info, "version"));
	remember(c);
}

static void set_answer(struct mcp_open *o, const struct jsonrpc_message *m)
{
	yyjson_val *code = json_get(m->error, "code");
	struct slice number = slice_of(yyjson_get_raw(code), yyjson_get_len(code));

	if (m->kind == JSONRPC_ERROR) {
		o->r.error_code = arena_dup(&o->arena, yyjson_is_raw(code) ? number : json_str(code));
		o->r.error_message = arena_dup(&o->arena, json_get_str(m->error, "message"));
		return;
	}
	o->r.result = json_raw(&o->arena, m->result);
	o->r.tool_error = yyjson_is_true(json_get(m->result, "isError"));
}

/* A2A answers a message/stream with one result after the other; the last says so. */
static bool more_follow(const struct mcp_open *o, const struct jsonrpc_message *m)
{
	return slice_eq(slice_str(o->r.protocol), SLICE("a2a")) && m->kind == JSONRPC_RESULT &&
	       (slice_eq(o->r.method, SLICE("message/stream")) ||
	        slice_eq(o->r.method, SLICE("tasks/resubscribe"))) &&
	       !yyjson_is_true(json_get(m->result, "final"));
}

static void take_answer(struct mcp_channel *c, bool from_server, uint64_t ts, const struct jsonrpc_message *m)
{
	struct mcp_channel *on = c;
	struct mcp_open **at = find_anywhere(&on, from_server, m->id), *o;
	size_t before;

	/* Servers that refuse a whole POST make an id up. */
	if (!at && m->kind == JSONRPC_ERROR && !c->is_stream)
		at = find_open(c, from_server, (struct slice){0});
	if (!at)
		return;
	o = *at;
	before = o->arena.bytes;
	set_answer(o, m);
	hold(on, o->arena.bytes, before);
	o->r.end = ts;
	o->answered = true;
	if (more_follow(o, m))
		return;
	if (slice_eq(o->r.method, SLICE("initialize")) && m->kind == JSONRPC_RESULT)
		take_initialize(on, o, m->result);
	unlink_open(on, at);
	report(on, o);
}

static void keep_early(struct mcp_channel *c, yyjson_val *v)
{
	*(struct slice *)arena_push(&c->arena, &c->early, &c->n_early, sizeof(struct slice)) =
	    json_raw(&c->arena, v);
}

void mcp_channel_take(struct mcp_channel *c, bool from_server, uint64_t start, uint64_t end, yyjson_val *v)
{
	for (size_t i = 0; i < jsonrpc_count(v); i++) {
		struct jsonrpc_message m = jsonrpc_read(jsonrpc_at(v, i));

		c->seen += !from_server && m.kind;
		if (m.kind == JSONRPC_REQUEST || m.kind == JSONRPC_NOTIFICATION)
			take_request(c, from_server, start, end, &m);
		else if (m.kind && c->mcp)
			take_answer(c, from_server, end, &m);
		else if (m.kind)
			keep_early(c, jsonrpc_at(v, i));
	}
}

bool mcp_channel_waits(const struct mcp_channel *c)
{
	for (const struct mcp_open *o = c->first; o; o = o->next)
		if (o->r.id.p && !o->r.from_server)
			return true;
	return false;
}

/* Those of the client: nothing of the server's comes before the exchange has begun. */
static void take_early(struct mcp_channel *c)
{
	for (size_t i = 0; i < c->n_early; i++) {
		yyjson_doc *doc = json_read(c->early[i]);
		struct jsonrpc_message m = jsonrpc_read(yyjson_doc_get_root(doc));

		take_answer(c, false, c->where.request_end, &m);
		yyjson_doc_free(doc);
	}
	c->n_early = 0;
}

void mcp_channel_open(struct mcp *mcp, struct mcp_channel *c)
{
	struct mcp_channel *stream;

	c->mcp = mcp;
	c->next = mcp->channels;
	if (c->next)
		c->next->prev = c;
	mcp->channels = c;
	know_names(c);
	stream = stream_for(c);
	if (stream && stream->endpoint.n)
		c->where.transport = "sse";
	c->held = 0;
	for (struct mcp_open *o = c->first; o; o = o->next) {
		set_where(o, c);
		hold(c, o->arena.bytes, 0);
	}
	take_early(c);
}

void mcp_channel_status(struct mcp_channel *c, uint16_t status)
{
	for (struct mcp_open *o = c->first; o; o = o->next)
		if (!o->r.from_server && o->r.request_offset == c->where.request_offset)
			o->r.status = status;
}

/* ---- the end ---- */

/* Without an answer: that the exchange failed is one; else what is known of why there is none. */
static void set_ending(struct mcp_channel *c, struct mcp_open *o, const struct mcp_ending *e)
{
	bool asks = o->r.id.p;

	if (!o->answered)
		o->r.end = asks ? e->end : o->r.request_end;
	else if (!e->why)
		return;
	if (e->error_code.p) {
		o->r.error_code = arena_dup(&o->arena, e->error_code);
		o->r.error_message = arena_dup(&o->arena, e->error_message);
	} else if (asks) {
		o->r.lost_bytes = e->lost_bytes;
		o->r.why_incomplete = e->why         ? e->why
		                      : c->is_stream ? "the event stream ended before the answer"
		                                     : "no answer to this request was seen";
	}
}

void mcp_channel_end(struct mcp_channel *c, const struct mcp_ending *e)
{
	struct mcp_channel *stream = e->why || e->error_code.p ? NULL : stream_for(c);

	while (c->first) {
		struct mcp_open *o = unlink_open(c, &c->first);

		if (stream && o->r.id.p && !o->answered) {
			wait_on(stream, o);
			continue;
		}
		set_ending(c, o, e);
		report(c, o);
	}
	detach(c);
}
