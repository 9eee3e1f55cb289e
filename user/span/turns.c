/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "span/join.h"
#include "span/side.h"

/* Agents by how their user agent begins. */
static const struct {
	const char *user_agent, *name;
} agents[] = {
    {"claude-cli", "claude-code"}, {"claude-code", "claude-code"}, {"codex", "codex"},
    {"opencode", "opencode"},      {"GeminiCLI", "gemini-cli"},    {"QwenCode", "qwen-code"},
    {"copilot", "copilot"},
};

void turn_close(struct spans *sp, struct turn *t, uint64_t now)
{
	struct conversation *c = t->conversation;
	struct tool *tool;

	if (sp->finished && c->turn == t && t->asks_tools && !t->failed && !t->damaged)
		t->damaged = "still open when the capture ended";
	if (c->process)
		runs_place(sp, c->process, now);
	while ((tool = TAILQ_FIRST(&t->tools))) {
		runs_place(sp, tool->agent, now);
		tool_close(sp, tool, NULL, tool->running && now > tool->asked ? now : tool->asked);
	}
	emit_turn(sp, t);
	if (t->end > c->end)
		c->end = t->end;
	TAILQ_REMOVE(&c->turns, t, in_conversation);
	if (c->turn == t)
		c->turn = NULL;
	for (int i = 0; i < SPENDINGS; i++)
		free(t->spent[i].v);
	arena_release(&t->arena);
	free(t);
}

void turn_leave(struct spans *sp, struct turn *t, uint64_t now)
{
	t->closing = true;
	if (t->conversation->turn == t)
		t->conversation->turn = NULL;
	if (t->flights == 0)
		turn_close(sp, t, now);
}

struct turn *turn_new(struct spans *sp, struct conversation *c, const struct flight *f)
{
	struct turn *t = xcalloc(1, sizeof(*t));

	t->conversation = c;
	t->id = id_turn(&f->chat);
	join_turn(sp, t, !c->nested);
	t->index = ++c->past->turns;
	t->start = t->end = flight_start(f);
	if (f->chain.n)
		t->asked = f->chain.v[f->chain.n - 1];
	t->usage = (struct llm_usage){LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE};
	t->lost_seen = sp->life_lost;
	/* Results of tools that nobody asked for: the turn began earlier. */
	t->late = (f->chain.news || f->call->previous_response_id.n) && f->chain.news < f->chain.n &&
	          !f->chain.new_prompt;
	TAILQ_INIT(&t->tools);
	TAILQ_INSERT_TAIL(&c->turns, t, in_conversation);
	return t;
}

void conversation_close(struct spans *sp, struct conversation *c, uint64_t now)
{
	struct flight *f;
	struct turn *t;

	sides_close(sp, c);
	while ((f = LIST_FIRST(&c->flights))) {
		LIST_REMOVE(f, in_conversation);
		f->turn->flights--;
		f->turn->damaged = "a call of it was still open when the capture ended";
		f->conversation = NULL;
		f->turn = NULL;
	}
	while ((t = TAILQ_FIRST(&c->turns)))
		turn_close(sp, t, now);
	if (!c->nested)
		emit_conversation(sp, c);
	map_del(&sp->by_serial, &c->serial, sizeof(c->serial));
	TAILQ_REMOVE(&sp->lru, c, lru);
	c->past->serial = 0;
	past_unref(&sp->heads, c->past);
	process_unref(c->process);
	arena_release(&c->arena);
	free(c);
}

const char *agent_of(const struct llm_call *call)
{
	for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++)
		if (slice_starts(call->user_agent, slice_str(agents[i].user_agent)))
			return agents[i].name;
	return NULL;
}

static struct slice agent_name(struct arena *a, const struct llm_call *call, const struct process *p)
{
	if (agent_of(call))
		return slice_str(agent_of(call));
	return p->exe[0] ? arena_dup(a, slice_str(p->exe)) : (struct slice){NULL, 0};
}

/* A sub-agent within the same process: its turns hang below the tool call that holds its prompt. */
static bool nest_in_tool(struct conversation *c, const struct flight *f)
{
	struct tool *t = find_task(f);

	if (!t)
		return false;
	t->delegated = true;
	t->started = t->started && t->started < flight_start(f) ? t->started : flight_start(f);
	c->nested = c->in_tool = true;
	c->outer = t->turn->conversation->serial;
	c->nested_why = (struct link_reason){"prompt", 0.9};
	c->root = t->id;
	c->trace = t->turn->trace;
	return true;
}

/* An agent that an outer agent started: its turns hang below the process that it runs in. */
static void nest(struct spans *sp, struct conversation *c, struct process *p)
{
	struct process *outer = process_agent(p->parent);
	struct run *r = p->run ? p->run : p->parent_run;

	if (!outer || !r || r->process == outer || r->agent != outer)
		return;
	if (!r->placed)
		runs_place(sp, outer, r->start);
	if (!r->placed || r->dropped)
		return;
	c->nested = true;
	c->nested_why = (struct link_reason){"lineage", r->why.confidence};
	c->root = r->id;
	c->trace = r->trace;
}

struct conversation *conversation_new(struct spans *sp, const struct flight *f, const struct owner *before)
{
	struct conversation *c = xcalloc(1, sizeof(*c));

	c->serial = ++sp->serial;
	c->root = id_conversation(&f->chat);
	c->past = before ? past_ref(before->past) : past_get(&sp->heads, c->root);
	c->id = c->past->id;
	c->trace = id_trace(&f->chat);
	c->earlier_root = c->past->root;
	c->earlier_trace = c->past->trace;
	c->session_key = arena_dup(&c->arena, f->call->session_key);
	c->start = c->end = flight_start(f);
	c->usage = (struct llm_usage){LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE};
	c->agent_name = agent_name(&c->arena, f->call, f->process);
	TAILQ_INIT(&c->turns);
	LIST_INIT(&c->flights);
	if (!nest_in_tool(c, f))
		nest(sp, c, f->process);
	c->past->serial = c->serial;
	c->past->root = c->nested ? (struct span_id){{0}} : c->root;
	c->past->trace = c->trace;
	c->past->session = session_link(&sp->heads, c->session_key);
	map_put(&sp->by_serial, &c->serial, sizeof(c->serial), c);
	TAILQ_INSERT_TAIL(&sp->lru, c, lru);
	return c;
}

void keep_limits(struct spans *sp, uint64_t now)
{
	while (sp->by_serial.n > CONVERSATIONS_MAX || sp->n_tools > TOOLS_MAX ||
	       sp->tool_bytes > TOOLS_BYTES_MAX) {
		struct conversation *c = TAILQ_FIRST(&sp->lru);

		while (c && !LIST_EMPTY(&c->flights))
			c = TAILQ_NEXT(c, lru);
		if (!c)
			return;
		conversation_close(sp, c, now);
	}
}
