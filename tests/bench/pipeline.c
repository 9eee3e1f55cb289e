/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pipeline - what records cost on their way to encoded spans, stage by stage, beside parsing the same JSON.
 *
 * ROUNDS=11
 *
 * Three inputs, as records of 16 KiB or of what a TLS library delivers at once:
 *   new      chat requests of 128 KiB to 512 KiB that have nothing in common
 *   growing  one agent: each of 100 requests repeats the one before it and adds a turn, from 90 KiB to 700
 * KiB stream   answers of 4096 small chunks One round runs each stage over each input once, one behind the
 * other; a figure is the median of the rounds: MB (10^6 bytes of request and response) a second, the median
 * of its ratio to yyjson within each round, and for the stream the time a chunk takes.  "journal" is the way
 * of the records from the drain thread to the parser, alone.  Of the others, each holds those before it; the
 * last ones end in span_encode(), the form in which spans go to the sink.
 *
 * Goals: the whole pipeline takes at most 2.5 times as long as yyjson for requests, and 2 us a chunk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "daemon/journal.h"
#include "daemon/pipeline.h"

#define CHUNKS     4096
#define ROUNDS_MAX 101

enum { NEW, GROWING, STREAM, N_INPUTS };

static const char *const input_names[] = {"new", "growing", "stream"};

struct input {
	struct buf records; /* each padded to 8 bytes */
	struct buf json;    /* every document that passes */
	size_t ends[65536], n_documents, n_records, n_bytes, n_chunks;
	uint64_t offsets[2];
	uint64_t ts;
	struct ev_conn_id conn;
};

static struct input inputs[N_INPUTS];
static size_t n_out;

/* --- the inputs ------------------------------------------------------------------- */

static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

/* What tools return and people write, as it stands within a JSON string. */
static void add_text(struct buf *b, size_t n)
{
	static const char *const lines[] = {
	    "static int parse_header(struct reader *r, const char *name)\\n{\\n\\treturn r->length > "
	    "0;\\n}\\n",
	    "The function returns the number of tokens that were consumed, or a negative error.\\n",
	    "    def handle(self, request: Request) -> Response:\\n        key = "
	    "request.headers.get(\\\"host\\\")\\n",
	    "drwxr-xr-x  4 user user   4096 Nov 14 09:12 node_modules/.bin/tsc -> ../typescript/bin/tsc\\n",
	    "src/server/routes.ts(118,23): error TS2345: Argument of type 'string' is not assignable.\\n",
	    "  \\\"dependencies\\\": {\\\"express\\\": \\\"^4.18.2\\\", \\\"left-pad\\\": \\\"1.3.0\\\"},\\n",
	    "I looked at the failing test; it expects the cache to be empty – it is not, because of "
	    "größe.\\n",
	    "export const maxTokens = Number(process.env.MAX_TOKENS ?? 4096);\\n",
	    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 (HEAD -> main, origin/main)\\n",
	};
	size_t end = b->n + n;

	while (b->n < end) {
		uint64_t r = next_random();

		buf_adds(b, lines[r % (sizeof(lines) / sizeof(*lines))]);
		buf_addf(b, "%u ", (unsigned)(r >> 40));
	}
}

static void add_record(struct input *in, enum ev_dir dir, struct slice s)
{
	static const char zero[8];

	while (s.n) {
		struct slice part = slice_of(s.p, s.n < EV_FRAGMENT_MAX ? s.n : EV_FRAGMENT_MAX);
		struct ev_data d = {
		    .head = {EV_DATA, (uint32_t)(sizeof(d) + part.n), in->ts += 1000000},
		    .conn = in->conn,
		    .offset = in->offsets[dir],
		    .other = in->offsets[!dir],
		    .len = (uint32_t)part.n,
		    .dir = dir,
		    .lib = EV_LIB_OPENSSL,
		};

		buf_add(&in->records, &d, sizeof(d));
		buf_addslice(&in->records, part);
		buf_add(&in->records, zero, (8 - (sizeof(d) + part.n) % 8) % 8);
		in->offsets[dir] += part.n;
		in->n_records++;
		in->n_bytes += part.n;
		s = slice_from(s, part.n);
	}
}

