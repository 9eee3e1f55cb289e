/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls over a WebSocket: OpenAI responses (as Codex uses them) and realtime,
 * with messages lost on either side.  Where recorded sessions are there
 * (SPANTAP_WEBSOCKETS, build/corpus/websocket/open without it), each response.done that
 * they hold must have given one exact call.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <yyjson.h>

#include "base/buf.h"
#include "llm/llm.h"

static struct {
	struct buf text;
	struct llm_call *calls[64];
	size_t n;
	int begun;
	bool keep;
} seen;

static void on_begin(void *ctx, struct llm_call *call)
{
	(void)ctx, (void)call;
	seen.begun++;
}

static void on_end(void *ctx, struct llm_call *call)
{
	(void)ctx;
	llm_call_print(&seen.text, call);
	if (seen.keep && seen.n < sizeof(seen.calls) / sizeof(*seen.calls))
		seen.calls[seen.n] = call;
	else
		llm_call_free(call);
	seen.n++;
}

static const struct llm_events events = {.begin = on_begin, .end = on_end};

static struct http_header headers[] = {{{"Upgrade", 7}, {"websocket", 9}},
                                       {{"host", 4}, {"api.openai.com", 14}},
                                       {{"session-id", 10}, {"ses_1", 5}}};

/* One socket; a script is lines of "> text" (from the client), "< text", ">gap", "<gap". */
struct session {
	struct llm *l;
	struct exchange x;
	uint64_t ts;
};

static void start(struct session *s, const char *target)
{
	buf_clear(&seen.text);
	seen.n = 0;
	seen.begun = 0;
	*s = (struct session){.l = llm_new(&events, NULL), .ts = 1000};
	s->x = (struct exchange){.method = SLICE("GET"),
	                         .target = slice_str(target),
	                         .request_dir = EV_DIR_WRITE,
	                         .request_offset = 7,
	                         .request_headers = {headers, 3}};
	llm_proto_events.request(s->l, &s->x);
	llm_proto_events.request_end(s->l, &s->x);
	s->x.status = 101;
	s->x.upgraded = true;
	llm_proto_events.response(s->l, &s->x);
}

static void say(struct session *s, bool from_client, struct slice text)
{
	enum ev_dir dir = from_client ? EV_DIR_WRITE : EV_DIR_READ;

	s->ts += 100;
	if (slice_eq(text, SLICE("gap"))) {
		s->x.lost_bytes += 10;
		llm_proto_events.body_gap(s->l, &s->x, dir, s->ts, 10);
		return;
	}
	char *copy = malloc(text.n + 1); /* of its own, so that reading beyond it is found */
	memcpy(copy, text.p, text.n);
	llm_proto_events.message(s->l, &s->x, dir, s->ts, slice_of(copy, text.n), true);
	free(copy);
}

static void stop(struct session *s)
{
	s->ts += 100;
	s->x.response_end = s->ts;
	llm_proto_events.end(s->l, &s->x);
	arena_release(&s->x.arena);
	assert_int_equal(seen.begun, seen.n);
	assert_true(llm_stats(s->l)->body_bytes_held == 0);
	llm_free(s->l);
}

static void run(const char *target, const char *const *script)
{
	struct session s;

	start(&s, target);
	for (; *script; script++)
		say(&s, **script == '>', slice_str(*script + 1));
	stop(&s);
}

static void assert_seen(const char *text)
{
	if (!slice_find(buf_slice(&seen.text), slice_str(text)))
		fail_msg("'%s' is not in\n%.900s", text, buf_str(&seen.text));
}

static size_t count(const char *text)
{
	struct slice rest = buf_slice(&seen.text), needle = slice_str(text);
	size_t n = 0;

	for (const char *p; (p = slice_find(rest, needle)); n++)
		rest = slice_from(rest, (size_t)(p - rest.p) + needle.n);
	return n;
}

#define RESPONSES         "/v1/responses"
#define CREATE(extra, in) ">{\"type\":\"response.create\",\"model\":\"m\",\"input\":\"" in "\"" extra "}"
#define CREATED(id)       "<{\"type\":\"response.created\",\"response\":{\"id\":\"" id "\",\"model\":\"m-1\"}}"
#define DELTA(text)                                                                                          \
	"<{\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,\"delta\":\"" text \
	"\"}"
