/* SPDX-License-Identifier: Apache-2.0 */
/* A rule of --alert: what is taken as one is the same rule in its own words, within its limits. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "metrics/alert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct alert_rule r, again;
	struct buf error = {0};

	if (alert_parse(slice_of(data, size), &r, &error) == 0) {
		if (error.n || !isfinite(r.limit) || r.limit < 0 || r.over < 10000000000ull ||
		    strchr(r.text, '\n') || alert_parse(slice_str(r.text), &again, &error) ||
		    again.subject != r.subject || again.limit != r.limit || again.over != r.over ||
		    again.hold != r.hold || again.or_equal != r.or_equal)
			abort();
	} else if (!error.n) {
		abort();
	}
	buf_release(&error);
	return 0;
}
