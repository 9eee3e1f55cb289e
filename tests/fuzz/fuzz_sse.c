/* SPDX-License-Identifier: Apache-2.0 */
/* Any cut must give the same events: the first byte says how the rest is cut. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_event(void *ctx, uint64_t ts, struct slice event, struct slice data)
{
	struct buf *log = ctx;

	(void)ts;
	buf_addf(log, "%zu:", event.n);
	buf_addslice(log, event);
	buf_addf(log, "%zu:", data.n);
	buf_addslice(log, data);
}

static void run(struct buf *log, struct slice s, size_t piece, size_t gap)
{
	struct sse sse;
	size_t at = 0;

	sse_init(&sse, on_event, log);
	while (at < s.n) {
		size_t n = s.n - at < piece ? s.n - at : piece;

		if (at < gap && at + n > gap)
			n = gap - at;
		sse_feed(&sse, 1, slice_of(s.p + at, n));
		at += n;
		if (at == gap)
			sse_gap(&sse);
	}
	buf_addf(log, "%d %llu", sse_finish(&sse), (unsigned long long)sse.dropped);
	sse_release(&sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = {0}, cut = {0};
	struct slice s = {(const char *)data + 2, size - 2};

	if (size < 2)
		return 0;
	run(&whole, s, SIZE_MAX, data[1]);
	run(&cut, s, 1u + data[0] % 16, data[1]);
	if (!slice_eq(buf_slice(&whole), buf_slice(&cut)))
		abort();
	buf_release(&whole);
	buf_release(&cut);
	return 0;
}
