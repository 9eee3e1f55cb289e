/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>

#include "base/buf.h"
#include "proto/hpack.h"

/* How a representation begins: a pattern of bits, then an integer in the others (RFC 7541 6). */
enum kind { INDEXED, INCREMENTAL, TABLE_SIZE, NOT_INDEXED };

static const struct {
	uint8_t mask, pattern;
	int prefix; /* bits of the integer */
} kinds[] = {
    [INDEXED] = {0x80, 0x80, 7},
    [INCREMENTAL] = {0xc0, 0x40, 6},
    [TABLE_SIZE] = {0xe0, 0x20, 5},
    [NOT_INDEXED] = {0xe0, 0x00, 4}, /* 0000: without indexing, 0001: never indexed */
};

struct representation {
	enum kind kind;
	uint64_t number;    /* index, or table size */
	struct slice whole; /* its bytes */
	struct slice value; /* the value's string, encoded; absent for INDEXED and TABLE_SIZE */
};

/* An integer (RFC 7541 5.1); false when it is cut or beyond any use. */
static bool take_integer(struct slice *in, int prefix, uint64_t *ret)
{
	uint64_t max = (1u << prefix) - 1, n;

	if (!in->n)
		return false;
	n = (uint8_t)*in->p & max;
	*in = slice_from(*in, 1);
	for (unsigned shift = 0; n >= max; shift += 7) {
		uint8_t c;

		if (!in->n || shift > 28)
			return false;
		c = (uint8_t)*in->p;
		*in = slice_from(*in, 1);
		n += (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			break;
	}
	*ret = n;
	return true;
}

/* A string (RFC 7541 5.2) with its length. */
static bool take_string(struct slice *in, struct slice *ret)
{
	const char *begin = in->p;
	uint64_t n;

	if (!take_integer(in, 7, &n) || n > in->n)
		return false;
	*in = slice_from(*in, (size_t)n);
	*ret = slice_of(begin, (size_t)(in->p - begin));
	return true;
}

static bool take_representation(struct slice *in, struct representation *ret)
{
	const char *begin = in->p;
	struct slice name;
	int k = INDEXED;

	while (((uint8_t)*in->p & kinds[k].mask) != kinds[k].pattern)
		k++;
	*ret = (struct representation){.kind = (enum kind)k};
	if (!take_integer(in, kinds[k].prefix, &ret->number))
		return false;
	if (k == INCREMENTAL || k == NOT_INDEXED) {
		if (!ret->number && !take_string(in, &name))
			return false;
		if (!take_string(in, &ret->value))
			return false;
	}
	ret->whole = slice_of(begin, (size_t)(in->p - begin));
	return true;
}

/* --- fields ------------------------------------------------------------------ */

static void set_status(struct hpack_block *b, struct slice v)
{
	uint64_t status;

	if (v.n == 3 && slice_u64(v, &status))
		b->status = (uint16_t)status;
}

static void keep(struct hpack_block *b, struct arena *arena, const nghttp2_nv *nv)
{
	const struct {
		struct slice name, *to;
	} pseudo[] = {
	    {SLICE(":method"), &b->method},
	    {SLICE(":path"), &b->path},
	    {SLICE(":authority"), &b->authority},
	    {SLICE(":protocol"), &b->protocol},
	};
	struct slice name = slice_of(nv->name, nv->namelen), value = slice_of(nv->value, nv->valuelen);
	struct http_header *added;

	if (slice_eq(name, SLICE(HPACK_UNSEEN))) {
		b->partial = true;
		return;
	}
	if (b->fields.n == PROTO_HEADERS_MAX || b->bytes + name.n + value.n > PROTO_HEAD_MAX) {
		b->too_many = true;
		return;
	}
	b->bytes += name.n + value.n;
	for (size_t i = 0; i < sizeof(pseudo) / sizeof(*pseudo); i++) {
		if (slice_eq(name, pseudo[i].name)) {
			if (!pseudo[i].to->p)
				*pseudo[i].to = arena_dup(arena, value);
			return;
		}
	}
	if (slice_eq(name, SLICE(":status"))) {
		set_status(b, value);
	} else if (!slice_starts(name, SLICE(":"))) {
		added = arena_push(arena, &b->fields.v, &b->fields.n, sizeof(*added));
		*added = (struct http_header){arena_dup(arena, name), arena_dup(arena, value)};
	}
}

/* --- the inflater -------------------------------------------------------------- */

/* `out`: where the fields go; NULL for none. */
static int inflate(struct hpack *h, struct slice in, struct hpack_block *out, struct arena *arena)
{
	while (in.n) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t n = nghttp2_hd_inflate_hd2(h->inflater, &nv, &flags, (const uint8_t *)in.p, in.n, 0);

		if (n < 0 || (!n && !(flags & NGHTTP2_HD_INFLATE_EMIT)))
			return -EBADMSG;
		in = slice_from(in, (size_t)n);
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			keep(out, arena, &nv);
	}
	return 0;
}

