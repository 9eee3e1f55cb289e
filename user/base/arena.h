/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that dies in one stroke with its owner.
 *
 * Zero-filled is a valid empty arena.  Allocations are 16-byte aligned and
 * never move.
 */
#ifndef SPANTAP_ARENA_H
#define SPANTAP_ARENA_H

#include "base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t bytes; /* allocated for the arena in all, for limits */
};

void *arena_alloc(struct arena *a, size_t n); /* zero-filled */
void *arena_take(struct arena *a, size_t n);  /* to be overwritten */
/* A copy of `s` in the arena, followed by a NUL; absent stays absent. */
struct slice arena_dup(struct arena *a, struct slice s);
void arena_release(struct arena *a);

/*
 * Grows array *(T **)array of *n elements (start with NULL and 0) by one and
 * returns the new element, zero-filled. Earlier elements may move.
 */
void *arena_push(struct arena *a, void *array, size_t *n, size_t size);

#endif
