/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the Markdown files of tests/golden/span.  A case is an ```input block
 * and the ```log block behind it, the spans as span_print() shows them (and the
 * wall clock of their start, where the story has a clock).  Input lines begin with
 * a time in ms; what follows indented belongs to them:
 *
 *   0 content LEVEL                      none shape redacted (default) full
 *   0 join-traces                        as --join-traces
 *   0 clock SECONDS                      wall clock - boot clock, from now on
 *   10 fork PARENT CHILD                 a PID is a number, or N@START of another process with the same pid
 *   10 exec PID ARG|ARG|…                in /home/work
 *   10 found PID ARG|ARG|…               it ran before it was followed
 *     cgroup PATH                        user UID GID
 *   10 exit PID [CODE | signal N]
 *     cpu MS                             rss BYTES
 *   10 left-alone PID BYTES              on connections that are ignored
 *   10 life-lost TOTAL                   10 traffic-lost PID     10 tick
 *   10 mcp PID START METHOD [TOOL]       an MCP request since START (ms) that was answered now
 *     arguments JSON                     result JSON
 *     error CODE MESSAGE                 failed: the result says so
 *     lost BYTES REASON                  server: the process is the MCP server
 *     traceparent TEXT
 *   10 http PID START METHOD URL STATUS  a request since START (ms) that was no call, answered now; "-": none seen
 *     lost BYTES REASON                  agent USER_AGENT                   traceparent TEXT
 *   10 begin NAME PID [server] [session=KEY] [agent=USER_AGENT]
 *     system|user|assistant: TEXT
 *     call ID NAME ARGUMENTS             the assistant asks for a tool
 *     result ID TEXT                     failed ID TEXT: the tool says it failed
 *     set FIELD VALUE                    of struct llm_call, see fields[]; also below end
 *   20 end NAME
 *     text: TEXT                         reasoning: TEXT
 *     call ID NAME ARGUMENTS
 *     error STATUS TYPE MESSAGE
 *     lost BYTES REASON                  the call is incomplete
 *   99 finish                            the capture ends
 *   99 restart                           it ends, and another one begins that is given what was remembered
 *
 * Instead of a ```log block a ```tree block may follow: the spans below their
 * parents, in order of their start, with the name of a call, the number of a
 * turn, the time in ms, and of the attributes those in tree_attrs[].  A span of
 * another conversation than its parent says which one, by its number in order of
 * appearance; one whose parent was never emitted is "astray".
 *
 * Each case is run in order of time, and with the records delivered up to 50 ms
 * late in random order: the spans are the same.  Clock samples come in time, and
 * records of the same time in their order.  UPDATE=1 writes the logs anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/text.h"
#include "llm/call.h"
#include "llm/http.h"
#include "llm/mcp.h"
#include "span/heads.h"
#include "span/ids.h"

#define MS         1000000ull
#define LATE       (50 * MS)
#define ORDERS     200 /* random orders of a case */
#define EVENTS_MAX 4096
#define CALLS_MAX  64
#define INSTANCE   ((const uint8_t *)"instance-0123456")

static uint64_t rng;

static uint64_t rnd(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % n;
}

struct event {
	uint64_t ts, delivered;
	size_t number;
	struct slice word, rest, body; /* body: the indented lines */
};

struct story {
	struct event v[EVENTS_MAX];
	size_t n;
	struct spans *spans;
	struct clock_map clock;
	struct buf log;
	bool as_tree, join_traces;
	struct span *spans_out;
	size_t n_out, cap_out;
	struct buf heads; /* as they were left */
	enum content_level level;
	struct {
		struct slice name;
		struct llm_call *call;
		struct span_id id;
	} calls[CALLS_MAX];
	size_t n_calls;
};

static void bad(const char *what, struct slice line)
{
	fail_msg("%s: '%.*s'", what, (int)line.n, line.p);
}

static struct slice word(struct slice *rest)
{
	struct slice w = {NULL, 0};

	*rest = slice_trim(*rest);
	slice_cut(rest, ' ', &w);
	return w;
}

static uint64_t number(struct slice *rest)
{
	struct slice w = word(rest);
	uint64_t n = 0;

	if (!slice_u64(w, &n))
		bad("not a number", w);
	return n;
}

static struct ev_proc proc(struct slice *rest)
{
	struct slice w = word(rest), pid = {NULL, 0};
	uint64_t n = 0, start = 0;

	slice_cut(&w, '@', &pid);
	if (!slice_u64(pid, &n) || (w.n && !slice_u64(w, &start)))
		bad("not a process", pid);
	return (struct ev_proc){.start = (start ? start : n) * MS, .tgid = (uint32_t)n, .pid = (uint32_t)n};
}

