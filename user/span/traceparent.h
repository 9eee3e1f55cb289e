/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traceparent.h - the trace context that an instrumented client sends along
 * (W3C Trace Context, "traceparent"): the span of its own that the request
 * belongs to.  It comes as an HTTP header, or in _meta of an MCP request.
 *
 *   00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *   version, trace, span, flags; lower-case hexadecimal
 */
#ifndef SPANTAP_TRACEPARENT_H
#define SPANTAP_TRACEPARENT_H

#include "span/ids.h"

/* False for what a receiver must ignore (section 3.2.2): then nothing is filled in. */
bool traceparent_read(struct slice header, struct trace_id *ret_trace, struct span_id *ret_span);

#endif
