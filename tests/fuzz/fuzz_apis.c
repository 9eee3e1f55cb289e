/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows that are not OpenAI's, and MCP.  Input: a byte that picks the
 * target, one for status, framing and cuts; then the request's and the
 * response's body, parted by a 0 byte.  A 1 byte in a body is a gap.  With the
 * AWS flag each line of the response becomes a message of an event stream, so
 * that checksums do not stand in the way: "event NAME JSON", "exception NAME
 * JSON", "bytes JSON".  One more exchange on the same session follows, with the
 * same bodies, for what MCP keeps between exchanges.
 */
#include <sodium.h>
#include <stdlib.h>
#include <zlib.h>

#include "llm/llm.h"
#include "llm/mcp.h"

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

static void add_u32(struct buf *out, size_t v)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_addc(out, (char)(v >> shift));
}

static void add_header(struct buf *out, const char *name, struct slice value)
{
	value.n = value.n < 200 ? value.n : 200;
	buf_addc(out, (char)strlen(name));
	buf_adds(out, name);
	buf_addc(out, 7);
	buf_addc(out, 0);
	buf_addc(out, (char)value.n);
	buf_addslice(out, value);
}

static size_t checksum(const struct buf *b, size_t from)
{
	return crc32(0, (const Bytef *)b->p + from, (uInt)(b->n - from));
}

static void add_payload(struct buf *out, struct slice text, bool wrapped)
{
	size_t n = sodium_base64_ENCODED_LEN(text.n, sodium_base64_VARIANT_ORIGINAL);
	char *b64 = wrapped ? malloc(n) : NULL;

	if (!wrapped) {
		buf_addslice(out, text);
		return;
	}
	sodium_bin2base64(b64, n, (const unsigned char *)text.p, text.n, sodium_base64_VARIANT_ORIGINAL);
	buf_addf(out, "{\"bytes\":\"%s\"}", b64);
	free(b64);
}

static void add_message(struct buf *out, struct slice line)
{
	struct buf head = {0}, payload = {0};
	struct slice what, name = SLICE("chunk");
	size_t from = out->n;
	bool wrapped, exception;

	slice_cut(&line, ' ', &what);
	wrapped = slice_eq(what, SLICE("bytes"));
	exception = slice_eq(what, SLICE("exception"));
	if (!wrapped)
		slice_cut(&line, ' ', &name);
	add_payload(&payload, line, wrapped);
	add_header(&head, exception ? ":exception-type" : ":event-type", name);
	add_header(&head, ":message-type", exception ? what : SLICE("event"));
	add_u32(out, 16 + head.n + payload.n);
	add_u32(out, head.n);
	add_u32(out, checksum(out, from));
	buf_addslice(out, buf_slice(&head));
	buf_addslice(out, buf_slice(&payload));
	add_u32(out, checksum(out, from));
	buf_release(&head);
	buf_release(&payload);
}

static void feed(struct llm *l, struct exchange *x, bool request, struct slice body, size_t step, bool gaps)
{
	enum ev_dir dir = request ? EV_DIR_WRITE : EV_DIR_READ;

	while (body.n) {
		size_t n = body.n < step ? body.n : step;
		const char *gap = gaps ? memchr(body.p, 1, n) : NULL;

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

static const char *const targets[] = {
    "/v1beta/models/m:generateContent",
    "/v1beta/models/m:streamGenerateContent",
    "/v1internal:streamGenerateContent",
    "/v1beta/models/m:batchEmbedContents",
    "/v1/projects/p/publishers/google/models/m:predict",
    "/v1beta/models/m:countTokens",
    "/v1beta/interactions",
    "/model/arn%3Aaws%2Fm/converse",
    "/model/m%3a/converse-stream",
    "/model/m/invoke",
    "/model/m/invoke-with-response-stream",
    "/agents/a/agentAliases/b/sessions/c/text",
    "/knowledgebases/k/retrieve",
    "/v1/chat",
    "/v2/chat",
    "/v1/generate",
    "/v2/embed",
    "/v2/rerank",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/collections/c/points/search",
    "/collections/c/points/query/groups",
    "/api/v2/collections/c/query",
    "/query",
    "/records/namespaces/n/search",
    "/v1/graphql",
    "/mcp",
    "/messages?session_id=1",
    "/sse",
};

static void exchange(struct llm *l, uint8_t target, uint8_t flags, struct slice request,
                     struct slice response)
{
	static const char *const types[] = {"application/json", "text/event-stream", "application/x-ndjson",
	                                    "application/vnd.amazon.eventstream"};
	static const uint16_t statuses[] = {200, 200, 404, 202};
	const char *path = targets[target % (sizeof(targets) / sizeof(*targets))];
	struct http_header rq[] = {{SLICE("accept"), SLICE("text/event-stream")},
	                           {SLICE("content-type"), SLICE("application/json")},
	                           {SLICE("mcp-session-id"), SLICE("s")}};
	struct http_header rs[] = {{SLICE("content-type"), slice_str(types[flags & 3])},
	                           {SLICE("x-amzn-bedrock-input-token-count"), SLICE("5")},
	                           {SLICE("x-amzn-errortype"), SLICE("E:http://x")}};
	struct exchange x = {.request_dir = EV_DIR_WRITE, .target = slice_str(path)};
	bool aws = (flags & 3) == 3;
	struct buf frames = {0};
	struct slice line;

	x.method = slice_eq(x.target, SLICE("/sse")) ? SLICE("GET") : SLICE("POST");
	x.request_headers = (struct http_headers){rq, flags & 64 ? 3 : 2};
	x.response_headers = (struct http_headers){rs, 3};
	while (aws && slice_cut(&response, '\n', &line))
		add_message(&frames, line);
	if (aws)
		response = buf_slice(&frames);

	llm_proto_events.request(l, &x);
	feed(l, &x, true, request, flags & 16 ? 3 : 1000, true);
	llm_proto_events.request_end(l, &x);
	x.status = statuses[flags >> 2 & 3];
	llm_proto_events.response(l, &x);
	feed(l, &x, false, response, flags & 32 ? 7 : 1000, !aws);
	llm_proto_events.end(l, &x);
	buf_release(&frames);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct llm_events events = {.begin = on_begin, .end = on_end, .mcp = on_mcp};
	struct slice rest, request;

	if (size < 3)
		return 0;
	rest = slice_of(data + 2, size - 2);
	if (!slice_cut(&rest, 0, &request))
		return 0;

	struct llm *l = llm_new(&events, NULL);
	exchange(l, data[0], data[1], request, rest);
	exchange(l, data[0], data[1] ^ 64, request, rest);
	if (llm_stats(l)->body_bytes_held)
		abort();
	llm_free(l);
	return 0;
}
