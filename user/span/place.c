/* SPDX-License-Identifier: Apache-2.0 */
#include "span/assembler.h"

static void release_held(struct spans *sp, struct run *r)
{
	if (!r->is_held)
		return;
	r->is_held = false;
	TAILQ_REMOVE(&r->agent->held, r, held);
	TAILQ_REMOVE(&sp->held, r, held_all);
	sp->held_bytes -= r->bytes;
	sp->stats.held_processes--;
	run_unref(r);
}

static void run_finish(struct spans *sp, struct run *r)
{
	if (!r->placed || !r->ended)
		return;
	if (!r->dropped)
		emit_run(sp, r);
	arena_release(&r->arena);
	r->argv = r->bare = NULL;
	r->n_argv = 0;
}

static void hold(struct spans *sp, struct run *r)
{
	run_ref(r);
	TAILQ_INSERT_TAIL(&r->agent->held, r, held);
	TAILQ_INSERT_TAIL(&sp->held, r, held_all);
	r->is_held = true;
	sp->held_bytes += r->bytes;
	sp->stats.held_processes++;
}

static void release_orphan(struct spans *sp, struct run *r)
{
	r->is_orphan = false;
	TAILQ_REMOVE(&sp->orphans, r, held_all);
	sp->n_orphans--;
	sp->orphan_bytes -= r->bytes;
	run_unref(r);
}

static void give_up(struct spans *sp, struct run *r)
{
	r->placed = r->dropped = true;
	sp->stats.unlinked_processes++;
	run_unref(r->prev);
	run_unref(r->parent);
	r->prev = r->parent = NULL;
	http_placed(sp, r);
	run_finish(sp, r);
	release_orphan(sp, r);
}

static void keep_run_limits(struct spans *sp)
{
	while (sp->n_orphans > ORPHANS_MAX || sp->orphan_bytes > ORPHANS_BYTES_MAX)
		give_up(sp, TAILQ_FIRST(&sp->orphans));
	while (sp->stats.held_processes > HELD_MAX || sp->held_bytes > HELD_BYTES_MAX) {
		struct run *oldest = TAILQ_FIRST(&sp->held);

		runs_place(sp, oldest->agent, oldest->start);
	}
}

void runs_grow(struct spans *sp, struct run *r, size_t bytes)
{
	r->bytes += bytes;
	if (r->is_held)
		sp->held_bytes += bytes;
	else if (r->is_orphan)
		sp->orphan_bytes += bytes;
	keep_run_limits(sp);
}

static void hold_orphan(struct spans *sp, struct run *r)
{
	run_ref(r);
	TAILQ_INSERT_TAIL(&sp->orphans, r, held_all);
	r->is_orphan = true;
	sp->n_orphans++;
	sp->orphan_bytes += r->bytes;
	keep_run_limits(sp);
}

void runs_hold(struct spans *sp, struct run *r)
{
	run_ref(r);
	TAILQ_INSERT_TAIL(&sp->running, r, running);
	r->is_running = true;
	if (!r->agent) {
		hold_orphan(sp, r);
		return;
	}
	hold(sp, r);
	keep_run_limits(sp);
}

void runs_adopt(struct spans *sp, struct process *agent)
{
	struct run *r, *next;

	for (r = TAILQ_FIRST(&sp->orphans); r; r = next) {
		next = TAILQ_NEXT(r, held_all);
		if (process_agent(r->process->parent) != agent)
			continue;
		r->agent = process_ref(agent);
		if (r->parent && r->parent->process == agent) {
			run_unref(r->parent);
			r->parent = NULL;
		}
		run_ref(r);
		release_orphan(sp, r);
		hold(sp, r);
		run_unref(r);
	}
}

static bool may_own(const struct tool *t, const struct run *r, bool argv)
{
	uint64_t from = argv && t->streamed ? t->streamed : t->asked;

	return from <= r->start && (!t->answered || t->answered > r->start);
}

static bool same_tool(const struct run *r, const struct tool *t)
{
	return r->in_tool && memcmp(&r->tool, &t->id, sizeof(t->id)) == 0;
}

/* What came before the run, its process's earlier exec or its parent, belongs to `t`. */
static bool kin(const struct run *r, const struct tool *t)
{
	const struct run *up = r->prev ? r->prev : r->parent;

	return up && (up->match == t || (up->placed && !up->dropped && same_tool(up, t)));
}

