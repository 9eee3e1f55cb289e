/* SPDX-License-Identifier: Apache-2.0 */
#include "span/assembler.h"

static void tool_index(struct spans *sp, struct tool *t)
{
	if (t->call_id.n)
		t->next_same_id = map_put(&sp->tool_ids, t->call_id.p, t->call_id.n, t);
}

static void tool_unindex(struct spans *sp, struct tool *t)
{
	if (!t->call_id.n)
		return;

	struct tool *first = map_get(&sp->tool_ids, t->call_id.p, t->call_id.n), **at = &first;
	while (*at && *at != t)
		at = &(*at)->next_same_id;
	if (*at)
		*at = t->next_same_id;
	if (first)
		map_put(&sp->tool_ids, t->call_id.p, t->call_id.n, first);
	else
		map_del(&sp->tool_ids, t->call_id.p, t->call_id.n);
}

/* A sub-agent that has answered did what it was asked for. */
static void end_delegated(struct spans *sp, struct tool *t)
{
	struct conversation *c;
	uint64_t last = 0;

	TAILQ_FOREACH(c, &sp->lru, lru)
	{
		if (!c->in_tool || !id_eq(c->root, t->id))
			continue;
		if (!LIST_EMPTY(&c->flights))
			return;
		last = c->last > last ? c->last : last;
	}
	t->ended = last > t->ended ? last : t->ended;
}

void tool_close(struct spans *sp, struct tool *t, const struct llm_part *result, uint64_t now)
{
	if (t->delegated)
		end_delegated(sp, t);
	emit_tool(sp, t, result, now);
	if (t->running)
		runs_forget_tool(sp, t);
	tool_unindex(sp, t);
	TAILQ_REMOVE(&t->turn->tools, t, in_turn);
	TAILQ_REMOVE(&t->agent->tools, t, in_agent);
	sp->n_tools--;
	sp->tool_bytes -= t->arena.bytes;
	tool_free(t);
}

static struct tool *tool_of(struct spans *sp, const struct conversation *c, const struct llm_part *p)
{
	struct tool *t = p->id.n ? map_get(&sp->tool_ids, p->id.p, p->id.n) : NULL;
	struct turn *turn;

	for (; t; t = t->next_same_id)
		if (t->turn->conversation == c)
			return t;
	if (p->id.n)
		return NULL;
	/* Gemini: no ids, results in the order of the calls. */
	TAILQ_FOREACH(turn, &c->turns, in_conversation)
	{
		TAILQ_FOREACH(t, &turn->tools, in_turn)
		{
			if (!t->call_id.n && !t->answered && (!p->name.n || slice_eq(t->name, p->name)))
				return t;
		}
	}
	return NULL;
}

/* Index of the first message behind the last one of the assistant. */
static size_t newest_messages(const struct llm_messages *in)
{
	size_t i = in->n;

	while (i > 0) {
		const struct llm_message *m = &in->v[i - 1];

		if (slice_eq(m->role, SLICE("assistant")) || slice_eq(m->role, SLICE("model")) ||
		    (m->n_parts && m->parts[0].kind == LLM_TOOL_CALL))
			break;
		i--;
	}
	return i;
}

/* Notes at the open calls which part of the request answers them. */
static bool note_results(struct spans *sp, struct conversation *c, const struct llm_messages *in, uint64_t ts)
{
	size_t newest = newest_messages(in);
	bool any = false;

	for (size_t i = 0; i < in->n; i++)
		for (size_t k = 0; k < in->v[i].n_parts; k++) {
			const struct llm_part *p = &in->v[i].parts[k];
			if (p->kind != LLM_TOOL_RESULT || (!p->id.n && i < newest))
				continue;

			struct tool *t = tool_of(sp, c, p);
			if (!t)
				continue;
			/* In the history: the request that brought it first was not seen. */
			if (i < newest)
				t->damaged = "the request that answered it was not seen";
			else
				t->answered = ts > t->asked ? ts : t->asked;
			t->result = p;
			any = true;
		}
	return any;
}

bool answer_tools(struct spans *sp, struct conversation *c, const struct flight *f)
{
	uint64_t ts = flight_start(f);
	struct turn *turn;
	struct tool *t, *next;

	if (sp->n_tools == 0 || !note_results(sp, c, &f->call->input, ts))
		return false;
	/* All are marked before the first run is placed: it may hang on any of them. */
	TAILQ_FOREACH(turn, &c->turns, in_conversation)
	{
		TAILQ_FOREACH(t, &turn->tools, in_turn)
		{
			if (t->result)
				runs_place(sp, t->agent, t->answered ? t->answered : ts);
		}
	}
	TAILQ_FOREACH(turn, &c->turns, in_conversation)
	{
		for (t = TAILQ_FIRST(&turn->tools); t; t = next) {
			next = TAILQ_NEXT(t, in_turn);
			if (t->result)
				tool_close(sp, t, t->result, ts);
		}
	}
	return true;
}

void answer_from_flights(struct spans *sp, struct conversation *c)
{
	struct flight *f;

	LIST_FOREACH(f, &c->flights, in_conversation)
	answer_tools(sp, c, f);
}

/* What the request says of the tool that is asked for. */
static void describe(struct spans *sp, const struct llm_call *call, struct tool *t)
{
	for (size_t i = 0; i < call->n_tools; i++)
		if (call->tools[i].description.n && slice_eq(call->tools[i].name, t->name)) {
			sp->content.masks = 0;
			t->description = content_path(&sp->content, &t->arena, call->tools[i].description);
			t->masks += sp->content.masks;
			return;
		}
}

bool ask_tools(struct spans *sp, const struct flight *f)
{
	const struct llm_call *call = f->call;
	struct turn *turn = f->turn;
	uint64_t index = 0;

	for (size_t i = 0; i < call->output.n; i++)
		for (size_t k = 0; k < call->output.v[i].n_parts; k++) {
			const struct llm_part *p = &call->output.v[i].parts[k];
			if (p->kind != LLM_TOOL_CALL || p->is_server)
				continue;

			struct span_id id = id_tool(&f->chat, index++);
			if (call->is_server)
				continue;
			struct tool *t = tool_new(&sp->content, turn, f->process, p);
			t->id = id;
			t->chat = f->chat;
			describe(sp, call, t);
			t->arguments_link = arguments_link(&sp->heads.key, p->text);
			t->streamed = call->first_token ? call->first_token : call->response_start;
			t->asked = call->end;
			t->lost_seen = sp->life_lost;
			if (call->state != LLM_COMPLETE)
				t->damaged = "the call that asks for it is incomplete";
			TAILQ_INSERT_TAIL(&turn->tools, t, in_turn);
			TAILQ_INSERT_TAIL(&f->process->tools, t, in_agent);
			tool_index(sp, t);
			sp->n_tools++;
			sp->tool_bytes += t->arena.bytes;
		}
	return index > 0;
}
