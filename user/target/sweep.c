/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "target/sweep.h"

const struct insn *sweep_at(const struct sweep *s, uint64_t at)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->insns[middle].at == at)
			return &s->insns[middle];
		if (s->insns[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static bool branches_meet(const struct sweep *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct insn *insn = &s->insns[i];

		if (insn->kind != INSN_JUMP && insn->kind != INSN_BRANCH && insn->kind != INSN_CALL)
			continue;
		if (insn->to >= s->start && insn->to < s->end && !sweep_at(s, insn->to))
			return false;
	}
	return true;
}

enum target_why sweep_init(struct sweep *ret, struct decoder *d, const struct code *code, uint64_t start,
                           uint64_t end)
{
	enum target_why why = TARGET_WHY_NONE;
	size_t cap = 0;

	*ret = (struct sweep){.start = start, .end = end};
	if (end <= start || !code_in_text(code, start) || end > code->text_end)
		return TARGET_WHY_NO_EXTENT;
	size_t left = end - start;
	if (left > SWEEP_MAX)
		return TARGET_WHY_TOO_LONG;
	uint8_t *bytes = xmalloc(left);
	const uint8_t *p = bytes;
	if (code->read(code->ctx, start, bytes, left) != (long)left)
		why = TARGET_WHY_NO_EXTENT;
	while (!why && left) {
		xgrow(&ret->insns, &cap, ret->n + 1, sizeof(*ret->insns));
		if (decoder_next(d, &p, &left, &start, &ret->insns[ret->n]))
			ret->n++;
		else
			why = d->left ? TARGET_WHY_UNDECODED : TARGET_WHY_TOO_LONG;
	}
	free(bytes);
	if (!why && !branches_meet(ret))
		why = TARGET_WHY_MISALIGNED;
	return why;
}

void sweep_release(struct sweep *s)
{
	free(s->insns);
	*s = (struct sweep){0};
}
