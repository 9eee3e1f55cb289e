/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover.h - which processes are followed, and which files they execute from.
 *
 * Files are found by mapping records (mappings.h), by what a process found
 * already has mapped (/proc/PID/maps), and at every exec.  Processes are found
 * by a scan at the start, and when a rule that the kernel cannot decide may
 * match an exec.  Probes of files that no followed process maps any more are
 * taken off (RELEASE_NS): programs that update themselves leave old ones behind.
 */
#ifndef SPANTAP_DISCOVER_H
#define SPANTAP_DISCOVER_H

#include "probe/attach.h"
#include "probe/select.h"

#define RELEASE_NS                                                                                           \
	30000000000ull /* not mapped for so long: longer than an agent takes between two short tools */

struct discover;

/* Takes a record of a process that ran already. 0 or -errno. */
typedef int (*discover_record)(void *ctx, const struct ev_head *rec);

struct discover_conf {
	struct attacher *attacher;
	struct loader *loader;
	pid_t cmd;                   /* it and its descendants; or 0, and: */
	struct selection *selection; /* borrowed */
	discover_record record;      /* EV_FORK and EV_EXEC of the processes found */
	void *ctx;
};

struct discover_stats {
	uint64_t found;      /* processes that ran already */
	uint64_t not_told;   /* of these: records that `record` did not take */
	uint64_t unreadable; /* whose files may not be looked at */
	uint64_t syscalls;   /* times that the tracepoint of system calls was wanted (bpf/plain.bpf.c) */
	uint64_t blind;      /* processes that have ended with TLS on the wire and no plaintext seen */
};

/*
 * From now on; with a selection also what matches already, whose files are
 * attached when this returns.  NULL: errno.
 */
struct discover *discover_start(const struct discover_conf *conf);
/* To be polled for reading; level-triggered. */
int discover_fd(const struct discover *d);
/* Handles what has arrived; *ret_exits: whether a followed process has ended. */
void discover_work(struct discover *d, bool *ret_exits);
/* Takes off the probes that are not needed any more; to be called at least every few seconds. */
void discover_tick(struct discover *d);
/* Another selection from now on, borrowed in place of the first; what is followed stays so. 0 or -errno. */
int discover_select(struct discover *d, struct selection *s);
void discover_stop(struct discover *d); /* accepts NULL */
const struct discover_stats *discover_stats(const struct discover *d);

#endif
