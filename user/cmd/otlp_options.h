/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_options.h - the options and variables that name OTLP endpoints.
 *
 * The variables are those of the OpenTelemetry specification ("OTLP exporter
 * configuration"); each has a form for traces that goes before the general
 * one: OTEL_EXPORTER_OTLP[_TRACES]_ENDPOINT, _HEADERS, _PROTOCOL, _COMPRESSION,
 * _TIMEOUT, _CERTIFICATE, _CLIENT_CERTIFICATE, _CLIENT_KEY.  They describe the
 * one endpoint that is used when no option names any; of the others only the
 * headers are taken, because keys do not belong on a command line.  Metrics
 * have one endpoint: --otlp-metrics, else OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
 * else the general one if OTEL_METRICS_EXPORTER is "otlp"; its other settings
 * are OTEL_EXPORTER_OTLP[_METRICS]_ variables.
 */
#ifndef SPANTAP_OTLP_OPTIONS_H
#define SPANTAP_OTLP_OPTIONS_H

#include "cmd/cmd.h"
#include "daemon/daemon.h"

/* Values above all characters. */
enum {
	OTLP_OPTION_URL = 0x200,
	OTLP_OPTION_HEADER,
	OTLP_OPTION_PROTOCOL,
	OTLP_OPTION_PROFILE,
	OTLP_OPTION_COMPRESSION,
	OTLP_OPTION_CA,
	OTLP_OPTION_CERT,
	OTLP_OPTION_KEY,
	OTLP_OPTION_TIMEOUT,
	OTLP_OPTION_HEADERS_FILE,
	OTLP_OPTION_METRICS,
	OTLP_OPTION_END,
};

#define OTLP_OPTIONS                                                                                                 \
	{"otlp", required_argument, NULL, OTLP_OPTION_URL}, {"otlp-header", required_argument, NULL, OTLP_OPTION_HEADER}, \
	    {"otlp-headers-file", required_argument, NULL, OTLP_OPTION_HEADERS_FILE},                                 \
	    {"otlp-protocol", required_argument, NULL, OTLP_OPTION_PROTOCOL},                                         \
	    {"otlp-profile", required_argument, NULL, OTLP_OPTION_PROFILE},                                           \
	    {"otlp-compression", required_argument, NULL, OTLP_OPTION_COMPRESSION},                                   \
	    {"otlp-ca", required_argument, NULL, OTLP_OPTION_CA}, {"otlp-cert", required_argument, NULL, OTLP_OPTION_CERT}, \
	    {"otlp-key", required_argument, NULL, OTLP_OPTION_KEY},                                                   \
	    {"otlp-timeout", required_argument, NULL, OTLP_OPTION_TIMEOUT},                                           \
	    {"otlp-metrics", required_argument, NULL, OTLP_OPTION_METRICS}

#define OTLP_USAGE                                                                                                   \
	"  --otlp URL            send spans to this OTLP/HTTP endpoint (/v1/traces is added when it is\n"            \
	"                        not there); may be given again.  What follows is of the endpoint before\n"         \
	"                        it, or of all when it stands before the first:\n"                                  \
	"  --otlp-header K=V     a header of each request; keys rather go into the variable\n"                      \
	"                        OTEL_EXPORTER_OTLP_HEADERS, which ps(1) does not show, or into a file:\n"           \
	"  --otlp-headers-file FILE  lines NAME = VALUE; a file that not everybody may read\n"                       \
	"  --otlp-protocol P     http/protobuf (default) or http/json\n"                                            \
	"  --otlp-profile P      attributes as this backend reads them: plain, common (default),\n"                 \
	"                        langfuse, phoenix, langsmith, signoz or tempo\n"                                   \
	"  --otlp-compression C  gzip (default) or none\n"                                                          \
	"  --otlp-ca FILE        authorities that its certificate is checked with\n"                                \
	"  --otlp-cert FILE      our certificate, and --otlp-key FILE its key\n"                                    \
	"  --otlp-timeout MS     of a request (default 10000)\n"                                                     \
	"  --otlp-metrics URL    send metrics to this OTLP/HTTP endpoint (/v1/metrics is added), each minute or\n"   \
	"                        OTEL_METRIC_EXPORT_INTERVAL ms; the rest as the OTEL_EXPORTER_OTLP variables say\n"

/* Handles one of OTLP_OPTIONS. True; false: it is none of them, or *ret_code (usage error) is set. */
bool otlp_option(const struct cmd *cmd, int opt, struct outputs *o, int *ret_code);
/* Reads the variables. 0 or an exit code, said why. */
int otlp_finish(const struct cmd *cmd, struct outputs *o);

#endif
