/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a byte that picks API, host and status; two bytes for the cuts; then
 * the request's and the response's body, parted by a 0 byte.  A 1 byte in a
 * body is a gap.
 */
#include "llm/llm.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct llm_events events = {on_begin, on_end};
	static const struct slice targets[] = {
	    {"/v1/chat/completions", 20},
	    {"/v1/messages", 12},
	    {"/openai/deployments/d/chat/completions?api-version=1", 52},
	    {"http://h/publishers/anthropic/models/m:rawPredict", 49},
	};
	struct http_header host = {SLICE("host"), SLICE("api.anthropic.com")};
	struct http_header type = {SLICE("content-type"), SLICE("text/event-stream")};
	struct exchange x = {.method = SLICE("POST"), .request_dir = EV_DIR_WRITE};
	struct slice rest, request;

	if (size < 3)
		return 0;
	rest = slice_of(data + 3, size - 3);
	if (!slice_cut(&rest, 0, &request))
		return 0;
	x.target = targets[data[0] & 3];
	x.request_headers = (struct http_headers){&host, data[0] >> 2 & 1};
	x.response_headers = (struct http_headers){&type, data[0] >> 3 & 1};

	struct llm *l = llm_new(&events, NULL);
	llm_proto_events.request(l, &x);
	feed(l, &x, true, request, data[1] + 1u);
	if (data[0] & 16)
		llm_proto_events.request_end(l, &x);
	x.status = data[0] & 32 ? 400 : 200;
	llm_proto_events.response(l, &x);
	feed(l, &x, false, rest, data[2] + 1u);
	if (!(data[0] & 64))
		llm_proto_events.end(l, &x);
	llm_free(l);
	arena_release(&x.arena);
	return 0;
}
