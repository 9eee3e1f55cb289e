/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - what spantap says to its operator, always on stderr.
 *
 * Messages: lower case, no full stop, what failed, why, what to do.  Library
 * modules do not log; the caller that gives up logs, once.  Text that came
 * from a traced process goes through text_escape() first.
 */
#ifndef SPANTAP_LOG_H
#define SPANTAP_LOG_H

/* Exit codes of the command line (design.md, "Words fixed now"; see env(1)). */
enum {
	EXIT_SPANTAP = 125,     /* spantap failed before CMD started; CMD was not started */
	EXIT_CMD_NOEXEC = 126,  /* CMD is not executable */
	EXIT_CMD_NOTFOUND = 127 /* CMD was not found */
};

/* The role named in each line: "spantap" for the command line, else "spantap decode" and so on. */
void log_role(const char *role);
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* only when verbose */
void log_verbose(int on);
_Noreturn void die(int exit_code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