/* ---- calls ---- */

static void add_part(struct llm_call *c, struct llm_messages *m, struct slice role, struct llm_part part)
{
	struct llm_message *last = m->n ? &m->v[m->n - 1] : NULL;

	if (m == &c->input || !last) {
		last = arena_push(&c->arena, &m->v, &m->n, sizeof(*last));
		last->role = arena_dup(&c->arena, role);
	}
	part.id = arena_dup(&c->arena, part.id);
	part.name = arena_dup(&c->arena, part.name);
	part.text = arena_dup(&c->arena, part.text);
	*(struct llm_part *)arena_push(&c->arena, &last->parts, &last->n_parts, sizeof(part)) = part;
}

static void set_error(struct llm_call *c, struct slice rest)
{
	c->status = (uint16_t)number(&rest);
	c->error_type = arena_dup(&c->arena, word(&rest));
	c->error_message = arena_dup(&c->arena, slice_trim(rest));
}

static void set_lost(struct llm_call *c, struct slice rest)
{
	c->lost_bytes = number(&rest);
	c->why_incomplete = arena_dup(&c->arena, slice_trim(rest)).p;
	c->state = LLM_INCOMPLETE;
}

enum field_type { TEXT, WORD, COUNT, NUMBER, YES };

static const struct {
	const char *name;
	enum field_type type;
	size_t at;
} fields[] = {
#define FIELD(member, type)                                                                                  \
	{                                                                                                    \
#member, type, offsetof(struct llm_call, member)                                             \
	}
    FIELD(traceparent, TEXT),
    FIELD(request_sha256, TEXT),
    FIELD(operation, WORD),
    FIELD(api, WORD),
    FIELD(framing, WORD),
    FIELD(provider, WORD),
    FIELD(request_model, TEXT),
    FIELD(response_model, TEXT),
    FIELD(response_id, TEXT),
    FIELD(output_type, TEXT),
    FIELD(reasoning_effort, TEXT),
    FIELD(previous_response_id, TEXT),
    FIELD(conversation_id, TEXT),
    FIELD(response_conversation, TEXT),
    FIELD(response_status, TEXT),
    FIELD(query, TEXT),
    FIELD(data_source, TEXT),
    FIELD(server_address, TEXT),
    FIELD(dimensions, COUNT),
    FIELD(input_count, COUNT),
    FIELD(output_count, COUNT),
    FIELD(server_port, COUNT),
    FIELD(server_time.total, COUNT),
    FIELD(server_time.load, COUNT),
    FIELD(server_time.input, COUNT),
    FIELD(server_time.output, COUNT),
    FIELD(usage.input, COUNT),
    FIELD(usage.output, COUNT),
    FIELD(cost, NUMBER),
    FIELD(warm_up, YES),
    FIELD(request_only, YES),
#undef FIELD
};

static void set_field(struct llm_call *c, struct slice rest)
{
	struct slice name = word(&rest), value = arena_dup(&c->arena, slice_trim(rest));
	struct buf text = {0};

	buf_addslice(&text, value);
	if (slice_eq(name, SLICE("encoding_formats"))) {
		*(struct slice *)arena_push(&c->arena, &c->encoding_formats, &c->n_encoding_formats,
		                            sizeof(value)) = value;
	} else if (slice_eq(name, SLICE("tools"))) {
		struct slice tool;

		while ((tool = word(&value)).n)
			*(struct llm_tool_def *)arena_push(&c->arena, &c->tools, &c->n_tools,
			                                   sizeof(*c->tools)) =
			    (struct llm_tool_def){.type = SLICE("function"), .name = tool};
	} else if (slice_eq(name, SLICE("server_name"))) {
		memcpy(c->conn.server_name, value.p, value.n);
	} else if (slice_eq(name, SLICE("peer"))) {
		c->conn.family = AF_INET;
		c->conn.port = 8443;
		assert_int_equal(inet_pton(AF_INET, buf_str(&text), c->conn.address), 1);
	} else if (slice_eq(name, SLICE("chunks"))) { /* ms apart */
		uint64_t at = c->request_start;
		struct slice gap;

		while ((gap = word(&value)).n) {
			uint64_t ms = 0;

			assert_true(slice_u64(gap, &ms));
			at += ms * MS;
			c->n_chunks++;
			*(uint64_t *)arena_push(&c->arena, &c->chunk_at, &c->n_chunk_at, sizeof(at)) = at;
		}
	} else if (slice_eq(name, SLICE("document"))) {
		struct llm_document *d = arena_push(&c->arena, &c->documents, &c->n_documents, sizeof(*d));

		d->id = word(&value);
		d->score = NAN;
		if (!slice_eq(value, SLICE("")))
			d->score = strtod(word(&value).p, NULL);
		d->text = slice_trim(value).n ? slice_trim(value) : (struct slice){NULL, 0};
	} else {
		size_t i = 0;

		while (i < sizeof(fields) / sizeof(fields[0]) && !slice_eq(name, slice_str(fields[i].name)))
			i++;
		if (i == sizeof(fields) / sizeof(fields[0]))
			bad("not a field", name);
		void *at = (char *)c + fields[i].at;
		buf_addc(&text, '\0');
		if (fields[i].type == TEXT)
			*(struct slice *)at = value;
		else if (fields[i].type == WORD)
			*(const char **)at = arena_dup(&c->arena, slice_of(text.p, text.n)).p;
		else if (fields[i].type == COUNT)
			*(int64_t *)at = strtoll(text.p, NULL, 10);
		else if (fields[i].type == NUMBER)
			*(double *)at = strtod(text.p, NULL);
		else
			*(bool *)at = true;
	}
	buf_release(&text);
}

