/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/text.h"
#include "llm/mcp.h"
#include "llm/print.h"

static void add_line(struct buf *out, const char *what, struct slice v)
{
	if (!v.p)
		return;
	buf_addf(out, "  %s \"", what);
	text_escape(out, v);
	buf_adds(out, "\"\n");
}

static void add_where(struct buf *out, const struct mcp_request *m)
{
	print_str(out, "server", m->server_address);
	if (m->server_port != LLM_NONE)
		buf_addf(out, " port=%" PRId64, m->server_port);
	print_str(out, "agent", m->user_agent);
	print_str(out, "session", m->session_id);
	print_str(out, "version", m->protocol_version);
	print_str(out, "server_name", m->server_name);
	print_str(out, "server_version", m->server_version);
	print_str(out, "client_name", m->client_name);
	print_str(out, "traceparent", m->traceparent);
	buf_adds(out, m->from_server ? " from-server" : "");
	buf_adds(out, m->is_server ? " as-server\n" : "\n");
}

static void add_answer(struct buf *out, const struct mcp_request *m)
{
	add_line(out, m->tool_error ? "tool-error" : "result", m->result);
	if (m->error_code.p || m->error_message.p) {
		buf_adds(out, "  error");
		print_str(out, "code", m->error_code);
		print_str(out, "message", m->error_message);
		buf_addc(out, '\n');
	}
	if (m->status)
		buf_addf(out, "  status %u\n", m->status);
}

void mcp_request_print(struct buf *out, const struct mcp_request *m)
{
	buf_addf(out, "%s %s", m->protocol, m->transport);
	print_str(out, "method", m->method);
	print_str(out, "id", m->id);
	print_str(out, "tool", m->tool);
	print_str(out, "prompt", m->prompt);
	print_str(out, "resource", m->resource_uri);
	add_where(out, m);
	add_line(out, "arguments", m->arguments);
	add_answer(out, m);
	buf_adds(out, "  time");
	print_time(out, "sent", m->request_end, m->request_start);
	print_time(out, "end", m->end, m->request_start);
	buf_addc(out, '\n');
	if (m->state == LLM_COMPLETE)
		buf_adds(out, "  complete\n");
	else
		buf_addf(out, "  incomplete lost=%" PRIu64 " \"%s\"\n", m->lost_bytes, m->why_incomplete);
}
