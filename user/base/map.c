/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/map.h"

static uint64_t seed;

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t m = (__uint128_t)(a ^ 0x9e3779b97f4a7c15ULL) * (b ^ 0xd1b54a32d192ed03ULL);

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t hash_of(const void *key, size_t n)
{
	const char *p = key;
	uint64_t h = seed ^ n;

	for (; n >= 8; p += 8, n -= 8) {
		uint64_t w;
		memcpy(&w, p, 8);
		h = mix(h, w);
	}
	uint64_t tail = 0;
	if (n)
		memcpy(&tail, p, n);
	return mix(h, tail);
}

static struct map_entry **slot(const struct map *m, const void *key, size_t key_len, uint64_t hash)
{
	struct map_entry **e = &m->buckets[hash & (m->n_buckets - 1)];

	while (*e && !((*e)->hash == hash && (*e)->key_len == key_len && memcmp((*e)->key, key, key_len) == 0))
		e = &(*e)->next;
	return e;
}

static void grow(struct map *m)
{
	size_t n_buckets = m->n_buckets ? m->n_buckets * 2 : 16;
	struct map_entry **buckets = xcalloc(n_buckets, sizeof(*buckets));

	for (size_t i = 0; i < m->n_buckets; i++) {
		struct map_entry *next;

		for (struct map_entry *e = m->buckets[i]; e; e = next) {
			next = e->next;
			struct map_entry **head = &buckets[e->hash & (n_buckets - 1)];
			e->next = *head;
			*head = e;
		}
	}
	free(m->buckets);
	m->buckets = buckets;
	m->n_buckets = n_buckets;
}

void *map_get(const struct map *m, const void *key, size_t key_len)
{
	if (m->n == 0)
		return NULL;

	struct map_entry *e = *slot(m, key, key_len, hash_of(key, key_len));
	return e ? e->value : NULL;
}

void *map_put(struct map *m, const void *key, size_t key_len, void *value)
{
	if (seed == 0 && getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uintptr_t)&seed ^ (uintptr_t)m;
	if (m->n >= m->n_buckets)
		grow(m);

	uint64_t hash = hash_of(key, key_len);
	struct map_entry **at = slot(m, key, key_len, hash);
	if (*at) {
		void *old = (*at)->value;
		(*at)->value = value;
		return old;
	}

	struct map_entry *e = xmalloc(sizeof(*e) + key_len);
	*e = (struct map_entry){.value = value, .hash = hash, .key_len = (uint32_t)key_len};
	memcpy(e->key, key, key_len);
	*at = e;
	m->n++;
	return NULL;
}

void *map_del(struct map *m, const void *key, size_t key_len)
{
	if (m->n == 0)
		return NULL;

	struct map_entry **at = slot(m, key, key_len, hash_of(key, key_len));
	struct map_entry *e = *at;
	if (!e)
		return NULL;
	void *value = e->value;
	*at = e->next;
	free(e);
	m->n--;
	return value;
}

void map_release(struct map *m)
{
	struct map_entry *e;

	map_foreach(m, e)
		free(e);
	free(m->buckets);
	*m = (struct map){0};
}

struct map_entry *map_step(const struct map *m, struct map_iter *it)
{
	while (!it->next && it->bucket < m->n_buckets)
		it->next = m->buckets[it->bucket++];

	struct map_entry *e = it->next;
	if (e)
		it->next = e->next;
	return e;
}
