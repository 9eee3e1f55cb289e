/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "target/bounds.h"
#include "target/eh_frame.h"

#define TRIED_MAX 8 /* places that look like a beginning */

/*
 * Where the function ends that begins at `start`; n bytes are known of it.  0:
 * cannot be told.  Behind a switch, whose places are not known, only padding
 * tells the end.
 */
static uint64_t follow(struct decoder *d, const uint8_t *p, size_t n, uint64_t start)
{
	uint64_t at = start, far = start; /* a branch leads there */
	bool switched = false;
	struct insn i;

	while (decoder_next(d, &p, &n, &at, &i)) {
		bool padding = d->m->padding(p, n);

		if ((i.kind == INSN_BRANCH || i.kind == INSN_JUMP) && i.to > far && i.to - start < BOUNDS_MAX)
			far = i.to;
		switched |= i.kind == INSN_JUMP_MEMORY;
		if (far >= at)
			continue;
		if ((i.kind == INSN_CALL && padding) ||
		    ((i.kind == INSN_RET || i.kind == INSN_JUMP || i.kind == INSN_JUMP_MEMORY) &&
		     (!switched || padding)))
			return at;
	}
	return 0;
}

bool bounds_find(struct decoder *d, const struct code *code, uint64_t at, uint64_t *ret_start,
                 uint64_t *ret_end)
{
	const struct insn_machine *m = d->m;
	unsigned tried = 0;

	if (eh_frame_find(code, at, ret_start, ret_end))
		return true;
	if (!code_in_text(code, at))
		return false;
	uint64_t low = at - code->text_start > BOUNDS_MAX ? at - BOUNDS_MAX : code->text_start;
	uint8_t *bytes = xmalloc(2 * BOUNDS_MAX);
	long n = code->read(code->ctx, low, bytes, 2 * BOUNDS_MAX);
	uint64_t start = at - at % m->aligned, end = 0;

	for (; start >= low && start - low < (uint64_t)(n > 0 ? n : 0) && tried < TRIED_MAX;
	     start -= m->aligned) {
		size_t k = start - low;

		if (!m->begins(bytes + k, k, (size_t)n - k))
			continue;
		tried++;
		end = follow(d, bytes + k, (size_t)n - k, start);
		if (end > at || start < m->aligned)
			break;
	}
	free(bytes);
	*ret_start = start;
	*ret_end = end;
	return end > at;
}
