/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is a list of commands: one byte (bit 0 direction, bit 1 hole,
 * bits 2-7 length; 0 means a length byte follows), then that many bytes
 * unless it is a hole.  The first byte: bit 0 late, bit 1 complete.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/print.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct proto_conn *c, enum ev_dir dir, uint64_t ts, const uint8_t *p, size_t n)
{
	char *exact = xmalloc(n ? n : 1);

	memcpy(exact, p, n);
	proto_feed(c, dir, ts, slice_of(exact, n));
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conn_info info = {.late = size && data[0] & 1};
	struct buf log = {0};
	struct proto_conn *c = proto_open(&proto_print_events, &log, &info);
	size_t at = 1;
	uint64_t ts = 1;

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
		feed(c, cmd & 1, ts++, data + at, n);
		at += n;
	}
	proto_close(c, ts, size && data[0] & 2);
	buf_release(&log);
	return 0;
}