#define COMPLETED(id)                                                                                        \
	"<{\"type\":\"response.completed\",\"response\":{\"id\":\"" id                                       \
	"\",\"status\":\"completed\",\"usage\":{\"input_tokens\":3,\"output_tokens\":2}}}"

static void test_codex(void **state)
{
	static const char *const script[] = {
	    CREATE(",\"generate\":false", "warm"),
	    CREATED("r0"),
	    COMPLETED("r0"),
	    CREATE(",\"previous_response_id\":\"r0\",\"reasoning\":{\"effort\":\"low\"}", "one"),
	    CREATED("r1"),
	    DELTA("uno"),
	    "<{\"type\":\"response.output_item.done\",\"output_index\":1,\"item\":{\"type\":\"function_"
	    "call\","
	    "\"call_id\":\"c1\",\"name\":\"sh\",\"arguments\":\"{}\"}}",
	    COMPLETED("r1"),
	    CREATE(",\"previous_response_id\":\"r1\"", "two"),
	    CREATED("r2"),
	    DELTA("du"),
	    DELTA("e"),
	    COMPLETED("r2"),
	    NULL,
	};

	(void)state;
	run(RESPONSES, script);
	assert_int_equal(seen.n, 3);
	assert_int_equal(count("\n  complete\n"), 3);
	assert_int_equal(count("session=\"ses_1\""), 3);
	assert_seen("warm-up");
	assert_seen("effort=\"low\" previous=\"r0\"");
	assert_seen("tool_call id=\"c1\" name=\"sh\" \"{}\"");
	assert_seen("previous=\"r1\"");
	assert_seen("text \"due\"");
	assert_seen("id=\"r2\" model=\"m-1\" state=\"completed\" finish=\"completed\" framing=\"websocket\" "
	            "chunks=2");
	assert_int_equal(count("usage input=3 output=2"), 3);
	assert_seen("time sent=0 response=100 head=- first_token=200");
}

/* Calls of one exchange are told apart by where they begin. */
static void test_offsets(void **state)
{
	static const char *const script[] = {CREATE("", "a"), CREATED("r0"), COMPLETED("r0"),
	                                     CREATE("", "b"), CREATED("r1"), COMPLETED("r1")};
	struct session s;

	(void)state;
	seen.keep = true;
	start(&s, RESPONSES);
	for (size_t i = 0; i < sizeof(script) / sizeof(*script); i++)
		say(&s, *script[i] == '>', slice_str(script[i] + 1));
	stop(&s);
	assert_int_equal(seen.n, 2);
	assert_true(seen.calls[0]->request_offset == 8 && seen.calls[1]->request_offset == 9);
	assert_true(seen.calls[0]->request_sha256.n == 64);
	for (size_t i = 0; i < seen.n; i++)
		llm_call_free(seen.calls[i]);
	seen.keep = false;
}

static void test_errors(void **state)
{
	static const char *const script[] = {
	    CREATE("", "a"),
	    "<{\"type\":\"error\",\"status\":400,\"error\":{\"type\":\"invalid_request_error\",\"code\":"
	    "\"previous_response_not_found\",\"message\":\"no\"}}",
	    CREATE("", "b"),
	    CREATED("r1"),
	    "<{\"type\":\"response.failed\",\"response\":{\"id\":\"r1\",\"status\":\"failed\",\"error\":{"
	    "\"code\":"
	    "\"server_error\",\"message\":\"oops\"}}}",
	    CREATE("", "c"),
	    CREATED("r2"),
	    NULL,
	};

	(void)state;
	run(RESPONSES, script);
	assert_int_equal(seen.n, 3);
	assert_seen("error type=\"invalid_request_error\" message=\"no\"");
	assert_seen("error type=\"server_error\" message=\"oops\"");
	assert_int_equal(count("\n  complete\n"), 2);
	assert_seen("\"response cut: the connection or the capture ended\"");
}

static void test_no_call(void **state)
{
	static const char *const script[] = {">{\"type\":\"hello\"}", "<{\"type\":\"session.created\"}", ">x",
	                                     "<[1]", NULL};

	(void)state;
	run(RESPONSES, script);
	assert_int_equal(seen.n, 0);
	run("/v1/other", script);
	assert_int_equal(seen.n, 0);
}

