/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/map.h"
#include "sink/pods.h"

#define LABEL_MAX 253 /* of a name; a namespace has less */

struct pod {
	struct slice namespace, name;
};

struct pods {
	const char *dir;
	struct map by_uid;
	struct arena arena;
	uint64_t looked_at; /* boot ns; 0: never */
};

struct pods *pods_new(const char *dir)
{
	struct pods *p = xcalloc(1, sizeof(*p));

	p->dir = dir;
	return p;
}

static void forget(struct pods *p)
{
	map_release(&p->by_uid);
	arena_release(&p->arena);
}

/* NAMESPACE_NAME_UID */
static bool cut(struct slice rest, struct pod *ret, struct slice *ret_uid)
{
	return slice_cut(&rest, '_', &ret->namespace) && slice_cut(&rest, '_', &ret->name) &&
	       slice_cut(&rest, '_', ret_uid) && !rest.p && ret->namespace.n &&
	       ret->namespace.n <= LABEL_MAX && ret->name.n && ret->name.n <= LABEL_MAX && ret_uid->n &&
	       ret_uid->n <= 64;
}

static void look(struct pods *p)
{
	DIR *d = opendir(p->dir);
	struct dirent *e;

	forget(p);
	for (int n = 0; d && n < PODS_ENTRIES_MAX && p->by_uid.n < PODS_MAX && (e = readdir(d)); n++) {
		struct pod found;
		struct slice uid;

		if (!cut(slice_str(e->d_name), &found, &uid))
			continue;
		struct pod *pod = arena_alloc(&p->arena, sizeof(*pod));
		pod->namespace = arena_dup(&p->arena, found.namespace);
		pod->name = arena_dup(&p->arena, found.name);
		map_put(&p->by_uid, uid.p, uid.n, pod);
	}
	if (d)
		closedir(d);
}

void pods_name(struct pods *p, struct span *s, uint64_t now)
{
	const struct attr *uid = span_get(s, ATTR_K8S_POD_UID);

	if (!uid || !uid->str.n)
		return;
	const struct pod *pod = map_get(&p->by_uid, uid->str.p, uid->str.n);
	if (!pod && (!p->looked_at || now - p->looked_at > PODS_AGAIN_NS)) {
		p->looked_at = now;
		look(p);
		pod = map_get(&p->by_uid, uid->str.p, uid->str.n);
	}
	if (!pod)
		return;
	span_set_str(s, ATTR_K8S_NAMESPACE_NAME, pod->namespace);
	span_set_str(s, ATTR_K8S_POD_NAME, pod->name);
}

void pods_free(struct pods *p)
{
	if (!p)
		return;
	forget(p);
	free(p);
}
