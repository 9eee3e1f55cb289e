/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_exporter.h - the process that sends metrics to one OTLP endpoint.
 *
 * Each interval it sends what hangs on the board (metrics/board.h), and once
 * more at the end.  Sums are cumulative, so what an endpoint did not take is
 * in the next request: nothing is queued, and nothing tried again earlier.
 */
#ifndef SPANTAP_METRICS_EXPORTER_H
#define SPANTAP_METRICS_EXPORTER_H

#include "daemon/exporter.h"

#define METRICS_INTERVAL_MS 60000 /* the default of the specification */

/* MSG_CONF: the interval in ms, then export_conf_encode(). Descriptor: the board, for reading. */
void metrics_exporter_conf(struct buf *out, uint64_t interval_ms, const struct export_conf *c);

int metrics_exporter_main(void);

#endif
