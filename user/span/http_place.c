/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_place.c - HTTP requests, and which of them a tool call caused.
 *
 * A request is a tool's when the process that makes it is: it hangs below the
 * program that ran then (evidence lineage, as sure as the program's own place),
 * and waits for that to be placed.  The agent itself, and what it forked without
 * executing anything, may run a tool too, one that fetches: then the URL stands
 * among the arguments of an open call.  All others are the agent's own business
 * and no spans.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/http.h"
#include "span/assembler.h"

#define SLICES 5 /* of a request */

/* A request and its slices' bytes. */
struct http_record {
	struct ev_head head;
	struct http_request request;
	char bytes[];
};

/* One whose run is not placed yet. */
struct http_kept {
	struct http_record *rec;
	TAILQ_ENTRY(http_kept) next;
};

/* What ran last in a process that has ended. */
struct gone {
	struct ev_proc id;
	struct run *run;
	uint64_t at;
	TAILQ_ENTRY(gone) next;
};

/* Every slice of a request that is kept; protocol is static text. */
static void slices_of(struct http_request *r, struct slice *ret[static SLICES])
{
	struct slice *all[] = {&r->method, &r->url, &r->server_address, &r->user_agent, &r->traceparent};

	_Static_assert(sizeof(all) == SLICES * sizeof(all[0]), "SLICES");
	memcpy(ret, all, sizeof(all));
}

/* A copy that refers to its own bytes; it may be moved as long as its slices are set anew. */
static struct http_record *copy(const struct http_request *r, size_t *ret_size)
{
	struct http_request from = *r;
	struct slice *v[SLICES];
	size_t size = sizeof(struct http_record);

	slices_of(&from, v);
	for (size_t i = 0; i < SLICES; i++)
		size += v[i]->n;
	struct http_record *rec = xcalloc(1, size);
	char *at = rec->bytes;
	rec->head = (struct ev_head){.ts = r->end ? r->end : r->request_start};
	rec->request = *r;
	for (size_t i = 0; i < SLICES; i++) {
		memcpy(at, v[i]->n ? v[i]->p : "", v[i]->n);
		at += v[i]->n;
	}
	*ret_size = size;
	return rec;
}

static void point(struct http_record *rec)
{
	struct slice *v[SLICES];
	const char *at = rec->bytes;

	slices_of(&rec->request, v);
	for (size_t i = 0; i < SLICES; i++) {
		v[i]->p = v[i]->p ? at : NULL;
		at += v[i]->n;
	}
}

void http_keep(struct spans *sp, const struct http_request *r)
{
	size_t size;
	struct http_record *rec = copy(r, &size);

	reorder_record(&sp->reorder, HAPPENS_HTTP, &rec->head, size);
	free(rec);
}

/* ---- by lineage ---- */

static void emit_below(struct spans *sp, const struct run *run, const struct http_request *r)
{
	struct http_place place = {.trace = run->trace,
	                           .parent = run->id,
	                           .conversation = run->conversation,
	                           .process = run->process,
	                           .why = {"lineage", run->why.confidence}};

	if (run->in_tool && !run->dropped)
		emit_http(sp, r, &place);
}

void http_placed(struct spans *sp, struct run *r)
{
	struct http_kept *k;

	while ((k = TAILQ_FIRST(&r->requests))) {
		TAILQ_REMOVE(&r->requests, k, next);
		emit_below(sp, r, &k->rec->request);
		free(k->rec);
		free(k);
	}
}

static void wait_for(struct spans *sp, struct run *run, const struct http_request *r)
{
	struct http_kept *k = xcalloc(1, sizeof(*k));
	size_t size;

	k->rec = copy(r, &size);
	point(k->rec);
	TAILQ_INSERT_TAIL(&run->requests, k, next);
	runs_grow(sp, run, size + sizeof(*k));
}

void http_gone(struct spans *sp, const struct process *p, uint64_t ts)
{
	struct run *run = p->run ? p->run : p->parent_run;

	if (!run)
		return;
	struct gone *g = xcalloc(1, sizeof(*g));
	g->id = p->id;
	g->run = run_ref(run);
	g->at = ts;
	TAILQ_INSERT_TAIL(&sp->gone, g, next);
	sp->n_gone++;
	http_tick(sp, ts, false);
}

void http_tick(struct spans *sp, uint64_t now, bool all)
{
	struct gone *g;

	while ((g = TAILQ_FIRST(&sp->gone)) && (all || sp->n_gone > GONE_MAX || g->at + GONE_NS < now)) {
		TAILQ_REMOVE(&sp->gone, g, next);
		sp->n_gone--;
		run_unref(g->run);
		free(g);
	}
}

static struct run *run_of_gone(struct spans *sp, const struct ev_proc *id)
{
	struct gone *g;

	TAILQ_FOREACH_REVERSE(g, &sp->gone, gone_list, next)
	{
		if (g->id.tgid == id->tgid && g->id.start == id->start)
			return g->run;
	}
	return NULL;
}

/* What runs in the process, or ran last; NULL: not known. */
static struct run *run_of(struct spans *sp, const struct ev_proc *id)
{
	const struct process *p = process_find(&sp->processes, id);

	return !p ? run_of_gone(sp, id) : p->run ? p->run : p->parent_run;
}

void http_left_alone(struct spans *sp, const struct ev_proc *proc, uint64_t bytes)
{
	struct run *run = run_of(sp, proc);

	if (run)
		run->left_alone += bytes;
}

/* ---- by what the call says ---- */

/* The same address, up to a fragment, which is never sent, and the slash of an empty path. */
static bool same_url(struct slice text, struct slice url)
{
	struct slice whole = text;

	slice_cut(&whole, '#', &text);
	if (!slice_find(text, SLICE("://")))
		return false;
	return slice_eq(text, url) ||
	       (slice_ends(url, SLICE("/")) && slice_eq(text, slice_of(url.p, url.n - 1)));
}

static bool asks_for(const struct tool *t, const struct http_request *r)
{
	if (t->asked > r->request_start || (t->answered && t->answered < r->request_start))
		return false;
	for (size_t i = 0; i < t->n_strings; i++)
		if (same_url(t->strings[i], r->url))
			return true;
	return false;
}

/* Of several calls that ask for the same, one that nothing was fetched for, then the earlier. */
static struct tool *find_call(const struct process *agent, const struct http_request *r)
{
	struct tool *t, *best = NULL;
	unsigned looked_at = 0;

	TAILQ_FOREACH_REVERSE(t, &agent->tools, tool_list, in_agent)
	{
		if (++looked_at > CANDIDATES_MAX)
			break;
		if (asks_for(t, r) && (!best || t->requests <= best->requests))
			best = t;
	}
	return best;
}

static void emit_in_call(struct spans *sp, struct tool *t, const struct http_request *r)
{
	struct http_place place = {.trace = t->turn->trace,
	                           .parent = t->id,
	                           .conversation = t->turn->conversation->id,
	                           .process = t->agent,
	                           .why = {"url", 0.9}};

	t->requests++;
	t->started = t->started && t->started < r->request_start ? t->started : r->request_start;
	t->ended = t->ended > r->end ? t->ended : r->end;
	emit_http(sp, r, &place);
}

void http_take(struct spans *sp, struct ev_head *record)
{
	struct http_record *rec = (struct http_record *)(void *)record;
	const struct http_request *r = &rec->request;

	point(rec);
	struct process *agent = process_agent(process_find(&sp->processes, &r->conn.id.proc));
	struct run *run = run_of(sp, &r->conn.id.proc);
	bool itself = agent && (!run || run->agent != agent);
	struct tool *t = itself ? find_call(agent, r) : NULL;

	if (t)
		emit_in_call(sp, t, r);
	else if (run && run->placed)
		emit_below(sp, run, r);
	else if (run)
		wait_for(sp, run, r);
}
