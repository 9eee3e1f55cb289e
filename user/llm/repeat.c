/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/repeat.h"

struct repeated {
	struct keyed_hash id;
	unsigned refs;
	size_t bytes;
	struct llm_message message;
	struct arena arena;
	TAILQ_ENTRY(repeated) lru;
};

void repeats_init(struct repeats *r)
{
	*r = (struct repeats){.bytes = 0};
	TAILQ_INIT(&r->lru);
}

void repeat_unref(struct repeated *m)
{
	if (--m->refs)
		return;
	arena_release(&m->arena);
	free(m);
}

static void forget(struct repeats *r, struct repeated *m)
{
	TAILQ_REMOVE(&r->lru, m, lru);
	map_del(&r->map, &m->id, sizeof(m->id));
	r->bytes -= m->bytes;
	repeat_unref(m);
}

void repeats_release(struct repeats *r)
{
	struct repeated *m;

	while ((m = TAILQ_FIRST(&r->lru)))
		forget(r, m);
	map_release(&r->map);
}

static struct repeated *find(struct repeats *r, const struct keyed_hash *id)
{
	struct repeated *m = map_get(&r->map, id, sizeof(*id));

	if (m) {
		TAILQ_REMOVE(&r->lru, m, lru);
		TAILQ_INSERT_TAIL(&r->lru, m, lru);
	}
	return m;
}

static struct llm_message copy(struct arena *a, const struct llm_message *from)
{
	struct llm_message m = *from;

	m.role = arena_dup(a, from->role);
	m.finish_reason = arena_dup(a, from->finish_reason);
	m.parts = arena_alloc(a, (from->n_parts + 1) * sizeof(*m.parts));
	for (size_t i = 0; i < from->n_parts; i++) {
		m.parts[i] = from->parts[i];
		m.parts[i].id = arena_dup(a, from->parts[i].id);
		m.parts[i].name = arena_dup(a, from->parts[i].name);
		m.parts[i].text = arena_dup(a, from->parts[i].text);
	}
	return m;
}

static void remember(struct repeats *r, const struct llm_message *message)
{
	struct repeated *m;

	if (map_get(&r->map, &message->id, sizeof(message->id)))
		return; /* twice in one request */
	m = xcalloc(1, sizeof(*m));
	m->id = message->id;
	m->refs = 1;
	m->message = copy(&m->arena, message);
	m->bytes = sizeof(*m) + m->arena.bytes;
	map_put(&r->map, &m->id, sizeof(m->id), m);
	TAILQ_INSERT_TAIL(&r->lru, m, lru);
	r->bytes += m->bytes;
	while (r->bytes > REPEAT_BYTES_MAX)
		forget(r, TAILQ_FIRST(&r->lru));
}

static struct keyed_hash id_of(const struct piece *p, const char *api)
{
	/* A hash of a hash under a random key: equal where element and row are. */
	struct keyed_hash id = p->hash;
	uint64_t row = (uint64_t)(uintptr_t)api * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = 0; i < sizeof(row); i++)
		id.b[i] ^= (uint8_t)(row >> 8 * i);
	return id;
}

struct repeat repeat_find(struct repeats *r, struct llm_call *call, const char *api, const char *list)
{
	const struct pieces *p = &call->pieces;
	struct repeat rep = {.first = 0};

	while (list && rep.first < p->n && strcmp(p->v[rep.first].list, list) != 0)
		rep.first++;
	while (list && rep.first + rep.n < p->n && strcmp(p->v[rep.first + rep.n].list, list) == 0)
		rep.n++;
	rep.ids = arena_alloc(&call->arena, (rep.n + 1) * sizeof(*rep.ids));
	rep.known = arena_alloc(&call->arena, (rep.n + 1) * sizeof(*rep.known));
	for (size_t i = 0; i < rep.n; i++) {
		const struct piece *piece = &p->v[rep.first + i];

		rep.ids[i] = id_of(piece, api);
		if (i + 1 == rep.n || piece->to - piece->from < REPEAT_MIN)
			continue;
		rep.known[i] = find(r, &rep.ids[i]);
		if (rep.known[i]) {
			rep.known[i]->refs++;
			rep.n_known++;
		}
	}
	call->repeated = rep.known;
	call->n_repeated = rep.n;
	return rep;
}

void repeat_cut(const struct repeat *rep, const struct llm_call *call, struct slice body, struct buf *out)
{
	const struct piece *v = call->pieces.v + rep->first;
	size_t at = 0;

	/* What goes takes the comma behind it along: the last element stays. */
	for (size_t i = 0; i < rep->n; i++) {
		if (!rep->known[i])
			continue;
		buf_add(out, body.p + at, v[i].from - at);
		at = v[i + 1].from;
	}
	buf_addslice(out, slice_from(body, at));
}

bool repeat_join(struct repeats *r, const struct repeat *rep, struct llm_call *call)
{
	struct llm_messages read = call->input;
	size_t next = 0;

	if (read.n + rep->n_known != rep->n)
		return false;
	if (rep->n_known)
		call->input.v = arena_alloc(&call->arena, rep->n * sizeof(*call->input.v));
	call->input.n = rep->n;
	for (size_t i = 0; i < rep->n; i++) {
		const struct piece *piece = &call->pieces.v[rep->first + i];
		struct llm_message *m = &call->input.v[i];

		*m = rep->known[i] ? rep->known[i]->message : read.v[next++];
		m->id = rep->ids[i];
		if (!rep->known[i] && piece->to - piece->from >= REPEAT_MIN)
			remember(r, m);
	}
	return true;
}
