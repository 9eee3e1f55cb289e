/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "span/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What can be decoded is encoded to something that decodes to the same text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf wire = {0}, one = {0}, two = {0};
	struct span s, again;

	if (span_decode(slice_of(data, size), &s) != 0)
		return 0;
	span_encode(&wire, &s);
	if (span_decode(buf_slice(&wire), &again) != 0)
		abort();
	span_print(&one, &s, 0);
	span_print(&two, &again, 0);
	if (!slice_eq(buf_slice(&one), buf_slice(&two)))
		abort();
	span_release(&s);
	span_release(&again);
	buf_release(&wire);
	buf_release(&one);
	buf_release(&two);
	return 0;
}
