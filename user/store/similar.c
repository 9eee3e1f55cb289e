/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "store/similar.h"

#define SLOTS       65536 /* 1 MiB of table: the anchors of 2 MiB of text that came last */
#define ANCHOR_BITS 5     /* of the hash that are 0 at an anchor: one byte in 32 */
#define LOOKED_AT   512   /* anchors of a text that are asked for, at its beginning */
#define CANDIDATES  8

struct similar {
	uint64_t gear[256]; /* random: texts cannot be made to collide */
	struct {
		uint32_t check;
		int64_t block;
	} slots[SLOTS];
};

struct similar *similar_new(void)
{
	struct similar *s = xcalloc(1, sizeof(*s));

	randombytes_buf(s->gear, sizeof(s->gear));
	return s;
}

void similar_free(struct similar *s)
{
	free(s);
}

/* The next anchor at or behind *at, which then stands behind it; false at the end. */
static bool next(const struct similar *s, struct slice text, size_t *at, uint64_t *h)
{
	while (*at < text.n) {
		*h = (*h << 1) + s->gear[(uint8_t)text.p[(*at)++]];
		if (*at >= 64 && *h >> (64 - ANCHOR_BITS) == 0)
			return true;
	}
	return false;
}

static size_t slot(uint64_t h)
{
	return (h * 0x9e3779b97f4a7c15) >> 48;
}

void similar_add(struct similar *s, struct slice text, int64_t block)
{
	uint64_t h = 0;

	for (size_t at = 0; next(s, text, &at, &h);) {
		s->slots[slot(h)].check = (uint32_t)h;
		s->slots[slot(h)].block = block;
	}
}

int64_t similar_find(const struct similar *s, struct slice text)
{
	struct {
		int64_t block;
		unsigned votes;
	} v[CANDIDATES] = {{0}};
	uint64_t h = 0;
	size_t best = 0, at = 0;

	for (unsigned seen = 0; seen < LOOKED_AT && next(s, text, &at, &h); seen++) {
		size_t k = slot(h), i = 0;

		if (s->slots[k].check != (uint32_t)h || !s->slots[k].block)
			continue;
		while (i < CANDIDATES && v[i].block && v[i].block != s->slots[k].block)
			i++;
		if (i == CANDIDATES)
			continue;
		v[i].block = s->slots[k].block;
		v[i].votes++;
		if (v[i].votes > v[best].votes)
			best = i;
	}
	return v[best].block;
}
