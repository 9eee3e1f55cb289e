/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.h - one program, several processes.
 *
 * A role is started by executing spantap again (/proc/self/exe) with a hidden
 * first argument, so it begins with a fresh address space: no secret of the
 * parent, and no ring or link descriptor, is in it.  It finds one socket, as
 * descriptor ROLE_SOCKET, and standard error; everything else comes to it in
 * the MSG_CONF message.
 */
#ifndef SPANTAP_SPAWN_H
#define SPANTAP_SPAWN_H

#include <sys/types.h>

#define ROLE_SOCKET 3
#define ROLE_FLAG   "--role"
#define HURRY       (-10) /* nice value of probe and inspect while CMD runs; the other roles keep the operator's */

#define INSPECT_SECONDS 3 /* for one file: the largest program seen (300 MB) takes a tenth of this */

struct role {
	const char *name;
	int (*main)(void); /* the exit code of the process */
};

/* The table, in spawn.c; NULL-terminated by name. */
extern const struct role roles[];

/*
 * The socket pair of a role: ends[0] is ours, ends[1] the role's.  We keep
 * both, so what was sent to a role that crashed is read by its successor;
 * a role's death shows by SIGCHLD, ours to it by end of file.
 */
int role_socket(int ret_ends[2]);

/* Starts a role on its end of a pair. The pid, or -errno. */
pid_t spawn_role(const char *name, int sock);

/* Runs the role that argv names: called first thing in main(). Returns only when argv names none. */
void role_dispatch(int argc, char **argv);

#endif
