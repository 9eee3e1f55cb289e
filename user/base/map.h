/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map.h - a hash table from bytes to a pointer.
 *
 * Keys are copied; values belong to the caller.  Zero-filled is a valid empty
 * map.  The hash is seeded per process, so keys chosen by traffic cannot make
 * it slow.  During map_foreach the current element, and no other, may be
 * deleted; nothing may be added.
 */
#ifndef SPANTAP_MAP_H
#define SPANTAP_MAP_H

#include "base/slice.h"

struct map_entry {
	struct map_entry *next; /* in its bucket */
	void *value;
	uint64_t hash;
	uint32_t key_len;
	char key[];
};

struct map {
	struct map_entry **buckets;
	size_t n_buckets; /* power of two, or 0 */
	size_t n;
};

void *map_get(const struct map *m, const void *key, size_t key_len); /* NULL when absent */
/* Sets or replaces; returns the value replaced, or NULL. */
void *map_put(struct map *m, const void *key, size_t key_len, void *value);
void *map_del(struct map *m, const void *key, size_t key_len); /* returns the value, NULL when absent */
void map_release(struct map *m);

/* A walk over all entries, in no order. */
struct map_iter {
	size_t bucket;
	struct map_entry *next;
};

struct map_entry *map_step(const struct map *m, struct map_iter *it); /* NULL at the end */

#define map_foreach(m, e) \
	for (struct map_iter e##_it = {0, NULL}; (e = map_step((m), &e##_it)) != NULL;)

#endif
