/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alert.h - the rules of --alert.
 *
 *   RULE     = SUBJECT ( ">" | ">=" ) NUMBER [ UNIT ] [ "over" DURATION ] [ "for" DURATION ]
 *   SUBJECT  = "error_rate"    of the calls that ended within the window, the part that failed (0 to 1, or
 * with %) | "p95_duration"  what 95 % of these calls did not exceed (s, or with ms, s, m, h); within 2 % |
 * "p95_ttft"      the same of the time to the first token of streams | "cost_per_day"  US dollars by list
 * price in the last 24 h; calls without known price are not in it | "tool_loop"     how often in a row a
 * conversation made the same tool call with the same arguments DURATION = NUMBER ( "s" | "m" | "h" )
 *
 *   error_rate>20% for 5m      p95_ttft > 1.5s over 15m      cost_per_day>50      tool_loop>=5
 *
 * over: the window, 10 s to 24 h, 5 m unless told, and 24 h of cost_per_day; of tool_loop, how long after its
 * last call a loop counts as going on.  for: how long it has to hold before it is an alert (0 unless told).
 * While nothing is known (no call in the window) a rule does not hold.
 */
#ifndef SPANTAP_ALERT_H
#define SPANTAP_ALERT_H

#include "base/buf.h"

#define ALERT_RULES_MAX 32
#define ALERT_TEXT_MAX  96

enum alert_subject {
	ALERT_ERROR_RATE,
	ALERT_P95_DURATION,
	ALERT_P95_TTFT,
	ALERT_COST_PER_DAY,
	ALERT_TOOL_LOOP
};

struct alert_rule {
	enum alert_subject subject;
	bool or_equal;
	double limit;                  /* a part, s, US dollars, calls */
	uint64_t over, hold;           /* ns */
	char text[ALERT_TEXT_MAX + 1]; /* as it was given, blanks folded */
};

/* 0, or -EINVAL and why in *ret_error. */
int alert_parse(struct slice s, struct alert_rule *ret, struct buf *ret_error);
const char *alert_subject_name(enum alert_subject s);

#endif
