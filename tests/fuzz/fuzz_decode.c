/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: encoding and cut; any cut must give the same bytes and the same verdict. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "proto/decode.h"

#define KEEP (1 << 20) /* of a bomb */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void collect(void *ctx, struct slice s)
{
	struct buf *b = ctx;

	buf_add(b, s.p, s.n < KEEP - b->n ? s.n : KEEP - b->n);
}

static int run(struct buf *out, struct slice encoding, struct slice s, size_t piece)
{
	struct decoder *d = decoder_new(encoding, collect, out);
	int r = 0;

	while (s.n) {
		size_t n = s.n < piece ? s.n : piece;

		r = decoder_feed(d, slice_of(s.p, n)) < 0 ? -1 : r;
		s = slice_from(s, n);
	}
	r = decoder_finish(d) < 0 ? -1 : r;
	decoder_free(d);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slice encodings[] = {{"gzip", 4}, {"deflate", 7}, {"identity", 8}};
	struct buf whole = {0}, cut = {0};
	struct slice s = {(const char *)data + 1, size - 1};

	if (size < 1)
		return 0;
	if (run(&whole, encodings[data[0] % 3], s, SIZE_MAX) !=
	    run(&cut, encodings[data[0] % 3], s, 1u + data[0] / 3 % 32))
		abort();
	if (!slice_eq(buf_slice(&whole), buf_slice(&cut)))
		abort();
	buf_release(&whole);
	buf_release(&cut);
	return 0;
}
