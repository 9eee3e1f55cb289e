/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hpack.h - header blocks (RFC 7541) of one direction, also where some were missed.
 *
 * A block is cut into its representations, and each is given to nghttp2's
 * inflater, which keeps the dynamic table.  Entries of that table are numbered
 * from the newest, and an encoder evicts the oldest; so a table that was begun
 * in the middle, after missed blocks, holds the newest entries under their
 * right numbers, and every number beyond its end is an entry that was not seen.
 * What refers to one is left out and the block is `partial`: a field is given
 * rightly or not at all.  A name not seen that enters the table is replaced by
 * HPACK_UNSEEN, so that the numbers stay right.
 *
 * For the same reason the size of the table need not be known: an entry that we
 * evict too early is unknown later, one that we evict too late is never used.
 * What SETTINGS allow is therefore not followed, only what the encoder itself
 * says in a block (6.3), up to HPACK_TABLE_MAX.
 *
 * A number that is on no table while no block was missed and the table was
 * within HPACK_TABLE_MAX is an error of the encoder, or of our framing.
 */
#ifndef SPANTAP_HPACK_H
#define SPANTAP_HPACK_H

#include "proto/proto.h"

/* The largest dynamic table we keep. Browsers and Go allow 64 KiB, most others the default 4 KiB. */
#define HPACK_TABLE_MAX (64 * 1024)

#define HPACK_UNSEEN "?" /* no field name: '?' is no token (RFC 9110 5.6.2) */

struct nghttp2_hd_inflater;

/* Zero-filled: nothing was sent yet, the table is empty. */
struct hpack {
	struct nghttp2_hd_inflater *inflater;
	bool gaps; /* the encoder's table may hold entries that ours does not */
};

/* Slices live in the arena that was given; absent when not in the block. */
struct hpack_block {
	struct slice method, path, authority, protocol; /* pseudo-header fields; :scheme is not kept */
	uint16_t status;                                /* 0: none, or no three digits */
	struct http_headers fields;                     /* the others, in order */
	size_t bytes;                                   /* of the fields kept */
	bool partial;  /* fields are missing: they refer to blocks that were not seen */
	bool too_many; /* fields beyond PROTO_HEADERS_MAX or PROTO_HEAD_MAX were dropped */
};

/* 0, or -EBADMSG: not HPACK, *ret is empty and what the table held is forgotten. */
int hpack_decode(struct hpack *h, struct slice block, struct arena *arena, struct hpack_block *ret);
/* A block was missed, or may have been. */
void hpack_miss(struct hpack *h);
void hpack_release(struct hpack *h);

#endif
