/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/mcp.h"
#include "span/emit.h"

static void set_asked(struct spans *sp, struct span *s, const struct mcp_request *m)
{
	static const char *const sides[] = {"client", "server"};
	bool tool = slice_eq(m->method, SLICE("tools/call"));

	emit_set_label(sp, s, ATTR_MCP_METHOD, m->method);
	emit_set_label(sp, s, ATTR_JSONRPC_REQUEST_ID, m->id);
	emit_set_label(sp, s, ATTR_TOOL_NAME, m->tool);
	emit_set_label(sp, s, ATTR_PROMPT_NAME, m->prompt);
	span_set_str(s, ATTR_MCP_RESOURCE_URI, content_path(&sp->content, &s->arena, m->resource_uri));
	emit_set_label(sp, s, ATTR_TRACEPARENT, m->traceparent);
	emit_set_traceparent(s, m->traceparent);
	span_set_str(s, ATTR_MCP_PROTOCOL, slice_str(m->protocol));
	/* Who the traced process is, not who asks: a server may ask back. */
	span_set_str(s, ATTR_MCP_SIDE, slice_str(sides[m->is_server]));
	span_set_str(s, ATTR_MCP_ASKED_BY, slice_str(sides[m->from_server]));
	if (tool || m->prompt.n)
		span_set_str(s, ATTR_TOOL_CALL_ARGUMENTS,
		             content_arguments(&sp->content, &s->arena, m->arguments));
}

static void set_server(struct spans *sp, struct span *s, const struct mcp_request *m)
{
	emit_set_label(sp, s, ATTR_MCP_SESSION_ID, m->session_id);
	emit_set_label(sp, s, ATTR_MCP_PROTOCOL_VERSION, m->protocol_version);
	emit_set_label(sp, s, ATTR_MCP_SERVER_NAME, m->server_name);
	emit_set_label(sp, s, ATTR_MCP_SERVER_VERSION, m->server_version);
	emit_set_label(sp, s, ATTR_MCP_CLIENT_NAME, m->client_name);
	span_set_str(s, ATTR_MCP_TRANSPORT, slice_str(m->transport));
	span_set_str(s, ATTR_NETWORK_TRANSPORT, emit_transport(&m->conn));
	emit_set_label(sp, s, ATTR_USER_AGENT, m->user_agent);
	emit_set_peer(sp, s, &m->conn, m->server_address, m->server_port);
}

static void set_answer(struct spans *sp, struct span *s, const struct mcp_request *m)
{
	if (m->status)
		span_set_int(s, ATTR_HTTP_STATUS, m->status);
	if (slice_eq(m->method, SLICE("tools/call")))
		span_set_str(s, ATTR_TOOL_CALL_RESULT, content_result(&sp->content, &s->arena, m->result));
	if (m->error_code.p || m->error_message.p) {
		emit_set_label(sp, s, ATTR_RPC_STATUS_CODE, m->error_code);
		emit_set_error(sp, s, m->error_code.p ? m->error_code : SLICE("_OTHER"), m->error_message);
	} else if (m->tool_error) {
		emit_set_error(sp, s, SLICE("tool_error"), (struct slice){NULL, 0});
	}
}

void emit_mcp(struct spans *sp, const struct mcp_request *m, const struct mcp_place *place)
{
	struct span s = emit_begin(sp, SPAN_MCP, id_mcp(sp->conf.instance, m), place->trace, place->parent);
	const struct process *p = process_find(&sp->processes, &m->conn.id.proc);
	struct slice method = m->method.n ? m->method : SLICE("unknown request");

	struct slice cleaned = content_label(&sp->content, &s.arena, method);
	struct buf name = {0};
	buf_addslice(&name, cleaned);
	emit_set_name(sp, &s, buf_str(&name), m->tool.n ? m->tool : m->prompt);
	buf_release(&name);
	if (place->conversation)
		emit_set_conversation(sp, &s, place->conversation);
	if (p)
		emit_set_place(&s, p);
	/* Below an execute_tool span it would count the same execution twice. */
	if (slice_eq(m->method, SLICE("tools/call")) && !place->in_tool)
		span_set_str(&s, ATTR_OPERATION_NAME, SLICE("execute_tool"));
	set_asked(sp, &s, m);
	set_server(sp, &s, m);
	set_answer(sp, &s, m);
	span_set_int(&s, ATTR_PROCESS_PID, m->conn.id.proc.pid ? m->conn.id.proc.pid : m->conn.id.proc.tgid);
	if (p && p->exe[0])
		emit_set_label(sp, &s, ATTR_PROCESS_EXECUTABLE_NAME, slice_str(p->exe));
	emit_set_why(&s, place->why);
	emit_set_reason(&s, m->state == LLM_COMPLETE ? NULL
	                    : m->why_incomplete      ? m->why_incomplete
	                                             : "incomplete");
	if (m->lost_bytes && m->state != LLM_COMPLETE)
		span_set_int(&s, ATTR_LOST_BYTES, (int64_t)m->lost_bytes);
	emit_end(sp, &s, m->request_start ? m->request_start : m->end, m->end);
}