/* Of two calls that match alike: the one the run descends from, then one without a process, then the earlier.
 */
static bool likelier(const struct run *r, const struct tool *t)
{
	if (kin(r, t) != kin(r, r->match))
		return kin(r, t);
	if (t->claimed != r->match->claimed)
		return !t->claimed;
	return t->asked <= r->match->asked;
}

/* The call whose arguments stand in argv; the longest match. */
static void find_match(struct run *r)
{
	unsigned looked_at = 0;
	struct tool *t;

	TAILQ_FOREACH_REVERSE(t, &r->agent->tools, tool_list, in_agent)
	{
		if (++looked_at > CANDIDATES_MAX)
			break;

		size_t score = may_own(t, r, true) ? tool_match(t, r->argv, r->bare, r->n_argv) : 0;

		if (!score || score < r->match_score)
			continue;
		r->shared_match = r->match && score == r->match_score;
		if (!r->shared_match || likelier(r, t))
			r->match = t;
		r->match_score = score;
	}
	if (r->match && !kin(r, r->match))
		r->match->claimed = true;
}

/* What a process shows counts for those above it that show nothing: codex starts a helper that execs the
 * shell. */
static void spread_match(struct run *r)
{
	for (struct run *up = r->prev ? r->prev : r->parent; up && !up->placed;
	     up = up->prev ? up->prev : up->parent) {
		if (up->match || up->agent != r->agent || !may_own(r->match, up, true))
			break;
		up->match = r->match;
	}
}

static void hang(struct run *r, const struct conversation *c, struct trace_id trace, struct span_id parent,
                 const char *evidence, double confidence)
{
	r->trace = trace;
	r->conversation = c->id;
	r->span_parent = parent;
	r->why = (struct link_reason){evidence, confidence};
}

static void hang_on_tool(struct run *r, struct tool *t, const char *evidence, double confidence)
{
	hang(r, t->turn->conversation, t->turn->trace, t->id, evidence, confidence);
	r->in_tool = true;
	r->tool = t->id;
	r->direct = t;
}

static void hang_like(struct run *r, const struct run *other, struct span_id parent, const char *evidence,
                      double confidence)
{
	r->trace = other->trace;
	r->conversation = other->conversation;
	r->span_parent = parent;
	r->in_tool = other->in_tool;
	r->tool = other->tool;
	r->why = (struct link_reason){evidence, confidence};
}

static bool usable(const struct run *r)
{
	return r && r->placed && !r->dropped;
}

/* The open call right above a placed run; NULL when it hangs elsewhere or the call has been closed. */
static struct tool *tool_above(const struct run *r)
{
	struct tool *t;

	if (memcmp(&r->tool, &r->span_parent, sizeof(r->tool)) != 0)
		return NULL;
	unsigned looked_at = 0;
	TAILQ_FOREACH_REVERSE(t, &r->agent->tools, tool_list, in_agent)
	{
		if (++looked_at > CANDIDATES_MAX)
			break;
		if (memcmp(&t->id, &r->tool, sizeof(t->id)) == 0)
			return t;
	}
	return NULL;
}

/* By what came before it: an earlier exec of the same process, or the process that forked it. */
static bool place_by_lineage(struct run *r)
{
	if (usable(r->prev) && (r->prev->in_tool || !r->match)) {
		hang_like(r, r->prev, r->prev->span_parent, "exec", r->prev->why.confidence);
		r->direct = tool_above(r->prev);
		return true;
	}
	if (usable(r->parent) && r->parent->in_tool && (!r->match || same_tool(r->parent, r->match))) {
		hang_like(r, r->parent, r->parent->id, "parent", 1.0);
		return true;
	}
	return false;
}

