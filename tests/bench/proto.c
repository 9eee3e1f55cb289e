/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto - how fast a stream of LLM events passes the protocol parsers, beside parsing its JSON with yyjson.
 *
 * ROUNDS=11
 *
 * The same 8 MiB of chat completion chunks as server-sent events, in a chunked HTTP/1 response, as WebSocket
 * messages, and compressed, all fed in pieces of 16 KiB as the capture delivers them.  One round runs each
 * once, one behind the other; a figure is the median of the rounds, in MB (10^6 bytes) of events a second
 * (for the decoders: of what comes out), and beside it the median of its ratio to yyjson within each round.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <brotli/encode.h>
#include <yyjson.h>
#include <zlib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "proto/decode.h"
#include "proto/proto.h"
#include "proto/sse.h"

#define SIZE       (8u << 20)
#define PIECE      16384
#define ROUNDS_MAX 101

static uint64_t seen; /* bytes, or events, that came out: nothing may be left out */

/* --- the inputs ------------------------------------------------------------------- */

static struct buf events, json, document, chunked, server, client, server_packed;
static struct buf gzip, brotli, zstd;
static size_t json_ends[SIZE / 64], n_events;

static void add_event(unsigned i)
{
	static const char *const words[] = {"The",    " quick", " brown",    " fox",
	                                    "\\n\\n", " über",  " **code**", "."};
	size_t before = json.n;

	buf_addf(&json,
	         "{\"id\":\"chatcmpl-9aXkq2\",\"object\":\"chat.completion.chunk\",\"created\":1764000%03u,"
	         "\"model\":\"gpt-4o-2024-08-06\",\"system_fingerprint\":\"fp_50cad350e4\",\"choices\":[{"
	         "\"index\":0,"
	         "\"delta\":{\"content\":\"%s %u\"},\"logprobs\":null,\"finish_reason\":null}]}",
	         i % 1000, words[i * 7 % 8], i * 2654435761u % 10000);
	buf_addf(&events, "data: %.*s\n\n", (int)(json.n - before), json.p + before);
	buf_addf(&document, "%c%.*s", document.n ? ',' : '[', (int)(json.n - before), json.p + before);
	json_ends[n_events++] = json.n;
}

static void add_frame(struct buf *out, unsigned first, struct slice s, bool masked)
{
	static const char mask[4] = {0x37, (char)0xfa, 0x21, 0x3d};

	buf_addc(out, (char)first);
	if (s.n < 126) {
		buf_addc(out, (char)(s.n | (masked ? 128 : 0)));
	} else {
		buf_addc(out, (char)(126 | (masked ? 128 : 0)));
		buf_addc(out, (char)(s.n >> 8));
		buf_addc(out, (char)s.n);
	}
	if (masked)
		buf_add(out, mask, 4);
	for (size_t i = 0; i < s.n; i++)
		buf_addc(out, masked ? (char)(s.p[i] ^ mask[i & 3]) : s.p[i]);
}

static void deflate_into(struct buf *out, z_stream *z, struct slice s, int flush)
{
	buf_reserve(out, deflateBound(z, s.n) + 64);
	z->next_in = (unsigned char *)s.p;
	z->avail_in = (unsigned)s.n;
	z->next_out = (unsigned char *)out->p + out->n;
	z->avail_out = (unsigned)(out->cap - out->n);
	deflate(z, flush);
	out->n = out->cap - z->avail_out;
}

static void add_messages(void)
{
	z_stream z = {0};
	size_t at = 0;

	deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
	for (size_t i = 0; i < n_events; at = json_ends[i++]) {
		struct slice s = slice_of(json.p + at, json_ends[i] - at);
		struct buf packed = {0};

		add_frame(&server, 0x81, s, false);
		add_frame(&client, 0x81, s, true);
		deflate_into(&packed, &z, s, Z_SYNC_FLUSH);
		add_frame(&server_packed, 0xc1, slice_of(packed.p, packed.n - 4), false);
		buf_release(&packed);
	}
	deflateEnd(&z);
}

static void pack_all(void)
{
	z_stream z = {0};
	size_t n = BrotliEncoderMaxCompressedSize(events.n);

	deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
	deflate_into(&gzip, &z, buf_slice(&events), Z_FINISH);
	deflateEnd(&z);
	buf_reserve(&brotli, n);
	BrotliEncoderCompress(5, 22, BROTLI_MODE_TEXT, events.n, (const uint8_t *)events.p, &n,
	                      (uint8_t *)brotli.p);
	brotli.n = n;
	buf_reserve(&zstd, ZSTD_compressBound(events.n));
	zstd.n = ZSTD_compress(zstd.p, zstd.cap, events.p, events.n, 3);
}

static void make_inputs(void)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	                           "Transfer-Encoding: chunked\r\n\r\n";

	for (unsigned i = 0; events.n < SIZE; i++)
		add_event(i);
	buf_addc(&document, ']');
	buf_adds(&chunked, head);
	for (size_t i = 0, at = 0; i < n_events; i++) {
		size_t end = json_ends[i] + 8 * (i + 1); /* "data: " and two line ends */

		buf_addf(&chunked, "%zx\r\n", end - at);
		buf_add(&chunked, events.p + at, end - at);
		buf_adds(&chunked, "\r\n");
		at = end;
	}
	buf_adds(&chunked, "0\r\n\r\n");
	add_messages();
	pack_all();
}

/* --- what is measured ----------------------------------------------------------------- */

