/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/arena.h"

#define BLOCK 4000

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	_Alignas(16) char data[];
};

/* `zero`: also where the memory is fresh from malloc(). */
static void *take(struct arena *a, size_t n, bool zero)
{
	n = (n + 15) & ~(size_t)15;

	struct arena_block *b = a->head;
	if (!b || b->cap - b->used < n) {
		size_t cap = n > BLOCK ? n : BLOCK;

		/* A block of its own, which is overwritten at once, need not be cleared. */
		if (zero || n < BLOCK) {
			b = xcalloc(1, sizeof(*b) + cap);
		} else {
			b = xmalloc(sizeof(*b) + cap);
			b->used = 0;
		}
		b->cap = cap;
		a->bytes += cap;
		/* A large allocation does not hide the room left in the block before it. */
		if (a->head && n > BLOCK / 2) {
			b->next = a->head->next;
			a->head->next = b;
		} else {
			b->next = a->head;
			a->head = b;
		}
	}

	void *p = b->data + b->used;
	b->used += n;
	return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
	return take(a, n, true);
}

void *arena_take(struct arena *a, size_t n)
{
	return take(a, n, false);
}

struct slice arena_dup(struct arena *a, struct slice s)
{
	if (!s.p)
		return s;

	char *p = take(a, s.n + 1, false);
	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return slice_of(p, s.n);
}

void arena_release(struct arena *a)
{
	struct arena_block *next;

	for (struct arena_block *b = a->head; b; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct arena){0};
}

void *arena_push(struct arena *a, void *array, size_t *n, size_t size)
{
	char **p = array;

	/* Full at every power of two from 4 on: no capacity needs to be stored. */
	if (*n == 0 || (*n >= 4 && (*n & (*n - 1)) == 0)) {
		char *grown = arena_alloc(a, (*n ? *n * 2 : 4) * size);
		if (*n)
			memcpy(grown, *p, *n * size);
		*p = grown;
	}
	return *p + (*n)++ * size;
}
