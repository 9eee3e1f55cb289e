/* SPDX-License-Identifier: Apache-2.0 */
/* limit_options.h - options of run and record: what spantap may use, and which conversations it keeps. */
#ifndef SPANTAP_LIMIT_OPTIONS_H
#define SPANTAP_LIMIT_OPTIONS_H

#include <getopt.h>

#include "cmd/cmd.h"
#include "daemon/daemon.h"

enum { OPT_MAX_CPU = 300, OPT_MAX_MEMORY, OPT_SAMPLE, OPT_SAMPLE_SLOW };

#define LIMIT_OPTIONS                                                                                                \
	{"max-cpu", required_argument, NULL, OPT_MAX_CPU}, {"max-memory", required_argument, NULL, OPT_MAX_MEMORY},  \
	    {"sample", required_argument, NULL, OPT_SAMPLE}, {"sample-slow", required_argument, NULL, OPT_SAMPLE_SLOW}

#define LIMIT_USAGE                                                                                                  \
	"  --max-cpu PERCENT     of one processor, for all of spantap's processes together; above it it\n"            \
	"                        leaves out content first, then whole conversations, and counts them\n"               \
	"  --max-memory BYTES    the same for memory; K, M, G and T may follow the number\n"                          \
	"  --sample PERCENT      keep this share of conversations, whole ones (default 100); those with an\n"         \
	"                        error are kept in any case\n"                                                        \
	"  --sample-slow SECONDS keep those in any case of which a call or turn took so long\n"

/* Handles one of LIMIT_OPTIONS. True; false: it is none of them, or *ret_code (usage error) is set. */
bool limit_option(const struct cmd *cmd, int opt, struct outputs *o, int *ret_code);
/* Whether they agree with others. 0 or an exit code, said why. */
int limit_options_check(const struct cmd *cmd, const struct outputs *o);

#endif
