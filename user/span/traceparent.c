/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "span/traceparent.h"

#define LENGTH 55 /* of version 00; later ones may go on behind another "-" */

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

bool traceparent_read(struct slice header, struct trace_id *ret_trace, struct span_id *ret_span)
{
	struct slice s = slice_trim(header);
	struct trace_id trace;
	struct span_id span;
	uint8_t version, flags;

	if (s.n < LENGTH || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-')
		return false;
	if (!text_unhex(slice_of(s.p, 2), &version, 1) ||
	    !text_unhex(slice_of(s.p + 3, 32), trace.b, sizeof(trace.b)) ||
	    !text_unhex(slice_of(s.p + 36, 16), span.b, sizeof(span.b)) ||
	    !text_unhex(slice_of(s.p + 53, 2), &flags, 1))
		return false;
	if (version == 0xff || (version == 0 && s.n != LENGTH) || (s.n > LENGTH && s.p[LENGTH] != '-'))
		return false;
	if (is_zero(trace.b, sizeof(trace.b)) || is_zero(span.b, sizeof(span.b)))
		return false;
	*ret_trace = trace;
	*ret_span = span;
	return true;
}