static void body_line(struct llm_call *c, struct llm_messages *m, struct slice line)
{
	struct slice rest = line, w = word(&rest);
	struct llm_part part = {.kind = LLM_TEXT};

	if (slice_eq(w, SLICE("error"))) {
		set_error(c, rest);
		return;
	}
	if (slice_eq(w, SLICE("lost"))) {
		set_lost(c, rest);
		return;
	}
	if (slice_eq(w, SLICE("set"))) {
		set_field(c, rest);
		return;
	}
	if (slice_eq(w, SLICE("call"))) {
		part.kind = LLM_TOOL_CALL;
		part.id = word(&rest);
		part.name = word(&rest);
		w = SLICE("assistant");
	} else if (slice_eq(w, SLICE("result")) || slice_eq(w, SLICE("failed"))) {
		part.kind = LLM_TOOL_RESULT;
		part.is_error = w.p[0] == 'f';
		part.id = word(&rest);
		w = SLICE("tool");
	} else if (w.n > 1 && w.p[w.n - 1] == ':') {
		part.kind = slice_eq(w, SLICE("reasoning:")) ? LLM_REASONING : LLM_TEXT;
		w = m == &c->output ? SLICE("assistant") : slice_of(w.p, w.n - 1);
	} else {
		bad("not a line of a call", line);
	}
	part.text = slice_trim(rest);
	add_part(c, m, w, part);
}

static void set_body(struct llm_call *c, struct llm_messages *m, struct slice body)
{
	struct slice line;

	while (slice_cut(&body, '\n', &line))
		if (slice_trim(line).n)
			body_line(c, m, slice_trim(line));
}

static struct llm_call *new_call(const struct event *e, struct ev_proc p)
{
	struct llm_call *c = call_new();

	c->conn.id = (struct ev_conn_id){.tls = 1, .gen = 1, .proc = p};
	c->conn.lib = EV_LIB_OPENSSL;
	c->request_offset = e->number;
	c->server_address = SLICE("api.openai.com");
	c->server_port = 443;
	c->api = "openai.chat";
	c->provider = "openai";
	c->operation = "chat";
	c->request_model = SLICE("gpt-x");
	c->stream = true;
	c->request_start = c->request_end = e->ts;
	return c;
}

static void begin(struct story *st, const struct event *e)
{
	struct slice rest = e->rest, name = word(&rest), w;
	struct llm_call *c = new_call(e, proc(&rest));

	while ((w = word(&rest)).n) {
		if (slice_eq(w, SLICE("server")))
			c->is_server = true;
		else if (slice_starts(w, SLICE("session=")))
			c->session_key = arena_dup(&c->arena, slice_from(w, 8));
		else if (slice_starts(w, SLICE("agent=")))
			c->user_agent = arena_dup(&c->arena, slice_from(w, 6));
		else
			bad("not an option of a call", w);
	}
	set_body(c, &c->input, e->body);
	assert_true(st->n_calls < CALLS_MAX);
	st->calls[st->n_calls].name = name;
	st->calls[st->n_calls].id = id_chat(INSTANCE, c);
	st->calls[st->n_calls++].call = c;
	spans_llm_events.begin(st->spans, c);
}