static void on_event(void *ctx, uint64_t ts, struct slice event, struct slice data)
{
	(void)ctx, (void)ts, (void)event;
	seen += data.n;
}

static void on_bytes(void *ctx, struct slice s)
{
	(void)ctx;
	seen += s.n;
}

static void on_exchange(void *ctx, struct exchange *x)
{
	(void)ctx, (void)x;
}

static void on_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	(void)ctx, (void)x, (void)ts;
	seen += s.n;
}

static void on_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	(void)ctx, (void)x, (void)dir, (void)ts, (void)n;
	abort();
}

static void on_message(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, struct slice s, bool text)
{
	(void)ctx, (void)x, (void)dir, (void)ts, (void)text;
	seen += s.n;
}

static const struct proto_events proto_events = {
    on_exchange, on_body, on_exchange, on_exchange, on_body, on_gap, on_message, on_exchange,
};

static void run_yyjson(void)
{
	size_t at = 0;

	for (size_t i = 0; i < n_events; at = json_ends[i++]) {
		yyjson_doc *doc = yyjson_read(json.p + at, json_ends[i] - at, 0);

		seen += doc ? json_ends[i] - at : 0;
		yyjson_doc_free(doc);
	}
}

static void run_document(void)
{
	yyjson_doc *doc = yyjson_read(document.p, document.n, 0);

	seen += doc ? json.n : 0;
	yyjson_doc_free(doc);
}

static void run_sse(void)
{
	struct sse sse;

	sse_init(&sse, on_event, NULL);
	for (size_t at = 0; at < events.n; at += PIECE)
		sse_feed(&sse, 1, slice_of(events.p + at, events.n - at < PIECE ? events.n - at : PIECE));
	sse_release(&sse);
}

static void run_conn(const char *request, const char *response, const struct buf *bytes, enum ev_dir dir)
{
	struct conn_info info = {.first_ts = 1};
	struct proto_conn *c = proto_open(&proto_events, NULL, &info);

	proto_feed(c, EV_DIR_WRITE, 1, slice_str(request));
	proto_feed(c, EV_DIR_READ, 1, slice_str(response));
	for (size_t at = 0; at < bytes->n; at += PIECE)
		proto_feed(c, dir, 1, slice_of(bytes->p + at, bytes->n - at < PIECE ? bytes->n - at : PIECE));
	proto_close(c, 2, true);
}

static void run_http1(void)
{
	run_conn("GET / HTTP/1.1\r\n\r\n", "", &chunked, EV_DIR_READ);
}

#define WS_REQUEST  "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
#define WS_RESPONSE "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"

static void run_server(void)
{
	run_conn(WS_REQUEST, WS_RESPONSE "\r\n", &server, EV_DIR_READ);
}

static void run_client(void)
{
	run_conn(WS_REQUEST, WS_RESPONSE "\r\n", &client, EV_DIR_WRITE);
}

static void run_server_packed(void)
{
	run_conn(WS_REQUEST, WS_RESPONSE "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
	         &server_packed, EV_DIR_READ);
}

static void run_decoder(const char *coding, const struct buf *packed)
{
	struct decoder *d = decoder_new(slice_str(coding), on_bytes, NULL);

	for (size_t at = 0; at < packed->n; at += PIECE)
		decoder_feed(d, slice_of(packed->p + at, packed->n - at < PIECE ? packed->n - at : PIECE));
	if (decoder_finish(d) < 0)
		abort();
	decoder_free(d);
}

static void run_gzip(void)
{
	run_decoder("gzip", &gzip);
}

static void run_brotli(void)
{
	run_decoder("br", &brotli);
}

static void run_zstd(void)
{
	run_decoder("zstd", &zstd);
}

static const struct row {
	const char *name;
	void (*run)(void);
	const struct buf *out; /* as many bytes come out */
} rows[] = {
    {"yyjson, an event at a time", run_yyjson, &json},
    {"yyjson, one document", run_document, &json},
    {"sse", run_sse, &json},
    {"http1, a chunk an event", run_http1, &events},
    {"websocket, from the server", run_server, &json},
    {"websocket, masked", run_client, &json},
    {"websocket, permessage-deflate", run_server_packed, &json},
    {"gzip", run_gzip, &events},
    {"br", run_brotli, &events},
    {"zstd", run_zstd, &events},
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

int main(void)
{
	size_t rounds = getenv("ROUNDS") ? strtoul(getenv("ROUNDS"), NULL, 10) : 11;
	static double speed[N_ROWS][ROUNDS_MAX], ratio[N_ROWS][ROUNDS_MAX];

	rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
	make_inputs();
	for (size_t k = 0; k < rounds; k++) {
		for (size_t i = 0; i < N_ROWS; i++) {
			double begin = seconds();

			seen = 0;
			rows[i].run();
			speed[i][k] = (double)rows[i].out->n / (seconds() - begin) / 1e6;
			ratio[i][k] = speed[i][k] / speed[0][k];
			if (seen != rows[i].out->n) {
				fprintf(stderr, "%s: %zu bytes instead of %zu\n", rows[i].name, (size_t)seen,
				        rows[i].out->n);
				return 1;
			}
		}
	}
	for (size_t i = 0; i < N_ROWS; i++)
		printf("FIGURE %-30s %6.0f MB/s, %5.2f of yyjson\n", rows[i].name, median(speed[i], rounds),
		       median(ratio[i], rounds));
	return 0;
}
