/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "span/redact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Skipping what cannot matter masks the same, also where a whole block follows. */
static void compare(struct slice text, unsigned mode)
{
	struct buf longer = {0}, fast = {0}, slow = {0};

	buf_addslice(&longer, text);
	for (unsigned i = 0; i < 8; i++)
		buf_adds(&longer, " and what follows");
	redact_text(&fast, buf_slice(&longer), mode);
	redact_text(&slow, buf_slice(&longer), mode | REDACT_SLOWLY);
	if (!slice_eq(buf_slice(&fast), buf_slice(&slow)))
		abort();
	buf_release(&longer);
	buf_release(&fast);
	buf_release(&slow);
}

/* First byte: what is masked. The rest as text, and as argv (arguments end with NUL). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice argv[64], out[64], rest, arg;
	struct buf once = {0};
	struct arena a = {0};
	size_t n = 0;

	if (size < 2)
		return 0;
	unsigned mode = data[0] & (REDACT_SECRETS | REDACT_EMAIL | REDACT_CARD);
	rest = slice_of(data + 1, size - 1);
	redact_text(&once, rest, mode);
	compare(rest, mode);
	while (n < 64 && slice_cut(&rest, '\0', &arg))
		argv[n++] = arg;
	redact_argv(&a, argv, n, out, mode);
	arena_release(&a);
	buf_release(&once);
	return 0;
}