static void add_document(struct input *in, struct slice s)
{
	buf_addslice(&in->json, s);
	in->ends[in->n_documents++] = in->json.n;
}

static void connect_to(struct input *in, unsigned i)
{
	in->conn = (struct ev_conn_id){0x1000 + i, in->ts + 1, {1, 4000 + i, 4000 + i}};
	in->offsets[0] = in->offsets[1] = 0;
}

static void add_request(struct input *in, struct slice body)
{
	struct buf head = {0};

	buf_addf(&head,
	         "POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nUser-Agent: codex/1.0\r\n"
	         "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	         body.n);
	add_record(in, EV_DIR_WRITE, buf_slice(&head));
	add_record(in, EV_DIR_WRITE, body);
	add_document(in, body);
	buf_release(&head);
}

static void add_answer(struct input *in, unsigned i)
{
	struct buf body = {0}, head = {0};

	buf_addf(&body,
	         "{\"id\":\"chatcmpl-%u\",\"object\":\"chat.completion\",\"model\":\"gpt-5\",\"choices\":[{"
	         "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Answer %u\"},"
	         "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}",
	         i, i);
	buf_addf(&head, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	         body.n);
	buf_addslice(&head, buf_slice(&body));
	add_record(in, EV_DIR_READ, buf_slice(&head));
	add_document(in, buf_slice(&body));
	buf_release(&head);
	buf_release(&body);
}

#define BODY_BEGIN                                                                                           \
	"{\"model\":\"gpt-5\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"shell\","           \
	"\"descripti"                                                                                        \
	"on\":"                                                                                              \
	"\"Runs a command\",\"parameters\":{\"type\":\"object\",\"properties\":{\"command\":{\"type\":"      \
	"\"string\"}}}}}],\"messages\":[{\"role\":\"system\",\"content\":\"You are a coding agent.\"}"
#define BODY_END "],\"stream\":false}"

/* A turn: the user's words, an answer that calls a tool, and what the tool returned. */
static void add_turn(struct buf *messages, unsigned i, size_t n)
{
	buf_adds(messages, ",{\"role\":\"user\",\"content\":\"");
	add_text(messages, n / 8);
	buf_addf(messages,
	         "\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_%u\",\"type\":"
	         "\"function\",\"function\":{\"name\":\"shell\",\"arguments\":\"{\\\"command\\\":\\\"cat "
	         "file%u.c\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_%u\",\"content\":\"",
	         i, i, i);
	add_text(messages, n);
	buf_addf(messages, "\"},{\"role\":\"assistant\",\"content\":\"Answer %u\"}", i);
}

static void add_body(struct input *in, struct buf *messages, unsigned i)
{
	struct buf body = {0};

	buf_adds(&body, BODY_BEGIN);
	buf_addslice(&body, buf_slice(messages));
	buf_addf(&body, ",{\"role\":\"user\",\"content\":\"go on with %u\"}" BODY_END, i);
	add_request(in, buf_slice(&body));
	add_answer(in, i);
	buf_release(&body);
}

static void make_requests(void)
{
	struct buf messages = {0};

	for (unsigned i = 0; i < 12; i++) {
		connect_to(&inputs[NEW], i);
		buf_clear(&messages);
		for (unsigned k = 0; k < 8 + i % 4 * 8; k++)
			add_turn(&messages, i * 100 + k, 14000);
		add_body(&inputs[NEW], &messages, i);
	}
	buf_clear(&messages);
	connect_to(&inputs[GROWING], 0);
	add_turn(&messages, 0, 80000);
	for (unsigned i = 1; i <= 100; i++) {
		add_turn(&messages, i, 5300);
		add_body(&inputs[GROWING], &messages, i);
	}
	buf_release(&messages);
}

static void make_stream(void)
{
	struct input *in = &inputs[STREAM];

	for (unsigned i = 0; i < 8; i++) {
		connect_to(in, i);
		add_request(
		    in, SLICE(BODY_BEGIN ",{\"role\":\"user\",\"content\":\"tell me\"}],\"stream\":true}"));
		add_record(in, EV_DIR_READ,
		           SLICE("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
		                 "Transfer-Encoding: chunked\r\n\r\n"));
		for (unsigned k = 0; k < CHUNKS; k++, in->n_chunks++) {
			struct buf json = {0}, chunk = {0};

			buf_addf(&json,
			         "{\"id\":\"chatcmpl-%u\",\"object\":\"chat.completion.chunk\",\"created\":"
			         "1764000000,\"model\":\"gpt-5\",\"system_fingerprint\":\"fp_50cad350e4\","
			         "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word%u\"},\"logprobs\":"
			         "null,\"finish_reason\":%s}]}",
			         i, k, k + 1 == CHUNKS ? "\"stop\"" : "null");
			buf_addf(&chunk, "%zx\r\ndata: %.*s\n\n\r\n", json.n + 8, (int)json.n, json.p);
			add_record(in, EV_DIR_READ, buf_slice(&chunk));
			add_document(in, buf_slice(&json));
			buf_release(&json);
			buf_release(&chunk);
		}
		add_record(in, EV_DIR_READ, SLICE("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"));
	}
}

/* --- the stages ------------------------------------------------------------------- */

#define foreach_record(in, rec)                                                                              \
	for (const struct ev_head *rec = (const void *)(in)->records.p;                                      \
	     (const char *)rec < (in)->records.p + (in)->records.n;                                          \
	     rec = (const void *)((const char *)rec + ((rec->size + 7u) & ~7u)))

static void run_yyjson(const struct input *in)
{
	size_t at = 0;

	for (size_t i = 0; i < in->n_documents; at = in->ends[i++]) {
		yyjson_doc *doc = yyjson_read(in->json.p + at, in->ends[i] - at, 0);

		n_out += doc != NULL;
		yyjson_doc_free(doc);
	}
}

/* As the drain thread does: in batches, around the circle. */
static void run_journal(const struct input *in)
{
	static struct journal *j;
	size_t waiting = 0;
	bool poison;

	if (!j)
		j = journal_open(journal_create(), false);
	foreach_record(in, rec)
	{
		struct ev_data d = *(const struct ev_data *)(const void *)rec;

		if (!journal_append(j, &d.head, sizeof(d), slice_of((const char *)rec + sizeof(d), d.len)))
			abort();
		if (++waiting < 256)
			continue;
		for (; journal_next(j, &poison); waiting = 0)
			n_out++;
	}
	while (journal_next(j, &poison))
		n_out++;
}

static void no_exchange(void *ctx, struct exchange *x)
{
	(void)ctx, (void)x;
}

static void no_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	(void)ctx, (void)x, (void)ts, (void)s;
}

