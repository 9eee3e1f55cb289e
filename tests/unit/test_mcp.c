/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MCP over several exchanges: answers that come on another one, sessions, names
 * told once, and what is reported when something is missing.  Single exchanges
 * are golden cases (tests/golden/llm/mcp.md).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "llm/mcp.h"
#include "llm/mcp_channel.h"

static struct buf seen;
static size_t n_seen, n_calls;

static void on_begin(void *ctx, struct llm_call *call)
{
	(void)ctx, (void)call;
	n_calls++;
}

static void on_end(void *ctx, struct llm_call *call)
{
	(void)ctx;
	llm_call_free(call);
}

static void on_mcp(void *ctx, const struct mcp_request *m)
{
	(void)ctx;
	n_seen++;
	mcp_request_print(&seen, m);
}

static const struct llm_events events = {.begin = on_begin, .end = on_end, .mcp = on_mcp};

static struct llm *fresh(void)
{
	buf_clear(&seen);
	n_seen = n_calls = 0;
	return llm_new(&events, NULL);
}

static void assert_seen(const char *text)
{
	if (!slice_find(buf_slice(&seen), slice_str(text)))
		fail_msg("'%s' is not in\n%s", text, buf_str(&seen));
}

static void assert_unseen(const char *text)
{
	if (slice_find(buf_slice(&seen), slice_str(text)))
		fail_msg("'%s' is in\n%s", text, buf_str(&seen));
}

/* One exchange in work. */
struct step {
	struct exchange x;
	struct http_header rq[8], rs[4];
	struct llm *l;
};

static uint64_t now;

static void add(struct http_headers *h, struct http_header *v, const char *name, const char *value)
{
	h->v = v;
	if (value)
		v[h->n++] = (struct http_header){slice_str(name), slice_str(value)};
}

static void begin(struct step *s, struct llm *l, const char *method, const char *target, const char *session,
                  const char *body)
{
	*s = (struct step){.l = l, .x = {.request_dir = EV_DIR_WRITE, .request_start = ++now}};
	s->x.method = slice_str(method);
	s->x.target = slice_str(target);
	add(&s->x.request_headers, s->rq, "host", "h:80");
	add(&s->x.request_headers, s->rq, "accept", "application/json, text/event-stream");
	add(&s->x.request_headers, s->rq, "content-type", "application/json");
	add(&s->x.request_headers, s->rq, "mcp-session-id", session);
	llm_proto_events.request(l, &s->x);
	if (body)
		llm_proto_events.request_body(l, &s->x, now, slice_str(body));
	s->x.request_end = ++now;
	llm_proto_events.request_end(l, &s->x);
}

static void head(struct step *s, uint16_t status, const char *type, const char *session)
{
	s->x.status = status;
	s->x.response_start = s->x.response_head = ++now;
	add(&s->x.response_headers, s->rs, "content-type", type);
	add(&s->x.response_headers, s->rs, "mcp-session-id", session);
	llm_proto_events.response(s->l, &s->x);
}

static void body(struct step *s, const char *text)
{
	llm_proto_events.response_body(s->l, &s->x, ++now, slice_str(text));
}

static void end(struct step *s)
{
	s->x.response_end = ++now;
	llm_proto_events.end(s->l, &s->x);
	arena_release(&s->x.arena);
}

/* A POST and its whole answer. */
static void post(struct llm *l, const char *target, const char *session, const char *rq, uint16_t status,
                 const char *rs)
{
	struct step s;

	begin(&s, l, "POST", target, session, rq);
	head(&s, status, rs ? "application/json" : NULL, NULL);
	if (rs)
		body(&s, rs);
	end(&s);
}

#define CALL(id, tool)                                                                                       \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"tools/call\",\"params\":{\"name\":\"" tool          \
	"\",\"arguments\":{}}}"
#define RESULT(id) "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":{\"content\":[]}}"
#define INITIALIZE                                                                                           \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"v\","     \
	"\"clientInfo\":{\"name\":\"agent\"}}}"
