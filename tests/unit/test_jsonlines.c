/* SPDX-License-Identifier: Apache-2.0 */
/* JSON-RPC lines over standard input and output: what a line is, what a hole damages, and the MCP that they
 * carry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "llm/mcp.h"
#include "proto/jsonlines.h"

/* --- lines --- */

struct log {
	struct buf text;
	uint64_t start; /* of the latest message */
};

static void on_request(void *ctx, struct exchange *x)
{
	buf_addf(&((struct log *)ctx)->text, "%s|", x->request_dir == EV_DIR_READ ? "server" : "client");
}

static void on_message(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, struct slice s, bool text)
{
	struct log *log = ctx;

	assert_true(text);
	assert_true(x->message_start <= ts);
	log->start = x->message_start;
	buf_addf(&log->text, "%c%.*s|", dir ? 'r' : 'w', s.n > 40 ? 40 : (int)s.n, s.p);
}

static void on_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	(void)x, (void)ts;
	buf_addf(&((struct log *)ctx)->text, "%c-%llu|", dir ? 'r' : 'w', (unsigned long long)n);
}

static void on_end(void *ctx, struct exchange *x)
{
	buf_addf(&((struct log *)ctx)->text, "end%s", x->damage & DAMAGE_CUT ? " cut" : "");
}

static const struct proto_events events = {
    .request = on_request, .message = on_message, .body_gap = on_gap, .end = on_end};

/* A piece that is a number in brackets is a hole of so many bytes; ">" and "<" change the direction. */
static void feed(struct proto_conn *c, const char *const *pieces, size_t cut)
{
	enum ev_dir dir = EV_DIR_WRITE;
	uint64_t ts = 10;

	for (; *pieces; pieces++, ts += 10) {
		struct slice s = slice_str(*pieces);

		if (slice_eq(s, SLICE(">")) || slice_eq(s, SLICE("<"))) {
			dir = *s.p == '>' ? EV_DIR_WRITE : EV_DIR_READ;
		} else if (s.n && *s.p == '(') {
			proto_gap(c, dir, ts, strtoul(s.p + 1, NULL, 10), GAP_RING);
		} else {
			for (; s.n; s = slice_from(s, s.n < cut ? s.n : cut))
				proto_feed(c, dir, ts, slice_of(s.p, s.n < cut ? s.n : cut));
		}
	}
	proto_close(c, ts, true);
}

