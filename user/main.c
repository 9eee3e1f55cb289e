/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - the table of subcommands. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "jail/spawn.h"
#include "sink/otlp_json.h"

static const struct cmd *const commands[] = {
    &cmd_run,  &cmd_record, &cmd_ls,   &cmd_show,   &cmd_search, &cmd_top,    &cmd_stats,
    &cmd_cost, &cmd_diff,   &cmd_export, &cmd_status, &cmd_replay, &cmd_doctor,
};

static void usage(FILE *to)
{
	fprintf(to,
	        "spantap: every conversation of an AI agent as a span tree, without touching the agent\n\n"
	        "usage: spantap COMMAND [options]\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(to, "\n'spantap COMMAND --help' says more; 'spantap run -- CMD' is where to begin\n");
}

int main(int argc, char **argv)
{
	role_dispatch(argc, argv);
	if (argc < 2) {
		usage(stderr);
		return CMD_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		usage(stdout);
		return CMD_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("spantap " SPANTAP_VERSION);
		return CMD_OK;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i]->name) == 0)
			return commands[i]->run(argc - 1, argv + 1);
	fprintf(stderr, "spantap: unknown command '%s'; see 'spantap --help'\n", argv[1]);
	return CMD_USAGE;
}