#define INITIALIZED                                                                                          \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"v\",\"serverInfo\":{\"name\":"      \
	"\"files\"}}}"
#define EVENT(text) "event: message\ndata: " text "\n\n"

/* The older transport: a GET stream names the endpoint, answers come there. */
static void test_older_transport(void **state)
{
	struct llm *l = fresh();
	struct step stream, other;

	(void)state;
	begin(&stream, l, "GET", "/sse", NULL, NULL);
	head(&stream, 200, "text/event-stream", NULL);
	body(&stream, "event: endpoint\ndata: /messages/?session_id=a\n\n");
	begin(&other, l, "GET", "/sse", NULL, NULL);
	head(&other, 200, "text/event-stream", NULL);
	body(&other, "event: endpoint\ndata: /messages/?session_id=b\n\n");

	post(l, "/messages/?session_id=a", NULL, INITIALIZE, 202, NULL);
	post(l, "/messages/?session_id=b", NULL, CALL("0", "rm"), 202, NULL);
	assert_int_equal(n_seen, 0);
	body(&stream, EVENT(INITIALIZED));
	assert_int_equal(n_seen, 1);
	assert_seen("mcp sse method=\"initialize\" id=\"0\"");
	assert_seen("server_name=\"files\"");
	buf_clear(&seen);

	post(l, "/messages/?session_id=a", NULL, CALL("1", "ls"), 202, NULL);
	body(&stream, EVENT(RESULT("1")));
	assert_int_equal(n_seen, 2);
	assert_seen("tool=\"ls\" server=\"h\" port=80 version=\"v\" server_name=\"files\"");
	assert_seen("client_name=\"agent\"");
	assert_seen("\n  complete\n");
	buf_clear(&seen);

	end(&stream);
	end(&other);
	assert_int_equal(n_seen, 3);
	assert_seen("tool=\"rm\"");
	assert_seen("incomplete lost=0 \"the event stream ended before the answer\"");
	assert_int_equal(n_calls, 0);
	assert_true(llm_stats(l)->body_bytes_held == 0);
	llm_free(l);
}

/* The answer may come before the POST that asked has ended. */
static void test_answer_before_the_post_ends(void **state)
{
	struct llm *l = fresh();
	struct step stream, rq;

	(void)state;
	begin(&stream, l, "GET", "/sse", NULL, NULL);
	head(&stream, 200, "text/event-stream", NULL);
	body(&stream, "event: endpoint\ndata: http://h:80/messages?session_id=a\n\n");
	begin(&rq, l, "POST", "/messages?session_id=a", NULL, CALL("1", "ls"));
	body(&stream, EVENT(RESULT("1")));
	assert_int_equal(n_seen, 1);
	assert_seen("\n  complete\n");
	head(&rq, 202, NULL, NULL);
	end(&rq);
	end(&stream);
	assert_int_equal(n_seen, 1);
	llm_free(l);
}

/* The names that initialize told belong to its session only. */
static void test_names(void **state)
{
	struct llm *l = fresh();
	struct step s;

	(void)state;
	begin(&s, l, "POST", "/mcp", NULL, INITIALIZE);
	head(&s, 200, "text/event-stream", "s-1");
	body(&s, EVENT(INITIALIZED));
	assert_int_equal(n_seen, 1); /* with the answer, not with the end of the stream */
	end(&s);
	buf_clear(&seen);
	post(l, "/mcp", "s-1", CALL("1", "ls"), 200, RESULT("1"));
	assert_seen("session=\"s-1\" version=\"v\" server_name=\"files\" client_name=\"agent\"");
	buf_clear(&seen);
	post(l, "/mcp", "s-2", CALL("1", "ls"), 200, RESULT("1"));
	assert_seen("session=\"s-2\"\n");
	post(l, "/other/mcp", "s-1", CALL("1", "ls"), 200, RESULT("1"));
	assert_unseen("server_name");
	llm_free(l);
}