static void expect(const struct conn_info *info, const char *const *pieces, const char *wanted)
{
	for (size_t cut = 1; cut < 40; cut++) {
		struct log log = {0};

		feed(proto_open(&events, &log, info), pieces, cut);
		assert_string_equal(buf_str(&log.text), wanted);
		buf_release(&log.text);
	}
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct conn_info client = {.lib = EV_LIB_STDIO}, server = {.lib = EV_LIB_STDIO, .server = true},
                              late = {.lib = EV_LIB_STDIO, .late = true};

static void test_lines(void **state)
{
	(void)state;
	expect(&client, LINES("{\"a\":1}\n{\"b\"", "<", "{}\r\n\n \n", ">", ":2}\n"),
	       "client|w{\"a\":1}|r{}|w{\"b\":2}|end");
	expect(&server, LINES("<", "{}\n"), "server|r{}|end");
	expect(&client, LINES("no end"), "client|end");
	expect(&client, LINES(">"), "");
}

static void test_holes(void **state)
{
	(void)state;
	expect(&client, LINES("{1}\n{2", "(5)", "}\n{3}\n"), "client|w{1}|w-8|w{3}|end");
	expect(&client, LINES("{1}\n", "(5)", "\n{3}\n"), "client|w{1}|w-5|w{3}|end");
	expect(&client, LINES("{1", "(2)", "<", "{9}\n"), "client|r{9}|w-4|end");
	expect(&late, LINES("<", "the rest of a line\n{4}\n", ">", "{5}\n"), "client|r{4}|w{5}|end");
}

static void test_too_long(void **state)
{
	struct log log = {0};
	struct proto_conn *c = proto_open(&events, &log, &client);
	struct buf piece = {0};
	char wanted[64];

	(void)state;
	for (int i = 0; i < 65536; i++)
		buf_addc(&piece, 'x');
	for (uint32_t n = 0; n <= JSONLINES_MAX / 65536; n++)
		proto_feed(c, EV_DIR_READ, 1, buf_slice(&piece));
	proto_feed(c, EV_DIR_READ, 2, SLICE("\n{}\n"));
	proto_close(c, 3, false);
	snprintf(wanted, sizeof(wanted), "client|r-%u|r{}|end cut", JSONLINES_MAX + 65536);
	assert_string_equal(buf_str(&log.text), wanted);
	buf_release(&log.text);
	buf_release(&piece);
}

/* --- MCP --- */

static struct buf seen;
static size_t n_seen;

static void on_mcp(void *ctx, const struct mcp_request *m)
{
	(void)ctx;
	n_seen++;
	assert_string_equal(m->transport, "stdio");
	mcp_request_print(&seen, m);
}

static const struct llm_events llm_events = {.mcp = on_mcp};

static void session(const struct conn_info *info, const char *const *pieces)
{
	struct llm *l = llm_new(&llm_events, NULL);

	buf_clear(&seen);
	n_seen = 0;
	feed(proto_open(&llm_proto_events, l, info), pieces, 1000);
	llm_free(l);
}

static void assert_seen(const char *text)
{
	if (!slice_find(buf_slice(&seen), slice_str(text)))
		fail_msg("'%s' is not in\n%s", text, buf_str(&seen));
}

#define INITIALIZE                                                                                           \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-" \
	"18\","                                                                                              \
	"\"clientInfo\":{\"name\":\"c\"}}}\n"
#define INITIALIZED                                                                                          \
	"{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-06-18\",\"serverInfo\":{"      \
	"\"name\":\"s\","                                                                                    \
	"\"version\":\"7\"}}}\n"
#define CALL(id)                                                                                             \
	"{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"method\":\"tools/call\",\"params\":{\"name\":\"t" #id "\"}}"  \
	                                                                                             "\n"
#define RESULT(id) "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"result\":{\"content\":[]}}\n"

static void test_session(void **state)
{
	(void)state;
	session(&client,
	        LINES(INITIALIZE, "<", "Server is ready\n", INITIALIZED, ">", CALL(1) CALL(2), "<", RESULT(2),
	              "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32000,\"message\":\"no\"}}\n"));
	assert_int_equal(n_seen, 3);
	assert_seen("t1");
	assert_seen("-32000");
	assert_seen("server_version=\"7\"");
	/* Both ends may ask with the same id. */
	session(&server,
	        LINES("<", INITIALIZE, ">", INITIALIZED, "<", CALL(3), ">",
	              "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"sampling/createMessage\",\"params\":{}}\n",
	              "<", "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"role\":\"assistant\"}}\n", ">",
	              RESULT(3)));
	assert_int_equal(n_seen, 3);
	assert_seen("sampling/createMessage");
}

static void test_cancelled(void **state)
{
	(void)state;
	session(
	    &client,
	    LINES(CALL(5),
	          "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":5,"
	          "\"reason\":\"why not\"}}\n",
	          "<", RESULT(5)));
	assert_int_equal(n_seen, 2);
	assert_seen("cancelled");
	assert_seen("why not");
}

static void test_missing(void **state)
{
	(void)state;
	session(&client, LINES(CALL(1), "<", "(100)", "\n", ">", CALL(2), "<", RESULT(2)));
	assert_int_equal(n_seen, 2);
	assert_seen("response messages lost");
	session(&client, LINES(CALL(1), "(50)", "\n", "<", RESULT(1)));
	assert_int_equal(n_seen, 2);
	assert_seen("request messages lost");
	session(&client, LINES(CALL(1)));
	assert_int_equal(n_seen, 1);
	assert_seen("no answer");
}

static void test_something_else(void **state)
{
	(void)state;
	session(&client, LINES("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"textDocument/hover\"}\n", CALL(1),
	                       "<", RESULT(1)));
	assert_int_equal(n_seen, 0);
	session(&client, LINES("{\"an\":\"object\"}\n", CALL(1)));
	assert_int_equal(n_seen, 0);
	session(&client, LINES("[1,2]\n", CALL(1)));
	assert_int_equal(n_seen, 0);
}

static int tear_down(void **state)
{
	(void)state;
	buf_release(&seen);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines),          cmocka_unit_test(test_holes),
	    cmocka_unit_test(test_too_long),       cmocka_unit_test(test_session),
	    cmocka_unit_test(test_cancelled),      cmocka_unit_test(test_missing),
	    cmocka_unit_test(test_something_else),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
