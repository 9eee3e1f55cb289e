/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/map.h"
#include "probe/scan.h"

/* One pass over the processes of the host. */
struct pass {
	struct arena arena;
	struct process_facts **v; /* by start: parents are older than their children */
	size_t n, cap;
	struct map chosen; /* struct id -> struct process_facts */
	struct map fresh;  /* of these: those that were not followed before */
};

struct id {
	uint64_t start, tgid;
};

struct scan {
	struct loader *loader;
	const struct selection *selection;
	uint64_t ts;
	const struct scan_events *events;
	void *ctx;
};

static bool has(const struct map *m, const struct ev_proc *p)
{
	struct id id = {p->start, p->tgid};

	return map_get(m, &id, sizeof(id)) != NULL;
}

static void put(struct map *m, const struct ev_proc *p, void *value)
{
	struct id id = {p->start, p->tgid};

	map_put(m, &id, sizeof(id), value);
}

static void keep(void *ctx, const struct process_facts *f)
{
	struct pass *p = ctx;

	xgrow(&p->v, &p->cap, p->n + 1, sizeof(struct process_facts *));
	p->v[p->n] = arena_alloc(&p->arena, f->size);
	memcpy(p->v[p->n++], f, f->size);
}

static int by_start(const void *a, const void *b)
{
	const struct ev_proc *x = &(*(struct process_facts *const *)a)->exec.proc;
	const struct ev_proc *y = &(*(struct process_facts *const *)b)->exec.proc;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->tgid < y->tgid ? -1 : x->tgid > y->tgid;
}

static void pass_release(struct pass *p)
{
	map_release(&p->chosen);
	map_release(&p->fresh);
	free(p->v);
	arena_release(&p->arena);
}

static bool is_ours(const struct self *self, const struct process_facts *f)
{
	return f->exec.proc.tgid == self->tgid || f->parent.tgid == self->tgid;
}

static bool is_chosen(const struct scan *s, const struct pass *p, const struct process_facts *f)
{
	const struct self *self = loader_self(s->loader);

	return !is_ours(self, f) && (has(&p->chosen, &f->parent) || select_matches(s->selection, self, f) ||
	                             loader_follows(s->loader, &f->exec.proc));
}

/* Follows what is chosen. */
static int follow(struct scan *s, struct pass *p)
{
	int err = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct process_facts *f = p->v[i];
		int e;

		if (!is_chosen(s, p, f))
			continue;
		put(&p->chosen, &f->exec.proc, f);
		if (loader_follows(s->loader, &f->exec.proc))
			continue;
		e = loader_follow(s->loader, &f->exec.proc);
		if (e) {
			err = e;
			continue;
		}
		put(&p->fresh, &f->exec.proc, f);
		s->events->followed(s->ctx, f);
	}
	return err;
}

/*
 * Reports what a pass began to follow.  A process that had ended before it was
 * followed is not in the next pass, and has an entry that nobody else takes away.
 */
static void report(struct scan *s, struct pass *p, const struct pass *next)
{
	for (size_t i = 0; i < p->n; i++) {
		struct process_facts *f = p->v[i];

		if (!has(&p->fresh, &f->exec.proc))
			continue;
		if (next && !has(&next->chosen, &f->exec.proc) && loader_unfollow(s->loader, &f->exec.proc))
			continue;
		f->exec.head.ts = s->ts;
		s->events->found(s->ctx, f);
	}
}

int scan_processes(struct loader *l, const struct selection *sel, const struct scan_events *ev, void *ctx)
{
	struct scan s = {.loader = l, .selection = sel, .ts = clock_boot_ns(), .events = ev, .ctx = ctx};
	struct pass last = {0};
	int err = 0, full = 0;

	for (int i = 0; !err && i < SCAN_PASSES_MAX && (i == 0 || last.fresh.n); i++) {
		struct pass now = {0};

		err = loader_each_process(l, keep, &now);
		qsort(now.v, now.n, sizeof(*now.v), by_start);
		int e = err ? 0 : follow(&s, &now);
		full = e ? e : full;
		report(&s, &last, err ? NULL : &now);
		pass_release(&last);
		last = now;
	}
	report(&s, &last, NULL);
	pass_release(&last);
	return err ? err : full;
}
