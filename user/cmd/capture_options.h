/* SPDX-License-Identifier: Apache-2.0 */
/* capture_options.h - the options that run and record share: those of outputs.h, and how to capture. */
#ifndef SPANTAP_CAPTURE_OPTIONS_H
#define SPANTAP_CAPTURE_OPTIONS_H

#include "cmd/limit_options.h"
#include "cmd/metrics_options.h"
#include "cmd/outputs.h"

#define CAPTURE_OPTIONS                                                                                              \
	OUTPUT_OPTIONS, {"record", required_argument, NULL, 'r'}, {"http", required_argument, NULL, 'H'},            \
	    {"no-uretprobe", no_argument, NULL, 'R'}, {"retain-days", required_argument, NULL, 'D'},               \
	    {"retain-size", required_argument, NULL, 'Z'}, LIMIT_OPTIONS, METRICS_OPTIONS

#define CAPTURE_USAGE                                                                                                \
	OUTPUT_USAGE METRICS_USAGE "  --record FILE         raw events for 'spantap replay'; holds secrets, so only with\n"        \
		     "                        --content full; FILE must not exist\n"                                 \
		     "  --http all|llm        llm: connections on which no LLM is called are ignored, their\n"       \
		     "                        bytes only counted (default: all for run, llm for record)\n"           \
		     "  --no-uretprobe        no return probes: returns are read at the functions' return\n"         \
		     "                        instructions (chosen by itself where return probes would harm)\n"      \
		     "  --retain-days N       erase conversations that ended more than N days ago (default 0: never)\n"   \
		     "  --retain-size BYTES   when the store is larger, erase the oldest conversations; K, M, G and T\n" \
		     "                        may follow the number, 0: never (default 8G)\n"                          \
		     LIMIT_USAGE                                                                             \
		     "  --verbose             say what is attached\n"

/* Handles one of CAPTURE_OPTIONS or -o. True; false: it is none of them, or *ret_code (usage error) is set. */
bool capture_option(const struct cmd *cmd, int opt, struct capture *cap, int *ret_code);
/* Whether they agree with each other. 0 or an exit code, said why. */
int capture_options_check(const struct cmd *cmd, const struct capture *cap);

#endif
