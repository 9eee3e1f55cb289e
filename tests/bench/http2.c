/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the HTTP/2 parser is beside HTTP/1's on the same bodies, in large and in small pieces. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "proto/proto.h"

#define ROUNDS 11
#define BODY   (16u << 20)
#define RECORD 16384 /* as TLS cuts */

static uint64_t body_bytes;

static void on_exchange(void *ctx, struct exchange *x)
{
	(void)ctx, (void)x;
}

static void on_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	(void)ctx, (void)x, (void)ts;
	body_bytes += s.n;
}

static void on_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	(void)ctx, (void)x, (void)dir, (void)ts, (void)n;
	abort();
}

static const struct proto_events events = {
    .request = on_exchange,
    .request_body = on_body,
    .request_end = on_exchange,
    .response = on_exchange,
    .response_body = on_body,
    .body_gap = on_gap,
    .end = on_exchange,
};

static void frame(struct buf *out, int type, int flags, size_t n)
{
	const char head[9] = {(char)(n >> 16), (char)(n >> 8), (char)n, (char)type, (char)flags, 0, 0, 0, 1};

	buf_add(out, head, 9);
}

/* The two directions of one exchange with a response body of BODY bytes in pieces. */
static void say(struct buf wire[2], bool http2, size_t piece)
{
	char *text = xcalloc(1, piece);

	memset(text, 'x', piece);
	if (http2) {
		buf_adds(&wire[0], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
		frame(&wire[0], 1, 5, 3);
		buf_adds(&wire[0], "\x82\x87\x84");
		frame(&wire[1], 1, 4, 1);
		buf_adds(&wire[1], "\x88");
	} else {
		buf_adds(&wire[0], "GET / HTTP/1.1\r\n\r\n");
		buf_adds(&wire[1], "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	}
	for (size_t n = 0; n < BODY; n += piece) {
		if (http2)
			frame(&wire[1], 0, 0, piece);
		else
			buf_addf(&wire[1], "%zx\r\n", piece);
		buf_add(&wire[1], text, piece);
		if (!http2)
			buf_adds(&wire[1], "\r\n");
	}
	if (http2)
		frame(&wire[1], 0, 1, 0);
	else
		buf_adds(&wire[1], "0\r\n\r\n");
	free(text);
}

static double run(const struct buf wire[2])
{
	struct conn_info info = {.first_ts = 1};
	struct proto_conn *c = proto_open(&events, NULL, &info);
	struct timespec a, b;

	body_bytes = 0;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	proto_feed(c, EV_DIR_WRITE, 1, buf_slice(&wire[0]));
	for (size_t at = 0; at < wire[1].n; at += RECORD)
		proto_feed(c, EV_DIR_READ, 1,
		           slice_of(wire[1].p + at, wire[1].n - at < RECORD ? wire[1].n - at : RECORD));
	proto_close(c, 1, true);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	if (body_bytes < BODY)
		abort();
	return (double)wire[1].n /
	       ((double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	static const size_t pieces[] = {16384, 1024, 200, 30};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		struct buf wire[2][2] = {0};
		double mbs[2][ROUNDS];

		for (int k = 0; k < 2; k++)
			say(wire[k], k, pieces[i]);
		for (int r = 0; r < ROUNDS; r++) {
			for (int k = 0; k < 2; k++)
				mbs[k][r] = run(wire[k]);
		}
		for (int k = 0; k < 2; k++)
			qsort(mbs[k], ROUNDS, sizeof(double), by_value);
		printf("FIGURE pieces of %zu bytes: HTTP/1 chunked %.0f MB/s, HTTP/2 %.0f MB/s, ratio %.2f\n",
		       pieces[i], mbs[0][ROUNDS / 2], mbs[1][ROUNDS / 2],
		       mbs[1][ROUNDS / 2] / mbs[0][ROUNDS / 2]);
		for (int k = 0; k < 4; k++)
			buf_release(&wire[k / 2][k % 2]);
	}
	return 0;
}
