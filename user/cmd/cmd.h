/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd.h - subcommands: one const struct cmd in its own file, one row in the
 * table of main.c.
 *
 * run() gets argv[0] = the subcommand's name.  Exit codes: 0 done, 1 it failed,
 * 2 it was called wrongly; `run` has its own (log.h).  Messages say which
 * subcommand speaks: "spantap ls: unknown option '--foo'; see 'spantap ls --help'".
 */
#ifndef SPANTAP_CMD_H
#define SPANTAP_CMD_H

#include <getopt.h>
#include <sys/types.h>

#include "base/buf.h"

struct cmd {
	const char *name, *summary; /* the summary has no full stop */
	const char *usage;          /* everything that --help prints */
	int (*run)(int argc, char **argv);
};

extern const struct cmd cmd_run, cmd_record, cmd_ls, cmd_show, cmd_search, cmd_top, cmd_stats, cmd_cost, cmd_diff, cmd_export,
    cmd_status, cmd_replay, cmd_doctor;

enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

/* What cmd_option() returns besides the `val` of an option and -1 (no more options). */
enum { CMD_OPTION_HELP = -2, CMD_OPTION_WRONG = -3 };

/*
 * getopt_long() with our words.  --help and -h print the usage on stdout and
 * give CMD_OPTION_HELP (exit 0); a wrong option is reported and gives
 * CMD_OPTION_WRONG (exit CMD_USAGE).  Begin `shorts` with "+" when options end
 * at the first other argument; a ":" for missing arguments is added here.
 */
int cmd_option(const struct cmd *cmd, int argc, char **argv, const char *shorts, const struct option *longs);

/*
 * Where the option that is looked at stands, for what cmd_usage_error() says:
 * "spantap.conf:12: retain-days"; borrowed.  NULL: on the command line.
 */
void cmd_place(const char *place);

/* Says what is wrong with the call; returns CMD_USAGE. */
int cmd_usage_error(const struct cmd *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Says why it failed; returns CMD_FAILED. */
int cmd_failed(const struct cmd *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The user on whose behalf we run: under sudo the one who called it. */
uid_t cmd_user(void);

/*
 * The store that is read: `dir`, or when that is NULL the one that a capture of
 * cmd_user() writes to by default.  CMD_OK, or CMD_FAILED, said.
 */
int cmd_store_dir(const struct cmd *cmd, const char *dir, struct buf *ret);
#define CMD_STORE_DEFAULT "spantap in the XDG state directory; for root /var/lib/spantap"
/* Opens it for reading; NULL: it cannot, and has said why. */
struct store;
struct store *cmd_store(const struct cmd *cmd, const char *dir, struct buf *ret_dir);

/* Notes that the user is about to see these conversations (store/views.h); where that cannot be, says so. */
void cmd_viewed(const struct cmd *cmd, struct store *st, const uint8_t (*traces)[16], size_t n);

/* Writes all of `out` to stdout; returns the exit code and says what went wrong. */
int cmd_output(const struct cmd *cmd, const struct buf *out);

/* What stdout shows. */
int cmd_columns(void);
bool cmd_color(void);

/* Three faces of every list: for people, for cut(1), for programs. */
enum cmd_format { CMD_HUMAN, CMD_TSV, CMD_JSON };

#endif