static void end(struct story *st, const struct event *e)
{
	struct slice rest = e->rest, name = word(&rest);

	for (size_t i = 0; i < st->n_calls; i++) {
		struct llm_call *c = st->calls[i].call;

		if (!slice_eq(st->calls[i].name, name) || !c)
			continue;
		st->calls[i].call = NULL;
		c->status = 200;
		c->usage.input = 10;
		c->usage.output = 5;
		c->response_start = c->response_head = c->request_start + MS;
		c->first_token = c->request_start + 2 * MS;
		c->end = e->ts;
		set_body(c, &c->output, e->body);
		if (c->status >= 400)
			c->usage = (struct llm_usage){LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE};
		spans_llm_events.end(st->spans, c);
		return;
	}
	bad("no such call", name);
}

/* ---- processes ---- */

/* Path components innermost first, each with its NUL. */
static void add_cgroup(struct buf *b, struct slice path)
{
	while (path.n) {
		size_t at = path.n;

		while (at && path.p[at - 1] != '/')
			at--;
		buf_add(b, path.p + at, path.n - at);
		buf_addc(b, '\0');
		path.n = at ? at - 1 : 0;
	}
}

static void exec(struct story *st, const struct event *e, unsigned flags)
{
	static const char cwd[] = "work\0home";
	struct slice rest = e->rest, body = e->body, line;
	struct ev_exec r = {.head = {EV_EXEC, 0, e->ts}, .proc = proc(&rest), .flags = flags};
	struct slice argv = slice_trim(rest);
	struct buf data = {0}, rec = {0};

	buf_addslice(&data, argv);
	for (size_t i = 0; i < argv.n; i++)
		data.p[i] = data.p[i] == '|' ? '\0' : data.p[i];
	buf_addc(&data, '\0');
	buf_add(&data, cwd, sizeof(cwd));
	r.argv_len = (uint32_t)argv.n + 1;
	r.cwd_len = sizeof(cwd);
	while (slice_cut(&body, '\n', &line)) {
		struct slice w = word(&line);

		if (slice_eq(w, SLICE("cgroup"))) {
			size_t before = data.n;

			add_cgroup(&data, slice_trim(line));
			r.cgroup = 1;
			r.cgroup_len = (uint32_t)(data.n - before);
		} else if (slice_eq(w, SLICE("user"))) {
			r.uid = (uint32_t)number(&line);
			r.gid = (uint32_t)number(&line);
		} else if (w.n) {
			bad("not a line of an exec", w);
		}
	}
	r.head.size = (uint32_t)(sizeof(r) + data.n);
	buf_add(&rec, &r, sizeof(r));
	buf_addslice(&rec, buf_slice(&data));
	spans_exec(st->spans, (const struct ev_exec *)(const void *)rec.p);
	buf_release(&rec);
	buf_release(&data);
}

static void forked(struct story *st, const struct event *e)
{
	struct slice rest = e->rest;
	struct ev_proc parent = proc(&rest), child = proc(&rest);
	struct ev_fork r = {{EV_FORK, sizeof(r), e->ts}, parent, child};

	spans_fork(st->spans, &r);
}

static void exited(struct story *st, const struct event *e)
{
	struct slice rest = e->rest, body = e->body, line;
	struct ev_exit r = {.head = {EV_EXIT, sizeof(r), e->ts}, .proc = proc(&rest)};

	if (slice_starts(slice_trim(rest), SLICE("signal"))) {
		word(&rest);
		r.status = (uint32_t)number(&rest);
	} else if (slice_trim(rest).n) {
		r.status = (uint32_t)number(&rest) << 8;
	}
	while (slice_cut(&body, '\n', &line)) {
		struct slice w = word(&line);

		if (slice_eq(w, SLICE("cpu")))
			r.cpu_ns = number(&line) * MS;
		else if (slice_eq(w, SLICE("rss")))
			r.max_rss = number(&line);
		else if (w.n)
			bad("not a line of an exit", w);
	}
	spans_exit(st->spans, &r);
}

static void mcp(struct story *st, const struct event *e)
{
	struct slice rest = e->rest, body = e->body, line;
	struct mcp_request m = {.conn.id = {.tls = 2, .gen = 1, .proc = proc(&rest)},
	                        .conn.lib = EV_LIB_OPENSSL,
	                        .protocol = "mcp",
	                        .transport = "http",
	                        .request_offset = e->number,
	                        .server_address = SLICE("tools.example"),
	                        .server_port = 443,
	                        .session_id = SLICE("s-77"),
	                        .protocol_version = SLICE("2025-06-18"),
	                        .id = SLICE("3"),
	                        .status = 200,
	                        .end = e->ts};

	m.request_start = m.request_end = number(&rest) * MS;
	m.method = word(&rest);
	m.tool = word(&rest);
	while (slice_cut(&body, '\n', &line)) {
		struct slice w = word(&line);

		if (slice_eq(w, SLICE("arguments"))) {
			m.arguments = slice_trim(line);
		} else if (slice_eq(w, SLICE("traceparent"))) {
			m.traceparent = slice_trim(line);
		} else if (slice_eq(w, SLICE("result"))) {
			m.result = slice_trim(line);
		} else if (slice_eq(w, SLICE("failed"))) {
			m.tool_error = true;
		} else if (slice_eq(w, SLICE("server"))) {
			m.is_server = true;
		} else if (slice_eq(w, SLICE("error"))) {
			m.error_code = word(&line);
			m.error_message = slice_trim(line);
		} else if (slice_eq(w, SLICE("lost"))) {
			m.lost_bytes = number(&line);
			m.state = LLM_INCOMPLETE;
			m.why_incomplete = "bytes of the answer are missing";
		} else if (w.n) {
			bad("not a line of an MCP request", w);
		}
	}
	spans_llm_events.mcp(st->spans, &m);
}

