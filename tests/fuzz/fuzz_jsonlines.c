/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines over standard input and output, in any cut: the same lines, and the same MCP requests.  The first
 * byte: bit 0 the process serves, bit 1 joined late, bits 2-7 the cut.  Then commands as in fuzz_websocket.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/mcp.h"
#include "proto/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct proto_conn *c, enum ev_dir dir, uint64_t ts, struct slice s, size_t piece)
{
	while (s.n) {
		size_t n = s.n < piece ? s.n : piece;
		char *exact = xmalloc(n);

		memcpy(exact, s.p, n);
		proto_feed(c, dir, ts, slice_of(exact, n));
		free(exact);
		s = slice_from(s, n);
	}
}

static void run(const struct proto_events *ev, void *ctx, const uint8_t *data, size_t size, size_t piece)
{
	struct conn_info info = {
	    .first_ts = 1, .lib = EV_LIB_STDIO, .server = data[0] & 1, .late = data[0] & 2};
	struct proto_conn *c = proto_open(ev, ctx, &info);
	uint64_t ts = 1;

	for (size_t at = 1; at < size; ts++) {
		uint8_t cmd = data[at++];
		size_t n = cmd >> 2;

		if (!n && at < size)
			n = 64 + 4 * (size_t)data[at++];
		if (cmd & 2) {
			proto_gap(c, cmd & 1, ts, n, GAP_RING);
			continue;
		}
		n = n < size - at ? n : size - at;
		feed(c, cmd & 1, ts, slice_of(data + at, n), piece);
		at += n;
	}
	proto_close(c, ts, size & 1);
}

static void on_mcp(void *ctx, const struct mcp_request *m)
{
	mcp_request_print(ctx, m);
}

static const struct llm_events llm_events = {.mcp = on_mcp};

static void both(struct buf *log, const uint8_t *data, size_t size, size_t piece)
{
	struct llm *l = llm_new(&llm_events, log);

	run(&proto_print_events, log, data, size, piece);
	run(&llm_proto_events, l, data, size, piece);
	llm_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = {0}, cut = {0};

	if (size < 1)
		return 0;
	both(&whole, data, size, SIZE_MAX);
	both(&cut, data, size, 1u + (data[0] >> 2) % 16);
	if (!slice_eq(buf_slice(&whole), buf_slice(&cut)))
		abort();
	buf_release(&whole);
	buf_release(&cut);
	return 0;
}
