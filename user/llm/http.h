/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http.h - HTTP requests of the traced process that are no LLM calls and no MCP.
 *
 * What a tool fetches is told by its head and its sizes, never by its bodies.
 * An exchange is reported once, when it has ended and is known to be neither;
 * requests that the process answers (it is a server) and tunnels (CONNECT) are
 * not: what passes a tunnel is seen by itself.
 */
#ifndef SPANTAP_HTTP_H
#define SPANTAP_HTTP_H

#include "llm/llm.h"

#define HTTP_METHOD_MAX 32 /* bytes; registered ones (RFC 9110 section 16.1) are shorter than 20 */
#define HTTP_URL_MAX                                                                                         \
	8000 /* bytes (RFC 9110 section 4.1 asks for as many); what is longer is cut, marked by "…" */
#define HTTP_FIELD_MAX 1024 /* bytes of other fields */

struct http_request {
	struct conn_info conn; /* a copy */
	uint32_t stream_id;
	uint64_t request_offset;
	struct slice protocol; /* "http/1.1", "http/1.0", "h2": static text */
	struct slice method;   /* absent: the request was not seen */
	struct slice url;      /* absolute, secrets not yet masked; absent when the target is not known */
	struct slice server_address; /* without port; absent when not known */
	struct slice user_agent, traceparent;
	uint16_t status;                        /* 0: no answer was seen */
	uint64_t request_bytes, response_bytes; /* decoded body sizes */

	uint64_t request_start, request_end, response_head,
	    end; /* boot ns, 0: not reached; end: the last that was seen */

	uint64_t lost_bytes;
	const char *why_incomplete; /* static text, NULL when complete */
};

/* The exchange has ended and was no call: reports it to l->ev->http, unless it is none to report. */
struct llm;
void http_give(const struct llm *l, const struct exchange *x);

#endif
