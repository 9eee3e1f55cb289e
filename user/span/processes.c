/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "span/processes.h"

struct key {
	uint64_t start;
	uint32_t tgid, pad;
};

static struct key key_of(const struct ev_proc *id)
{
	return (struct key){.start = id->start, .tgid = id->tgid};
}

void processes_init(struct processes *ps)
{
	*ps = (struct processes){0};
	TAILQ_INIT(&ps->lru);
}

struct process *process_stale(struct processes *ps, const struct ev_proc *id)
{
	struct process *p = map_get(&ps->by_tgid, &id->tgid, sizeof(id->tgid));

	return p && p->id.start < id->start ? p : NULL;
}

struct process *process_surplus(struct processes *ps)
{
	return ps->n >= PROCESSES_MAX ? TAILQ_FIRST(&ps->lru) : NULL;
}

struct process *process_find(struct processes *ps, const struct ev_proc *id)
{
	struct key key = key_of(id);

	return map_get(&ps->by_id, &key, sizeof(key));
}

struct process *process_get(struct processes *ps, const struct ev_proc *id)
{
	struct key key = key_of(id);
	struct process *p = map_get(&ps->by_id, &key, sizeof(key));

	if (p) {
		TAILQ_REMOVE(&ps->lru, p, lru);
		TAILQ_INSERT_TAIL(&ps->lru, p, lru);
		return p;
	}
	p = xcalloc(1, sizeof(*p));
	p->id = *id;
	p->refs = 1;
	p->in_table = true;
	TAILQ_INIT(&p->held);
	TAILQ_INIT(&p->tools);
	map_put(&ps->by_id, &key, sizeof(key), p);
	struct process *same = map_get(&ps->by_tgid, &id->tgid, sizeof(id->tgid));
	if (!same || same->id.start < id->start)
		map_put(&ps->by_tgid, &id->tgid, sizeof(id->tgid), p);
	TAILQ_INSERT_TAIL(&ps->lru, p, lru);
	ps->n++;
	return p;
}

/* Dead processes between `p` and the next live one or agent have no more to say. */
static void shorten(struct process *p)
{
	while (p->parent && p->parent->dead && !p->parent->is_agent) {
		struct process *gone = p->parent;

		p->parent = gone->parent ? process_ref(gone->parent) : NULL;
		process_unref(gone);
	}
}

static bool descends(const struct process *p, const struct process *from)
{
	while (p && p != from)
		p = p->parent;
	return p != NULL;
}

void process_fork(struct process *parent, struct process *child)
{
	if (child->parent || descends(parent, child))
		return;
	shorten(parent);
	child->parent_pid = parent->id.pid ? parent->id.pid : parent->id.tgid;
	if (!child->exe[0])
		memcpy(child->exe, parent->exe, sizeof(child->exe));
	if (!child->container[0])
		memcpy(child->container, parent->container, sizeof(child->container));
	if (!child->pod[0])
		memcpy(child->pod, parent->pod, sizeof(child->pod));
	if (parent->depth >= LINEAGE_DEPTH_MAX)
		return;
	child->parent = process_ref(parent);
	child->depth = parent->parent ? parent->parent->depth + 2 : 1;

	struct run *above = parent->run ? parent->run : parent->parent_run;
	child->parent_run = above ? run_ref(above) : NULL;
}

void process_found(struct process *p, const struct ev_exec *rec)
{
	if (p->n_execs)
		return;
	exec_name(rec, p->exe, sizeof(p->exe));
	if (!rec->cgroup)
		return;
	cgroup_container(rec, p->container);
	cgroup_pod(rec, p->pod);
}

void process_end(struct processes *ps, struct process *p)
{
	struct key key = key_of(&p->id);

	p->dead = true;
	if (!p->in_table)
		return;
	p->in_table = false;
	map_del(&ps->by_id, &key, sizeof(key));
	if (map_get(&ps->by_tgid, &p->id.tgid, sizeof(p->id.tgid)) == p)
		map_del(&ps->by_tgid, &p->id.tgid, sizeof(p->id.tgid));
	TAILQ_REMOVE(&ps->lru, p, lru);
	ps->n--;
	run_unref(p->run); /* which refers to p */
	p->run = NULL;
	process_unref(p);
}

struct process *process_ref(struct process *p)
{
	p->refs++;
	return p;
}

