/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp.h - requests of the Model Context Protocol, as JSON-RPC messages give them.
 *
 * An agent (client) asks a server for tools and calls them; a server may ask
 * back (sampling, elicitation).  Over HTTP (modelcontextprotocol.io, transports)
 * a POST carries messages, and the answer comes in its response, as JSON or as
 * server-sent events, or in an event stream that the client opened with GET:
 * always so in the older transport, whose stream begins by naming the endpoint
 * for the POSTs.  Over stdio a line is a message.  Agent2Agent (A2A) uses the same JSON-RPC over HTTP and is
 * reported here too, with a protocol name of its own.
 *
 * One struct mcp_request is one request with its answer, or one notification.
 * It is reported once, when the answer is there or will never come.
 */
#ifndef SPANTAP_MCP_H
#define SPANTAP_MCP_H

#include "llm/llm.h"

struct mcp_request {
	/* where */
	struct conn_info conn; /* that the request came on; a copy */
	bool is_server;        /* the traced process is the MCP server */
	bool from_server;      /* the server asks, the client answers */
	const char *protocol;  /* "mcp", "a2a" */
	const char *transport; /* "http", "sse" (the older one), "stdio" */
	uint32_t stream_id;
	uint64_t request_offset; /* of the exchange that the request came in */
	struct slice server_address;
	int64_t server_port; /* LLM_NONE: not known */
	struct slice user_agent;
	struct slice session_id;                               /* Mcp-Session-Id */
	struct slice protocol_version;                         /* 2025-06-18 */
	struct slice server_name, server_version, client_name; /* as initialize told, where it was seen */

	/* what was asked */
	struct slice id; /* absent for a notification */
	struct slice method;
	struct slice tool, prompt, resource_uri; /* the target, by kind of method */
	struct slice arguments; /* JSON: those of a tool or a prompt, else all params; absent when none */
	struct slice
	    traceparent; /* W3C trace context in params._meta or the HTTP header: an instrumented client's */

	/* what came back */
	struct slice result; /* JSON */
	bool tool_error;     /* the result says isError */
	struct slice error_code,
	    error_message; /* JSON-RPC's, else the HTTP status; absent when it succeeded */
	uint16_t status;   /* of the exchange that the request came in; 0: not seen */

	/* when (boot ns, 0: not reached) */
	uint64_t request_start, request_end;
	uint64_t end; /* of the answer; of a notification, of its request */

	/* how sure */
	enum llm_state state;
	uint64_t lost_bytes;
	const char *why_incomplete; /* static text, NULL when complete */
};

/* The text form: the golden format of this seam. */
void mcp_request_print(struct buf *out, const struct mcp_request *m);

#endif
