/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "target/refs.h"

#define CHUNK (1024 * 1024)

/* What one piece of code holds. */
static void find_in_chunk(const uint8_t *p, size_t n, uint64_t at, const struct insn_machine *m,
                          const struct insn_wanted *wanted, struct refs *ret)
{
	struct insn_ref ref;

	for (size_t i = 0; i < n; i++) {
		i += m->refers(p + i, n - i, at + i, wanted, &ref);
		if (i >= n || (ret->n && ret->v[ret->n - 1].at >= ref.at))
			continue; /* none, or had before: pieces overlap */
		ret->cut = ret->n == REFS_MAX;
		if (ret->cut)
			return;
		ret->v[ret->n++] = ref;
	}
}

void refs_find(const struct code *code, const struct insn_machine *m, const struct insn_wanted *wanted,
               struct refs *ret)
{
	uint8_t *chunk = xmalloc(CHUNK);

	*ret = (struct refs){.v = xcalloc(REFS_MAX, sizeof(*ret->v))};
	for (uint64_t at = code->text_start; wanted->n && at < code->text_end && !ret->cut;
	     at += CHUNK - INSN_REFERS) {
		uint64_t left = code->text_end - at;
		size_t want = left < CHUNK ? left : CHUNK;

		if (code->read(code->ctx, at, chunk, want) != (long)want)
			break;
		find_in_chunk(chunk, want, at, m, wanted, ret);
	}
	free(chunk);
}

void refs_release(struct refs *refs)
{
	free(refs->v);
	*refs = (struct refs){0};
}
