/* SPDX-License-Identifier: Apache-2.0 */
/*
 * processes.h - who started whom, and what ran in it.
 *
 * A process is (tgid, start).  Each exec of it is a run: from the exec to the
 * next exec or the exit.  Only runs below an agent (a process that makes LLM
 * calls) are shown; those from before its first call wait for it.  The rest of the table is lineage.  A
 * process that ran before it was followed is found (EV_EXEC_FOUND): lineage and a name, no run.  It may be
 * found again at any time, so what an exec told comes first.
 *
 * A process stays while something refers to it: the table (as long as it
 * lives), its children, its runs, conversations.  Dead processes that are no
 * agents are taken out of the lineage at the next fork, so a chain of forks
 * does not grow.
 */
#ifndef SPANTAP_PROCESSES_H
#define SPANTAP_PROCESSES_H

#include <sys/queue.h>

#include "base/map.h"
#include "span/cgroup.h"
#include "span/ids.h"

#define PROCESSES_MAX     65536 /* alive; then the one that did nothing for longest is given up */
#define LINEAGE_DEPTH_MAX 512   /* of a live chain; deeper ones begin anew */

struct tool;
struct run;
struct http_kept;
TAILQ_HEAD(run_list, run);
TAILQ_HEAD(http_list, http_kept);
TAILQ_HEAD(tool_list, tool);

struct process {
	struct ev_proc id;
	uint32_t parent_pid;
	struct process *parent;
	struct run *parent_run; /* the nearest run above this process when it was forked */
	struct run *run;        /* current; NULL: not below an agent */
	uint64_t n_execs;
	char exe[64];                         /* base name of argv[0], empty: not known */
	char container[CONTAINER_ID_LEN + 1]; /* empty: none that is known */
	char pod[POD_UID_LEN + 1];            /* the same */
	bool dead, is_agent, in_table;
	unsigned refs, depth;

	/* of an agent */
	struct run_list held;   /* runs below it that have no parent span yet, in order of exec */
	struct tool_list tools; /* open tool calls that it asked for */
	uint64_t conversation;  /* serial of the latest */
	uint64_t traffic_lost;  /* when payload of it was lost last, 0: never */

	TAILQ_ENTRY(process) lru;
};

/* Why a span has the parent that it has. */
struct link_reason {
	const char *evidence;
	double confidence;
};

struct run {
	struct span_id id;
	struct process *process, *agent; /* agent: the nearest one above the process; NULL: none yet */
	struct run *parent, *prev;       /* nearest run above; the one before in the same process */
	uint64_t start, end;
	bool ended, lost_exit, placed, dropped;
	uint32_t status;
	bool has_status;          /* of the last program of its process */
	uint64_t cpu_ns, max_rss; /* with has_status; of the process, programs before this one included */
	unsigned refs;
	uint64_t lost_seen; /* life records lost when it began */

	struct slice *argv, *bare; /* bare: without quoting */
	size_t n_argv;
	struct slice cwd, cgroup, container, pod; /* absent: not known, or none */
	uint32_t uid, gid;                   /* real ones */
	struct arena arena;
	size_t bytes;

	/* while held */
	struct tool *match; /* only while runs are being placed */
	size_t match_score;
	bool shared_match; /* the arguments of several open calls stand in argv just as well */

	/* placed: where it hangs */
	struct trace_id trace;
	struct span_id span_parent, tool, conversation;
	bool in_tool;
	struct link_reason why;
	struct tool *direct; /* the open tool call right above */

	struct http_list requests; /* made while it was not placed (http_place.c) */
	uint64_t left_alone;       /* bytes on connections that were left alone */

	TAILQ_ENTRY(run) held, held_all;
	bool is_held, is_orphan;
	TAILQ_ENTRY(run) running;
	bool is_running;
};

struct processes {
	struct map by_id, by_tgid;
	TAILQ_HEAD(, process) lru; /* alive, least active first */
	size_t n;
};

void processes_init(struct processes *ps);
/* The process, entered when it was not known; becomes the most active one. */
struct process *process_get(struct processes *ps, const struct ev_proc *id);
struct process *process_find(struct processes *ps, const struct ev_proc *id); /* NULL: not known */
/* The same tgid with an earlier start: that process has ended unseen. NULL: none. */
struct process *process_stale(struct processes *ps, const struct ev_proc *id);
/* The process to give up before another one is entered; NULL while there is room. */
struct process *process_surplus(struct processes *ps);
void process_fork(struct process *parent, struct process *child);
/* Of a process that ran already: its name and container, unless its own exec or its parent's told them. */
void process_found(struct process *p, const struct ev_exec *rec);
/* Out of the table. */
void process_end(struct processes *ps, struct process *p);
struct process *process_ref(struct process *p);
void process_unref(struct process *p); /* accepts NULL */
/* The nearest process at or above `p` that makes LLM calls; NULL when there is none. */
struct process *process_agent(struct process *p);
void processes_release(struct processes *ps);

/* A run begun by this exec; the reference is the caller's. */
struct run *run_new(struct process *p, struct process *agent, const struct ev_exec *rec, struct span_id id);
struct run *run_ref(struct run *r);
void run_unref(struct run *r); /* accepts NULL */
/* tools.c: text without quotes and backslashes. */
struct slice without_quoting(struct arena *a, struct slice s);
/* argv[0]'s base name of an exec record, NUL-terminated. */
void exec_name(const struct ev_exec *rec, char *ret, size_t size);

#endif
