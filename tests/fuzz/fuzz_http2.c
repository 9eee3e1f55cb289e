/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a list of commands as in fuzz_http1.c, behind the preface unless
 * the first byte says late.  What is said must not depend on how it is cut, and
 * an exchange without mark has a request and a status.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/http2_frame.h"
#include "proto/http2_stream.h"
#include "proto/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_end(void *ctx, struct exchange *x)
{
	if (!x->damage &&
	    (!x->method.p || !x->target.p || !x->request_end || (!x->response_end && !x->upgraded)))
		abort();
	proto_print_events.end(ctx, x);
}

static void feed(struct proto_conn *c, enum ev_dir dir, uint64_t ts, const uint8_t *p, size_t n, size_t step)
{
	for (size_t at = 0, piece; at < n; at += piece) {
		piece = step < n - at ? step : n - at;
		char *exact = xmalloc(piece);

		memcpy(exact, p + at, piece);
		proto_feed(c, dir, ts, slice_of(exact, piece));
		free(exact);
	}
}

static void run(struct buf *log, const uint8_t *data, size_t size, size_t step)
{
	struct proto_events ev = proto_print_events;
	struct conn_info info = {.late = size && data[0] & 1};
	struct proto_conn *c;
	size_t at = 1;
	uint64_t ts = 1;

	ev.end = check_end;
	c = proto_open(&ev, log, &info);
	if (!info.late)
		proto_feed(c, EV_DIR_WRITE, ts, HTTP2_PREFACE);
	while (at < size) {
		uint8_t cmd = data[at++];
		size_t n = cmd >> 2;

		if (!n && at < size)
			n = 64 + 4 * (size_t)data[at++];
		if (cmd & 2) {
			proto_gap(c, cmd & 1, ts++, n, GAP_RING);
			continue;
		}
		n = n < size - at ? n : size - at;
		feed(c, cmd & 1, ts++, data + at, n, step);
		at += n;
	}
	proto_close(c, ts, size && data[0] & 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = {0}, cut = {0};

	run(&whole, data, size, SIZE_MAX);
	run(&cut, data, size, 1);
	if (!slice_eq(buf_slice(&whole), buf_slice(&cut)))
		abort();
	buf_release(&whole);
	buf_release(&cut);
	return 0;
}