/* By the tool calls that were open when it began. */
static bool place_by_tools(struct run *r)
{
	struct tool *t, *latest = NULL;
	unsigned n = 0, looked_at = 0;

	if (r->match) {
		hang_on_tool(r, r->match, r->shared_match ? "argv_shared" : "argv",
		             r->shared_match ? 0.5 : 0.95);
		return true;
	}
	TAILQ_FOREACH_REVERSE(t, &r->agent->tools, tool_list, in_agent)
	{
		if (++looked_at > CANDIDATES_MAX)
			break;
		/* From then on processes are of the sub-agent's calls. */
		if (!may_own(t, r, false) || (t->delegated && t->started <= r->start))
			continue;
		n++;
		latest = !latest || t->asked >= latest->asked ? t : latest;
	}
	/* What a call began is known: whatever else starts meanwhile is the agent's own (git, ps). */
	if (n == 1 && !latest->claimed && !latest->delegated) {
		hang_on_tool(r, latest, "only_open_tool", 0.7);
	} else if (usable(r->parent)) {
		hang_like(r, r->parent, r->parent->id, "parent", 1.0);
	} else if (n) {
		hang(r, latest->turn->conversation, latest->turn->trace, latest->turn->id, "time", 0.3);
	} else {
		return false;
	}
	return true;
}

/* By the conversation that its agent had last. */
static bool place_by_agent(struct spans *sp, struct run *r)
{
	struct conversation *c = agents_conversation(sp, r->agent, r->start);
	struct turn *t;

	if (!c)
		return false;
	hang(r, c, c->trace, c->root, r->start < c->start ? "before_first_call" : "lineage",
	     r->start < c->start ? 0.5 : 0.2);
	TAILQ_FOREACH(t, &c->turns, in_conversation)
	{
		if (t->start > r->start)
			continue;
		r->trace = t->trace;
		r->span_parent = t->id;
	}
	return true;
}

static void place(struct spans *sp, struct run *r)
{
	if (!place_by_lineage(r) && !place_by_tools(r) && !place_by_agent(sp, r)) {
		r->dropped = true;
		sp->stats.unlinked_processes++;
	}
	r->placed = true;
	r->match = NULL;
	if (r->direct) {
		struct tool *t = r->direct;

		t->started = t->started && t->started < r->start ? t->started : r->start;
		if (!r->ended)
			t->running++;
		else if (r->end > t->ended)
			t->ended = r->end;
		if (r->ended)
			r->direct = NULL;
	}
	/* The lineage has been used: long chains of runs need not be kept. */
	run_unref(r->prev);
	run_unref(r->parent);
	r->prev = r->parent = NULL;
	http_placed(sp, r);
	run_finish(sp, r);
}

void runs_place(struct spans *sp, struct process *agent, uint64_t until)
{
	struct run *r, *next;

	if (TAILQ_EMPTY(&agent->held))
		return;
	process_ref(agent);
	TAILQ_FOREACH(r, &agent->held, held)
	{
		if (r->start > until)
			break;
		find_match(r);
		if (r->match)
			spread_match(r);
	}
	for (r = TAILQ_FIRST(&agent->held); r && r->start <= until; r = next) {
		next = TAILQ_NEXT(r, held);
		place(sp, r);
		release_held(sp, r);
	}
	/* Later runs are matched again when it is their time. */
	TAILQ_FOREACH(r, &agent->held, held)
	{
		r->match = NULL;
		r->match_score = 0;
		r->shared_match = false;
	}
	process_unref(agent);
}

void runs_place_all(struct spans *sp)
{
	struct run *r;

	while ((r = TAILQ_FIRST(&sp->held)))
		runs_place(sp, r->agent, UINT64_MAX);
	while ((r = TAILQ_FIRST(&sp->orphans)))
		give_up(sp, r);
}

void run_end(struct spans *sp, struct run *r, uint64_t ts, const struct ev_exit *exit, bool lost)
{
	if (r->ended)
		return;
	r->ended = true;
	r->end = ts > r->start ? ts : r->start;
	r->lost_exit = lost;
	r->has_status = exit != NULL;
	r->status = exit ? exit->status : 0;
	r->cpu_ns = exit ? exit->cpu_ns : 0;
	r->max_rss = exit ? exit->max_rss : 0;
	if (r->direct && !lost) {
		r->direct->running--;
		if (r->end > r->direct->ended)
			r->direct->ended = r->end;
	}
	r->direct = NULL;
	run_finish(sp, r);
	TAILQ_REMOVE(&sp->running, r, running);
	r->is_running = false;
	run_unref(r);
}

void runs_forget_tool(struct spans *sp, struct tool *t)
{
	struct run *r;

	TAILQ_FOREACH(r, &sp->running, running)
	{
		if (r->direct == t)
			r->direct = NULL;
	}
}