static void count_exchange(void *ctx, struct exchange *x)
{
	(void)ctx, (void)x;
	n_out++;
}

static void on_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	(void)ctx, (void)x, (void)dir, (void)ts, (void)n;
	abort();
}

static void no_message(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, struct slice s, bool text)
{
	(void)ctx, (void)x, (void)dir, (void)ts, (void)s, (void)text;
}

static const struct proto_events no_events = {
    no_exchange, no_body, no_exchange, no_exchange, no_body, on_gap, no_message, count_exchange,
};

struct stages {
	const struct proto_events *ev;
	void *ctx;
};

static void *on_open(void *ctx, const struct conn_info *info)
{
	struct stages *s = ctx;

	return proto_open(s->ev, s->ctx, info);
}

static void on_bytes(void *conn, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	proto_feed(conn, dir, ts, bytes);
}

static void on_lost(void *conn, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	(void)conn, (void)dir, (void)ts, (void)n, (void)cause;
	abort();
}

static void on_close(void *conn, uint64_t ts, bool complete)
{
	proto_close(conn, ts, complete);
}

static const struct stream_events stream_events = {on_open, on_bytes, on_lost, on_close};

static void run_stages(const struct input *in, const struct proto_events *ev, void *ctx)
{
	struct stages s = {ev, ctx};
	struct streams *ss = streams_new(&stream_events, &s);

	foreach_record(in, rec) streams_data(ss, (const struct ev_data *)(const void *)rec);
	streams_finish(ss, in->ts);
	streams_free(ss);
}

static void run_proto(const struct input *in)
{
	run_stages(in, &no_events, NULL);
}

