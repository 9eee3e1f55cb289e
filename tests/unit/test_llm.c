/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The golden files under tests/golden/llm: each case is a request block, a
 * response block and the call that must come of them, however the bodies are
 * cut.  Damage, limits and what is no call are tested below in C.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sodium.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "llm/http.h"
#include "llm/mcp.h"

#define GOLDEN "tests/golden/llm"

/* Boot times of a run, in ns. */
enum {
	REQUEST_START = 1000,
	REQUEST_END = 2000,
	RESPONSE_START = 3000,
	RESPONSE_HEAD = 3100,
	BODY = 4000,
	END = 5000
};

static struct {
	struct buf text; /* what the calls print */
	int begun, ended;
	int http; /* requests that were no calls */
	struct buf url;
} seen;

static void on_begin(void *ctx, struct llm_call *call)
{
	(void)ctx, (void)call;
	seen.begun++;
}

static void on_end(void *ctx, struct llm_call *call)
{
	(void)ctx;
	seen.ended++;
	llm_call_print(&seen.text, call);
	llm_call_free(call);
}

static void on_mcp(void *ctx, const struct mcp_request *m)
{
	(void)ctx;
	seen.begun++;
	seen.ended++;
	mcp_request_print(&seen.text, m);
}

static void on_http(void *ctx, const struct http_request *r)
{
	(void)ctx;
	seen.http++;
	buf_clear(&seen.url);
	buf_addf(&seen.url, "%.*s ", (int)r->method.n, r->method.p);
	buf_addslice(&seen.url, r->url);
	buf_addf(&seen.url, " %u%s%s", r->status, r->why_incomplete ? " " : "",
		 r->why_incomplete ? r->why_incomplete : "");
}

static const struct llm_events events = {.begin = on_begin, .end = on_end, .mcp = on_mcp, .http = on_http};

static struct llm *fresh(void)
{
	buf_clear(&seen.text);
	seen.begun = seen.ended = seen.http = 0;
	return llm_new(&events, NULL);
}

/* A block: first line, header lines, an empty line, the body. */
struct message {
	struct slice start, body;
	struct http_headers headers;
};

static struct message message_of(struct arena *arena, struct slice block)
{
	struct message m = {0};
	struct slice line, name;

	slice_cut(&block, '\n', &m.start);
	while (slice_cut(&block, '\n', &line) && line.n) {
		struct http_header *h = arena_push(arena, &m.headers.v, &m.headers.n, sizeof(*h));

		assert_true(slice_cut(&line, ':', &name));
		*h = (struct http_header){name, slice_trim(line)};
	}
	m.body = block.p ? block : SLICE("");
	return m;
}

/* The exchange of two blocks: head only. */
static struct exchange exchange_of(const struct message *rq)
{
	struct slice rest = rq->start;
	struct exchange x = {.request_dir = EV_DIR_WRITE, .request_headers = rq->headers};

	slice_cut(&rest, ' ', &x.method);
	x.target = rest;
	x.request_start = REQUEST_START;
	return x;
}

static void answer_head(struct llm *l, struct exchange *x, const struct message *rs)
{
	uint64_t status = 0;

	x->response_start = RESPONSE_START;
	x->response_head = RESPONSE_HEAD;
	x->response_headers = rs->headers;
	assert_true(slice_u64(rs->start, &status));
	x->status = (uint16_t)status;
	llm_proto_events.response(l, x);
}

static void finish(struct llm *l, struct exchange *x)
{
	x->response_end = END;
	llm_proto_events.end(l, x);
	arena_release(&x->arena);
	assert_int_equal(seen.begun, seen.ended);
	if (seen.ended)
		assert_int_equal(seen.http, 0);
}

/* step: 0 at once, else the longest piece of a random cut. */
static void feed(struct llm *l, struct exchange *x,
                 void (*body)(void *, struct exchange *, uint64_t, struct slice), struct slice s, size_t step)
{
	while (s.n) {
		size_t n = step ? 1 + (size_t)rand() % step : s.n;
		n = n < s.n ? n : s.n;

		/* A copy of its own, so that reading beyond a piece is found. */
		char *piece = malloc(n);
		memcpy(piece, s.p, n);
		body(l, x, BODY, slice_of(piece, n));
		free(piece);
		s = slice_from(s, n);
	}
}

static void run(struct llm *l, const struct message *rq, const struct message *rs, size_t step)
{
	struct exchange x = exchange_of(rq);

	llm_proto_events.request(l, &x);
	feed(l, &x, llm_proto_events.request_body, rq->body, step);
	x.request_end = REQUEST_END;
	llm_proto_events.request_end(l, &x);
	answer_head(l, &x, rs);
	feed(l, &x, llm_proto_events.response_body, rs->body, step);
	finish(l, &x);
}

/* ---- golden files ---- */

static void add_u32(struct buf *out, size_t v)
{
	unsigned char b[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16), (unsigned char)(v >> 8),
	                      (unsigned char)v};

	buf_add(out, b, sizeof(b));
}

