/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alerts.h - final spans against the rules of --alert (metrics/alert.h).
 *
 * A window is ALERT_SLOTS slots of time, so it is exact to a slot; it begins
 * anew when sink is started again.  Times are boot ns.
 */
#ifndef SPANTAP_ALERTS_H
#define SPANTAP_ALERTS_H

#include "metrics/alert.h"
#include "metrics/metrics.h"
#include "span/span.h"

#define ALERT_SLOTS 60
#define ALERT_CONVERSATIONS                                                                                  \
	10000 /* whose latest tool call is remembered; then all are forgotten, and loops counted anew */

struct alerts;

/* NULL when `rules`, a rule a line, are none. Rules that are wrong are left out: who gave them was told. */
struct alerts *alerts_new(const char *rules);
void alerts_free(struct alerts *a); /* accepts NULL */
void alerts_span(struct alerts *a, const struct span *s, uint64_t now);
/*
 * To be called once a second.  Rules that begin and cease to be alerts are
 * told to `say` (a line without content of prompts; with the remedy), and the
 * state of all is set in `r`.
 */
void alerts_tick(struct alerts *a, uint64_t now, struct registry *r, void (*say)(const char *line));

#endif
