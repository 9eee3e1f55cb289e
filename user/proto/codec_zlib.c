/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/alloc.h"
#include "proto/codec.h"

enum state {
	BEGIN,  /* no byte seen */
	SECOND, /* deflate: the first byte is held, two tell zlib from raw */
	DATA,
	MEMBER_END, /* gzip: the end, or another member */
	END,
	BROKEN,
};

struct inflater {
	enum state state;
	bool gzip, inflating;
	unsigned char first;
	z_stream z;
	codec_out out;
	void *ctx;
};

static void *open_any(codec_out out, void *ctx, bool gzip)
{
	struct inflater *d = xcalloc(1, sizeof(*d));

	d->gzip = gzip;
	d->out = out;
	d->ctx = ctx;
	return d;
}

static void *gzip_open(codec_out out, void *ctx)
{
	return open_any(out, ctx, true);
}

static void *deflate_open(codec_out out, void *ctx)
{
	return open_any(out, ctx, false);
}

static void stop(struct inflater *d, enum state state)
{
	if (d->inflating)
		inflateEnd(&d->z);
	d->inflating = false;
	d->state = state;
}

static void start(struct inflater *d, int window_bits)
{
	d->state = BROKEN;
	if (inflateInit2(&d->z, window_bits) == Z_OK) {
		d->inflating = true;
		d->state = DATA;
	}
}

/* Inflates up to the end of the input or of the member; *s keeps what was not used. */
static void inflate_all(struct inflater *d, struct slice *s)
{
	unsigned char piece[CODEC_PIECE];
	bool wanted = true;
	int r;

	do {
		unsigned int n = s->n < UINT32_MAX ? (unsigned int)s->n : UINT32_MAX;

		d->z.next_in = (unsigned char *)s->p;
		d->z.avail_in = n;
		d->z.next_out = piece;
		d->z.avail_out = CODEC_PIECE;
		r = inflate(&d->z, Z_SYNC_FLUSH);
		*s = slice_from(*s, n - d->z.avail_in);
		if (d->z.avail_out < CODEC_PIECE)
			wanted = d->out(d->ctx, slice_of(piece, CODEC_PIECE - d->z.avail_out));
	} while (wanted && r == Z_OK && (s->n || !d->z.avail_out));
	if (!wanted || (r != Z_OK && r != Z_BUF_ERROR && r != Z_STREAM_END))
		stop(d, BROKEN);
	else if (r == Z_STREAM_END && d->gzip)
		d->state = MEMBER_END;
	else if (r == Z_STREAM_END)
		stop(d, END);
}

/* RFC 1950 2.2: method 8, window at most 32 KiB, the pair a multiple of 31. */
static bool is_zlib(unsigned char cmf, unsigned char flg)
{
	return (cmf & 15) == 8 && cmf >> 4 <= 7 && (cmf << 8 | flg) % 31 == 0;
}

static void second_byte(struct inflater *d, struct slice s)
{
	struct slice held = slice_of(&d->first, 1);

	start(d, is_zlib(d->first, (unsigned char)s.p[0]) ? MAX_WBITS : -MAX_WBITS);
	if (d->state == DATA)
		inflate_all(d, &held);
}

static void begin(struct inflater *d, struct slice *s)
{
	if (d->gzip) {
		start(d, MAX_WBITS + 16);
		return;
	}
	d->first = (unsigned char)s->p[0];
	d->state = SECOND;
	*s = slice_from(*s, 1);
}

/* What follows a gzip member and is none is padding, and ignored, as gzip(1) does. */
static void next_member(struct inflater *d, struct slice s)
{
	if (s.p[0] == 0x1f && inflateReset(&d->z) == Z_OK)
		d->state = DATA;
	else
		stop(d, END);
}

static int inflater_feed(void *codec, struct slice s)
{
	struct inflater *d = codec;

	while (s.n && d->state != BROKEN && d->state != END) {
		if (d->state == BEGIN)
			begin(d, &s);
		else if (d->state == SECOND)
			second_byte(d, s);
		else if (d->state == MEMBER_END)
			next_member(d, s);
		else
			inflate_all(d, &s);
	}
	return d->state == BROKEN ? -EBADMSG : 0;
}

static bool inflater_ended(const void *codec)
{
	const struct inflater *d = codec;

	return d->state == BEGIN || d->state == MEMBER_END || d->state == END;
}

static void inflater_close(void *codec)
{
	stop(codec, END);
	free(codec);
}

const struct codec codec_gzip = {gzip_open, inflater_feed, inflater_ended, inflater_close};
const struct codec codec_deflate = {deflate_open, inflater_feed, inflater_ended, inflater_close};
