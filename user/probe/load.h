/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - the BPF programs and maps as an object: open, arm, sweep, stop.
 *
 * Everything in here needs privileges and belongs to the probe process alone.
 */
#ifndef SPANTAP_LOAD_H
#define SPANTAP_LOAD_H

#include <linux/types.h>
#include <stdbool.h>
#include <sys/types.h>

#include "../../bpf/events.h"
#include "../../bpf/state.h"
#include "base/buf.h"
#include "probe/uprobe.h"

struct loader;

/* What the kernel has; each makes capture cheaper or more exact, none is required. */
enum loader_cap {
	LOADER_MULTI = 1 << 0,      /* uprobe.multi links */
	LOADER_SESSION = 1 << 1,    /* uprobe.session links: entry and return in one */
	LOADER_COOKIES = 1 << 2,    /* a cookie a probe, 5.15, 82e6b1eee6a8 */
	LOADER_LOOP = 1 << 3,       /* bpf_loop, 5.17, e6f2dd0f8067; task storage comes with it */
	LOADER_EXACT = 1 << 4,      /* records of exactly the payload's size, 6.16, a498ee7576de */
	LOADER_RETURN_PROBE = 1 << 5, /* return probes do not kill sandboxed programs (safety.h) */
	LOADER_SOCKETS = 1 << 6,    /* tracepoints at the end of each send and receive on a socket, 6.3, 6e6eda44b939 */
	LOADER_ALL = (1 << 7) - 1,
};

struct loader_options {
	unsigned without; /* enum loader_cap: not to be used, although the kernel has them */
};

/* Loads and attaches the process programs. `opt` may be NULL. NULL, and why in *ret_error (one line, with the remedy). */
struct loader *loader_new(const struct loader_options *opt, struct buf *ret_error);
/* Detaches everything: the original instructions come back. Accepts NULL. */
void loader_free(struct loader *l);

unsigned loader_caps(const struct loader *l); /* enum loader_cap: what is used */

int loader_data_ring_fd(const struct loader *l);
int loader_life_ring_fd(const struct loader *l);
int loader_watch_ring_fd(const struct loader *l);
int loader_idle_fd(const struct loader *l);

/*
 * How one function of enum target_func is probed: a program on its entry, one
 * where it returns.  fd -1: none.
 */
struct loader_program {
	int fd;
	enum uprobe_kind kind;
};

struct loader_program loader_entry(const struct loader *l, uint32_t lib, int func);
/* LOADER_RETURN_PROBE: at return probes; else, and with EV_LIB_GO, at the function's `ret` instructions. */
struct loader_program loader_return(const struct loader *l, uint32_t lib, int func);
/* The cookie of both. `attached`: boot ns, 0: before its first use. Only with LOADER_COOKIES. */
uint64_t loader_cookie(int func, uint32_t lib, uint64_t attached);

/* --- which processes --- */

/* The next process that the caller forks becomes CMD: it and its descendants are followed. */
void loader_arm(struct loader *l);
/* Every process but our own, from its fork on. */
void loader_follow_all(struct loader *l);
/* Every process that runs and that our pid namespace knows, in no order. 0, or -errno. */
int loader_each_process(const struct loader *l, void (*fn)(void *ctx, const struct process_facts *f), void *ctx);
/* A process that runs already, and from now on its descendants. 0, or -errno. */
int loader_follow(struct loader *l, const struct ev_proc *proc);
/* Whether it was followed until now. */
bool loader_unfollow(struct loader *l, const struct ev_proc *proc);
bool loader_follows(const struct loader *l, const struct ev_proc *proc);
/* The same of a process of our own pid namespace; in a nested one every process counts as followed. */
bool loader_follows_pid(const struct loader *l, pid_t pid);
/* Programs that execute from now on and match are followed. */
int loader_select(struct loader *l, const struct select_key *key);
/* No longer, of what was given to loader_select(). */
void loader_unselect(struct loader *l, const struct select_key *key);
/* No longer every process, see loader_follow_all(). */
void loader_follow_some(struct loader *l);
/* Every exec of a process that is not followed comes as EV_WATCH_ASK. */
void loader_ask(struct loader *l);
/* Our own ids, as the kernel side sees them. */
const struct self *loader_self(const struct loader *l);

void loader_attached_late(struct loader *l); /* without LOADER_COOKIES: a library just now, that was in use before */
void loader_attached_go(struct loader *l);   /* a Go program, now or soon */
void loader_stop(struct loader *l);     /* record nothing more; cheap and at once */

/* --- connections --- */

enum sweep {
	SWEEP_OVER,    /* connections that have ended, or whose process is gone */
	SWEEP_TOUCHED, /* and those of which something was lost or ignored */
	SWEEP_ALL,
};

/*
 * Connections as EV_TOTALS records.  Those that are over are forgotten when
 * `emit` took them (returned 0). 0, or what `emit` returned last that was not.
 */
typedef int (*loader_emit)(void *ctx, const struct ev_conn *rec);
int loader_sweep(struct loader *l, enum sweep which, loader_emit emit, void *ctx);

/* User space's verdict on a connection. */
void loader_judge(struct loader *l, const struct verdict *v);
/* A name that the target of an LLM request may end with (state.h). */
void loader_llm_name(struct loader *l, const char *name, size_t n);

/* --- sockets without TLS, and pipes (bpf/plain.bpf.c) --- */

/* The tracepoint at the end of system calls: every process of the host pays while it is there. 0, or -errno. */
int loader_syscalls(struct loader *l, bool on);
bool loader_has_syscalls(const struct loader *l);
/* The ends of standard input and output of a process that runs already; its parent is followed. */
void loader_stdio_found(struct loader *l, const struct process_facts *f);
/* What of it is gone is forgotten. Whether what is left needs the tracepoint; `now`: boot ns. */
bool loader_sweep_plain(struct loader *l, uint64_t now);

/* --- what there is, for the status --- */

void loader_each_followed(const struct loader *l, void (*fn)(void *ctx, const struct followed *f), void *ctx);
void loader_each_wire(const struct loader *l, void (*fn)(void *ctx, const struct wire *w), void *ctx);

/* Bytes in the data ring that decode has not taken yet, and its size. */
void loader_data_ring_fill(const struct loader *l, uint64_t *ret_used, uint64_t *ret_size);

uint64_t loader_count(const struct loader *l, enum ev_count what);

#endif