static void http(struct story *st, const struct event *e)
{
	struct slice rest = e->rest, body = e->body, line;
	struct http_request r = {.conn.id = {.tls = 3, .gen = 1, .proc = proc(&rest)},
	                         .conn.lib = EV_LIB_OPENSSL,
	                         .protocol = SLICE("h2"),
	                         .request_offset = e->number,
	                         .server_address = SLICE("files.example"),
	                         .response_bytes = 1234,
	                         .end = e->ts};

	r.request_start = r.request_end = r.response_head = number(&rest) * MS;
	r.method = word(&rest);
	r.url = word(&rest);
	if (slice_eq(slice_trim(rest), SLICE("-")))
		r.why_incomplete = "no response: the connection or the capture ended";
	else
		r.status = (uint16_t)number(&rest);
	while (slice_cut(&body, '\n', &line)) {
		struct slice w = word(&line);

		if (slice_eq(w, SLICE("lost"))) {
			r.lost_bytes = number(&line);
			r.why_incomplete = "response bytes lost: ring full";
		} else if (slice_eq(w, SLICE("agent"))) {
			r.user_agent = slice_trim(line);
		} else if (slice_eq(w, SLICE("traceparent"))) {
			r.traceparent = slice_trim(line);
		} else if (w.n) {
			bad("not a line of a request", w);
		}
	}
	spans_llm_events.http(st->spans, &r);
}

static void on_span(void *ctx, const struct span *s)
{
	struct story *st = ctx;

	if (st->as_tree) {
		struct buf b = {0};

		xgrow(&st->spans_out, &st->cap_out, st->n_out + 1, sizeof(*st->spans_out));
		span_encode(&b, s);
		assert_int_equal(span_decode(buf_slice(&b), &st->spans_out[st->n_out++]), 0);
		buf_release(&b);
		return;
	}
	span_print(&st->log, s, 0);
	if (st->clock.n)
		buf_addf(&st->log, "  (wall %.3f s)\n", (double)s->start_wall / 1e9);
}

static void on_head(void *ctx, const struct head_record *h)
{
	head_encode(&((struct story *)ctx)->heads, h);
}

static void capture(struct story *st)
{
	static const struct span_events ev = {.span = on_span, .head = on_head};
	static const uint8_t key[32] = "the key of the store";
	struct span_conf conf = {.instance = "instance-0123456",
	                         .content = st->level,
	                         .clock = &st->clock,
	                         .join_traces = st->join_traces,
	                         .link_key = key};

	st->spans = spans_new(&conf, &ev, st);
}

static void restart(struct story *st, uint64_t ts)
{
	struct head_record h;

	spans_finish(st->spans, ts);
	spans_free(st->spans);
	struct buf kept = st->heads;
	st->heads = (struct buf){0};
	capture(st);
	for (size_t at = 0; at < kept.n; at += HEAD_RECORD_SIZE) {
		assert_int_equal(head_decode(slice_of(kept.p + at, HEAD_RECORD_SIZE), &h), 0);
		spans_head(st->spans, &h);
	}
	buf_release(&kept);
}