/* The rest of an answer is lost: its call is incomplete, the next one exact. */
static void test_answer_lost(void **state)
{
	static const char *const script[] = {
	    CREATE("", "a"), CREATED("r0"), DELTA("un"),     "<gap", CREATE("", "b"),
	    CREATED("r1"),   DELTA("due"),  COMPLETED("r1"), NULL,
	};
	static const char *const whole[] = {
	    CREATE("", "a"), "<gap", CREATE("", "b"), CREATED("r1"), DELTA("due"), COMPLETED("r1"), NULL,
	};

	(void)state;
	run(RESPONSES, script);
	assert_int_equal(seen.n, 2);
	assert_seen("\"response messages lost\"");
	assert_int_equal(count("\n  complete\n"), 1);
	assert_seen("id=\"r1\"");
	assert_seen("text \"due\"");
	assert_int_equal(count("text \"undue\""), 0);
	run(RESPONSES, whole);
	assert_int_equal(seen.n, 2);
	assert_int_equal(count("\n  complete\n"), 1);
}

/* A hole of unknown length swallows the beginning of the next answer, too: its rest is not taken for the
 * whole. */
static void test_long_hole(void **state)
{
	static const char *const script[] = {
	    CREATE("", "a"), CREATED("r0"), "<gap",         CREATE("", "b"), DELTA("art"), COMPLETED("r1"),
	    CREATE("", "c"), CREATED("r2"), DELTA("whole"), COMPLETED("r2"), NULL,
	};
	static const char *const unasked[] = {
	    ">gap",
	    "<{\"type\":\"response.created\",\"response\":{\"id\":\"r1\"}}",
	    "<{\"type\":\"response.done\",\"response\":{\"id\":\"r1\",\"status\":\"completed\"}}",
	    "<{\"type\":\"response.created\",\"response\":{\"id\":\"r2\"}}",
	    "<{\"type\":\"response.done\",\"response\":{\"id\":\"r2\",\"status\":\"completed\"}}",
	    ">{\"type\":\"input_audio_buffer.append\"}",
	    "<{\"type\":\"response.created\",\"response\":{\"id\":\"r3\"}}",
	    "<{\"type\":\"response.done\",\"response\":{\"id\":\"r3\",\"status\":\"completed\"}}",
	    "<{\"type\":\"response.created\",\"response\":{\"id\":\"r4\"}}",
	    "<{\"type\":\"response.done\",\"response\":{\"id\":\"r4\",\"status\":\"completed\"}}",
	    NULL,
	};

	(void)state;
	run(RESPONSES, script);
	assert_int_equal(seen.n, 3);
	assert_int_equal(count("\n  complete\n"), 1);
	assert_seen("text \"whole\"");
	run("/v1/realtime", unasked);
	assert_int_equal(seen.n, 4);
	assert_int_equal(count("\n  complete\n"), 1);
}

/* A request is lost: its answer has none, and is not given to another. */
static void test_request_lost(void **state)
{
	static const char *const script[] = {
	    CREATE("", "a"), CREATED("r0"),   COMPLETED("r0"), ">gap",       CREATED("r1"),   DELTA("lost"),
	    COMPLETED("r1"), CREATE("", "c"), CREATED("r2"),   DELTA("due"), COMPLETED("r2"), NULL,
	};

	(void)state;
	run(RESPONSES, script);
	assert_int_equal(seen.n, 3);
	assert_int_equal(count("\n  complete\n"), 2);
	assert_seen("\"request messages lost\"");
}

/* Where the client does not wait, a hole leaves in doubt what comes behind it. */
static void test_pipelined(void **state)
{
	static const char *const exact[] = {
	    CREATE("", "a"), CREATE("", "b"), CREATED("r0"),   DELTA("A"), COMPLETED("r0"),
	    CREATED("r1"),   DELTA("B"),      COMPLETED("r1"), NULL,
	};
	static const char *const holed[] = {
	    CREATE("", "a"), CREATE("", "b"), CREATED("r0"),   DELTA("A"),    COMPLETED("r0"), CREATED("r1"),
	    COMPLETED("r1"), ">gap",          CREATE("", "c"), CREATED("r2"), COMPLETED("r2"), NULL,
	};

	(void)state;
	run(RESPONSES, exact);
	assert_int_equal(count("\n  complete\n"), 2);
	assert_true(slice_find(buf_slice(&seen.text), SLICE("\"a\"")) <
	            slice_find(buf_slice(&seen.text), SLICE("\"A\"")));
	run(RESPONSES, holed);
	assert_int_equal(seen.n, 3);
	assert_int_equal(count("\n  complete\n"), 2);
	assert_seen("which answer belongs to which request is not certain");
}

