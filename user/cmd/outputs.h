/* SPDX-License-Identifier: Apache-2.0 */
/* outputs.h - the options that run and replay share: where spans go, and how much of their content. */
#ifndef SPANTAP_OUTPUTS_H
#define SPANTAP_OUTPUTS_H

#include "cmd/cmd.h"
#include "cmd/otlp_options.h"

/* Above all characters. */
enum { OUTPUT_OPTION_RULE = 0x280 };

#define OUTPUT_OPTIONS                                                                                               \
	{"output", required_argument, NULL, 'o'}, {"store", required_argument, NULL, 's'}, {"content", required_argument, NULL, 'c'},                          \
	    {"otlp-file", required_argument, NULL, 'O'}, {"otlp-content", required_argument, NULL, 'C'},             \
	    {"join-traces", no_argument, NULL, 'j'}, {"redact", required_argument, NULL, 'M'},                        \
	    {"rule", required_argument, NULL, OUTPUT_OPTION_RULE}, {"verbose", no_argument, NULL, 'v'}, OTLP_OPTIONS

#define RETAIN_BYTES (8ull << 30) /* default of --retain-size */

#define OUTPUT_USAGE                                                                                                 \
	"  -o, --output FILE     the tree goes to FILE instead of stderr\n"                                          \
	"  --store DIR           where spans are kept (default: spantap in the user's XDG state directory)\n"        \
	"  --content LEVEL       none, shape, redacted or full: how much of prompts, answers, arguments\n"           \
	"                        and results is kept (default redacted; credentials are masked at every level)\n"    \
	"  --redact LIST         also mask at redacted: email (addresses), card (payment cards' numbers)\n"            \
	"  --rule 'WHAT:PATTERN … content:LEVEL'  keep no more than LEVEL of what matches; WHAT is host, agent,\n"     \
	"                        provider, model or container, PATTERN as in sh(1); may be given again\n"             \
	"  --otlp-file FILE      OTLP JSON lines, each span once, when it is final\n"                                \
	"  --otlp-content LEVEL  for --otlp-file (default: as --content) and --otlp (default: shape,\n"               \
	"                        lengths without text); not above --content\n"                                      \
	"  --join-traces         a turn whose calls all carry a traceparent belongs to that trace\n"                  \
	OTLP_USAGE

/* Handles one of OUTPUT_OPTIONS or -o. True; false: it is none of them, or *ret_code (usage error) is set. */
bool outputs_option(const struct cmd *cmd, int opt, struct outputs *o, int *ret_code);
/* Fills in defaults: the store of `uid`, terminal, capture instance. 0 or an exit code, said why. */
int outputs_finish(const struct cmd *cmd, struct outputs *o, uid_t uid, gid_t gid);

#endif