static void add_aws_header(struct buf *out, const char *name, struct slice value)
{
	buf_addc(out, (char)strlen(name));
	buf_adds(out, name);
	buf_addc(out, 7); /* a string */
	buf_addc(out, (char)(value.n >> 8));
	buf_addc(out, (char)value.n);
	buf_addslice(out, value);
}

static size_t checksum(const struct buf *b, size_t from)
{
	return crc32(0, (const Bytef *)b->p + from, (uInt)(b->n - from));
}

/* A line "event NAME JSON", "exception NAME JSON", or "bytes JSON": what an invoke stream wraps. */
static void add_aws_message(struct buf *out, struct slice line)
{
	struct buf head = {0}, payload = {0};
	struct slice what, name = SLICE("chunk");
	size_t from = out->n;

	slice_cut(&line, ' ', &what);
	if (slice_eq(what, SLICE("bytes"))) {
		char *b64 = malloc(sodium_base64_ENCODED_LEN(line.n, sodium_base64_VARIANT_ORIGINAL));

		sodium_bin2base64(b64, sodium_base64_ENCODED_LEN(line.n, sodium_base64_VARIANT_ORIGINAL),
		                  (const unsigned char *)line.p, line.n, sodium_base64_VARIANT_ORIGINAL);
		buf_addf(&payload, "{\"bytes\":\"%s\",\"p\":\"abcdefgh\"}", b64);
		free(b64);
	} else {
		slice_cut(&line, ' ', &name);
		buf_addslice(&payload, line);
	}
	bool exception = slice_eq(what, SLICE("exception"));
	add_aws_header(&head, exception ? ":exception-type" : ":event-type", name);
	add_aws_header(&head, ":content-type", SLICE("application/json"));
	add_aws_header(&head, ":message-type", exception ? what : SLICE("event"));

	add_u32(out, 12 + head.n + payload.n + 4);
	add_u32(out, head.n);
	add_u32(out, checksum(out, from));
	buf_addslice(out, buf_slice(&head));
	buf_addslice(out, buf_slice(&payload));
	add_u32(out, checksum(out, from));
	buf_release(&head);
	buf_release(&payload);
}

/* The body as it is sent: event streams of AWS are written by line in the golden files. */
static void set_body(struct buf *out, struct message *m)
{
	struct slice rest = m->body, line;

	if (!slice_find(http_header_get(&m->headers, SLICE("content-type")), SLICE("amazon.eventstream")) ||
	    slice_starts(rest, SLICE("{")))
		return;
	while (slice_cut(&rest, '\n', &line) && line.n)
		add_aws_message(out, line);
	m->body = buf_slice(out);
}

/* The text of the next fenced block with that info string, from *at on. */
static bool next_block(struct slice *at, const char *info, struct slice *ret)
{
	struct buf open = {0};
	bool found = false;

	buf_addf(&open, "\n```%s\n", info);
	const char *p = slice_find(*at, buf_slice(&open));
	if (p) {
		struct slice rest = slice_from(*at, (size_t)(p - at->p) + open.n);
		const char *close = slice_find(rest, SLICE("\n```\n"));

		assert_non_null(close);
		*ret = slice_of(rest.p, (size_t)(close - rest.p));
		*at = slice_from(rest, ret->n + 1);
		found = true;
	}
	buf_release(&open);
	return found;
}

static void check_case(const char *file, struct slice rq_text, struct slice rs_text, struct slice want,
                       size_t step)
{
	struct llm *l = fresh();
	struct arena arena = {0};
	struct message rq = message_of(&arena, rq_text), rs = message_of(&arena, rs_text);
	struct buf frames = {0};
	struct slice got;

	set_body(&frames, &rs);
	run(l, &rq, &rs, step);
	got = slice_trim(buf_slice(&seen.text));
	if (!slice_eq(got, slice_trim(want)))
		fail_msg("%s, pieces of %zu: got\n%.*s\nexpected\n%.*s", file, step, (int)got.n, got.p,
		         (int)want.n, want.p);
	assert_int_equal(seen.ended, 1);
	buf_release(&frames);
	arena_release(&arena);
	llm_free(l);
}

static size_t check_file(const char *file)
{
	struct buf text = {0};
	struct slice rest, rq, rs, log;
	size_t n_cases = 0;
	FILE *f = fopen(file, "r");
	char chunk[4096];

	assert_non_null(f);
	for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
		buf_add(&text, chunk, n);
	fclose(f);

	for (rest = buf_slice(&text); next_block(&rest, "request", &rq); n_cases++) {
		assert_true(next_block(&rest, "response", &rs));
		assert_true(next_block(&rest, "log", &log));
		/* The blank line that ends an event is not seen in front of the closing fence. */
		rs.n += slice_find(rs, SLICE("\ndata:")) ? 1 : 0;
		check_case(file, rq, rs, log, 0);
		check_case(file, rq, rs, log, 1);
		for (int i = 0; i < 20; i++)
			check_case(file, rq, rs, log, 60);
	}
	buf_release(&text);
	return n_cases;
}

