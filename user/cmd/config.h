/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.h - options out of a file: the same as on the command line, by their long names.
 *
 *   # spantap.conf
 *   comm = node
 *   otlp = https://collector.example:4318
 *   otlp-headers-file = /etc/spantap/headers
 *   no-uretprobe                     (or = yes; = no leaves it as it is)
 *
 * There is no second list of options: a key is looked up in the command's
 * getopt_long() table, and its value goes as `optarg` to what handles the
 * option on the command line.  Lines count in their order, a key may come
 * again.  Names are not abbreviated: a file is to be read.
 *
 * The form of the lines, and what files are refused: base/conf.h.
 */
#ifndef SPANTAP_CONFIG_H
#define SPANTAP_CONFIG_H

#include "base/arena.h"
#include "cmd/cmd.h"

struct config {
	const struct cmd *cmd;
	const char *path;
	const struct option *options;
	const char *const *not_here; /* long names that belong on the command line alone; NULL-terminated */
	struct arena *texts;         /* values go there: they live as long as what is made of them */
	/* Handles an option, with optarg as getopt_long() sets it. False: it was wrong, and that is said. */
	bool (*take)(void *ctx, int opt);
	/* Whether the option may hold a key that not everybody may read; NULL: none does. */
	bool (*secret)(int opt, const char *value);
	void *ctx;
};

/*
 * Reads it all.  Each error is told with file, line and key, by
 * cmd_usage_error(), and the rest is read all the same.  CMD_OK, or CMD_USAGE.
 */
int config_read(const struct config *c);

#endif
