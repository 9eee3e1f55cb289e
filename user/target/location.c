/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "target/location.h"

#define CHUNK (64 * 1024)

struct finder {
	struct image *image;
	const struct literal *texts;
	size_t n;
	uint64_t low, high; /* all names begin between */
	struct locations *ret;
};

/* As it lies in memory, once the pointer is filled in. */
struct raw {
	uint64_t name, length;
	uint32_t line, column;
};

/* The text that ends at `end`; -1: none. */
static int text_ending(const struct finder *f, uint64_t end, uint64_t *ret_at)
{
	for (size_t t = 0; t < f->n; t++)
		for (unsigned i = 0; i < f->texts[t].n; i++)
			if (f->texts[t].at[i] + strlen(f->texts[t].text) == end) {
				*ret_at = f->texts[t].at[i];
				return (int)t;
			}
	return -1;
}

static void judge(struct finder *f, uint64_t at, const struct raw *raw)
{
	struct locations *ret = f->ret;
	uint64_t text_at;

	if (raw->name < f->low || raw->name > f->high || raw->length > LOCATION_NAME_MAX || raw->line == 0 ||
	    raw->line > 100000 || raw->column == 0 || raw->column > 1000)
		return;
	int text = text_ending(f, raw->name + raw->length, &text_at);
	if (text < 0 || ret->n == LOCATIONS_MAX || locations_at(ret, at))
		return;
	ret->v[ret->n++] = (struct location){at, text_at, raw->line, raw->column, (uint32_t)text};
}

/* Pointers in place. */
static void scan(struct finder *f, const struct image_range *range, uint8_t *chunk)
{
	for (uint64_t at = 0; at < range->size; at += CHUNK - sizeof(struct raw)) {
		size_t want = range->size - at < CHUNK ? range->size - at : CHUNK;

		if (!image_take(f->image, want) ||
		    f->image->code.read(f->image->code.ctx, range->addr + at, chunk, want) != (long)want)
			return;
		for (size_t i = 0; i + sizeof(struct raw) <= want; i += 8) {
			struct raw raw;

			memcpy(&raw, chunk + i, sizeof(raw));
			judge(f, range->addr + at + i, &raw);
		}
	}
}

/* A pointer that a relocation fills in. */
static void on_relative(void *ctx, uint64_t at, uint64_t to)
{
	struct finder *f = ctx;
	struct raw raw;

	if (to < f->low || to > f->high ||
	    f->image->code.read(f->image->code.ctx, at, &raw, sizeof(raw)) != (long)sizeof(raw))
		return;
	raw.name = to;
	judge(f, at, &raw);
}

void locations_find(struct image *image, const struct literal *texts, size_t n, struct locations *ret)
{
	struct finder f = {.image = image, .texts = texts, .n = n, .low = UINT64_MAX, .ret = ret};
	struct image_range ranges[IMAGE_RANGES_MAX];
	size_t n_ranges = image_pointers(image, ranges);

	ret->n = 0;
	for (size_t t = 0; t < n; t++)
		for (unsigned i = 0; i < texts[t].n; i++) {
			uint64_t at = texts[t].at[i];

			f.low = at - LOCATION_NAME_MAX < f.low ? at - LOCATION_NAME_MAX : f.low;
			f.high = at > f.high ? at : f.high;
		}
	uint8_t *chunk = xmalloc(CHUNK);
	for (size_t i = 0; i < n_ranges; i++)
		scan(&f, &ranges[i], chunk);
	free(chunk);
	image_each_relative(image, on_relative, &f);
}

const struct location *locations_at(const struct locations *all, uint64_t at)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->v[i].at == at)
			return &all->v[i];
	return NULL;
}
