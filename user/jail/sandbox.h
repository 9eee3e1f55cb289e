/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h - giving up rights, before the first byte of traffic is read.
 *
 * sandbox_identity() first (it needs rights), sandbox_enter() last.  A system
 * call that the role's table does not permit ends the process; with
 * SPANTAP_SANDBOX_DEBUG in the environment of the operator's command its name
 * is printed first.
 */
#ifndef SPANTAP_SANDBOX_H
#define SPANTAP_SANDBOX_H

#include <sys/types.h>

enum sandbox_profile {
	SANDBOX_INSPECT, /* memory and its socket only: parses hostile ELF files */
	SANDBOX_GATE,    /* its socket, and the fanotify group that it was given */
	SANDBOX_DECODE,  /* also threads, clocks, and writing to descriptors it was given */
	SANDBOX_SINK,    /* also files */
	SANDBOX_METRICS, /* memory, and the sockets that come to the one it listens on */
	SANDBOX_EXPORT,  /* files, the network, and the threads that look up host names */
};

#define SANDBOX_UID 65534 /* nobody: for roles that own no file */

/* Drops to uid and gid (no other groups), all capabilities, dumpable, core files. 0 or -errno. Without the right to: uid stays. */
int sandbox_identity(uid_t uid, gid_t gid);
/* Applies to all threads. 0 or -errno. */
int sandbox_enter(enum sandbox_profile profile);

#endif