static void test_golden(void **state)
{
	struct dirent **entries;
	int n = scandir(GOLDEN, &entries, NULL, alphasort);
	size_t n_cases = 0;

	(void)state;
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		struct buf name = {0};

		buf_addf(&name, GOLDEN "/%s", entries[i]->d_name);
		if (slice_ends(slice_str(entries[i]->d_name), SLICE(".md")))
			n_cases += check_file(buf_str(&name));
		buf_release(&name);
		free(entries[i]);
	}
	free(entries);
	assert_true(n_cases >= 15);
}

/* ---- damage ---- */

#define CHAT_REQUEST                                                                                         \
	"POST /v1/chat/completions\nhost: "                                                                  \
	"api.openai.com\n\n{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":"                        \
	"\"user\",\"content\":\"hi\"}]}"
#define CHUNK(rest) "data: {\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[{\"index\":0," rest "}]}\n\n"
#define STREAM_HEAD "200\ncontent-type: text/event-stream\n\n"
#define HELLO       CHUNK("\"delta\":{\"content\":\"hello\"},\"finish_reason\":null")
#define STOP        CHUNK("\"delta\":{},\"finish_reason\":\"stop\"")
#define DONE        "data: [DONE]\n\n"

struct damaged {
	size_t request_gap; /* after that many bytes of the request body; 0: none */
	size_t response_gap;
	bool no_request_end, no_response;
	unsigned damage;
	enum gap_cause cause;
};

static void gap(struct llm *l, struct exchange *x, enum ev_dir dir, const struct damaged *d)
{
	x->cause = d->cause;
	x->lost_bytes += 100;
	x->damage |= dir == x->request_dir ? DAMAGE_REQUEST_BODY : DAMAGE_RESPONSE_BODY;
	llm_proto_events.body_gap(l, x, dir, BODY, 100);
}

static void run_damaged(const char *rq_text, const char *rs_text, const struct damaged *d)
{
	struct llm *l = fresh();
	struct arena arena = {0};
	struct message rq = message_of(&arena, slice_str(rq_text)),
	               rs = message_of(&arena, slice_str(rs_text));
	struct exchange x = exchange_of(&rq);

	llm_proto_events.request(l, &x);
	feed(l, &x, llm_proto_events.request_body,
	     slice_of(rq.body.p, d->request_gap ? d->request_gap : rq.body.n), 0);
	if (d->request_gap) {
		gap(l, &x, EV_DIR_WRITE, d);
		feed(l, &x, llm_proto_events.request_body, slice_from(rq.body, d->request_gap), 0);
	}
	if (!d->no_request_end)
		llm_proto_events.request_end(l, &x);
	if (!d->no_response) {
		answer_head(l, &x, &rs);
		feed(l, &x, llm_proto_events.response_body,
		     slice_of(rs.body.p, d->response_gap ? d->response_gap : rs.body.n), 0);
		if (d->response_gap) {
			gap(l, &x, EV_DIR_READ, d);
			feed(l, &x, llm_proto_events.response_body, slice_from(rs.body, d->response_gap), 0);
		}
	}
	x.damage |= d->damage;
	finish(l, &x);
	arena_release(&arena);
	llm_free(l);
}

static void assert_seen(const char *text)
{
	if (!slice_find(buf_slice(&seen.text), slice_str(text)))
		fail_msg("'%s' is not in\n%s", text, buf_str(&seen.text));
}

static void assert_unseen(const char *text)
{
	if (slice_find(buf_slice(&seen.text), slice_str(text)))
		fail_msg("'%s' is in\n%s", text, buf_str(&seen.text));
}

static void test_request_hole(void **state)
{
	struct damaged d = {.request_gap = 10, .cause = GAP_RING};

	(void)state;
	run_damaged(CHAT_REQUEST, STREAM_HEAD HELLO STOP DONE, &d);
	assert_int_equal(seen.ended, 1);
	assert_seen("incomplete lost=100 \"request bytes lost: ring full\"");
	assert_seen("text \"hello\"");
	assert_seen("model=\"m-1\"");
	assert_unseen("sha256");
	assert_unseen("input role");
}

static void test_response_hole(void **state)
{
	struct damaged d = {.response_gap = sizeof(HELLO) - 1 + 20, .cause = GAP_UNREADABLE};

	(void)state;
	run_damaged(CHAT_REQUEST, STREAM_HEAD HELLO HELLO HELLO STOP DONE, &d);
	assert_seen("incomplete lost=100 \"response bytes lost: memory not readable\"");
	assert_seen("text \"hellohello\"");
	assert_seen("finish=\"stop\"");
}

static void test_json_hole(void **state)
{
	struct damaged d = {.response_gap = 12, .cause = GAP_CRASH};

	(void)state;
	run_damaged(CHAT_REQUEST, "200\n\n{\"id\":\"c1\",\"choices\":[]}", &d);
	assert_seen("\"response bytes lost: a record crashed the decoder\"");
	assert_unseen("id=\"c1\"");
}

