/* SPDX-License-Identifier: Apache-2.0 */
#include "span/side.h"

bool side_may_be(const struct flight *f)
{
	const struct llm_call *call = f->call;

	return !call->is_server && !is_aside(call) && !is_preparation(call) && call->n_tools == 0 &&
	       f->chain.n && f->chain.n <= SIDE_PARTS_MAX && !f->chain.answered &&
	       !call->previous_response_id.n && !call->conversation_id.n &&
	       (call->session_key.n || agent_of(call)) && !find_task(f);
}

bool side_may_stay(const struct flight *f)
{
	const struct llm_messages *out = &f->call->output;

	for (size_t i = 0; i < out->n; i++)
		for (size_t k = 0; k < out->v[i].n_parts; k++)
			if (out->v[i].parts[k].kind == LLM_TOOL_CALL)
				return false;
	return true;
}

/* Sub-agents within the process have the session of the conversation, which is not theirs alone. */
static bool serves(const struct spans *sp, const struct flight *side, const struct conversation *c)
{
	struct link session = session_link(&sp->heads, side->call->session_key);

	if (!c->offers_tools || c->in_tool)
		return false;
	if (!link_none(session) && !link_none(c->past->session))
		return link_eq(session, c->past->session);
	return c->process == side->process && agent_of(side->call);
}

/* What its call holds: neither changes while it waits. */
static size_t held_by(const struct flight *side)
{
	return side->call->arena.bytes + side->call->body.cap;
}

static void settle(struct spans *sp, struct flight *side, struct conversation *c)
{
	struct found r = {.aside = c != NULL, .why = {"process", 0.6}};

	if (c && side->call->session_key.n && c->session_key.n)
		r.why = (struct link_reason){"session_key", 0.8};
	TAILQ_REMOVE(&sp->sides, side, parked);
	sp->n_sides--;
	sp->side_bytes -= held_by(side);
	call_settle(sp, side, c, &r);
}

/* The one that was active last. */
static struct conversation *find_served(struct spans *sp, const struct flight *side)
{
	struct conversation *c;

	TAILQ_FOREACH_REVERSE(c, &sp->lru, conversation_list, lru)
	{
		if (serves(sp, side, c))
			return c;
	}
	return NULL;
}

void side_park(struct spans *sp, struct flight *f)
{
	struct chain with = f->chain;

	for (size_t i = 0; i < f->call->output.n && i < 1; i++)
		chain_extend(&with, &sp->heads.key, &f->arena, &f->call->output.v[i], 1);
	f->tip_at = with.n > f->chain.n ? with.n : 0;
	f->tip = with.v[with.n - 1];
	TAILQ_INSERT_TAIL(&sp->sides, f, parked);
	sp->n_sides++;
	sp->side_bytes += held_by(f);
	while (sp->n_sides > SIDES_MAX || sp->side_bytes > SIDES_BYTES_MAX) {
		struct flight *oldest = TAILQ_FIRST(&sp->sides);

		settle(sp, oldest, find_served(sp, oldest));
	}
}

static bool continues(const struct flight *f, const struct flight *side)
{
	return side->tip_at && side->tip_at <= f->chain.n && link_eq(side->tip, f->chain.v[side->tip_at - 1]);
}

void sides_before(struct spans *sp, const struct flight *f)
{
	struct flight *side, *next;

	for (side = TAILQ_FIRST(&sp->sides); side; side = next) {
		next = TAILQ_NEXT(side, parked);
		if (continues(f, side))
			settle(sp, side, NULL);
	}
}

void sides_join(struct spans *sp, const struct flight *f, bool old_turn)
{
	struct flight *side, *next;

	for (side = TAILQ_FIRST(&sp->sides); side; side = next) {
		next = TAILQ_NEXT(side, parked);

		bool is_old = side->call->end + SIDE_WAIT < flight_start(f);

		if (serves(sp, side, f->conversation) && (is_old || !old_turn) &&
		    !(is_old && !f->conversation->turn))
			settle(sp, side, f->conversation);
	}
}

void sides_close(struct spans *sp, struct conversation *c)
{
	struct flight *side, *next;

	for (side = TAILQ_FIRST(&sp->sides); side; side = next) {
		next = TAILQ_NEXT(side, parked);

		if (serves(sp, side, c) && c->turn)
			settle(sp, side, c);
	}
}

void sides_tick(struct spans *sp, uint64_t now, bool all)
{
	struct flight *side, *next;

	for (side = TAILQ_FIRST(&sp->sides); side; side = next) {
		next = TAILQ_NEXT(side, parked);

		struct conversation *c = find_served(sp, side);

		if (all || side->call->end + (c ? SIDE_WAIT : SIDE_ALONE) < now)
			settle(sp, side, c);
	}
}
