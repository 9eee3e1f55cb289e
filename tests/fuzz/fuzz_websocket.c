/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upgraded connection, in any cut: the same report.  The first byte: bits 0-1 what was agreed, bits 2-7
 * the cut.  Then commands as in fuzz_http1: one byte (bit 0 direction, bit 1 hole, bits 2-7 length; 0 means a
 * length byte follows), then that many bytes unless it is a hole.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
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

static void run(struct buf *log, const uint8_t *data, size_t size, size_t piece)
{
	static const char *const extensions[] = {
	    "",
	    "permessage-deflate",
	    "permessage-deflate; server_no_context_takeover; client_max_window_bits=9",
	    "permessage-deflate, other",
	};
	static const char request[] = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
	struct conn_info info = {.first_ts = 1};
	struct proto_conn *c = proto_open(&proto_print_events, log, &info);
	struct buf response = {0};
	uint64_t ts = 1;

	buf_addf(&response, "HTTP/1.1 101 \r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: %s\r\n\r\n",
	         extensions[data[0] & 3]);
	feed(c, EV_DIR_WRITE, ts, slice_str(request), SIZE_MAX);
	feed(c, EV_DIR_READ, ts, buf_slice(&response), SIZE_MAX);
	buf_release(&response);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = {0}, cut = {0};

	if (size < 1)
		return 0;
	run(&whole, data, size, SIZE_MAX);
	run(&cut, data, size, 1u + (data[0] >> 2) % 16);
	if (!slice_eq(buf_slice(&whole), buf_slice(&cut)))
		abort();
	buf_release(&whole);
	buf_release(&cut);
	return 0;
}