void process_unref(struct process *p)
{
	while (p && --p->refs == 0) {
		struct process *parent = p->parent;

		run_unref(p->parent_run);
		run_unref(p->run);
		free(p);
		p = parent;
	}
}

struct process *process_agent(struct process *p)
{
	while (p && !p->is_agent)
		p = p->parent;
	return p;
}

void processes_release(struct processes *ps)
{
	while (!TAILQ_EMPTY(&ps->lru))
		process_end(ps, TAILQ_FIRST(&ps->lru));
	map_release(&ps->by_id);
	map_release(&ps->by_tgid);
}

static struct slice base_name(struct slice path)
{
	const char *p = path.n ? memrchr(path.p, '/', path.n) : NULL;

	return p ? slice_from(path, (size_t)(p + 1 - path.p)) : path;
}

void exec_name(const struct ev_exec *rec, char *ret, size_t size)
{
	struct slice rest = slice_of(rec->data, rec->argv_len), name = rest;

	slice_cut(&rest, '\0', &name);
	name = base_name(name);
	if (name.n == 0)
		name = slice_of(rec->comm, strnlen(rec->comm, sizeof(rec->comm)));
	if (name.n >= size)
		name.n = size - 1;
	memcpy(ret, name.p, name.n);
	ret[name.n] = '\0';
}

static void read_argv(struct run *r, struct slice data)
{
	struct slice rest = arena_dup(&r->arena, data), arg;

	while (rest.n && slice_cut(&rest, '\0', &arg))
		*(struct slice *)arena_push(&r->arena, &r->argv, &r->n_argv, sizeof(arg)) = arg;
	r->bare = arena_alloc(&r->arena, (r->n_argv + 1) * sizeof(*r->bare));
	for (size_t i = 0; i < r->n_argv; i++)
		r->bare[i] = without_quoting(&r->arena, r->argv[i]);
}

/* Components come innermost first. */
static struct slice read_cwd(struct arena *a, struct slice data, bool cut)
{
	struct slice parts[EV_CWD_DEPTH], rest = data;
	struct buf b = {0};
	size_t n = 0;

	while (rest.n && n < EV_CWD_DEPTH && slice_cut(&rest, '\0', &parts[n]))
		n++;
	if (cut)
		buf_adds(&b, "…");
	while (n) {
		buf_addc(&b, '/');
		buf_addslice(&b, parts[--n]);
	}
	if (b.n == 0)
		buf_addc(&b, '/');

	struct slice s = arena_dup(a, buf_slice(&b));
	buf_release(&b);
	return s;
}

struct run *run_new(struct process *p, struct process *agent, const struct ev_exec *rec, struct span_id id)
{
	struct run *r = xcalloc(1, sizeof(*r));
	struct run *above = p->parent_run;

	r->refs = 1;
	TAILQ_INIT(&r->requests);
	r->id = id;
	r->process = process_ref(p);
	r->agent = agent ? process_ref(agent) : NULL;
	r->prev = p->run ? run_ref(p->run) : NULL;
	/* Runs of the agent itself, and above it, are another tree. */
	r->parent = above && above->process != agent ? run_ref(above) : NULL;
	r->start = rec->head.ts;
	r->bytes = sizeof(*r) + 2 * rec->argv_len + rec->cwd_len + rec->cgroup_len + 4096;
	read_argv(r, slice_of(rec->data, rec->argv_len));
	r->cwd = read_cwd(&r->arena, slice_of(rec->data + rec->argv_len, rec->cwd_len),
	                  rec->flags & EV_EXEC_CWD_CUT);
	r->cgroup = cgroup_path(&r->arena, rec);
	if (p->container[0])
		r->container = arena_dup(&r->arena, slice_str(p->container));
	if (p->pod[0])
		r->pod = arena_dup(&r->arena, slice_str(p->pod));
	r->uid = rec->uid;
	r->gid = rec->gid;
	return r;
}

struct run *run_ref(struct run *r)
{
	r->refs++;
	return r;
}

void run_unref(struct run *r)
{
	while (r && --r->refs == 0) {
		struct run *parent = r->parent;

		if (r->prev)
			run_unref(r->prev);
		process_unref(r->process);
		process_unref(r->agent);
		arena_release(&r->arena);
		free(r);
		r = parent;
	}
}
