/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/answer.h"
#include "llm/call.h"

void answer_init(struct answer *a, struct llm_call *call)
{
	*a = (struct answer){.call = call};
	a->usage = call->usage;
}

void answer_release(struct answer *a)
{
	for (size_t i = 0; i < a->n; i++) {
		for (size_t k = 0; k < a->choices[i].n; k++)
			buf_release(&a->choices[i].blocks[k].text);
		free(a->choices[i].blocks);
	}
	free(a->choices);
	*a = (struct answer){0};
}

struct answer_choice *answer_choice(struct answer *a, int64_t index)
{
	size_t at = a->n;

	while (at && a->choices[at - 1].index >= index)
		at--;
	if (at < a->n && a->choices[at].index == index)
		return &a->choices[at];
	if (a->n >= ANSWER_CHOICES_MAX) {
		a->cut = true;
		return NULL;
	}

	xgrow(&a->choices, &a->cap, a->n + 1, sizeof(*a->choices));
	memmove(&a->choices[at + 1], &a->choices[at], (a->n - at) * sizeof(*a->choices));
	a->n++;
	a->choices[at] = (struct answer_choice){.index = index};
	return &a->choices[at];
}

struct answer_block *answer_find(struct answer_choice *c, enum llm_part_kind kind, int64_t key)
{
	for (size_t i = c->n; i-- > 0;)
		if (c->blocks[i].kind == kind && c->blocks[i].key == key)
			return &c->blocks[i];
	return NULL;
}

struct answer_block *answer_block(struct answer *a, struct answer_choice *c, enum llm_part_kind kind,
                                  int64_t key)
{
	if (c->n >= ANSWER_BLOCKS_MAX) {
		a->cut = true;
		return NULL;
	}

	xgrow(&c->blocks, &c->cap, c->n + 1, sizeof(*c->blocks));
	c->blocks[c->n] = (struct answer_block){.kind = kind, .key = key};
	return &c->blocks[c->n++];
}

void answer_append(struct answer *a, struct answer_block *b, struct slice piece)
{
	if (!piece.n)
		return;

	a->carried = true;
	if (a->shed || a->bytes + piece.n > LLM_BODY_MAX) {
		a->cut = true;
		return;
	}
	a->bytes += piece.n;
	buf_addslice(&b->text, piece);
}

void answer_add(struct answer *a, int64_t index, enum llm_part_kind kind, int64_t key, struct slice piece)
{
	struct answer_choice *c = piece.n ? answer_choice(a, index) : NULL;

	if (!c)
		return;

	struct answer_block *b = answer_find(c, kind, key);
	if (!b)
		b = answer_block(a, c, kind, key);
	if (b)
		answer_append(a, b, piece);
}

void answer_stop(struct answer *a, int64_t index, struct slice reason)
{
	struct answer_choice *c = answer_choice(a, index);

	if (c && reason.n && !slice_eq(c->finish_reason, reason) && answer_room(a, reason.n))
		c->finish_reason = arena_dup(&a->call->arena, reason);

	a->finished = a->n > 0;
	for (size_t i = 0; i < a->n; i++)
		if (!a->choices[i].finish_reason.p)
			a->finished = false;
}

bool answer_room(struct answer *a, size_t n)
{
	bool room = a->call->arena.bytes + n <= ANSWER_ARENA_MAX;

	a->cut = a->cut || !room;
	return room;
}

void answer_once(struct answer *a, struct slice *field, struct slice s)
{
	if (!field->p && s.n && answer_room(a, s.n))
		*field = arena_dup(&a->call->arena, s);
}

void answer_tokens(int64_t *field, int64_t tokens)
{
	if (tokens >= 0 && tokens <= ANSWER_TOKENS_MAX)
		*field = tokens;
}

void answer_shed(struct answer *a)
{
	if (!a->bytes)
		return;
	for (size_t i = 0; i < a->n; i++)
		for (size_t k = 0; k < a->choices[i].n; k++)
			buf_release(&a->choices[i].blocks[k].text);
	a->bytes = 0;
	a->shed = a->cut = true;
}

static void finish_choice(struct llm_call *call, const struct answer_choice *c)
{
	struct llm_message *m = call_message(call, &call->output, SLICE("assistant"));

	if (!m)
		return;
	m->finish_reason = c->finish_reason;
	for (size_t i = 0; i < c->n; i++) {
		const struct answer_block *b = &c->blocks[i];

		call_part(call, m,
		          (struct llm_part){
		              .kind = b->kind,
		              .id = b->id,
		              .name = b->name,
		              .text = b->text.n ? arena_dup(&call->arena, buf_slice(&b->text)) : b->initial,
		              .is_server = b->is_server,
		              .bytes = b->bytes,
		          });
	}
}

void answer_finish(struct answer *a)
{
	struct llm_call *call = a->call;

	for (size_t i = 0; i < a->n; i++) {
		struct answer_choice *c = &a->choices[i];

		finish_choice(call, c);
		if (c->finish_reason.p)
			*(struct slice *)arena_push(&call->arena, &call->finish_reasons,
			                            &call->n_finish_reasons, sizeof(struct slice)) =
			    c->finish_reason;
	}
}
