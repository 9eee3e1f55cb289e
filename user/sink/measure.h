/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure.h - a final span as values of metrics.
 *
 * What a span does not say is not measured: a call that was cut off has no
 * duration unless it failed, a tool whose begin or end was not seen has none.
 * A span of a sampled conversation counts once, as any other (metrics.h).
 */
#ifndef SPANTAP_MEASURE_H
#define SPANTAP_MEASURE_H

#include "metrics/metrics.h"
#include "span/span.h"

void measure_span(struct registry *r, const struct span *s);

#endif
