/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a conversation has grown too long, agents replace its history by a
 * summary: nothing of the chain is left.  What is: the session key and the
 * instructions of the agent, and the text of the summary, which an answer gave
 * and a later request of the same agent says as a prompt.  Where the provider
 * hides the summary (it is encrypted), session key and instructions remain.
 */
#include "span/assembler.h"

#define COMPACTED_PARTS_MIN  6     /* of a history that is worth a summary */
#define COMPACTED_CANDIDATES 8     /* conversations that are considered, the latest ones */
#define COMPACTED_TEXTS      16    /* of the request, the latest ones */
#define COMPACTED_BYTES      65536 /* of each */

struct texts {
	struct slice v[COMPACTED_TEXTS];
	size_t n;
};

/* What the user says, the latest first. */
static struct texts user_texts(const struct llm_messages *in)
{
	struct texts t = {.n = 0};

	for (size_t i = in->n; i-- > 0;)
		for (size_t k = in->v[i].n_parts; k-- > 0 && t.n < COMPACTED_TEXTS;) {
			const struct llm_part *p = &in->v[i].parts[k];

			if (!slice_eq(in->v[i].role, SLICE("user")) || p->kind != LLM_TEXT)
				continue;
			t.v[t.n++] =
			    slice_of(p->text.p, p->text.n < COMPACTED_BYTES ? p->text.n : COMPACTED_BYTES);
		}
	return t;
}

/* Index of the text that repeats the last answer of the conversation; n: none does. */
static size_t find_said(const struct conversation *c, const struct texts *t)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t lines = 0, found = 0;

		for (size_t k = 0; k < SAID_LINES; k++) {
			struct slice line = slice_of(c->said[k].text, c->said[k].n);

			lines += line.n > 0;
			found += line.n > 0 && slice_find(t->v[i], line) != NULL;
		}
		if (lines && found == lines)
			return i;
	}
	return t->n;
}

/* The same loop of the same agent, at rest, whose history is now shorter. */
static bool may_be_compacted(struct spans *sp, const struct conversation *c, const struct flight *f)
{
	struct link session = session_link(&sp->heads, f->call->session_key);
	bool keyed = !link_none(session), same_session = keyed && link_eq(session, c->past->session);

	return LIST_EMPTY(&c->flights) && c->parts >= COMPACTED_PARTS_MIN && f->chain.n < c->parts &&
	       !c->in_tool && !link_none(c->system) && link_eq(c->system, f->system) &&
	       (same_session || (!keyed && c->process == f->process));
}

struct found find_compacted(struct spans *sp, const struct flight *f)
{
	struct texts t = user_texts(&f->call->input);
	struct found by_session = {0};
	struct conversation *c;
	unsigned looked_at = 0;

	if (f->call->is_server || find_task(f))
		return by_session;
	TAILQ_FOREACH_REVERSE(c, &sp->lru, conversation_list, lru)
	{
		if (++looked_at > COMPACTED_CANDIDATES)
			break;
		if (!may_be_compacted(sp, c, f))
			continue;

		size_t at = find_said(c, &t);
		struct found r = {.any = true, .owner = owner_of(c, c->last_chat)};
		/* The summary is the last that is said: the turn goes on. */
		r.again = at == 0;
		r.why = (struct link_reason){"summary", 0.9};
		if (at < t.n)
			return r;
		if (f->call->session_key.n && !by_session.any) {
			by_session = r;
			by_session.again = false;
			by_session.why = (struct link_reason){"session_and_instructions", 0.7};
		}
	}
	return by_session;
}
