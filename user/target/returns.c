/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "target/eh_frame.h"
#include "target/returns.h"
#include "target/sweep.h"

#define PIECES_MAX 8                  /* a function, its .cold parts, the functions that it jumps to */
#define DEPTH_MAX  3                  /* of jumps from piece to piece */
#define TEXT_MAX   (64 * 1024 * 1024) /* of which callers are looked for: 0.1 s */
#define LOOKS_MAX  256 /* mentions looked at: a true one is a call, a false one a chance of 1 in 10,000 */
#define CHUNK      (64 * 1024)

static bool add(struct returns *r, uint64_t at)
{
	for (unsigned i = 0; i < r->n; i++)
		if (r->at[i] == at)
			return true;
	if (r->n == TARGET_RETURNS_MAX)
		return false;
	r->at[r->n++] = at;
	return true;
}

/* --- within --- */

struct piece {
	uint64_t start, end;
	int depth;
};

struct pieces {
	struct piece p[PIECES_MAX];
	unsigned n;
};

/* Takes the piece of code that holds `to` into the list, unless it is there. */
static enum target_why take(struct pieces *pieces, const struct code *code, uint64_t to, int depth)
{
	struct piece piece = {.depth = depth};

	for (unsigned i = 0; i < pieces->n; i++)
		if (to >= pieces->p[i].start && to < pieces->p[i].end)
			return TARGET_WHY_NONE;
	if (!code_in_text(code, to))
		return TARGET_WHY_TAIL_PLT;
	if (depth > DEPTH_MAX || pieces->n == PIECES_MAX)
		return TARGET_WHY_TOO_DEEP;
	if (!eh_frame_find(code, to, &piece.start, &piece.end))
		return TARGET_WHY_NO_EXTENT;
	pieces->p[pieces->n++] = piece;
	return TARGET_WHY_NONE;
}

static enum target_why returns_of_piece(struct pieces *pieces, const struct piece *piece, struct decoder *d,
                                        const struct code *code, struct returns *found)
{
	struct sweep s;
	enum target_why why = sweep_init(&s, d, code, piece->start, piece->end);

	for (size_t i = 0; i < s.n && !why; i++) {
		const struct insn *insn = &s.insns[i];

		if (insn->kind == INSN_RET && !add(found, insn->at))
			why = TARGET_WHY_TOO_MANY;
		else if (insn->kind == INSN_JUMP_MEMORY)
			why = TARGET_WHY_INDIRECT;
		else if (insn->kind == INSN_JUMP || insn->kind == INSN_BRANCH)
			why = take(pieces, code, insn->to, piece->depth + 1);
	}
	sweep_release(&s);
	return why;
}

enum target_why returns_within(struct decoder *d, const struct code *code, uint64_t start, uint64_t size,
                               struct returns *ret)
{
	struct pieces pieces = {.p[0] = {.start = start, .end = start + size}, .n = 1};
	struct returns found = {.n = 0};
	enum target_why why = TARGET_WHY_NONE;

	if (size == 0 &&
	    (!eh_frame_find(code, start, &pieces.p[0].start, &pieces.p[0].end) || pieces.p[0].start != start))
		return TARGET_WHY_NO_EXTENT;
	for (unsigned i = 0; i < pieces.n && !why; i++) {
		struct piece piece = pieces.p[i];

		why = returns_of_piece(&pieces, &piece, d, code, &found);
	}
	if (!why && found.n == 0)
		why = TARGET_WHY_NO_RETURN;
	if (!why)
		*ret = found;
	return why;
}

/* --- behind calls --- */

/*
 * Whether bytes at `at` that look like a mention of the function are one: a
 * call, whose return place is added; something else (refused); or the inside
 * of some instruction.
 */
static enum target_why judge(struct decoder *d, const struct code *code, uint64_t at, uint64_t function,
                             struct returns *found)
{
	uint64_t start, end;
	struct sweep s;

	if (!eh_frame_find(code, at, &start,
	                   &end)) /* a nop that ends in zeros, as padding before the function */
		return at + 5 == function && !d->m->fixed ? TARGET_WHY_NONE : TARGET_WHY_REFERENCED;
	enum target_why why = sweep_init(&s, d, code, start, end);
	const struct insn *insn = sweep_at(&s, at);
	if (why)
		why = TARGET_WHY_REFERENCED;
	else if (insn && insn->kind == INSN_CALL && insn->to == function && insn + 1 < s.insns + s.n)
		why = add(found, insn->at + insn->size) ? TARGET_WHY_NONE : TARGET_WHY_TOO_MANY;
	else if (d->m->fixed || sweep_at(&s, at + 5) || at + 5 == end)
		why = TARGET_WHY_REFERENCED;
	sweep_release(&s);
	return why;
}

static enum target_why scan(struct decoder *d, const struct code *code, uint64_t function, uint8_t *chunk,
                            struct returns *found)
{
	enum target_why why = TARGET_WHY_NONE;
	unsigned looks = 0;

	for (uint64_t base = code->text_start; base < code->text_end && !why; base += CHUNK) {
		uint64_t left = code->text_end - base;
		size_t want = left < CHUNK + INSN_MENTION ? left : CHUNK + INSN_MENTION;

		memset(chunk, 0, CHUNK + INSN_MENTION);
		if (code->read(code->ctx, base, chunk, want) != (long)want)
			return TARGET_WHY_REFERENCED;
		size_t n = left < CHUNK ? left : CHUNK;
		for (size_t i = 0; i < n && !why; i += d->m->fixed ? d->m->insn_max : 1) {
			i += d->m->mention(chunk + i, n - i, base + i, function);
			if (i < n)
				why = ++looks > LOOKS_MAX ? TARGET_WHY_TOO_MANY
				                          : judge(d, code, base + i, function, found);
		}
	}
	return why;
}

enum target_why returns_behind_calls(struct decoder *d, const struct code *code, uint64_t start,
                                     struct returns *ret)
{
	struct returns found = {.n = 0};

	if (code->text_end - code->text_start > TEXT_MAX)
		return TARGET_WHY_TOO_LONG;
	if (code->in_data && code->in_data(code->ctx, start))
		return TARGET_WHY_REFERENCED;
	uint8_t *chunk = xmalloc(CHUNK + INSN_MENTION);
	enum target_why why = scan(d, code, start, chunk, &found);
	free(chunk);
	if (!why && found.n == 0)
		why = TARGET_WHY_NO_RETURN;
	if (!why)
		*ret = found;
	return why;
}
