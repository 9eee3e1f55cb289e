/* SPDX-License-Identifier: Apache-2.0 */
/* number.h - numbers of variable length: 7 bits a byte, the low ones first, the top bit says that more
 * follow. */
#ifndef SPANTAP_NUMBER_H
#define SPANTAP_NUMBER_H

#include "base/buf.h"

static inline void number_put(struct buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_addc(out, (char)(v | 0x80));
	buf_addc(out, (char)v);
}

/* False when *in ends within the number or it is too large. */
static inline bool number_get(struct slice *in, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && in->n; shift += 7) {
		uint8_t c = (uint8_t)*in->p;

		*in = slice_from(*in, 1);
		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*ret = v;
			return shift < 63 || c <= 1;
		}
	}
	return false;
}

/* Small differences in both directions are small numbers. */
static inline uint64_t number_zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t number_unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