static void happen(struct story *st, const struct event *e)
{
	struct slice rest = e->rest;

	if (slice_eq(e->word, SLICE("fork"))) {
		forked(st, e);
	} else if (slice_eq(e->word, SLICE("exec"))) {
		exec(st, e, 0);
	} else if (slice_eq(e->word, SLICE("found"))) {
		exec(st, e, EV_EXEC_FOUND);
	} else if (slice_eq(e->word, SLICE("exit"))) {
		exited(st, e);
	} else if (slice_eq(e->word, SLICE("mcp"))) {
		mcp(st, e);
	} else if (slice_eq(e->word, SLICE("http"))) {
		http(st, e);
	} else if (slice_eq(e->word, SLICE("begin"))) {
		begin(st, e);
	} else if (slice_eq(e->word, SLICE("end"))) {
		end(st, e);
	} else if (slice_eq(e->word, SLICE("clock"))) {
		clock_map_add(&st->clock, e->ts, (int64_t)(number(&rest) * 1000 * MS));
	} else if (slice_eq(e->word, SLICE("left-alone"))) {
		struct ev_proc p = proc(&rest);

		spans_left_alone(st->spans, &p, number(&rest), e->ts);
	} else if (slice_eq(e->word, SLICE("life-lost"))) {
		spans_life_lost(st->spans, number(&rest));
	} else if (slice_eq(e->word, SLICE("traffic-lost"))) {
		struct ev_proc p = proc(&rest);

		spans_traffic_lost(st->spans, &p, e->ts);
	} else if (slice_eq(e->word, SLICE("tick"))) {
		spans_tick(st->spans, e->ts);
	} else if (slice_eq(e->word, SLICE("restart"))) {
		restart(st, e->ts);
	} else if (slice_eq(e->word, SLICE("finish"))) {
		spans_finish(st->spans, e->ts);
	} else {
		bad("not a word of a story", e->word);
	}
}

/* ---- a case ---- */

/* Lines and what is indented behind them. Returns the content level. */
static enum content_level read_story(struct story *st, struct slice input)
{
	enum content_level level = CONTENT_REDACTED;
	struct slice line;

	while (slice_cut(&input, '\n', &line)) {
		struct slice rest = line;
		struct event *e = &st->v[st->n];

		if (!slice_trim(line).n)
			continue;
		if (line.p[0] == ' ') {
			assert_true(st->n > 0);
			e = &st->v[st->n - 1];
			e->body = slice_of(e->body.p ? e->body.p : line.p, 0);
			e->body.n = (size_t)(line.p + line.n - e->body.p);
			continue;
		}
		*e = (struct event){.ts = number(&rest) * MS, .number = st->n};
		e->word = word(&rest);
		e->rest = rest;
		if (slice_eq(e->word, SLICE("content")))
			level = (enum content_level)content_level_parse(slice_trim(rest));
		else if (slice_eq(e->word, SLICE("join-traces")))
			st->join_traces = true;
		else
			st->n++;
		assert_true(st->n < EVENTS_MAX);
	}
	return level;
}

static int by_delivery(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->delivered != y->delivered)
		return x->delivered < y->delivered ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

static bool in_time(const struct event *e)
{
	return slice_eq(e->word, SLICE("clock")) || slice_eq(e->word, SLICE("tick")) ||
	       slice_eq(e->word, SLICE("restart"));
}

/* A call's end comes behind its begin, the end of the capture behind all. */
static void shuffle(struct story *st, bool late)
{
	uint64_t last = 0;

	for (size_t i = 0; i < st->n; i++) {
		struct event *e = &st->v[i];

		e->delivered = e->ts + (late && !in_time(e) ? rnd(LATE) : 0);
		for (size_t k = 0; k < i; k++) {
			const struct event *b = &st->v[k];
			bool same_call = slice_eq(e->word, SLICE("end")) &&
			                 slice_eq(b->word, SLICE("begin")) && slice_starts(b->rest, e->rest);

			if ((same_call || b->ts == e->ts) && b->delivered > e->delivered && !in_time(e))
				e->delivered = b->delivered;
		}
		for (size_t k = i + 1; k < st->n; k++)
			if (slice_eq(st->v[k].word, SLICE("restart")) && e->delivered > st->v[k].ts)
				e->delivered = st->v[k].ts;
		last = e->delivered > last ? e->delivered : last;
		if (slice_eq(e->word, SLICE("finish")))
			e->delivered = last + LATE;
	}
	qsort(st->v, st->n, sizeof(st->v[0]), by_delivery);
}

/* ---- the spans as a tree ---- */

static const enum attr_key tree_attrs[] = {
    ATTR_CALL_KIND,      ATTR_LINK_EVIDENCE,     ATTR_LINK_CONFIDENCE, ATTR_TURN_MODEL_TIME,
    ATTR_TURN_TOOL_TIME, ATTR_TURN_WAITING_TIME, ATTR_TURN_AGENT_TIME, ATTR_TOOL_ASKED,
    ATTR_TOOL_STARTED,   ATTR_TOOL_ENDED,        ATTR_TOOL_ANSWERED,   ATTR_INCOMPLETE_REASON,
    ATTR_PROCESS_LEFT_ALONE,
};

static bool same_id(const uint8_t a[8], const uint8_t b[8])
{
	return memcmp(a, b, 8) == 0;
}

