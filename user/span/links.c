/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "span/links.h"

struct links *links_new(void)
{
	return xcalloc(1, sizeof(struct links));
}

void links_free(struct links *l)
{
	for (size_t i = 0; l && i < LINKS_MAX; i++)
		free(l->places[i].v);
	free(l);
}

/* NULL for a message without an id. */
static struct message_links *place(const struct links *l, const struct llm_message *m)
{
	static const struct keyed_hash none;
	size_t i;

	if (!l || memcmp(&m->id, &none, sizeof(none)) == 0)
		return NULL;
	memcpy(&i, &m->id, sizeof(i));
	return (struct message_links *)(uintptr_t)&l->places[i % LINKS_MAX];
}

const struct link *links_get(const struct links *l, const struct llm_message *m)
{
	const struct message_links *p = place(l, m);

	return p && p->v && memcmp(&p->id, &m->id, sizeof(p->id)) == 0 ? p->v : NULL;
}

void links_put(struct links *l, const struct llm_message *m, const struct link *v, size_t n)
{
	struct message_links *p = place(l, m);

	if (!p || n > LINKS_PARTS_MAX)
		return;
	free(p->v);
	p->id = m->id;
	p->v = xcalloc(n, sizeof(*p->v));
	if (n)
		memcpy(p->v, v, n * sizeof(*v));
}