/* The server asks in the stream that answers a call; the client's answer is a POST of its own. */
static void test_server_asks(void **state)
{
	struct llm *l = fresh();
	struct step s;

	(void)state;
	begin(&s, l, "POST", "/mcp", "s-1", CALL("1", "ls"));
	head(&s, 200, "text/event-stream", NULL);
	body(
	    &s,
	    EVENT("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":1}}"));
	assert_int_equal(n_seen, 1);
	assert_seen("method=\"notifications/progress\"");
	body(&s, EVENT("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/"
	               "createMessage\",\"params\":{\"messages\":[]}}"));
	assert_int_equal(n_seen, 1);
	post(l, "/mcp", "s-1", "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"role\":\"assistant\"}}", 202,
	     NULL);
	assert_int_equal(n_seen, 2);
	assert_seen("method=\"sampling/createMessage\" id=\"1\"");
	assert_seen("from-server");
	assert_seen("result \"{\"role\":\"assistant\"}\"");
	body(&s, EVENT(RESULT("1")));
	assert_int_equal(n_seen, 3);
	end(&s);
	assert_int_equal(n_seen, 3);
	llm_free(l);
}

static void test_batch(void **state)
{
	struct llm *l = fresh();

	(void)state;
	post(l, "/mcp", "s-1",
	     "[" CALL("1", "a") "," CALL(
	         "\"x\"", "b") ",{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\"}]",
	     200, "[" RESULT("\"x\"") "," RESULT("1") "]");
	assert_int_equal(n_seen, 3);
	assert_seen("id=\"1\" tool=\"a\"");
	assert_seen("id=\"x\" tool=\"b\"");
	assert_seen("notifications/cancelled");
	assert_unseen("incomplete");
	llm_free(l);
}

/* Bytes are missing: what is known is reported, and that it is not all. */
static void test_holes(void **state)
{
	struct llm *l = fresh();
	struct step s;

	(void)state;
	begin(&s, l, "POST", "/mcp", "s-1", CALL("1", "ls"));
	head(&s, 200, "text/event-stream", NULL);
	s.x.damage |= DAMAGE_RESPONSE_BODY;
	s.x.lost_bytes = 100;
	s.x.cause = GAP_RING;
	llm_proto_events.body_gap(l, &s.x, EV_DIR_READ, now, 100);
	end(&s);
	assert_seen("tool=\"ls\"");
	assert_seen("incomplete lost=100 \"response bytes lost: ring full\"");
	buf_clear(&seen);

	s = (struct step){.l = l, .x = {.request_dir = EV_DIR_WRITE, .request_start = ++now}};
	s.x.method = SLICE("POST");
	s.x.target = SLICE("/mcp");
	add(&s.x.request_headers, s.rq, "mcp-session-id", "s-1");
	llm_proto_events.request(l, &s.x);
	s.x.damage |= DAMAGE_REQUEST_BODY;
	s.x.cause = GAP_RING;
	llm_proto_events.body_gap(l, &s.x, EV_DIR_WRITE, now, 100);
	llm_proto_events.request_end(l, &s.x);
	head(&s, 200, "application/json", NULL);
	body(&s, RESULT("2"));
	end(&s);
	assert_seen("mcp http session=\"s-1\"");
	assert_seen("\"request bytes lost: ring full\"");
	llm_free(l);
}

/* The connection ends within the stream, after the answer or before it. */
static void test_cut(void **state)
{
	struct llm *l = fresh();
	struct step s;

	(void)state;
	begin(&s, l, "POST", "/mcp", "s-1", CALL("1", "ls"));
	head(&s, 200, "text/event-stream", NULL);
	body(&s, EVENT(RESULT("1")));
	s.x.damage |= DAMAGE_CUT;
	end(&s);
	assert_unseen("incomplete");
	begin(&s, l, "POST", "/mcp", "s-1", CALL("2", "ls"));
	s.x.damage |= DAMAGE_CUT;
	end(&s);
	assert_seen("incomplete lost=0 \"no response: the connection or the capture ended\"");
	begin(&s, l, "POST", "/mcp", "s-1", CALL("3", "ls"));
	llm_free(l); /* ends what is open */
	assert_int_equal(n_seen, 3);
	arena_release(&s.x.arena);
}

