/* SPDX-License-Identifier: Apache-2.0 */
#include <brotli/decode.h>
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/codec.h"

struct brotli {
	BrotliDecoderState *state;
	bool begun, done;
	codec_out out;
	void *ctx;
};

static void *brotli_open(codec_out out, void *ctx)
{
	struct brotli *b = xcalloc(1, sizeof(*b));

	b->out = out;
	b->ctx = ctx;
	return b;
}

/* The decoder shows its own window instead of filling a buffer of ours. */
static bool take_output(struct brotli *b)
{
	while (BrotliDecoderHasMoreOutput(b->state)) {
		size_t n = CODEC_PIECE;
		const uint8_t *p = BrotliDecoderTakeOutput(b->state, &n);

		if (!b->out(b->ctx, slice_of(p, n)))
			return false;
	}
	return true;
}

/* What follows the end of the stream is ignored, as browsers do. */
static int brotli_feed(void *codec, struct slice s)
{
	struct brotli *b = codec;
	const uint8_t *in = (const uint8_t *)s.p;
	BrotliDecoderResult r = BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;

	if (!b->begun)
		b->state = BrotliDecoderCreateInstance(NULL, NULL, NULL);
	b->begun = true;
	if (!b->state)
		return -EBADMSG;
	while (!b->done && r == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT) {
		size_t none = 0;

		r = BrotliDecoderDecompressStream(b->state, &s.n, &in, &none, NULL, NULL);
		if (r == BROTLI_DECODER_RESULT_ERROR || !take_output(b))
			return -EBADMSG;
		b->done = r == BROTLI_DECODER_RESULT_SUCCESS;
	}
	return 0;
}

static bool brotli_ended(const void *codec)
{
	const struct brotli *b = codec;

	return !b->begun || b->done;
}

static void brotli_close(void *codec)
{
	struct brotli *b = codec;

	BrotliDecoderDestroyInstance(b->state);
	free(b);
}

const struct codec codec_brotli = {brotli_open, brotli_feed, brotli_ended, brotli_close};