#define VALUE(rest) "{\"id\":\"c1\",\"model\":\"m-1\",\"choices\":[{\"index\":0," rest "}]}"
#define V_HELLO     VALUE("\"delta\":{\"content\":\"hello\"}")
#define V_STOP      VALUE("\"delta\":{},\"finish_reason\":\"stop\"")

/* The first byte decides how a body is framed; its label only what that leaves open. */
static void test_framings(void **state)
{
	static const struct {
		const char *response, *framing, *why;
	} cases[] = {
	    {"200\ncontent-type: application/x-ndjson\n\n" V_HELLO "\n" V_STOP "\n", "ndjson", "complete"},
	    {"200\ncontent-type: application/json\n\n" V_HELLO "\n" V_STOP "\n", "ndjson", "complete"},
	    {"200\ncontent-type: application/json\n\n[" V_HELLO ",\r\n" V_STOP "]", "json_array", "complete"},
	    {"200\ncontent-type: application/json\n\n[" V_HELLO ",\r\n" V_STOP, "json_array",
	     "the stream ended within a value"},
	    {"200\ncontent-type: application/json\n\n" HELLO STOP DONE, "sse", "complete"},
	    {"200\n\n" HELLO STOP DONE, "sse", "complete"},
	    {"200\ncontent-type: text/event-stream\n\n\n\n: hi\n\n" HELLO STOP DONE, "sse", "complete"},
	    {"200\ncontent-type: application/x-ndjson\n\n" V_HELLO "\n", "ndjson",
	     "the stream ended before its last event"},
	};
	struct damaged none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		run_damaged(CHAT_REQUEST, cases[i].response, &none);
		assert_int_equal(seen.ended, 1);
		assert_seen("text \"hello\"");
		assert_seen(cases[i].framing);
		assert_seen(cases[i].why);
	}
}

/* Bodies that are none of it: the call says so, and claims nothing. */
static void test_no_json(void **state)
{
	static const struct {
		const char *response, *why;
	} cases[] = {
	    {"200\ncontent-type: application/json\n\n<html>", "\"response body is not JSON\""},
	    {"200\ncontent-type: application/json\n\n{\"id\":\n", "\"response body is not JSON\""},
	    {"200\ncontent-type: application/json\n\n", "\"response body is empty\""},
	    {"200\ncontent-type: text/event-stream\n\n", "\"response body is empty\""},
	    {"502\ncontent-type: text/html\n\n<h1>Bad Gateway</h1>", "message=\"<h1>Bad Gateway</h1>\""},
	};
	struct damaged none = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		run_damaged(CHAT_REQUEST, cases[i].response, &none);
		assert_seen(cases[i].why);
		assert_unseen("framing=");
		assert_unseen("output role");
	}
}

static void test_cut(void **state)
{
	struct damaged cut = {.damage = DAMAGE_CUT};
	struct damaged silent = {.damage = DAMAGE_CUT, .no_response = true};
	struct damaged request = {.damage = DAMAGE_CUT, .no_response = true, .no_request_end = true};
	struct damaged none = {0};

	(void)state;
	run_damaged(CHAT_REQUEST, STREAM_HEAD HELLO, &cut);
	assert_seen("\"response cut: the connection or the capture ended\"");
	assert_seen("text \"hello\"");
	run_damaged(CHAT_REQUEST, STREAM_HEAD, &silent);
	assert_seen("\"no response: the connection or the capture ended\"");
	assert_unseen("status=");
	run_damaged(CHAT_REQUEST, STREAM_HEAD, &request);
	assert_seen("\"request cut: the connection or the capture ended\"");
	run_damaged(CHAT_REQUEST, STREAM_HEAD HELLO, &none);
	assert_seen("\"response cut: the stream ended before its last event\"");
}

static void test_done_completes(void **state)
{
	struct damaged cut = {.damage = DAMAGE_CUT};
	struct damaged late_gap = {.response_gap = sizeof(HELLO STOP DONE) - 1};

	(void)state;
	run_damaged(CHAT_REQUEST, STREAM_HEAD HELLO STOP DONE, &cut);
	assert_seen("\n  complete\n");
	assert_seen("end=3000");
	run_damaged(CHAT_REQUEST, STREAM_HEAD HELLO STOP DONE "garbage", &late_gap);
	assert_seen("\n  complete\n");
}

/* The call is handed over with [DONE], not with the end of the HTTP message. */
static void test_end_at_terminator(void **state)
{
	struct llm *l = fresh();
	struct arena arena = {0};
	struct message rq = message_of(&arena, SLICE(CHAT_REQUEST));
	struct message rs = message_of(&arena, SLICE(STREAM_HEAD HELLO STOP DONE));
	struct exchange x = exchange_of(&rq);

	(void)state;
	llm_proto_events.request(l, &x);
	feed(l, &x, llm_proto_events.request_body, rq.body, 0);
	llm_proto_events.request_end(l, &x);
	assert_int_equal(seen.begun, 1);
	answer_head(l, &x, &rs);
	feed(l, &x, llm_proto_events.response_body, rs.body, 7);
	assert_int_equal(seen.ended, 1);
	assert_true(llm_stats(l)->body_bytes_held == 0);
	finish(l, &x);
	assert_int_equal(seen.ended, 1);
	arena_release(&arena);
	llm_free(l);
}