/* More requests than are followed end the oldest; nothing is held for ever. */
static void test_limits(void **state)
{
	struct session s;

	(void)state;
	start(&s, RESPONSES);
	for (int i = 0; i < 100; i++)
		say(&s, true, slice_str(&CREATE("", "a")[1]));
	assert_int_equal(seen.n, 84);
	stop(&s);
	assert_int_equal(seen.n, 100);
	assert_seen("more requests in work on one connection than are followed");
}

static void test_realtime(void **state)
{
	static const char *const script[] = {
	    "<{\"type\":\"session.created\",\"session\":{\"model\":\"gpt-realtime\",\"instructions\":\"be "
	    "kind\","
	    "\"tools\":[{\"type\":\"function\",\"name\":\"ls\"}]}}",
	    ">{\"type\":\"conversation.item.create\",\"item\":{\"type\":\"message\",\"role\":\"user\","
	    "\"content\":[{\"type\":\"input_text\",\"text\":\"hi\"}]}}",
	    ">{\"type\":\"response.create\"}",
	    "<{\"type\":\"response.created\",\"response\":{\"id\":\"r1\",\"conversation_id\":\"conv_1\"}}",
	    "<{\"type\":\"response.output_audio_transcript.delta\",\"response_id\":\"r1\",\"output_index\":0,"
	    "\"content_index\":0,\"delta\":\"hello\"}",
	    "<{\"type\":\"response.output_audio.delta\",\"response_id\":\"r1\",\"output_index\":0,"
	    "\"content_index\":0,\"delta\":\"AAAA\"}",
	    "<{\"type\":\"response.done\",\"response\":{\"id\":\"r1\",\"status\":\"completed\",\"usage\":{"
	    "\"input_tokens\":9,\"output_tokens\":4,\"input_token_details\":{\"cached_tokens\":2}}}}",
	    ">{\"type\":\"input_audio_buffer.append\",\"audio\":\"AAAA\"}",
	    "<{\"type\":\"response.created\",\"response\":{\"id\":\"r2\"}}",
	    "<{\"type\":\"response.done\",\"response\":{\"id\":\"r2\",\"status\":\"cancelled\","
	    "\"status_details\":{\"type\":\"cancelled\",\"reason\":\"turn_detected\"}}}",
	    NULL,
	};

	(void)state;
	run("/v1/realtime?model=gpt-x", script);
	assert_int_equal(seen.n, 2);
	assert_int_equal(count("\n  complete\n"), 2);
	assert_int_equal(count("request model=\"gpt-realtime\""), 2);
	assert_seen("text \"be kind\"");
	assert_int_equal(count("text \"hi\""), 1);
	assert_seen("tool type=\"function\" name=\"ls\"");
	assert_seen("text \"hello\"");
	assert_seen("media name=\"audio\" bytes=4");
	assert_seen("usage input=9 output=4 cache_read=2");
	assert_seen("conversation=\"conv_1\"");
	assert_seen("state=\"cancelled\" finish=\"turn_detected\"");
}

/* ---- as bytes, with holes ---- */

#define TURNS 12

struct wire {
	struct proto_conn *conn;
	enum ev_dir dir; /* of the hole */
	size_t at[2], from, to;
};

static void send_bytes(struct wire *w, enum ev_dir dir, struct slice s)
{
	while (s.n) {
		size_t n = 1 + (size_t)rand() % 90, *at = &w->at[dir];

		n = n < s.n ? n : s.n;
		if (dir == w->dir && *at >= w->from && *at < w->to) {
			n = n < w->to - *at ? n : w->to - *at;
			proto_gap(w->conn, dir, 1, n, GAP_RING);
		} else {
			if (dir == w->dir && *at < w->from && n > w->from - *at)
				n = w->from - *at;
			proto_feed(w->conn, dir, 1, slice_of(s.p, n));
		}
		*at += n;
		s = slice_from(s, n);
	}
}

