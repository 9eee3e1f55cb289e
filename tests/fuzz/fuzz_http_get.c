/* SPDX-License-Identifier: Apache-2.0 */
/* A scraper's request, whole and in any cut: the same answer, and what is kept fits. The first byte: the cut.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "metrics/http_get.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct http_get *g, struct slice s, size_t piece)
{
	http_get_init(g);
	while (s.n) {
		size_t n = s.n < piece ? s.n : piece;
		char *exact = xmalloc(n);

		memcpy(exact, s.p, n);
		bool done = http_get_feed(g, slice_of(exact, n));
		free(exact);
		if (done)
			return;
		s = slice_from(s, n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_get whole, cut;
	struct buf answer = {0};

	if (size < 1)
		return 0;
	struct slice s = slice_of(data + 1, size - 1);
	run(&whole, s, SIZE_MAX);
	run(&cut, s, 1u + data[0] % 64);
	if (whole.done != cut.done || whole.status != cut.status ||
	    (whole.status == 200 && (http_get_format(&whole) != http_get_format(&cut) ||
	                             http_get_is_head(&whole) != http_get_is_head(&cut))))
		abort();
	http_get_answer(&answer, whole.status, metrics_format_type(http_get_format(&whole)), size);
	buf_release(&answer);
	return 0;
}
