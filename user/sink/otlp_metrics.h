/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_metrics.h - a registry as the body of one OTLP request,
 * ExportMetricsServiceRequest of opentelemetry-proto 1.3: cumulative sums and
 * histograms with exemplars, gauges; names and units as metrics.def has them.
 */
#ifndef SPANTAP_OTLP_METRICS_H
#define SPANTAP_OTLP_METRICS_H

#include "metrics/metrics.h"
#include "sink/resource.h"

/* `now`: ns since the epoch. `resource` may be NULL (resource.h); metrics are of the host, of no place in it.
 */
void otlp_metrics_proto(struct buf *out, const struct registry *r, uint64_t now,
                        const struct resource *resource);
void otlp_metrics_json(struct buf *out, const struct registry *r, uint64_t now,
                       const struct resource *resource);

#endif