static struct slice conversation_of(const struct span *s)
{
	const struct attr *a = s ? span_get(s, ATTR_CONVERSATION_ID) : NULL;

	return a ? a->str : (struct slice){NULL, 0};
}

/* In order of appearance, from 1. */
static size_t conversation_number(const struct story *st, struct slice id)
{
	size_t number = 0;

	for (size_t i = 0; i < st->n_out; i++) {
		struct slice seen = conversation_of(&st->spans_out[i]);
		bool is_first = seen.n > 0;

		for (size_t k = 0; k < i && is_first; k++)
			is_first = !slice_eq(conversation_of(&st->spans_out[k]), seen);
		number += is_first;
		if (slice_eq(seen, id))
			break;
	}
	return number;
}

static struct slice call_name(const struct story *st, const uint8_t id[8])
{
	for (size_t i = 0; i < st->n_calls; i++)
		if (same_id(st->calls[i].id.b, id))
			return st->calls[i].name;
	return SLICE("unknown");
}

static void tree_attr(struct buf *out, const struct span *s, enum attr_key key)
{
	const struct attr *a = span_get(s, key);
	const char *name = strrchr(attr_defs[key].name, '.') + 1;

	if (!a)
		return;
	if (attr_defs[key].type == ATTR_DOUBLE)
		buf_addf(out, " %s=%.9g", name, a->d);
	else if (attr_defs[key].type == ATTR_INT)
		buf_addf(out, " %s=%lld", name, (long long)a->i);
	else
		buf_addf(out, " %s=%.*s", name, (int)a->str.n, a->str.p);
}

static void tree_line(struct story *st, const struct span *s, const struct span *parent)
{
	struct buf *out = &st->log;
	struct slice name = s->name, in = conversation_of(s), continues = {NULL, 0};
	const struct attr *a = span_get(s, ATTR_CALL_CONTINUES), *turn = span_get(s, ATTR_TURN_INDEX);

	if (s->kind == SPAN_CHAT)
		name = call_name(st, s->id);
	for (size_t i = 0; a && i < st->n_calls; i++) {
		uint8_t id[8];

		assert_true(text_unhex(a->str, id, sizeof(id)));
		if (same_id(st->calls[i].id.b, id))
			continues = st->calls[i].name;
	}
	buf_adds(out, span_kind_name(s->kind));
	if (turn)
		buf_addf(out, " %d", (int)turn->i);
	else if (s->kind != SPAN_CONVERSATION)
		buf_addf(out, " %.*s", (int)name.n, name.p);
	buf_addf(out, " %.9g..%.9g", (double)s->start / 1e6, (double)s->end / 1e6);
	if (in.n && !slice_eq(in, conversation_of(parent)))
		buf_addf(out, " conversation=%zu", conversation_number(st, in));
	if (s->status == SPAN_ERROR)
		buf_adds(out, " error");
	for (size_t i = 0; i < sizeof(tree_attrs) / sizeof(*tree_attrs); i++)
		tree_attr(out, s, tree_attrs[i]);
	if (continues.n)
		buf_addf(out, " continues=%.*s", (int)continues.n, continues.p);
	if (parent && memcmp(parent->trace, s->trace, sizeof(s->trace)) != 0)
		buf_adds(out, " ANOTHER TRACE");
	for (size_t i = 0; i < s->n_links; i++)
		buf_addf(out, " link=%.*s", (int)s->links[i].evidence.n, s->links[i].evidence.p);
	buf_addc(out, '\n');
}

static int by_start(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return memcmp(x->id, y->id, sizeof(x->id));
}

static const struct span *emitted(const struct story *st, const uint8_t id[8])
{
	for (size_t i = 0; i < st->n_out; i++)
		if (same_id(st->spans_out[i].id, id))
			return &st->spans_out[i];
	return NULL;
}

static void subtree(struct story *st, const struct span *s, const struct span *parent, int depth)
{
	for (int i = 0; i < depth; i++)
		buf_adds(&st->log, "  ");
	tree_line(st, s, parent);
	for (size_t i = 0; i < st->n_out; i++)
		if (same_id(st->spans_out[i].parent, s->id))
			subtree(st, &st->spans_out[i], s, depth + 1);
}

static void print_tree(struct story *st)
{
	static const uint8_t none[8];

	qsort(st->spans_out, st->n_out, sizeof(*st->spans_out), by_start);
	for (size_t i = 0; i < st->n_out; i++) {
		const struct span *s = &st->spans_out[i];

		if (emitted(st, s->parent))
			continue;
		if (!same_id(s->parent, none))
			buf_adds(&st->log, "astray ");
		subtree(st, s, NULL, 0);
	}
	while (st->n_out)
		span_release(&st->spans_out[--st->n_out]);
	free(st->spans_out);
}

