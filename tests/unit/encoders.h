/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encoders.h - bodies compressed as servers do it, by the libraries' own encoders.
 *
 * Flushed in between, as a server flushes each event of a stream.  gzip comes
 * in several members, zstd in several frames, deflate as RFC 1950 has it and
 * raw.
 */
#ifndef SPANTAP_TESTS_ENCODERS_H
#define SPANTAP_TESTS_ENCODERS_H

#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"

#define ENCODER_PIECES 4 /* members, frames or flushed pieces of a body */

enum encoder {
	ENCODE_NOT,
	ENCODE_GZIP,
	ENCODE_MEMBERS,
	ENCODE_ZLIB,
	ENCODE_RAW,
	ENCODE_BR,
	ENCODE_ZSTD,
	ENCODERS
};

static const struct {
	const char *name; /* as Content-Encoding has it */
	int window_bits;
} encoders[ENCODERS] = {
    [ENCODE_GZIP] = {"gzip", 15 + 16}, [ENCODE_MEMBERS] = {"x-gzip", 15 + 16},
    [ENCODE_ZLIB] = {"deflate", 15},   [ENCODE_RAW] = {"deflate", -15},
    [ENCODE_BR] = {"br", 0},           [ENCODE_ZSTD] = {"zstd", 0},
};

/* The pieces in which `body` is compressed: the i-th, at last the rest. */
static inline struct slice encoder_piece(struct slice body, int i)
{
	size_t each = body.n / ENCODER_PIECES;

	body = slice_from(body, each * (size_t)i);
	return i < ENCODER_PIECES - 1 ? slice_of(body.p, each) : body;
}

static inline void encode_zlib_piece(struct buf *out, z_stream *z, struct slice in, int flush)
{
	z->next_in = (Bytef *)in.p;
	z->avail_in = (uInt)in.n;
	do {
		buf_reserve(out, 4096);
		z->next_out = (Bytef *)out->p + out->n;
		z->avail_out = (uInt)(out->cap - out->n);
		uInt room = z->avail_out;

		if (deflate(z, flush) == Z_STREAM_ERROR)
			abort();
		out->n += room - z->avail_out;
	} while (z->avail_out == 0);
}

static inline void encode_zlib(struct buf *out, struct slice body, enum encoder how)
{
	for (int i = 0; i < ENCODER_PIECES;) {
		z_stream z = {0};

		if (deflateInit2(&z, 6, Z_DEFLATED, encoders[how].window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
			abort();
		for (; i < ENCODER_PIECES && how != ENCODE_MEMBERS; i++)
			encode_zlib_piece(out, &z, encoder_piece(body, i), Z_SYNC_FLUSH);
		if (how == ENCODE_MEMBERS)
			encode_zlib_piece(out, &z, encoder_piece(body, i++), Z_FINISH);
		else
			encode_zlib_piece(out, &z, SLICE(""), Z_FINISH);
		deflateEnd(&z);
	}
}

static inline void encode_br(struct buf *out, struct slice body)
{
	BrotliEncoderState *b = BrotliEncoderCreateInstance(NULL, NULL, NULL);

	BrotliEncoderSetParameter(b, BROTLI_PARAM_QUALITY, 4);
	for (int i = 0; i <= ENCODER_PIECES; i++) {
		struct slice in = i < ENCODER_PIECES ? encoder_piece(body, i) : SLICE("");
		BrotliEncoderOperation op =
		    i < ENCODER_PIECES ? BROTLI_OPERATION_FLUSH : BROTLI_OPERATION_FINISH;
		const uint8_t *p = (const uint8_t *)in.p;
		size_t n = in.n;

		do {
			size_t no_room = 0, got = 0;

			if (!BrotliEncoderCompressStream(b, op, &n, &p, &no_room, NULL, NULL))
				abort();
			const uint8_t *made = BrotliEncoderTakeOutput(b, &got);
			buf_add(out, made, got);
		} while (n || BrotliEncoderHasMoreOutput(b));
	}
	BrotliEncoderDestroyInstance(b);
}

static inline void encode_zstd(struct buf *out, struct slice body)
{
	for (int i = 0; i < ENCODER_PIECES; i++) {
		struct slice in = encoder_piece(body, i);

		buf_reserve(out, ZSTD_compressBound(in.n));
		size_t n = ZSTD_compress(out->p + out->n, out->cap - out->n, in.p, in.n, 3);
		if (ZSTD_isError(n))
			abort();
		out->n += n;
	}
}

static inline void encode_body(struct buf *body, enum encoder how)
{
	struct buf out = {0};

	if (how == ENCODE_BR)
		encode_br(&out, buf_slice(body));
	else if (how == ENCODE_ZSTD)
		encode_zstd(&out, buf_slice(body));
	else
		encode_zlib(&out, buf_slice(body), how);
	buf_release(body);
	*body = out;
}

#endif
