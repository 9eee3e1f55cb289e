/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "span/memo.h"

struct memo_entry {
	struct keyed_hash at;
	struct memo_text text;
	TAILQ_ENTRY(memo_entry) lru;
};

#define OVERHEAD (sizeof(struct memo_entry) + sizeof(struct map_entry) + sizeof(struct keyed_hash) + 48)

void memo_init(struct memo *m)
{
	*m = (struct memo){.bytes = 0};
	TAILQ_INIT(&m->lru);
}

static void forget(struct memo *m, struct memo_entry *e)
{
	TAILQ_REMOVE(&m->lru, e, lru);
	map_del(&m->map, &e->at, sizeof(e->at));
	m->bytes -= e->text.n + OVERHEAD;
	free(e->text.text);
	free(e);
}

void memo_release(struct memo *m)
{
	struct memo_entry *e;

	while ((e = TAILQ_FIRST(&m->lru)))
		forget(m, e);
	map_release(&m->map);
}

const struct memo_text *memo_get(struct memo *m, const struct keyed_hash *at)
{
	struct memo_entry *e = map_get(&m->map, at, sizeof(*at));

	if (!e)
		return NULL;
	TAILQ_REMOVE(&m->lru, e, lru);
	TAILQ_INSERT_TAIL(&m->lru, e, lru);
	return &e->text;
}

void memo_put(struct memo *m, const struct keyed_hash *at, struct memo_text t)
{
	struct memo_entry *e = xcalloc(1, sizeof(*e));

	e->at = *at;
	e->text = t;
	map_put(&m->map, at, sizeof(*at), e);
	TAILQ_INSERT_TAIL(&m->lru, e, lru);
	m->bytes += t.n + OVERHEAD;
}

void memo_trim(struct memo *m)
{
	while (m->bytes > MEMO_BYTES_MAX)
		forget(m, TAILQ_FIRST(&m->lru));
}
