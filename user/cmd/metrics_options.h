/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_options.h - the options of run and record that concern metrics. */
#ifndef SPANTAP_METRICS_OPTIONS_H
#define SPANTAP_METRICS_OPTIONS_H

#include "cmd/cmd.h"
#include "daemon/daemon.h"

enum { METRICS_OPTION_LISTEN = 0x2c0, METRICS_OPTION_ALERT, METRICS_OPTION_WEBHOOK };

#define METRICS_OPTIONS                                                                                              \
	{"metrics", required_argument, NULL, METRICS_OPTION_LISTEN}, {"alert", required_argument, NULL, METRICS_OPTION_ALERT}, \
	    {"alert-webhook", required_argument, NULL, METRICS_OPTION_WEBHOOK}

#define METRICS_USAGE                                                                                                \
	"  --metrics WHERE       offer metrics to Prometheus (OpenMetrics, at /metrics): PORT on 127.0.0.1,\n"       \
	"                        ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH; everyone who can connect can read\n"     \
	"                        names of models, hosts, agents and tools there\n"                                   \
	"  --alert RULE          say it when a rule holds, e.g. 'error_rate>20% for 5m', 'p95_duration>30s over 1h',\n" \
	"                        'p95_ttft>2s', 'cost_per_day>50', 'tool_loop>=5'; may be given again\n"             \
	"  --alert-webhook URL   also POST it there as JSON, without any content of prompts\n"

/* Whether they agree with each other. 0 or an exit code, said why. */
int metrics_options_check(const struct cmd *cmd, const struct outputs *o);
/* Handles one of METRICS_OPTIONS. True; false: it is none of them, or *ret_code (usage error) is set. */
bool metrics_option(const struct cmd *cmd, int opt, struct outputs *o, int *ret_code);

#endif
