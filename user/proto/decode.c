/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/alloc.h"
#include "proto/decode.h"

#define PIECE 16384 /* bytes handed out at a time: what a compression bomb can make us hold */

enum format {
	IDENTITY,
	GZIP,
	DEFLATE, /* zlib or raw: the first two bytes tell */
};

enum state {
	BEGIN,  /* no byte seen */
	SECOND, /* DEFLATE: the first byte is held */
	DATA,
	MEMBER_END, /* GZIP: the end, or another member */
	END,
	BROKEN,
};

struct decoder {
	enum format format;
	enum state state;
	bool inflating;
	unsigned char first;
	z_stream z;
	decoder_out out;
	void *ctx;
};

static const struct encoding {
	struct slice name;
	enum format format;
} encodings[] = {
    {{"", 0}, IDENTITY},   {{"identity", 8}, IDENTITY}, {{"gzip", 4}, GZIP},
    {{"x-gzip", 6}, GZIP}, {{"deflate", 7}, DEFLATE},
};

struct decoder *decoder_new(struct slice content_encoding, decoder_out out, void *ctx)
{
	struct slice name = slice_trim(content_encoding);

	for (size_t i = 0; i < sizeof(encodings) / sizeof(*encodings); i++) {
		if (slice_caseeq(name, encodings[i].name)) {
			struct decoder *d = xcalloc(1, sizeof(*d));

			d->format = encodings[i].format;
			d->out = out;
			d->ctx = ctx;
			return d;
		}
	}
	return NULL;
}

static void stop(struct decoder *d, enum state state)
{
	if (d->inflating)
		inflateEnd(&d->z);
	d->inflating = false;
	d->state = state;
}

static void start(struct decoder *d, int window_bits)
{
	d->state = BROKEN;
	if (inflateInit2(&d->z, window_bits) == Z_OK) {
		d->inflating = true;
		d->state = DATA;
	}
}

/* Inflates up to the end of the input or of the member; *s keeps what was not used. */
static void inflate_all(struct decoder *d, struct slice *s)
{
	unsigned char piece[PIECE];
	int r;

	do {
		unsigned int n = s->n < UINT32_MAX ? (unsigned int)s->n : UINT32_MAX;

		d->z.next_in = (unsigned char *)s->p;
		d->z.avail_in = n;
		d->z.next_out = piece;
		d->z.avail_out = PIECE;
		r = inflate(&d->z, Z_SYNC_FLUSH);
		*s = slice_from(*s, n - d->z.avail_in);
		if (d->z.avail_out < PIECE)
			d->out(d->ctx, slice_of(piece, PIECE - d->z.avail_out));
	} while (r == Z_OK && (s->n || !d->z.avail_out));
	if (r == Z_STREAM_END && d->format == GZIP)
		d->state = MEMBER_END;
	else if (r == Z_STREAM_END)
		stop(d, END);
	else if (r != Z_OK && r != Z_BUF_ERROR)
		stop(d, BROKEN);
}

/* RFC 1950 2.2: method 8, window at most 32 KiB, the pair a multiple of 31. */
static bool is_zlib(unsigned char cmf, unsigned char flg)
{
	return (cmf & 15) == 8 && cmf >> 4 <= 7 && (cmf << 8 | flg) % 31 == 0;
}

static void second_byte(struct decoder *d, struct slice s)
{
	struct slice held = slice_of(&d->first, 1);

	start(d, is_zlib(d->first, (unsigned char)s.p[0]) ? MAX_WBITS : -MAX_WBITS);
	if (d->state == DATA)
		inflate_all(d, &held);
}

static void begin(struct decoder *d, struct slice *s)
{
	if (d->format == GZIP) {
		start(d, MAX_WBITS + 16);
		return;
	}
	d->first = (unsigned char)s->p[0];
	d->state = SECOND;
	*s = slice_from(*s, 1);
}

/* What follows a gzip member and is none is padding, and ignored, as gzip(1) does. */
static void next_member(struct decoder *d, struct slice s)
{
	if (s.p[0] == 0x1f && inflateReset(&d->z) == Z_OK)
		d->state = DATA;
	else
		stop(d, END);
}

int decoder_feed(struct decoder *d, struct slice s)
{
	if (d->format == IDENTITY) {
		if (s.n)
			d->out(d->ctx, s);
		return 0;
	}
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

int decoder_finish(struct decoder *d)
{
	return d->state == BEGIN || d->state == MEMBER_END || d->state == END ? 0 : -EBADMSG;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	stop(d, END);
	free(d);
}