/* The server answers before it has read the request. */
static void test_early_answer(void **state)
{
	struct llm *l = fresh();
	struct arena arena = {0};
	struct message rq = message_of(&arena, SLICE(CHAT_REQUEST));
	struct message rs = message_of(&arena, SLICE(STREAM_HEAD HELLO STOP DONE));
	struct exchange x = exchange_of(&rq);

	(void)state;
	llm_proto_events.request(l, &x);
	feed(l, &x, llm_proto_events.request_body, slice_of(rq.body.p, 20), 0);
	answer_head(l, &x, &rs);
	feed(l, &x, llm_proto_events.response_body, rs.body, 0);
	feed(l, &x, llm_proto_events.request_body, slice_from(rq.body, 20), 0);
	assert_int_equal(seen.begun, 0);
	llm_proto_events.request_end(l, &x);
	finish(l, &x);
	assert_int_equal(seen.ended, 1);
	assert_seen("model=\"m\"");
	assert_seen("\n  complete\n");
	arena_release(&arena);
	llm_free(l);
}

/* ---- what is no call, limits ---- */

static void test_other_exchanges(void **state)
{
	static const char *const others[] = {
	    "GET /v1/chat/completions\nhost: api.openai.com\n\n",
	    "POST /v1/chat/completions/x\nhost: api.openai.com\n\n{}",
	    "POST /v1/responses/compact\nhost: api.openai.com\n\n{\"input\":[]}",
	    "POST /v1/responses/input_tokens\nhost: api.openai.com\n\n{\"input\":[]}",
	    "POST /v1/files\nhost: api.openai.com\n\n{}",
	    "POST /v1/threads/t/runs\nhost: api.openai.com\n\n{\"model\":\"m\"}",
	    "GET /v1/models\nhost: api.openai.com\n\n",
	    "POST /survey/responses\nhost: forms.example.com\n\n{\"answers\":[]}",
	    "POST /moderations\nhost: forum.example.com\n\n{\"post\":1}",
	    "POST /v1/messages/batches\nhost: api.anthropic.com\n\n{\"messages\":[]}",
	    "POST /v1/messages\nhost: sms.example.com\n\n{\"to\":\"+1\",\"text\":\"hi\"}",
	    "POST /v1/messages\nhost: sms.example.com\n\nto=1&text=hi",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		struct llm *l = fresh();
		struct arena arena = {0};
		struct message rq = message_of(&arena, slice_str(others[i]));
		struct message rs = message_of(&arena, SLICE("200\n\n{}"));

		run(l, &rq, &rs, 0);
		assert_int_equal(seen.begun, 0);
		assert_int_equal(seen.http, 1);
		assert_true(llm_stats(l)->other_exchanges == 1);
		assert_true(llm_stats(l)->body_bytes_held == 0);
		arena_release(&arena);
		llm_free(l);
	}
}

/* What is told of a request that is no call: client requests alone, as they were asked for and as they ended. */
static void test_http(void **state)
{
	static const struct {
		const char *request, *response, *told;
		enum ev_dir dir;
		enum ev_lib lib;
		unsigned damage;
	} cases[] = {
	    {.request = "GET /a?b=c#d\nhost: h.example:8443\n\n", .response = "200\n\n", .dir = EV_DIR_WRITE,
	     .told = "GET https://h.example:8443/a?b=c#d 200"},
	    {.request = "GET /a\nhost: h.example\n\n", .response = "503\n\nx", .dir = EV_DIR_WRITE,
	     .lib = EV_LIB_SOCKET, .told = "GET http://h.example/a 503"},
	    {.request = "GET http://h.example/a\nhost: proxy.example\n\n", .response = "200\n\n",
	     .dir = EV_DIR_WRITE, .lib = EV_LIB_SOCKET, .told = "GET http://h.example/a 200"},
	    {.request = "OPTIONS *\nhost: h.example\n\n", .response = "204\n\n", .dir = EV_DIR_WRITE,
	     .told = "OPTIONS https://h.example 204"},
	    {.request = "GET /a\nhost: h.example\n\n", .response = "200\n\n", .dir = EV_DIR_WRITE,
	     .damage = DAMAGE_RESPONSE_BODY,
	     .told = "GET https://h.example/a 200 response bytes lost: cause not known"},
	    {.request = "GET /a\nhost: h.example\n\n", .response = "200\n\n", .dir = EV_DIR_WRITE,
	     .damage = DAMAGE_CUT,
	     .told = "GET https://h.example/a 200 response cut: the connection or the capture ended"},
	    {.request = "CONNECT h.example:443\nhost: h.example:443\n\n", .response = "200\n\n",
	     .dir = EV_DIR_WRITE},
	    {.request = "GET /health\nhost: h.example\n\n", .response = "200\n\n", .dir = EV_DIR_READ},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct llm *l = fresh();
		struct arena arena = {0};
		struct message rq = message_of(&arena, slice_str(cases[i].request));
		struct message rs = message_of(&arena, slice_str(cases[i].response));
		struct conn_info conn = {.lib = cases[i].lib};
		struct exchange x = exchange_of(&rq);

		x.conn = &conn;
		x.request_dir = cases[i].dir;
		llm_proto_events.request(l, &x);
		llm_proto_events.request_end(l, &x);
		answer_head(l, &x, &rs);
		x.damage = cases[i].damage;
		llm_proto_events.end(l, &x);
		assert_int_equal(seen.http, cases[i].told != NULL);
		if (cases[i].told)
			assert_string_equal(buf_str(&seen.url), cases[i].told);
		arena_release(&arena);
		llm_free(l);
	}
}

