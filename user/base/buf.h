/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - a growable run of bytes.
 *
 * Zero-filled is a valid empty buffer.  `p` may move with every call that
 * adds.  Running out of memory ends the process (alloc.h): every caller
 * bounds what it adds, so it means that the host is out of memory.
 */
#ifndef SPANTAP_BUF_H
#define SPANTAP_BUF_H

#include "base/slice.h"

struct buf {
	char *p;
	size_t n;   /* bytes in use */
	size_t cap; /* bytes allocated */
};

void buf_reserve(struct buf *b, size_t more); /* room for `more` bytes behind b->n */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_clear(struct buf *b);   /* empty, memory kept */
void buf_release(struct buf *b); /* empty, memory given back */

static inline void buf_addslice(struct buf *b, struct slice s)
{
	buf_add(b, s.p, s.n);
}

static inline struct slice buf_slice(const struct buf *b)
{
	return slice_of(b->p ? b->p : "", b->n);
}

/* NUL-terminated view; the NUL is not counted in b->n. */
const char *buf_str(struct buf *b);

#endif