static int set_table_size(struct hpack *h, uint64_t size)
{
	uint8_t b[8] = {0x3f};
	size_t n = 1;

	if (size > HPACK_TABLE_MAX) {
		size = HPACK_TABLE_MAX;
		h->gaps = true;
	}
	if (size < 31) {
		b[0] = (uint8_t)(0x20 | size);
	} else {
		for (size -= 31; size > 127; size >>= 7)
			b[n++] = (uint8_t)(0x80 | (size & 0x7f));
		b[n++] = (uint8_t)size;
	}
	return inflate(h, slice_of(b, n), NULL, NULL);
}

/* The name is on a place of the table that was not seen. */
static int insert_unseen(struct hpack *h, struct slice value, struct hpack_block *out, struct arena *arena)
{
	static const char literal[] = {0x40, sizeof(HPACK_UNSEEN) - 1, HPACK_UNSEEN[0]};
	int r = inflate(h, slice_of(literal, sizeof(literal)), out, arena);

	return r < 0 ? r : inflate(h, value, out, arena);
}

static int decode_one(struct hpack *h, const struct representation *r, struct hpack_block *out,
                      struct arena *arena)
{
	if (r->kind == TABLE_SIZE)
		return set_table_size(h, r->number);
	if (r->number <= nghttp2_hd_inflate_get_num_table_entries(h->inflater))
		return inflate(h, r->whole, out, arena);
	if (!h->gaps)
		return -EBADMSG;
	out->partial = true;
	return r->kind == INCREMENTAL ? insert_unseen(h, r->value, out, arena) : 0;
}

static void forget(struct hpack *h)
{
	if (h->inflater)
		nghttp2_hd_inflate_del(h->inflater);
	h->inflater = NULL;
}

/* Our table begins with the next block. Without a beginning its size is not known: the largest will do. */
static int begin(struct hpack *h)
{
	int r = 0;

	if (h->inflater)
		return 0;
	if (nghttp2_hd_inflate_new(&h->inflater) ||
	    nghttp2_hd_inflate_change_table_size(h->inflater, HPACK_TABLE_MAX))
		abort(); /* as base/alloc.h: no memory */
	if (h->gaps)
		r = set_table_size(h, HPACK_TABLE_MAX);
	nghttp2_hd_inflate_end_headers(h->inflater);
	return r;
}

int hpack_decode(struct hpack *h, struct slice block, struct arena *arena, struct hpack_block *ret)
{
	struct representation one;
	int r;

	*ret = (struct hpack_block){0};
	r = begin(h);
	while (!r && block.n) {
		r = -EBADMSG;
		if (take_representation(&block, &one))
			r = decode_one(h, &one, ret, arena);
	}
	if (r < 0) {
		hpack_miss(h);
		*ret = (struct hpack_block){.partial = true};
		return r;
	}
	nghttp2_hd_inflate_end_headers(h->inflater);
	return 0;
}

void hpack_miss(struct hpack *h)
{
	forget(h);
	h->gaps = true;
}

void hpack_release(struct hpack *h)
{
	forget(h);
}
