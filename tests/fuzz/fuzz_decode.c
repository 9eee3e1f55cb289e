/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First byte: encoding and cut.  A compressed event stream: any cut must give the same bytes, the same events
 * and the same verdict; of broken data one cut may give a part of what the other gives.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "proto/decode.h"
#include "proto/sse.h"

#define KEEP (1 << 20) /* of a bomb */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	struct buf bytes;
	struct buf events;
	struct sse sse;
};

static void on_event(void *ctx, uint64_t ts, struct slice event, struct slice data)
{
	struct result *r = ctx;

	(void)ts;
	if (r->events.n < KEEP)
		buf_addf(&r->events, "%zu:%.*s %zu:%.*s\n", event.n, (int)event.n, event.p ? event.p : "",
		         data.n, (int)data.n, data.p ? data.p : "");
}

static void collect(void *ctx, struct slice s)
{
	struct result *r = ctx;

	s.n = s.n < KEEP - r->bytes.n ? s.n : KEEP - r->bytes.n;
	buf_addslice(&r->bytes, s);
	sse_feed(&r->sse, 0, s);
}

static int run(struct result *out, struct slice encoding, struct slice s, size_t piece)
{
	struct decoder *d = decoder_new(encoding, collect, out);
	int r = 0;

	sse_init(&out->sse, on_event, out);
	while (s.n) {
		size_t n = s.n < piece ? s.n : piece;

		r = decoder_feed(d, slice_of(s.p, n)) < 0 ? -1 : r;
		s = slice_from(s, n);
	}
	r = decoder_finish(d) < 0 ? -1 : r;
	decoder_free(d);
	sse_finish(&out->sse);
	return r;
}

static void release(struct result *r)
{
	buf_release(&r->bytes);
	buf_release(&r->events);
	sse_release(&r->sse);
}

static bool agree(const struct buf *a, const struct buf *b, bool broken)
{
	size_t n = a->n < b->n ? a->n : b->n;

	return (broken || a->n == b->n) && slice_eq(slice_of(a->p, n), slice_of(b->p, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slice encodings[] = {{"gzip", 4}, {"deflate", 7},  {"br", 2},
	                                         {"zstd", 4}, {"gzip, br", 8}, {"deflate, zstd", 13}};
	struct slice encoding = size ? encodings[data[0] % 6] : encodings[0];
	struct result whole = {0}, cut = {0};
	struct slice s = {(const char *)data + 1, size - 1};
	int r;

	if (size < 1)
		return 0;
	r = run(&whole, encoding, s, SIZE_MAX);
	if (r != run(&cut, encoding, s, 1u + data[0] / 6 % 32))
		abort();
	if (!agree(&whole.bytes, &cut.bytes, r < 0) || !agree(&whole.events, &cut.events, r < 0))
		abort();
	release(&whole);
	release(&cut);
	return 0;
}
