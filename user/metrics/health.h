/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health.h - spantap's own state as metrics, out of what `spantap status`
 * shows: keys of the status and of the exporters' notes, a row each.  A key
 * that is not there makes no series.
 */
#ifndef SPANTAP_HEALTH_H
#define SPANTAP_HEALTH_H

#include "metrics/metrics.h"

/* Both as on the board (board.h); what is no JSON of that kind adds nothing. */
void health_add(struct registry *r, struct slice status, struct slice exports);

#endif
