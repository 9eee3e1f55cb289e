/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head.h - the head of an HTTP/1 message: collected, found, parsed.
 *
 * A head is collected in one piece (its slices then need no stitching), at
 * most PROTO_HEAD_MAX bytes, and parsed by llhttp when the empty line is
 * there.  While it is collected, each line is checked just enough to refuse
 * what cannot be a head at once:
 *
 *   METHOD SP target SP HTTP/1.x LF      or  HTTP/1.x SP NNN ... LF
 *   name: value LF | SP folded LF        CR before LF is optional
 *
 * so that head_find() can search for a head in bytes of any kind, in linear
 * time and with the same result for every cut.
 */
#ifndef SPANTAP_HEAD_H
#define SPANTAP_HEAD_H

#include "base/buf.h"
#include "proto/proto.h"

enum head_kind { HEAD_REQUEST = 1, HEAD_RESPONSE = 2, HEAD_ANY = 3 };

/* Zero-filled is an empty collector. */
struct head {
	struct buf bytes;
	uint64_t offset, ts; /* of bytes.p[0]; kept by the caller in head_take(), by us in head_find() */
	uint8_t kinds;       /* enum head_kind: what it may still be */
	uint8_t phase;       /* private: where in the start line */
	uint8_t at;          /* private: where in a fixed word */
	uint32_t line;       /* private: where the last line begins */
	uint32_t resume;     /* after HEAD_REFUSED: bytes before this one begin no head */
};

enum head_result { HEAD_MORE, HEAD_COMPLETE, HEAD_REFUSED };

/* The beginning of a start line: DETECT-like, returns the kinds (of `kinds`) it may be; *ret_sure: is, not
 * may be. */
unsigned head_prefix(struct slice s, unsigned kinds, bool *ret_sure);

void head_begin(struct head *h, unsigned kinds, uint64_t ts, uint64_t offset);
/* Takes bytes off *in until the head is complete, refused, or *in is empty. */
enum head_result head_take(struct head *h, struct slice *in);
/*
 * Searches for a head, first in what is left behind h->resume of a refused one,
 * then in *in, the first byte of which is at `offset`.  HEAD_MORE when *in is
 * used up, HEAD_COMPLETE with the head in h.
 */
enum head_result head_find(struct head *h, unsigned kinds, uint64_t ts, uint64_t offset, struct slice *in);
void head_release(struct head *h);

/* A parsed head. Slices point into the bytes that were parsed. */
struct head_parsed {
	enum head_kind kind;
	struct slice method, target;
	uint16_t status;
	uint8_t minor; /* HTTP/1.minor */
	bool chunked;  /* Transfer-Encoding ends in chunked */
	bool coded;    /* a transfer coding other than chunked is applied */
	bool has_length;
	bool too_many;     /* fields beyond PROTO_HEADERS_MAX were dropped */
	bool last_extends; /* private: the last value is still growing */
	uint64_t length;
	struct http_header v[PROTO_HEADERS_MAX];
	size_t n;
	const char *why; /* static text when refused */
};

/* 0, or -EBADMSG with ret->why. */
int head_parse(const struct head *h, struct head_parsed *ret);
/* Copies the head into `arena` and makes *ret (with its slices) point there. */
/*
 * The collected bytes are a trailer section: field lines and an empty one. Its
 * fields into `arena`; false when not all of it is a field, or there are too many.
 */
bool head_keep_trailers(const struct head *h, struct arena *arena, struct http_headers *ret);
void head_keep(const struct head *h, struct arena *arena, struct head_parsed *p, struct http_headers *ret);

#endif
