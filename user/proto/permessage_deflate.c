/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/alloc.h"
#include "proto/permessage_deflate.h"

#define PIECE 16384 /* bytes inflated at a time */

/* zlib says in data_type that it stands between two blocks. */
#define BLOCK_END 128

struct pmd_inflater {
	z_stream z;
	bool final; /* the last byte taken ended a block marked as the last */
};

/* --- what was agreed -------------------------------------------------------- */

/* RFC 7692 7.1.2: 8 to 15, as a token or quoted. */
static int read_window_bits(struct slice value, uint8_t *ret)
{
	uint64_t bits;

	if (value.n > 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
		value = slice_of(value.p + 1, value.n - 2);
	if (!slice_u64(value, &bits) || bits < 8 || bits > MAX_WBITS)
		return -ENOTSUP;
	*ret = bits < 9 ? 9 : (uint8_t)bits;
	return 0;
}

static int read_parameter(struct slice s, struct pmd_agreed *ret)
{
	struct slice name;

	slice_cut(&s, '=', &name);
	name = slice_trim(name);
	s = slice_trim(s);
	if (slice_caseeq(name, SLICE("client_no_context_takeover")) && !s.p)
		ret->side[PMD_CLIENT].no_context_takeover = true;
	else if (slice_caseeq(name, SLICE("server_no_context_takeover")) && !s.p)
		ret->side[PMD_SERVER].no_context_takeover = true;
	else if (slice_caseeq(name, SLICE("client_max_window_bits")))
		return read_window_bits(s, &ret->side[PMD_CLIENT].window_bits);
	else if (slice_caseeq(name, SLICE("server_max_window_bits")))
		return read_window_bits(s, &ret->side[PMD_SERVER].window_bits);
	else
		return -ENOTSUP;
	return 0;
}

static int read_extension(struct slice s, struct pmd_agreed *ret)
{
	struct slice part;
	int err = 0;

	slice_cut(&s, ';', &part);
	part = slice_trim(part);
	if (!part.n)
		return 0;
	if (!slice_caseeq(part, SLICE("permessage-deflate")) || ret->on)
		return -ENOTSUP;
	ret->on = true;
	while (!err && slice_cut(&s, ';', &part))
		err = read_parameter(part, ret);
	return err;
}

int pmd_read(const struct http_headers *response, struct pmd_agreed *ret)
{
	struct pmd_agreed agreed = {.side = {{false, MAX_WBITS}, {false, MAX_WBITS}}};
	int err = 0;

	for (size_t i = 0; i < response->n && !err; i++) {
		struct slice list = response->v[i].value, one;

		if (!slice_caseeq(response->v[i].name, SLICE("sec-websocket-extensions")))
			continue;
		while (!err && slice_cut(&list, ',', &one))
			err = read_extension(one, &agreed);
	}
	if (!err)
		*ret = agreed;
	return err;
}

/* --- the messages ----------------------------------------------------------- */

struct pmd_inflater *pmd_inflater_new(unsigned window_bits)
{
	struct pmd_inflater *d = xcalloc(1, sizeof(*d));

	if (inflateInit2(&d->z, -(int)window_bits) != Z_OK) {
		free(d);
		return NULL;
	}
	return d;
}

void pmd_inflater_free(struct pmd_inflater *d)
{
	if (!d)
		return;
	inflateEnd(&d->z);
	free(d);
}

static void keep(struct buf *out, size_t max, const unsigned char *p, size_t n)
{
	size_t room = out->n < max ? max - out->n : 0;

	buf_add(out, p, n < room ? n : room);
}

/* RFC 7692 7.2.3.4: a block may be marked as the last; others follow, and may refer to what was before. */
static int next_block(struct pmd_inflater *d)
{
	return inflateResetKeep(&d->z) == Z_OK ? Z_OK : Z_DATA_ERROR;
}

static int inflate_some(struct pmd_inflater *d, struct slice in, struct buf *out, size_t max, uint64_t *made,
                        uint64_t made_max)
{
	unsigned char piece[PIECE];
	int r;

	d->z.next_in = (unsigned char *)in.p;
	d->z.avail_in = (unsigned)in.n;
	do {
		size_t n;

		d->z.next_out = piece;
		d->z.avail_out = PIECE;
		r = inflate(&d->z, Z_SYNC_FLUSH);
		n = PIECE - d->z.avail_out;
		*made += n;
		keep(out, max, piece, n);
		if (*made > made_max)
			return -E2BIG;
		d->final = r == Z_STREAM_END || (d->final && r == Z_BUF_ERROR);
		if (r == Z_STREAM_END)
			r = next_block(d);
	} while (r == Z_OK && (d->z.avail_in || !d->z.avail_out));
	return r == Z_OK || r == Z_BUF_ERROR ? 0 : -EBADMSG;
}

int pmd_inflate(struct pmd_inflater *d, struct slice in, bool ended, struct buf *out, size_t max,
                uint64_t *made, uint64_t made_max)
{
	int err = 0;

	while (in.n && !err) {
		size_t n = in.n < 1 << 30 ? in.n : 1 << 30;

		err = inflate_some(d, slice_of(in.p, n), out, max, made, made_max);
		in = slice_from(in, n);
	}
	if (err || !ended || d->final)
		return err;
	/* 7.2.2: the sender took these four bytes off; behind them a block ends, or bytes were missing. */
	err = inflate_some(d, SLICE("\x00\x00\xff\xff"), out, max, made, made_max);
	return err ? err : d->z.data_type & BLOCK_END ? 0 : -EBADMSG;
}
