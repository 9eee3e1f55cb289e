/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "target/literal.h"

#define CHUNK   (1024 * 1024)
#define OVERLAP 64 /* longer than every text that is looked for */

/* All places of one text that begin within the first `fresh` of n bytes. */
static void find_in_chunk(struct literal *l, const char *chunk, size_t n, size_t fresh, uint64_t addr)
{
	size_t len = strlen(l->text);
	const char *p = chunk;

	while (l->n < LITERAL_PLACES && (p = memmem(p, (size_t)(chunk + n - p), l->text, len)) &&
	       (size_t)(p - chunk) < fresh) {
		l->at[l->n++] = addr + (uint64_t)(p - chunk);
		p++;
	}
}

static void find_in_range(struct image *image, const struct image_range *r, char *chunk, struct literal *v,
                          size_t n)
{
	for (uint64_t at = 0; at < r->size; at += CHUNK - OVERLAP) {
		size_t want = r->size - at < CHUNK ? r->size - at : CHUNK;

		if (!image_take(image, want) ||
		    image->code.read(image->code.ctx, r->addr + at, chunk, want) != (long)want)
			return;
		for (size_t i = 0; i < n; i++)
			find_in_chunk(&v[i], chunk, want, want < CHUNK ? want : CHUNK - OVERLAP,
			              r->addr + at);
	}
}

void literal_find(struct image *image, struct literal *v, size_t n)
{
	struct image_range ranges[IMAGE_RANGES_MAX];
	size_t n_ranges = image_constants(image, ranges);
	char *chunk = xmalloc(CHUNK);

	for (size_t i = 0; i < n_ranges; i++)
		find_in_range(image, &ranges[i], chunk, v, n);
	free(chunk);
}

uint64_t literal_string(const struct code *code, uint64_t at, char ret[LITERAL_SIZE])
{
	char around[2 * LITERAL_SIZE];
	uint64_t from = at > LITERAL_SIZE ? at - LITERAL_SIZE : 0;
	long n = code->read(code->ctx, from, around, sizeof(around));
	size_t first = at - from;

	if (n <= (long)first)
		return 0;
	while (first > 0 && around[first - 1] >= ' ' && around[first - 1] <= '~')
		first--;
	size_t len = strnlen(around + first, (size_t)n - first);
	if ((first == 0 && from) || len >= LITERAL_SIZE || len == (size_t)n - first)
		return 0;
	memcpy(ret, around + first, len + 1);
	return from + first;
}
