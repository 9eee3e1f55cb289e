/* SPDX-License-Identifier: Apache-2.0 */
/*
 * select.h - which processes `spantap record` follows.
 *
 * A selection is a list of rules; a process that matches one of them is
 * followed, with its descendants; an empty selection means every process.
 * What the kernel side can decide at an exec is handed to it (select_arm());
 * the rest comes back as EV_WATCH_ASK and is decided by select_asked().
 * Never chosen: spantap's own processes, and whatever executes the same file.
 */
#ifndef SPANTAP_SELECT_H
#define SPANTAP_SELECT_H

#include "probe/load.h"

enum select_by {
	SELECT_BY_PID,    /* a process that runs now: its id in our pid namespace */
	SELECT_BY_CGROUP, /* a cgroup's directory, or its path in the hierarchy; and all below it */
	SELECT_BY_COMM,   /* the name that the kernel knows: at most 15 bytes */
	SELECT_BY_EXE, /* the executable: a path, a pattern as fnmatch(3) has it, or without a slash its base
	                  name */
	SELECT_BY_CONTAINER, /* the first digits of a container's id, which is part of its cgroups' names */
};

struct select_rule {
	enum select_by by;
	char *text;
	pid_t pid;       /* 0: has been found, and is followed */
	uint64_t cgroup; /* id, 0: the directory is not there now */
};

struct selection {
	struct select_rule *v;
	size_t n, cap;
};

/* Adds a rule. False: *ret_error says what is wrong with `text` (one line). */
bool select_add(struct selection *s, enum select_by by, const char *text, struct buf *ret_error);
void select_release(struct selection *s);

/* For the one line that says what is recorded: "pid 12, comm node", or "the whole host". */
void select_words(const struct selection *s, struct buf *out);

/* Tells the kernel side what to look at. 0 or -errno. */
int select_arm(const struct selection *s, struct loader *l);
/*
 * The same when `old` was armed before: what only it asks for is not looked at
 * any more.  There is no moment at which neither counts.
 */
int select_rearm(const struct selection *old, const struct selection *s, struct loader *l);
/* Whether a process that runs already matches. */
bool select_matches(const struct selection *s, const struct self *self, const struct process_facts *f);
/* The processes named by id have been looked for: from now on such an id may be another one's. */
void select_pids_done(struct selection *s);
/* Process `pid` has executed a program: whether a rule that only user space can decide may match. */
bool select_asked(struct selection *s, struct loader *l, pid_t pid);

#endif