/* A server that never answers cannot make us keep all that it was asked. */
static void test_limits(void **state)
{
	struct llm *l = fresh();
	struct step stream;

	(void)state;
	begin(&stream, l, "GET", "/mcp", "s-1", NULL);
	head(&stream, 200, "text/event-stream", NULL);
	for (size_t i = 0; i < MCP_OPEN_MAX + 10; i++)
		post(l, "/mcp", "s-1", CALL("1", "ls"), 202, NULL);
	assert_int_equal(n_seen, 10);
	assert_seen("too much waits for an answer on this session");
	end(&stream);
	assert_int_equal(n_seen, MCP_OPEN_MAX + 10);
	for (size_t i = 0; i < MCP_PEERS_MAX * 3; i++) {
		char session[16];

		snprintf(session, sizeof(session), "s-%zu", i);
		post(l, "/mcp", session, INITIALIZE, 200, INITIALIZED);
	}
	assert_true(llm_stats(l)->body_bytes_held == 0);
	llm_free(l);
}

/* Large requests, on many streams: in all they stay below the total, and each is reported once. */
static void test_total_limit(void **state)
{
	enum { STREAMS = 6, LARGE = 15 << 20 };
	struct llm *l = fresh();
	struct step stream[STREAMS];
	struct buf rq = {0};

	(void)state;
	buf_adds(&rq, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"");
	for (size_t i = 0; i < LARGE; i++)
		buf_addc(&rq, 'x');
	buf_adds(&rq, "\"}}");
	for (size_t i = 0; i < STREAMS; i++) {
		char session[16];

		snprintf(session, sizeof(session), "s-%zu", i);
		begin(&stream[i], l, "GET", "/mcp", NULL, NULL);
		head(&stream[i], 200, "text/event-stream", session);
		post(l, "/mcp", session, buf_str(&rq), 202, NULL);
		assert_true(n_seen == (i < 4 ? 0 : i - 3));
		buf_clear(&seen);
	}
	for (size_t i = 0; i < STREAMS; i++)
		end(&stream[i]);
	assert_int_equal(n_seen, STREAMS);
	assert_true(llm_stats(l)->body_bytes_held == 0);
	buf_release(&rq);
	llm_free(l);
}

/* Other JSON, other JSON-RPC, other streams; and nothing at all where nobody asks. */
static void test_others(void **state)
{
	static const struct llm_events no_mcp = {.begin = on_begin, .end = on_end};
	struct llm *l = fresh();
	struct step s;

	(void)state;
	post(l, "/", NULL, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_blockNumber\",\"params\":[]}", 200,
	     "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x1\"}");
	post(l, "/messages", NULL, "{\"to\":\"+1\",\"text\":\"hi\"}", 200, "{}");
	post(l, "/rpc", NULL,
	     "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"rootUri\":null}}", 200,
	     "{}");
	begin(&s, l, "GET", "/sse", NULL, NULL);
	head(&s, 200, "text/event-stream", NULL);
	body(&s, "data: {\"price\":1}\n\ndata: hello\n\n");
	end(&s);
	post(l, "/mcp", "s-1", NULL, 200, NULL);
	assert_int_equal(n_seen + n_calls, 0);
	llm_free(l);

	l = llm_new(&no_mcp, NULL);
	post(l, "/mcp", "s-1", CALL("1", "ls"), 200, RESULT("1"));
	assert_true(llm_stats(l)->other_exchanges == 1);
	llm_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_older_transport),
	    cmocka_unit_test(test_answer_before_the_post_ends),
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_server_asks),
	    cmocka_unit_test(test_batch),
	    cmocka_unit_test(test_holes),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_total_limit),
	    cmocka_unit_test(test_others),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	buf_release(&seen);
	return failed;
}