/* Batches and gRPC make no call, and are counted. */
static void test_passed_over(void **state)
{
	static const struct {
		const char *request;
		uint64_t grpc, batches;
	} cases[] = {
	    {"POST /v1/messages/batches\nhost: api.anthropic.com\nanthropic-version: 2023-06-01\n\n"
	     "{\"requests\":[{\"custom_id\":\"a\",\"params\":{\"model\":\"claude\",\"max_tokens\":9,"
	     "\"messages\":[]}}]}",
	     0, 1},
	    {"POST /v1/messages/batches?beta=true\nhost: gateway.example\n\n{\"requests\":[]}", 0, 1},
	    {"POST /v1/batches\nhost: api.openai.com\n\n"
	     "{\"input_file_id\":\"f\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}",
	     0, 1},
	    {"POST /openai/v1/batches\nhost: api.groq.com\n\n{}", 0, 1},
	    {"POST /v1/batch/jobs\nhost: api.mistral.ai\n\n{}", 0, 1},
	    {"POST /v1beta/models/gemini-2.5-flash:batchGenerateContent\nhost: "
	     "generativelanguage.googleapis.com\n\n{\"batch\":{}}",
	     0, 1},
	    {"POST /model-invocation-job\nhost: bedrock.us-east-1.amazonaws.com\n\n{}", 0, 1},
	    {"GET /v1/messages/batches/msgbatch_1\nhost: api.anthropic.com\n\n", 0, 0},
	    {"GET /v1/messages/batches/msgbatch_1/results\nhost: api.anthropic.com\n\n", 0, 0},
	    {"POST /v1/batches/b/cancel\nhost: api.openai.com\n\n", 0, 0},
	    {"POST /google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent\nhost: "
	     "generativelanguage.googleapis.com\ncontent-type: application/grpc\n\nx",
	     1, 0},
	    {"POST /v1/chat/completions\nhost: a.example\ncontent-type: application/grpc-web+proto\n\nx", 1,
	     0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct llm *l = fresh();
		struct arena arena = {0};
		struct message rq = message_of(&arena, slice_str(cases[i].request));
		struct message rs = message_of(&arena, SLICE("200\n\n{\"id\":\"batch_1\"}"));

		run(l, &rq, &rs, 0);
		assert_int_equal(seen.begun, 0);
		assert_int_equal(llm_stats(l)->other_exchanges, 1);
		assert_int_equal(llm_stats(l)->grpc, cases[i].grpc);
		assert_int_equal(llm_stats(l)->batches, cases[i].batches);
		arena_release(&arena);
		llm_free(l);
	}
}

static void test_providers(void **state)
{
	static const struct {
		const char *host, *want;
	} cases[] = {
	    {"api.openai.com", "openai.chat openai "},
	    {"API.GROQ.COM", " groq "},
	    {"x.openai.azure.com:443", " azure.ai.openai "},
	    {"api.deepseek.com", " deepseek "},
	    {"api.x.ai", " x_ai "},
	    {"fox.ai", " openai "},
	    {"api.mistral.ai", " mistral_ai "},
	    {"openrouter.ai", " openrouter "},
	    {"api.together.xyz", " together "},
	    {"api.perplexity.ai", " perplexity "},
	    {"localhost:8080", " openai chat server=\"localhost\" port=8080"},
	    {"[::1]:9", "server=\"::1\" port=9"},
	    {"api.openai.com", " port=443"},
	    {"us-east5-aiplatform.googleapis.com", " gcp.vertex_ai "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf text = {0};

		buf_addf(&text, "POST /v1/chat/completions?x=1\nHost: %s\n\n{\"messages\":[]}",
		         cases[i].host);
		run_damaged(buf_str(&text), "200\n\n{}", &(struct damaged){0});
		assert_seen(cases[i].want);
		buf_release(&text);
	}
}

static void test_unknown_encoding(void **state)
{
	(void)state;
	run_damaged("POST /v1/chat/completions\n\n\x83\x40", "200\n\n\x83\x40",
	            &(struct damaged){.damage = DAMAGE_ENCODING});
	assert_seen("incomplete lost=0 \"request body");
	assert_unseen("server=");
	assert_unseen("port=");
}

static void test_body_limit(void **state)
{
	struct llm *l = fresh();
	struct arena arena = {0};
	struct message rq = message_of(&arena, SLICE(CHAT_REQUEST));
	struct message rs = message_of(&arena, SLICE("200\n\n{}"));
	struct exchange x = exchange_of(&rq);
	size_t n = 1 << 20;
	char *blanks = malloc(n);

	(void)state;
	memset(blanks, ' ', n);
	llm_proto_events.request(l, &x);
	for (size_t i = 0; i <= LLM_BODY_MAX / n; i++)
		llm_proto_events.request_body(l, &x, BODY, slice_of(blanks, n));
	assert_true(llm_stats(l)->body_bytes_held < 100000);
	llm_proto_events.request_end(l, &x);
	answer_head(l, &x, &rs);
	feed(l, &x, llm_proto_events.response_body, rs.body, 0);
	finish(l, &x);
	assert_seen("\"request body larger than the limit\"");
	assert_seen("bytes=68157440");
	free(blanks);
	arena_release(&arena);
	llm_free(l);
}

/* Many bodies below their own limit: together they stay below the total, the largest goes first. */
static void test_total_limit(void **state)
{
	enum { N = 12 };
	struct llm *l = fresh();
	struct arena arena = {0};
	struct message rq = message_of(&arena, SLICE(CHAT_REQUEST));
	struct message rs = message_of(&arena, SLICE("200\n\n{\"id\":\"c\",\"choices\":[]}"));
	struct exchange x[N];
	size_t n = 48u << 20;
	char *blanks = malloc(n);

	(void)state;
	memset(blanks, ' ', n);
	for (size_t i = 0; i < N; i++) {
		x[i] = exchange_of(&rq);
		llm_proto_events.request(l, &x[i]);
		llm_proto_events.request_body(l, &x[i], BODY, slice_of(blanks, i ? n : 100));
		assert_true(llm_stats(l)->body_bytes_held <= LLM_TOTAL_MAX);
	}
	for (size_t i = 0; i < N; i++) {
		buf_clear(&seen.text);
		if (!i)
			llm_proto_events.request_body(l, &x[i], BODY, rq.body);
		if (i) /* too large to be parsed here: the client gives up */
			x[i].damage |= DAMAGE_CUT;
		else
			llm_proto_events.request_end(l, &x[i]);
		answer_head(l, &x[i], &rs);
		feed(l, &x[i], llm_proto_events.response_body, rs.body, 0);
		llm_proto_events.end(l, &x[i]);
		assert_seen(i ? "incomplete" : "\n  complete\n");
	}
	assert_true(llm_stats(l)->body_bytes_held == 0);
	free(blanks);
	arena_release(&arena);
	llm_free(l);
}

/* Values that never end, in streams of every framing: they count, too. */
static void test_total_limit_streams(void **state)
{
	enum { N = 40 };
	static const char *const heads[] = {"200\n\n{\"choices\":[", "200\n\ndata: {\"x\":\"",
	                                    "200\n\n[{\"x\":\"",
	                                    "200\ncontent-type: application/x-ndjson\n\n{\"x\":\""};
	struct llm *l = fresh();
	struct arena arena = {0};
	struct message rq = message_of(&arena, SLICE(CHAT_REQUEST));
	struct exchange x[N];
	size_t n = 15u << 20;
	char *filler = malloc(n);

	(void)state;
	memset(filler, 'x', n);
	for (size_t i = 0; i < N; i++) {
		struct message rs = message_of(&arena, slice_str(heads[i % 4]));

		x[i] = exchange_of(&rq);
		llm_proto_events.request(l, &x[i]);
		llm_proto_events.request_body(l, &x[i], BODY, rq.body);
		llm_proto_events.request_end(l, &x[i]);
		answer_head(l, &x[i], &rs);
		llm_proto_events.response_body(l, &x[i], BODY, rs.body);
		llm_proto_events.response_body(l, &x[i], BODY, slice_of(filler, n));
		assert_true(llm_stats(l)->body_bytes_held <= LLM_TOTAL_MAX);
	}
	assert_true(llm_stats(l)->body_bytes_held > LLM_TOTAL_MAX / 2);
	for (size_t i = 0; i < N; i++) {
		x[i].damage |= DAMAGE_CUT;
		llm_proto_events.end(l, &x[i]);
	}
	assert_int_equal(seen.ended, N);
	assert_true(llm_stats(l)->incomplete == N && llm_stats(l)->body_bytes_held == 0);
	free(filler);
	arena_release(&arena);
	llm_free(l);
}

/* A stream that changes its mind for ever: what it says is not kept for ever. */
static void run_endless(struct slice request, const char *before, const char *after)
{
	struct llm *l = fresh();
	struct arena arena = {0};
	struct message rq = message_of(&arena, request);
	struct message rs = message_of(&arena, SLICE(STREAM_HEAD));
	struct exchange x = exchange_of(&rq);
	struct buf event = {0};

	llm_proto_events.request(l, &x);
	llm_proto_events.request_body(l, &x, BODY, rq.body);
	llm_proto_events.request_end(l, &x);
	answer_head(l, &x, &rs);
	for (int i = 0; i < 300; i++) {
		buf_clear(&event);
		buf_addf(&event, "data: %s%d", before, i);
		buf_reserve(&event, 1 << 20);
		memset(event.p + event.n, 'x', 1 << 20);
		event.n += 1 << 20;
		buf_addf(&event, "%s\n\n", after);
		llm_proto_events.response_body(l, &x, BODY, buf_slice(&event));
		assert_true(llm_stats(l)->body_bytes_held < 4ull * LLM_BODY_MAX);
	}
	finish(l, &x);
	assert_seen("\"response body larger than the limit\"");
	buf_release(&event);
	arena_release(&arena);
	llm_free(l);
}

static void test_endless_stream(void **state)
{
	(void)state;
	run_endless(SLICE("POST /v1/responses\nhost: api.openai.com\n\n{\"model\":\"m\",\"stream\":true}"),
	            "{\"type\":\"response.queued\",\"response\":{\"status\":\"", "\"}}");
	run_endless(
	    SLICE("POST /v1beta/models/m:streamGenerateContent\n\n{\"contents\":[]}"),
	    "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":\"",
	    "\"}}}]}}]}");
}

/* Half a surrogate pair is no Unicode, but agents that cut texts do send it. */
static void test_half_surrogate(void **state)
{
	(void)state;
	run_damaged("POST /v1/chat/completions\n\n{\"messages\":[{\"content\":\"a\\ud83d \\ud83d\\ude00 "
	            "\\\\ud83d\"}]}",
	            "200\n\n{\"choices\":[{\"message\":{\"content\":\"x\\udc00\"}}]}", &(struct damaged){0});
	assert_seen("text \"a\xef\xbf\xbd \xf0\x9f\x98\x80 \\");
	assert_seen("text \"x\xef\xbf\xbd\"");
	assert_seen("\n  complete\n");
}

/* A gap where the response begins: its label says what it was. */
static void test_hole_first(void **state)
{
	struct llm *l = fresh();
	struct arena arena = {0};
	struct message rq = message_of(&arena, SLICE(CHAT_REQUEST));
	struct message rs = message_of(&arena, SLICE(STREAM_HEAD "{\"cut\":1}\n\n" HELLO STOP DONE));
	struct exchange x = exchange_of(&rq);
	struct damaged d = {.cause = GAP_UNKNOWN};

	(void)state;
	llm_proto_events.request(l, &x);
	feed(l, &x, llm_proto_events.request_body, rq.body, 0);
	llm_proto_events.request_end(l, &x);
	answer_head(l, &x, &rs);
	gap(l, &x, EV_DIR_READ, &d);
	feed(l, &x, llm_proto_events.response_body, rs.body, 5);
	finish(l, &x);
	assert_seen("\"response bytes lost: cause not known\"");
	assert_seen("text \"hello\"");
	arena_release(&arena);
	llm_free(l);
}

/* What is still open when the user of the module stops. */
static void test_free_ends_calls(void **state)
{
	struct llm *l = fresh();
	struct arena arena = {0};
	struct message rq = message_of(&arena, SLICE(CHAT_REQUEST));
	struct exchange x = exchange_of(&rq);

	(void)state;
	llm_proto_events.request(l, &x);
	feed(l, &x, llm_proto_events.request_body, rq.body, 0);
	llm_proto_events.request_end(l, &x);
	llm_free(l);
	assert_int_equal(seen.ended, 1);
	assert_seen("incomplete");
	arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_golden),
	    cmocka_unit_test(test_request_hole),
	    cmocka_unit_test(test_response_hole),
	    cmocka_unit_test(test_json_hole),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_framings),
	    cmocka_unit_test(test_no_json),
	    cmocka_unit_test(test_done_completes),
	    cmocka_unit_test(test_end_at_terminator),
	    cmocka_unit_test(test_early_answer),
	    cmocka_unit_test(test_other_exchanges),
	    cmocka_unit_test(test_http),
	    cmocka_unit_test(test_passed_over),
	    cmocka_unit_test(test_providers),
	    cmocka_unit_test(test_unknown_encoding),
	    cmocka_unit_test(test_body_limit),
	    cmocka_unit_test(test_total_limit),
	    cmocka_unit_test(test_total_limit_streams),
	    cmocka_unit_test(test_endless_stream),
	    cmocka_unit_test(test_free_ends_calls),
	    cmocka_unit_test(test_half_surrogate),
	    cmocka_unit_test(test_hole_first),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	buf_release(&seen.text);
	return failed;
}
