/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/http.h"
#include "llm/pending.h"

static struct slice at_most(struct slice s, size_t max)
{
	s.n = s.n < max ? s.n : max;
	return s;
}

static struct slice field(const struct exchange *x, struct slice name)
{
	return at_most(http_header_get(&x->request_headers, name), HTTP_FIELD_MAX);
}

/* A target may be absolute (RFC 9112 section 3.2.2), else the authority stands in a field. */
static void build_url(struct buf *out, const struct exchange *x)
{
	struct slice authority = field(x, SLICE("host"));
	bool all = slice_eq(x->target, SLICE("*")); /* asterisk-form, section 3.2.4 */
	bool tls = !x->conn || x->conn->lib != EV_LIB_SOCKET;

	if (!authority.n)
		authority = field(x, SLICE(":authority"));
	if (!x->target.n)
		return;
	if (x->target.p[0] == '/' || all) {
		if (!authority.n)
			authority =
			    x->conn && x->conn->server_name[0] ? slice_str(x->conn->server_name) : SLICE("?");
		buf_adds(out, tls ? "https://" : "http://");
		buf_addslice(out, authority);
	}
	if (!all)
		buf_addslice(out, at_most(x->target, HTTP_URL_MAX));
	if (x->target.n > HTTP_URL_MAX)
		buf_adds(out, "…");
}

static const char *why_lost(const struct exchange *x, bool request)
{
	return !x->cause && x->why ? x->why : pending_lost(x->cause, request);
}

static const char *why_incomplete(const struct exchange *x)
{
	if (x->damage & DAMAGE_LATE)
		return "the connection is older than the capture: which answer belongs to which request is "
		       "not certain";
	if (x->damage & (DAMAGE_REQUEST_HEAD | DAMAGE_REQUEST_BODY))
		return why_lost(x, true);
	if (x->damage & (DAMAGE_RESPONSE_HEAD | DAMAGE_RESPONSE_BODY))
		return why_lost(x, false);
	if (x->damage & DAMAGE_SYNTAX)
		return x->why ? x->why : "not valid HTTP";
	if (!x->status)
		return "no response: the connection or the capture ended";
	if (x->damage & DAMAGE_CUT)
		return "response cut: the connection or the capture ended";
	return x->damage & DAMAGE_FIELDS ? "header fields are not known" : NULL;
}

static uint64_t latest(const struct exchange *x)
{
	const uint64_t seen[] = {x->response_end, x->response_head, x->request_end, x->request_start};

	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		if (seen[i])
			return seen[i];
	return 0;
}

void http_give(const struct llm *l, const struct exchange *x)
{
	struct http_request r = {
	    .stream_id = x->stream,
	    .request_offset = x->request_offset,
	    .protocol = x->protocol,
	    .method = at_most(x->method, HTTP_METHOD_MAX),
	    .server_address = at_most(pending_target(x).host, HTTP_FIELD_MAX),
	    .user_agent = field(x, SLICE("user-agent")),
	    .traceparent = field(x, SLICE("traceparent")),
	    .status = x->status,
	    .request_bytes = x->request_body_bytes,
	    .response_bytes = x->response_body_bytes,
	    .request_start = x->request_start,
	    .request_end = x->request_end,
	    .response_head = x->response_head,
	    .end = latest(x),
	    .lost_bytes = x->lost_bytes,
	    .why_incomplete = why_incomplete(x),
	};
	struct buf url = {0};

	if (!l->ev->http || x->request_dir == EV_DIR_READ || slice_eq(x->protocol, SLICE("jsonrpc")) ||
	    slice_eq(x->method, SLICE("CONNECT")))
		return;
	if (x->conn)
		r.conn = *x->conn;
	build_url(&url, x);
	if (url.n)
		r.url = buf_slice(&url);
	l->ev->http(l->ctx, &r);
	buf_release(&url);
}