static void run(struct slice input, bool as_tree, bool late, struct buf *ret)
{
	struct story *st = xcalloc(1, sizeof(*st));

	st->as_tree = as_tree;
	st->level = read_story(st, input);
	shuffle(st, late);
	capture(st);
	for (size_t i = 0; i < st->n; i++)
		happen(st, &st->v[i]);
	spans_free(st->spans);
	for (size_t i = 0; i < st->n_calls; i++)
		llm_call_free(st->calls[i].call);
	if (as_tree)
		print_tree(st);
	*ret = st->log;
	buf_release(&st->heads);
	free(st);
}

static void show_difference(const char *file, struct slice want, struct slice got, int order)
{
	struct slice a = {0}, b = {0};
	bool more = true;

	while (more && slice_eq(a, b)) {
		more = slice_cut(&want, '\n', &a);
		more = slice_cut(&got, '\n', &b) && more;
	}
	print_error("%s, order %d: expected\n%.*s\ngot\n%.*s\n", file, order, (int)a.n, a.p, (int)b.n, b.p);
}

static unsigned compare(const char *file, struct slice input, bool as_tree, struct slice expected)
{
	for (int i = 0; i <= ORDERS; i++) {
		struct buf log = {0};

		run(input, as_tree, i > 0, &log);
		bool same = slice_eq(buf_slice(&log), expected);
		if (!same)
			show_difference(file, expected, buf_slice(&log), i);
		buf_release(&log);
		if (!same)
			return 1;
	}
	return 0;
}

/* The next block fenced as ```name; false when there is none. */
static bool block(struct slice *rest, const char *fence, struct slice *ret)
{
	const char *at = slice_find(*rest, slice_str(fence)), *close;

	if (!at)
		return false;
	*rest = slice_from(*rest, (size_t)(at - rest->p) + strlen(fence));
	close = slice_starts(*rest, SLICE("```\n")) ? rest->p - 1 : slice_find(*rest, SLICE("\n```\n"));
	if (!close)
		return false;
	*ret = slice_of(rest->p, (size_t)(close + 1 - rest->p));
	*rest = slice_from(*rest, ret->n + 4);
	return true;
}

/* The log or tree that comes next. */
static bool output(struct slice *rest, bool *ret_tree, struct slice *ret)
{
	const char *log = slice_find(*rest, SLICE("```log\n")), *tree = slice_find(*rest, SLICE("```tree\n"));

	*ret_tree = tree && (!log || tree < log);
	return block(rest, *ret_tree ? "```tree\n" : "```log\n", ret);
}

static void write_file(const char *path, const struct buf *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text->p, 1, text->n, f), text->n);
	fclose(f);
}

static unsigned run_file(const char *path, unsigned *ret_cases)
{
	struct buf text = {0}, fresh = {0}, log;
	struct slice rest, input, expected;
	unsigned failed = 0;
	const char *copied;
	bool as_tree;
	size_t n;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	do {
		buf_reserve(&text, 65536);
		n = fread(text.p + text.n, 1, 65536, f);
		text.n += n;
	} while (n);
	fclose(f);
	rest = buf_slice(&text);
	copied = rest.p;
	while (block(&rest, "```input\n", &input) && output(&rest, &as_tree, &expected)) {
		++*ret_cases;
		if (!getenv("UPDATE")) {
			failed += compare(path, input, as_tree, expected);
			continue;
		}
		run(input, as_tree, false, &log);
		buf_add(&fresh, copied, (size_t)(expected.p - copied));
		buf_addslice(&fresh, buf_slice(&log));
		copied = expected.p + expected.n;
		buf_release(&log);
	}
	if (getenv("UPDATE")) {
		buf_add(&fresh, copied, (size_t)(text.p + text.n - copied));
		write_file(path, &fresh);
	}
	buf_release(&fresh);
	buf_release(&text);
	return failed;
}

static int is_markdown(const struct dirent *e)
{
	return slice_ends(slice_str(e->d_name), SLICE(".md"));
}

static void test_golden(void **state)
{
	const char *dir = getenv("GOLDEN") ? getenv("GOLDEN") : "tests/golden/span";
	unsigned cases = 0, failed = 0;
	struct dirent **v;
	int n = scandir(dir, &v, is_markdown, alphasort);

	(void)state;
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", dir, v[i]->d_name);
		free(v[i]);
		rng = 88172645463325252u;
		failed += run_file(path, &cases);
	}
	free(v);
	print_message("%u cases\n", cases);
	assert_int_equal(failed, 0);
	assert_true(cases > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
