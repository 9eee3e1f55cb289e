/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a byte of flags, one that picks the target, one the label, two for the
 * cuts; then the request's and the response's body, parted by a 0 byte.  A 1
 * byte in a body is a gap.  On a WebSocket, both are messages, one a line: a
 * line of the request, then one of the response.
 */
#include <stdlib.h>

#include "llm/llm.h"
#include "llm/http.h"
#include "llm/mcp.h"

enum {
	HOST = 1,
	REQUEST_ENDS = 2,
	FAILS = 4,
	ENDS = 8,
	FORM = 16,
};

static const struct slice targets[] = {
    {"/v1/chat/completions", 20},
    {"/v1/messages", 12},
    {"/openai/deployments/d/chat/completions?api-version=1", 52},
    {"http://h/publishers/anthropic/models/m:rawPredict", 49},
    {"/v1/responses", 13},
    {"/v1/completions", 15},
    {"/v1/embeddings", 14},
    {"/v1/images/generations", 22},
    {"/v1/audio/speech", 16},
    {"/v1/audio/transcriptions", 24},
    {"/v1/moderations", 15},
    {"/v1/complete", 12},
    {"/v1/messages/count_tokens", 25},
    {"/v1/responses", 13}, /* from here on: a WebSocket */
    {"/v1/realtime?model=m", 20},
};

#define N_TARGETS    (sizeof(targets) / sizeof(*targets))
#define FIRST_SOCKET (N_TARGETS - 2)

static const struct slice labels[] = {
    {"application/json", 16},
    {"text/event-stream", 17},
    {"application/x-ndjson", 20},
    {"application/vnd.amazon.eventstream", 34},
    {"audio/mpeg", 10},
    {"text/plain", 10},
    {"", 0},
};

static void on_begin(void *ctx, struct llm_call *call)
{
	(void)ctx, (void)call;
}

static void on_end(void *ctx, struct llm_call *call)
{
	struct buf text = {0};

	(void)ctx;
	llm_call_print(&text, call);
	buf_release(&text);
	llm_call_free(call);
}

static void on_mcp(void *ctx, const struct mcp_request *m)
{
	struct buf text = {0};

	(void)ctx;
	mcp_request_print(&text, m);
	buf_release(&text);
}

static void feed(struct llm *l, struct exchange *x, bool request, struct slice body, size_t step)
{
	enum ev_dir dir = request ? EV_DIR_WRITE : EV_DIR_READ;

	while (body.n) {
		size_t n = body.n < step ? body.n : step;
		const char *gap = memchr(body.p, 1, n);

		n = gap ? (size_t)(gap - body.p) : n;
		(request ? llm_proto_events.request_body
		         : llm_proto_events.response_body)(l, x, 1, slice_of(body.p, n));
		body = slice_from(body, n);
		if (gap) {
			llm_proto_events.body_gap(l, x, dir, 1, 1);
			x->damage |= request ? DAMAGE_REQUEST_BODY : DAMAGE_RESPONSE_BODY;
			body = slice_from(body, 1);
		}
	}
}

static void on_http(void *ctx, const struct http_request *r)
{
	(void)ctx;
	if (r->url.n > HTTP_URL_MAX + HTTP_FIELD_MAX + 16 || r->method.n > HTTP_METHOD_MAX)
		abort();
}

static void message(struct llm *l, struct exchange *x, bool request, struct slice *rest)
{
	enum ev_dir dir = request ? EV_DIR_WRITE : EV_DIR_READ;
	struct slice line;

	if (!slice_cut(rest, '\n', &line))
		return;
	if (slice_eq(line, SLICE("\x01")))
		llm_proto_events.body_gap(l, x, dir, 1, 1);
	else
		llm_proto_events.message(l, x, dir, 1, line, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct llm_events events = {
	    .begin = on_begin, .end = on_end, .mcp = on_mcp, .http = on_http};
	struct http_header asks[] = {{SLICE("host"), SLICE("api.anthropic.com")},
	                             {SLICE("content-type"), SLICE("multipart/form-data; boundary=b")},
	                             {SLICE("upgrade"), SLICE("websocket")}};
	struct http_header type = {SLICE("content-type"), {0}};
	struct exchange x = {.request_dir = EV_DIR_WRITE};
	struct slice rest, request;
	bool socket;

	if (size < 5)
		return 0;
	rest = slice_of(data + 5, size - 5);
	if (!slice_cut(&rest, 0, &request))
		return 0;
	x.target = targets[data[1] % N_TARGETS];
	socket = data[1] % N_TARGETS >= FIRST_SOCKET;
	x.method = socket ? SLICE("GET") : SLICE("POST");
	x.request_headers = socket ? (struct http_headers){asks + 2, 1}
	                           : (struct http_headers){asks + !(data[0] & HOST),
	                                                   (data[0] & HOST ? 1u : 0u) + !!(data[0] & FORM)};
	type.value = labels[data[2] % (sizeof(labels) / sizeof(*labels))];
	x.response_headers = (struct http_headers){&type, type.value.n > 0};

	struct llm *l = llm_new(&events, NULL);
	llm_proto_events.request(l, &x);
	if (!socket)
		feed(l, &x, true, request, data[3] + 1u);
	if (data[0] & REQUEST_ENDS || socket)
		llm_proto_events.request_end(l, &x);
	x.status = socket ? 101 : data[0] & FAILS ? 400 : 200;
	x.upgraded = socket;
	llm_proto_events.response(l, &x);
	if (!socket)
		feed(l, &x, false, rest, data[4] + 1u);
	while (socket && (request.n || rest.n)) {
		message(l, &x, true, &request);
		message(l, &x, false, &rest);
	}
	if (data[0] & ENDS)
		llm_proto_events.end(l, &x);
	llm_free(l);
	arena_release(&x.arena);
	return 0;
}