/* RFC 6455, 5.2: one frame, masked as a client must. */
static void send_frame(struct wire *w, enum ev_dir dir, struct slice s)
{
	static const char mask[4] = {0x5a, 0x01, 0x77, 0x3c};
	bool client = dir == EV_DIR_WRITE;
	struct buf out = {0};

	buf_addc(&out, (char)0x81);
	buf_addc(&out, (char)((client ? 0x80 : 0) | (s.n < 126 ? s.n : 126)));
	if (s.n >= 126) {
		buf_addc(&out, (char)(s.n >> 8));
		buf_addc(&out, (char)s.n);
	}
	if (client)
		buf_add(&out, mask, 4);
	for (size_t i = 0; i < s.n; i++)
		buf_addc(&out, client ? (char)(s.p[i] ^ mask[i % 4]) : s.p[i]);
	send_bytes(w, dir, buf_slice(&out));
	buf_release(&out);
}

static void send_json(struct wire *w, enum ev_dir dir, const char *format, int turn)
{
	struct buf text = {0};

	while (*format) {
		if (*format == '#')
			buf_addf(&text, "%d", turn);
		else
			buf_addc(&text, *format);
		format++;
	}
	send_frame(w, dir, buf_slice(&text));
	buf_release(&text);
}

static void send_session(struct wire *w)
{
	send_bytes(w, EV_DIR_WRITE,
	           SLICE("GET /v1/responses HTTP/1.1\r\nhost: api.openai.com\r\nconnection: upgrade\r\n"
	                 "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: "
	                 "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
	send_bytes(w, EV_DIR_READ,
	           SLICE("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: "
	                 "websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
	for (int i = 0; i < TURNS; i++) {
		send_json(w, EV_DIR_WRITE, "{\"type\":\"response.create\",\"model\":\"m\",\"input\":\"q#\"}",
		          i);
		send_json(w, EV_DIR_READ, &CREATED("r#")[1], i);
		send_json(w, EV_DIR_READ, &DELTA("a#")[1], i);
		send_json(w, EV_DIR_READ, &DELTA("b#")[1], i);
		send_json(w, EV_DIR_READ, &COMPLETED("r#")[1], i);
	}
}

/* A complete call is exact: its question, its answer and its id are of one turn. */
static void check_turn(const struct llm_call *call, size_t seed)
{
	char question[16], answer[32];
	int turn = call->response_id.n > 1 ? atoi(call->response_id.p + 1) : -1;

	snprintf(question, sizeof(question), "q%d", turn);
	snprintf(answer, sizeof(answer), "a%db%d", turn, turn);
	if (call->input.n != 1 || call->output.n != 1 || call->output.v[0].n_parts != 1 ||
	    !slice_eq(call->input.v[0].parts[0].text, slice_str(question)) ||
	    !slice_eq(call->output.v[0].parts[0].text, slice_str(answer)))
		fail_msg("seed %zu: turn %d is complete, but not right", seed, turn);
}

static void test_holes(void **state)
{
	static const struct conn_info info = {.id = {.gen = 1}};
	size_t length[2] = {0}, complete = 0, rounds = 3000;

	(void)state;
	seen.keep = true;
	for (size_t seed = 0; seed <= rounds; seed++) {
		struct llm *l = llm_new(&events, NULL);
		struct wire w = {.dir = seed % 2 ? EV_DIR_READ : EV_DIR_WRITE};

		srand((unsigned)seed);
		seen.n = 0;
		buf_clear(&seen.text);
		if (seed) {
			w.from = 400 + (size_t)rand() % (length[w.dir] - 400);
			w.to = w.from + 1 + (size_t)rand() % (rand() % 2 ? 40 : 900);
		}
		w.conn = proto_open(&llm_proto_events, l, &info);
		send_session(&w);
		proto_close(w.conn, 1, true);
		llm_free(l);
		for (size_t i = 0; i < seen.n; i++) {
			if (seen.calls[i]->state == LLM_COMPLETE) {
				complete++;
				check_turn(seen.calls[i], seed);
			}
			llm_call_free(seen.calls[i]);
		}
		if (!seed) {
			assert_int_equal(complete, TURNS);
			complete = 0;
			length[0] = w.at[0];
			length[1] = w.at[1];
		}
	}
	seen.keep = false;
	printf("FIGURE WebSocket with one hole each: %zu of %zu calls complete, each exact\n", complete,
	       rounds * TURNS);
	assert_true(complete > rounds * TURNS / 2);
}

/* ---- recorded sessions ---- */

static struct slice str_of(yyjson_val *v, const char *key)
{
	yyjson_val *s = yyjson_obj_get(v, key);

	return slice_of(yyjson_get_str(s), yyjson_get_len(s));
}

static const struct llm_call *call_with(struct slice id)
{
	for (size_t i = 0; i < seen.n; i++)
		if (slice_eq(seen.calls[i]->response_id, id))
			return seen.calls[i];
	return NULL;
}

/* What response.done says of its call. */
static void check_done(const char *file, yyjson_val *event)
{
	yyjson_val *r = yyjson_obj_get(event, "response"), *usage = yyjson_obj_get(r, "usage");
	const struct llm_call *call = call_with(str_of(r, "id"));

	if (!call)
		fail_msg("%s: no call for a response", file);
	assert_true(call->state == LLM_COMPLETE);
	assert_true(slice_eq(call->response_status, str_of(r, "status")));
	if (yyjson_obj_get(usage, "input_tokens"))
		assert_true(call->usage.input == yyjson_get_sint(yyjson_obj_get(usage, "input_tokens")));
	if (yyjson_obj_get(usage, "output_tokens"))
		assert_true(call->usage.output == yyjson_get_sint(yyjson_obj_get(usage, "output_tokens")));
	assert_true(call->request_model.n > 0);
}

static size_t replay(const char *path)
{
	yyjson_doc *doc = yyjson_read_file(path, 0, NULL, NULL);
	struct session s;
	size_t i, n, dones = 0;
	yyjson_val *m;

	seen.keep = true;
	start(&s, "/v1/realtime?model=gpt-x");
	yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, m)
	{
		yyjson_val *data = yyjson_obj_get(m, "data");
		char *text =
		    yyjson_is_str(data) ? strdup(yyjson_get_str(data)) : yyjson_val_write(data, 0, NULL);

		say(&s, slice_eq(str_of(m, "direction"), SLICE("sent")), slice_str(text ? text : ""));
		free(text);
	}
	stop(&s);
	yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, m)
	{
		yyjson_val *data = yyjson_obj_get(m, "data");
		yyjson_doc *inner =
		    yyjson_is_str(data) ? yyjson_read(yyjson_get_str(data), yyjson_get_len(data), 0) : NULL;
		yyjson_val *event = inner ? yyjson_doc_get_root(inner) : data;

		if (slice_eq(str_of(event, "type"), SLICE("response.done"))) {
			check_done(path, event);
			dones++;
		}
		yyjson_doc_free(inner);
	}
	assert_int_equal(seen.n, dones);
	for (i = 0; i < seen.n; i++)
		llm_call_free(seen.calls[i]);
	seen.keep = false;
	yyjson_doc_free(doc);
	return dones;
}

static void test_recorded(void **state)
{
	const char *path = getenv("SPANTAP_WEBSOCKETS");
	struct dirent *e;
	size_t dones = 0;
	DIR *d;

	(void)state;
	path = path ? path : "build/corpus/websocket/open";
	d = opendir(path);
	if (!d) {
		printf("SKIP recorded WebSocket sessions: none in %s\n", path);
		skip();
	}
	while ((e = readdir(d))) {
		struct buf name = {0};

		buf_addf(&name, "%s/%s", path, e->d_name);
		if (slice_ends(slice_str(e->d_name), SLICE(".json")))
			dones += replay(buf_str(&name));
		buf_release(&name);
	}
	closedir(d);
	printf("FIGURE recorded WebSocket sessions: %zu responses, each one exact call\n", dones);
	assert_true(dones > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_codex),       cmocka_unit_test(test_offsets),
	    cmocka_unit_test(test_errors),      cmocka_unit_test(test_no_call),
	    cmocka_unit_test(test_answer_lost), cmocka_unit_test(test_request_lost),
	    cmocka_unit_test(test_pipelined),   cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_realtime),    cmocka_unit_test(test_long_hole),
	    cmocka_unit_test(test_holes),       cmocka_unit_test(test_recorded),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	buf_release(&seen.text);
	return failed;
}
