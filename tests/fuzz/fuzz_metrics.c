/* SPDX-License-Identifier: Apache-2.0 */
/* What hangs on the board, by a writer that is broken: a registry, or a status, and both texts of it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "metrics/health.h"
#include "metrics/openmetrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = {0}, again = {0};
	struct registry *r = NULL, *copy = NULL;

	if (size < 1)
		return 0;
	struct slice s = slice_of(data + 1, size - 1);
	if (data[0] & 1 && registry_decode(s, &r) == 0) {
		registry_encode(&out, r);
		if (registry_decode(buf_slice(&out), &copy))
			abort();
		registry_encode(&again, copy);
		if (!slice_eq(buf_slice(&out), buf_slice(&again)))
			abort();
	}
	if (!r)
		r = registry_new(1);
	if (!(data[0] & 1))
		health_add(r, s, s);
	buf_clear(&out);
	openmetrics_write(&out, r, METRICS_OPENMETRICS);
	openmetrics_write(&out, r, METRICS_TEXT);
	buf_release(&out);
	buf_release(&again);
	registry_free(r);
	registry_free(copy);
	return 0;
}
