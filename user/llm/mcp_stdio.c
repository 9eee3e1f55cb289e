/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/mcp_channel.h"
#include "llm/mcp_stdio.h"

struct mcp_stdio {
	struct pending *carrier;
	struct mcp_channel *channel;
	bool heard;       /* the client has said what it speaks */
	uint64_t lost[2]; /* bytes of lines that are missing, [from_server] */
};

struct mcp_stdio *mcp_stdio_new(struct pending *carrier)
{
	struct mcp_stdio *s = xcalloc(1, sizeof(*s));
	const struct exchange *x = carrier->x;
	struct mcp_channel *c = mcp_channel_new();
	struct buf url = {0};

	s->carrier = carrier;
	s->channel = c;
	c->is_lasting = true;
	c->where = (struct mcp_request){
	    .is_server = x->request_dir == EV_DIR_READ, .transport = "stdio", .server_port = LLM_NONE};
	if (x->conn)
		c->where.conn = *x->conn;
	/* Not to be taken for another's session. */
	buf_addf(&url, "stdio:%llx:%llx:%u", (unsigned long long)c->where.conn.id.tls,
	         (unsigned long long)c->where.conn.id.gen, c->where.conn.id.proc.tgid);
	c->url = arena_dup(&c->arena, buf_slice(&url));
	buf_release(&url);
	mcp_channel_open(carrier->llm->mcp, c);
	return s;
}

static bool from_server(const struct mcp_stdio *s, enum ev_dir dir)
{
	return dir != s->carrier->x->request_dir;
}

/* Whether one of the messages of a value may be MCP's. Answers may be anyone's. */
static bool speaks_mcp(yyjson_val *v)
{
	bool any = false;

	for (size_t i = 0; i < jsonrpc_count(v); i++) {
		struct jsonrpc_message m = jsonrpc_read(jsonrpc_at(v, i));

		any = any || (m.kind && (!m.method.n || mcp_knows(&m)));
	}
	return any;
}

bool mcp_stdio_message(struct mcp_stdio *s, enum ev_dir dir, uint64_t ts, struct slice text)
{
	uint64_t start = s->carrier->x->message_start;
	bool server = from_server(s, dir);
	yyjson_doc *doc = json_read(text);
	yyjson_val *v = yyjson_doc_get_root(doc);
	bool is = doc && jsonrpc_is(v), known = s->heard || server || (is && speaks_mcp(v));

	/* Servers print what is no message, and clients pass it over. */
	if (is && known) {
		s->heard = s->heard || !server;
		mcp_channel_take(s->channel, server, start ? start : ts, ts, v);
	}
	yyjson_doc_free(doc);
	return known;
}

static const char *what_is_missing(bool server)
{
	return server ? "response messages lost" : "request messages lost";
}

static void report_unknown(struct mcp_stdio *s, bool server, uint64_t ts, uint64_t n)
{
	struct mcp_request r = s->channel->where;
	const struct llm *l = s->carrier->llm;

	r.protocol = "mcp";
	r.from_server = server;
	r.request_start = r.request_end = r.end = ts;
	r.state = LLM_INCOMPLETE;
	r.why_incomplete = what_is_missing(server);
	r.lost_bytes = n;
	l->ev->mcp(l->ctx, &r);
}

void mcp_stdio_gap(struct mcp_stdio *s, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	bool server = from_server(s, dir);

	s->lost[server] += n;
	s->heard = true;
	if (!server || !mcp_channel_waits(s->channel))
		report_unknown(s, server, ts, n);
}

void mcp_stdio_end(struct mcp_stdio *s, uint64_t ts)
{
	const struct exchange *x = s->carrier->x;
	struct mcp_ending e = {.end = ts, .lost_bytes = s->lost[true]};

	if (s->lost[true])
		e.why = what_is_missing(true);
	else if (x->damage & DAMAGE_CUT)
		e.why = "no answer: the connection or the capture ended";
	mcp_channel_end(s->channel, &e);
}

size_t mcp_stdio_held(const struct mcp_stdio *s)
{
	return s->channel->held + s->channel->arena.bytes;
}

void mcp_stdio_free(struct mcp_stdio *s)
{
	if (!s)
		return;
	mcp_channel_free(s->channel);
	free(s);
}
