/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/slice.h"
#include "cmd/cmd.h"
#include "store/store.h"
#include "store/views.h"

static const char *place;

void cmd_place(const char *where)
{
	place = where;
}

static void say(const struct cmd *cmd, const char *fmt, va_list ap, const char *tail)
{
	fprintf(stderr, "spantap %s: %s%s", cmd->name, place ? place : "", place ? ": " : "");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "%s", tail);
}

int cmd_usage_error(const struct cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(cmd, fmt, ap, "; see");
	va_end(ap);
	fprintf(stderr, " 'spantap %s --help'\n", cmd->name);
	return CMD_USAGE;
}

int cmd_failed(const struct cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(cmd, fmt, ap, "\n");
	va_end(ap);
	return CMD_FAILED;
}

/* getopt_long() gives '?' for an unknown option, an ambiguous one, and one that takes no argument. */
static int wrong(const struct cmd *cmd, char **argv, bool missing)
{
	const char *arg = argv[optind - 1];

	if (missing)
		cmd_usage_error(cmd, "option '%s' needs an argument", arg);
	else if (strncmp(arg, "--", 2) == 0 && optopt)
		cmd_usage_error(cmd, "option '%s' takes no argument", arg);
	else if (strncmp(arg, "--", 2) == 0)
		cmd_usage_error(cmd, "unknown option '%s'", arg);
	else
		cmd_usage_error(cmd, "unknown option '-%c'", optopt);
	return CMD_OPTION_WRONG;
}

int cmd_option(const struct cmd *cmd, int argc, char **argv, const char *shorts, const struct option *longs)
{
	struct buf spec = {0};
	bool plus = shorts[0] == '+';

	buf_addf(&spec, "%s:h%s", plus ? "+" : "", shorts + plus);
	opterr = 0;
	int c = getopt_long(argc, argv, buf_str(&spec), longs, NULL);
	buf_release(&spec);
	if (c == '?' && optopt == 0 && strcmp(argv[optind - 1], "--help") == 0)
		c = 'h';
	if (c == '?' || c == ':')
		return wrong(cmd, argv, c == ':');
	if (c != 'h')
		return c;
	fputs(cmd->usage, stdout);
	return CMD_OPTION_HELP;
}

uid_t cmd_user(void)
{
	const char *v = getenv("SUDO_UID");
	uint64_t uid;

	if (geteuid() == 0 && v && slice_u64(slice_str(v), &uid) && uid < UINT32_MAX)
		return (uid_t)uid;
	return getuid();
}

int cmd_store_dir(const struct cmd *cmd, const char *dir, struct buf *ret)
{
	if (dir)
		buf_adds(ret, dir);
	else if (cmd_user() == 0 && access(RECORD_STORE "/" STORE_STATUS, F_OK) == 0)
		buf_adds(ret, RECORD_STORE);
	else if (store_default_dir(ret, cmd_user()))
		return cmd_failed(cmd, "no home directory for uid %u: give --store DIR", cmd_user());
	return CMD_OK;
}

struct store *cmd_store(const struct cmd *cmd, const char *dir, struct buf *ret_dir)
{
	struct buf error = {0};
	struct store *st = NULL;

	if (cmd_store_dir(cmd, dir, ret_dir))
		return NULL;
	if (store_open(buf_str(ret_dir), STORE_READ, &st, &error))
		cmd_failed(cmd, "%s", buf_str(&error));
	buf_release(&error);
	return st;
}

void cmd_viewed(const struct cmd *cmd, struct store *st, const uint8_t (*traces)[16], size_t n)
{
	if (store_view(st, cmd->name, cmd_user(), traces, n))
		log_warn("%s", store_error(st));
}

int cmd_output(const struct cmd *cmd, const struct buf *out)
{
	if ((out->n && fwrite(out->p, 1, out->n, stdout) != out->n) || fflush(stdout))
		return cmd_failed(cmd, "cannot write: %s", strerror(errno));
	return CMD_OK;
}

int cmd_columns(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

bool cmd_color(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && no_color[0]) && term && strcmp(term, "dumb") != 0;
}
