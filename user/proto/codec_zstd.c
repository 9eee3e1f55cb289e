/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "proto/codec.h"
#include "proto/decode.h"

/*
 * RFC 8878 3.1.1.1: magic number and frame header.  These bytes are given to
 * the library one by one: a frame that it sees whole it may decode by a short
 * cut that knows no window limit, and from four bytes on it looks for formats
 * older than the RFC.
 */
#define HEADER_MAX 18

struct zstd {
	ZSTD_DStream *stream;
	size_t in_frame; /* bytes taken of the frame in work; 0: between frames */
	codec_out out;
	void *ctx;
};

static void *zstd_open(codec_out out, void *ctx)
{
	struct zstd *z = xcalloc(1, sizeof(*z));

	z->out = out;
	z->ctx = ctx;
	return z;
}

static bool start(struct zstd *z)
{
	z->stream = ZSTD_createDStream();
	return z->stream &&
	       !ZSTD_isError(ZSTD_DCtx_setParameter(z->stream, ZSTD_d_windowLogMax, DECODE_ZSTD_WINDOW_LOG));
}

/* Decodes up to the end of `in` or of the frame. */
static int decode(struct zstd *z, ZSTD_inBuffer *in)
{
	char piece[CODEC_PIECE];
	ZSTD_outBuffer out;
	size_t r;

	do {
		size_t before = in->pos;

		out = (ZSTD_outBuffer){piece, sizeof(piece), 0};
		r = ZSTD_decompressStream(z->stream, &out, in);
		if (ZSTD_isError(r) || (out.pos && !z->out(z->ctx, slice_of(piece, out.pos))))
			return -EBADMSG;
		z->in_frame = r ? z->in_frame + in->pos - before : 0;
	} while (r && (in->pos < in->size || out.pos == out.size));
	return 0;
}

static int zstd_feed(void *codec, struct slice s)
{
	struct zstd *z = codec;

	if (!z->stream && !start(z))
		return -EBADMSG;
	while (s.n) {
		ZSTD_inBuffer in = {s.p, z->in_frame < HEADER_MAX ? 1 : s.n, 0};

		if (decode(z, &in) < 0)
			return -EBADMSG;
		s = slice_from(s, in.pos);
	}
	return 0;
}

static bool zstd_ended(const void *codec)
{
	const struct zstd *z = codec;

	return !z->in_frame;
}

static void zstd_close(void *codec)
{
	struct zstd *z = codec;

	ZSTD_freeDStream(z->stream);
	free(z);
}

const struct codec codec_zstd = {zstd_open, zstd_feed, zstd_ended, zstd_close};
