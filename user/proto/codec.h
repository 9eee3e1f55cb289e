/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec.h - what a content coding is to the table in decode.c.
 *
 * A new coding is one file with one const struct codec, and one row.  A codec
 * hands out everything that can be decoded from the bytes it was given before
 * feed() returns, in pieces of at most CODEC_PIECE bytes, so that the output
 * does not depend on how the input was cut and a bomb fills no memory.  Of
 * broken data a beginning comes out, how long a one may depend on the cut.
 */
#ifndef SPANTAP_CODEC_H
#define SPANTAP_CODEC_H

#include "base/slice.h"

#define CODEC_PIECE 16384 /* bytes handed out at a time: what a compression bomb can make us hold */

/* false: no more is wanted, feed() returns -EBADMSG at once. */
typedef bool (*codec_out)(void *ctx, struct slice bytes);

struct codec {
	void *(*open)(codec_out out, void *ctx);
	/* 0, or -EBADMSG once the data is broken; then it is not called again. Never empty. */
	int (*feed)(void *codec, struct slice bytes);
	/* Whether the compressed data may end here (also where none came). */
	bool (*ended)(const void *codec);
	void (*close)(void *codec);
};

extern const struct codec codec_gzip, codec_deflate, codec_brotli, codec_zstd;

#endif
