/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes16.h - sixteen bytes compared at once (SSE2, NEON, or whatever the compiler makes of it).
 *
 *	bytes16 v = bytes16_at(p);
 *	unsigned quotes = bytes16_bits((bytes16)(v == '"'));   bit i: p[i] is one
 */
#ifndef SPANTAP_BYTES16_H
#define SPANTAP_BYTES16_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <stdint.h>
#include <string.h>

typedef uint8_t bytes16 __attribute__((vector_size(16)));

static inline bytes16 bytes16_at(const char *p)
{
	bytes16 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* A bit for each byte of `v`, which are 0 or 0xff. */
static inline uint64_t bytes16_bits(bytes16 v)
{
#ifdef __SSE2__
	return (unsigned)_mm_movemask_epi8((__m128i)v);
#else
	const bytes16 place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
	uint64_t sum = 0;

	v &= place;
	for (unsigned i = 0; i < 8; i++)
		sum |= (uint64_t)v[i] | (uint64_t)v[i + 8] << 8;
	return sum;
#endif
}

#endif
