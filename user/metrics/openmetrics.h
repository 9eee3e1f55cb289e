/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openmetrics.h - a registry as text for scrapers.
 *
 * OpenMetrics 1.0.0 (exemplars, created times, units), or Prometheus' older
 * text format 0.0.4.  Names follow "OTLP to Prometheus" of OpenTelemetry's
 * specification: dots become underscores, the unit and _total are appended.
 */
#ifndef SPANTAP_OPENMETRICS_H
#define SPANTAP_OPENMETRICS_H

#include "metrics/metrics.h"

enum metrics_format { METRICS_TEXT, METRICS_OPENMETRICS, METRICS_FORMATS };

/* For Content-Type. */
const char *metrics_format_type(enum metrics_format f);
/* What the Accept header of a scraper asks for; absent: METRICS_TEXT. */
enum metrics_format metrics_format_accepted(struct slice accept);
void openmetrics_write(struct buf *out, const struct registry *r, enum metrics_format f);

#endif
