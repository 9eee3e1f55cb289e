/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - the BPF programs and maps as an object: open, arm, sweep, stop.
 *
 * Everything in here needs privileges and belongs to the probe process alone.
 */
#ifndef SPANTAP_LOAD_H
#define SPANTAP_LOAD_H

#include <linux/types.h>

#include "../../bpf/events.h"
#include "base/buf.h"

struct bpf_program;
struct loader;

/* Loads and attaches the process programs. NULL, and why in *ret_error (one line, with the remedy). */
struct loader *loader_new(struct buf *ret_error);
/* Detaches everything: the original instructions come back. Accepts NULL. */
void loader_free(struct loader *l);

int loader_data_ring_fd(const struct loader *l);
int loader_life_ring_fd(const struct loader *l);
int loader_watch_ring_fd(const struct loader *l);
int loader_idle_fd(const struct loader *l);

/* The programs of bpf/tls.bpf.c by enum target_func: what runs at entry and at return (NULL: nothing). */
struct bpf_program *loader_entry(const struct loader *l, int func);
struct bpf_program *loader_return(const struct loader *l, int func);

/* Which interface the programs were loaded for (uprobe.h). */
bool loader_multi(const struct loader *l);

/* The next process that the caller forks becomes CMD: it and its descendants are followed. */
void loader_arm(struct loader *l);
void loader_attached_late(struct loader *l); /* a library just now, that was in use before */
void loader_stop(struct loader *l);     /* record nothing more; cheap and at once */

/*
 * Connections whose process is gone (all: every connection) as EV_TOTALS
 * records.  Those of processes that are gone are forgotten when `emit` took
 * them (returned 0).
 */
typedef int (*loader_emit)(void *ctx, const struct ev_conn *rec);
void loader_sweep(struct loader *l, bool all, loader_emit emit, void *ctx);

uint64_t loader_count(const struct loader *l, enum ev_count what);

#endif