static void no_begin(void *ctx, struct llm_call *call)
{
	(void)ctx, (void)call;
}

static void free_call(void *ctx, struct llm_call *call)
{
	(void)ctx;
	n_out++;
	llm_call_free(call);
}

static void run_llm(const struct input *in)
{
	static const struct llm_events ev = {.begin = no_begin, .end = free_call};
	struct llm *l = llm_new(&ev, NULL);

	run_stages(in, &llm_proto_events, l);
	llm_free(l);
}

static void on_span(void *ctx, const struct span *s)
{
	struct buf *out = ctx;

	buf_clear(out);
	span_encode(out, s);
	n_out += s->kind == SPAN_CHAT;
}

static void run_pipeline(const struct input *in, enum content_level content)
{
	static const struct span_events ev = {.span = on_span};
	static const uint8_t instance[16];
	struct buf out = {0};
	struct pipeline *p = pipeline_new(instance, content, 0, NULL, &ev, &out);

	foreach_record(in, rec) if (pipeline_record(p, rec, false)) abort();
	pipeline_finish(p, in->ts);
	pipeline_free(p);
	buf_release(&out);
}

static void run_redacted(const struct input *in)
{
	run_pipeline(in, CONTENT_REDACTED);
}

static void run_full(const struct input *in)
{
	run_pipeline(in, CONTENT_FULL);
}

static void run_shape(const struct input *in)
{
	run_pipeline(in, CONTENT_SHAPE);
}

static const struct row {
	const char *name;
	void (*run)(const struct input *in);
	enum { DOCUMENTS, RECORDS, CALLS } comes_out;
} rows[] = {
    {"yyjson", run_yyjson, DOCUMENTS},        {"journal", run_journal, RECORDS},
    {"stream+proto", run_proto, CALLS},       {"+llm", run_llm, CALLS},
    {"+span, redacted", run_redacted, CALLS}, {"+span, full", run_full, CALLS},
    {"+span, shape", run_shape, CALLS},
};

#define N_ROWS (sizeof(rows) / sizeof(*rows))

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static double took[N_INPUTS][N_ROWS][ROUNDS_MAX], ratio[N_INPUTS][N_ROWS][ROUNDS_MAX];

/* Every document, exchange and call must have come out. */
static void measure(size_t i, size_t r, size_t round)
{
	const struct input *in = &inputs[i];
	const size_t expected[] = {[DOCUMENTS] = in->n_documents,
	                           [RECORDS] = in->n_records,
	                           [CALLS] = i == STREAM ? 8 : in->n_documents / 2};
	double begin = seconds();

	n_out = 0;
	rows[r].run(in);
	took[i][r][round] = seconds() - begin;
	ratio[i][r][round] = took[i][r][round] / took[i][0][round];
	if (n_out != expected[rows[r].comes_out]) {
		fprintf(stderr, "%s, %s: %zu came out\n", input_names[i], rows[r].name, n_out);
		exit(1);
	}
}

int main(void)
{
	size_t rounds = getenv("ROUNDS") ? strtoul(getenv("ROUNDS"), NULL, 10) : 11;

	rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	make_requests();
	make_stream();
	for (size_t n = 0; n < JOURNAL_BYTES; n += inputs[GROWING].records.n)
		run_journal(&inputs[GROWING]); /* its memory has been used once */
	for (size_t round = 0; round < rounds; round++)
		for (size_t i = 0; i < N_INPUTS; i++)
			for (size_t r = 0; r < N_ROWS; r++)
				measure(i, r, round);
	for (size_t i = 0; i < N_INPUTS; i++)
		for (size_t r = 0; r < N_ROWS; r++) {
			double t = median(took[i][r], rounds);

			printf("FIGURE %-8s %-16s %6.0f MB/s, %6.2f times yyjson", input_names[i],
			       rows[r].name, (double)(r ? inputs[i].n_bytes : inputs[i].json.n) / t / 1e6,
			       median(ratio[i][r], rounds));
			if (inputs[i].n_chunks)
				printf(", %5.2f us a chunk", t / (double)inputs[i].n_chunks * 1e6);
			putchar('\n');
		}
	return 0;
}
