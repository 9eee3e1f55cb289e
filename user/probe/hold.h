/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold.h - a program that was never seen waits, before it begins, until it has its probes.
 *
 * A program with its TLS linked in is found when it is executed, and probes take
 * 5 to 20 ms to come: what it says before that would be missed.  So an execve(2)
 * of CMD's descendants waits in the kernel until the file was looked into, at
 * most HOLD_NS, and once: a file that is known is not asked about again.
 *
 * By what.  A stopped process (SIGSTOP at the exec) shows: its parent's
 * waitpid(WUNTRACED) returns, SIGCHLD comes with CLD_STOPPED, a shell with job
 * control believes that its job was stopped; a tracer's or another's stop would
 * be undone by our SIGCONT; and when we are killed it stays stopped for ever.
 * seccomp's user notification has every later execve fail (ENOSYS) when its
 * listener is gone.  A permission event of fanotify(7), FAN_OPEN_EXEC_PERM
 * (Linux 5.0, 66917a3130f2), has none of that: the caller sleeps within execve,
 * as for a slow disk, nobody is told, SIGKILL and what else ends a process still
 * ends it, and closing the group, by SIGKILL too, lets all of them go
 * (fanotify_release()).  Who waits for the execve itself waits too: a parent in
 * vfork(2), a debugger that attaches at this moment.  Measured, on a busy host:
 * of 100 programs each of a file of its own, Go and stripped OpenSSL, 100 and 100
 * are whole and in time (without: 67 and 18); they waited 9 and 68 ms on average,
 * a program without TLS 0.4 ms, one that is known not at all.
 *
 * For whom.  Marks sit on mounts, and a mount is everyone's.  Were the host's
 * own mounts marked, all of the host would wait for us: for a known
 * file that is nothing, but a session that is frozen, as systemd freezes user.slice
 * before it suspends (since 256), would hold the programs that are to thaw it.  So CMD gets a mount
 * namespace of its own, in which only its descendants are, and its mounts are
 * marked.  To CMD it is the same tree: mounts that are shared (mount_namespaces(7);
 * systemd shares all) pass in both directions whatever anybody mounts.  Where
 * they are not, as in most containers, CMD's mounts would be hidden from others:
 * there nothing is held, `doctor` says so, and early connections are marked
 * joined_late as without it.
 *
 * By whom.  The role "gate" (daemon/gate.c), without rights and in a session of
 * its own: a ^Z for CMD and us does not stop it, and however long probe is
 * busy, stopped or gone, it lets go in time.  Whatever goes wrong, the answer is
 * to go on.  To read an event opens its file, and where that fails the kernel
 * refuses the execve: so file systems on which it may (network, FUSE) are not
 * marked, and the gate keeps descriptors in reserve.
 *
 * Not held: what is executed from those, from mounts made later, from a memfd;
 * and in namespaces that CMD makes.
 */
#ifndef SPANTAP_HOLD_H
#define SPANTAP_HOLD_H

#include "base/buf.h"
#include "probe/attach.h"

#define HOLD_NS          3000000000ull /* to look into the largest program takes a third of it */
#define HOLD_PLACE_NS    1000000000ull /* of that, to place the probes: typically 20 ms */
#define HOLD_SIZE_MIN    (256 << 10)   /* bytes; no smaller program has a TLS library in it */
#define HOLD_PENDING_MAX 256           /* programs that wait; beyond it they do not */
#define HOLD_KNOWN_MAX   8192          /* inodes that are known to the kernel; then it forgets them */

/* MSG_HELD, gate to probe, with the file. */
struct held {
	uint64_t serial, since; /* boot ns */
};

/* MSG_LET_GO, the answer: its probes, if it needs any, are on. Until it is written to, it is not asked about
 * again. */
struct let_go {
	uint64_t serial; /* HOLD_FORGET: no answer; probes were taken off, so ask about every file again */
};

#define HOLD_FORGET 0

struct hold_stats {
	uint64_t held;           /* files asked about */
	uint64_t overdue;        /* of these: that had gone on before they were looked into */
	uint64_t attached;       /* that have got probes in time */
	uint64_t ns, longest_ns; /* how long they waited, all together */
};

struct hold;

/* Whether programs can be held here; else ret_why names the reason. */
bool hold_possible(struct buf *ret_why);
/* Starts the gate; nothing is held yet. NULL: errno. */
struct hold *hold_new(struct attacher *a);
/* In the child that becomes CMD: into a mount namespace of its own. 0 or -errno. */
int hold_enter(struct hold *h);
/* From now on, in the mount namespace of `pid`. False: nothing there can be marked. */
bool hold_mark(struct hold *h, pid_t pid);
/* To be polled for reading; -1: the gate is gone, and nothing is held. */
int hold_fd(const struct hold *h);
/* Looks into what waits, and lets it go. */
void hold_work(struct hold *h);
/* True: the gate has just ended, by itself or by others. One that somebody has stopped is ended: nobody waits
 * for it. */
bool hold_reap(struct hold *h);
/* Lets go of all; accepts NULL. */
void hold_free(struct hold *h);
const struct hold_stats *hold_stats(const struct hold *h);

#endif
