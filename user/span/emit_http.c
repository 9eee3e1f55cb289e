/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "llm/http.h"
#include "span/emit.h"

static void set_asked(struct spans *sp, struct span *s, const struct http_request *r)
{
	bool plain = r->conn.lib == EV_LIB_SOCKET;

	emit_set_label(sp, s, ATTR_HTTP_METHOD, r->method.n ? r->method : SLICE("_OTHER"));
	span_own_str(s, ATTR_URL_FULL, content_path(&sp->content, &s->arena, r->url));
	span_set_str(s, ATTR_URL_SCHEME, plain ? SLICE("http") : SLICE("https"));
	emit_set_label(sp, s, ATTR_USER_AGENT, r->user_agent);
	emit_set_label(sp, s, ATTR_TRACEPARENT, r->traceparent);
	emit_set_traceparent(s, r->traceparent);
	emit_set_peer(sp, s, &r->conn, r->server_address, LLM_NONE);
	emit_set_protocol(s, r->protocol);
	emit_set_library(s, &r->conn);
	if (plain)
		span_set_str(s, ATTR_NETWORK_TRANSPORT, emit_transport(&r->conn));
	if (r->method.n)
		span_set_int(s, ATTR_CALL_REQUEST_BYTES, (int64_t)r->request_bytes);
}

static void set_answer(struct spans *sp, struct span *s, const struct http_request *r)
{
	char status[8];

	if (!r->status)
		return;
	span_set_int(s, ATTR_HTTP_STATUS, r->status);
	span_set_int(s, ATTR_CALL_RESPONSE_BYTES, (int64_t)r->response_bytes);
	if (r->request_start && r->response_head)
		span_set_double(s, ATTR_CALL_HEADERS_TIME, emit_seconds(r->request_start, r->response_head));
	snprintf(status, sizeof(status), "%u", r->status);
	if (r->status >= 400)
		emit_set_error(sp, s, slice_str(status), (struct slice){NULL, 0});
}

void emit_http(struct spans *sp, const struct http_request *r, const struct http_place *place)
{
	struct span s = emit_begin(sp, SPAN_HTTP, id_http(sp->conf.instance, r), place->trace, place->parent);
	const struct ev_proc *id = &r->conn.id.proc;

	/* The conventions' name of a request whose route is not known. */
	s.name = content_label(&sp->content, &s.arena, r->method.n ? r->method : SLICE("HTTP"));
	emit_set_id(&s, ATTR_CONVERSATION_ID, place->conversation);
	set_asked(sp, &s, r);
	set_answer(sp, &s, r);
	span_set_int(&s, ATTR_PROCESS_PID, id->pid ? id->pid : id->tgid);
	if (place->process->exe[0])
		emit_set_label(sp, &s, ATTR_PROCESS_EXECUTABLE_NAME, slice_str(place->process->exe));
	emit_set_why(&s, place->why);
	emit_set_reason(&s, r->why_incomplete);
	if (r->lost_bytes && r->why_incomplete)
		span_set_int(&s, ATTR_LOST_BYTES, (int64_t)r->lost_bytes);
	emit_end(sp, &s, r->request_start ? r->request_start : r->end, r->end);
}
