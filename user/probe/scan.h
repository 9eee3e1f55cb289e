/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - the processes that run already: those that match, and their descendants.
 *
 * The tracepoints are on before, so what a followed process forks is followed
 * by the kernel side.  What is forked between our look and the moment from
 * which its parent is followed is found by the next pass; the scan ends with a
 * pass that finds nothing new.
 */
#ifndef SPANTAP_SCAN_H
#define SPANTAP_SCAN_H

#include "probe/select.h"

#define SCAN_PASSES_MAX 64 /* each finds children of children; a fork bomb is not chased for ever */

struct scan_events {
	/* A process is followed from now on: its files are urgent. It may have ended. */
	void (*followed)(void *ctx, const struct process_facts *f);
	/* It is one that the kernel side will tell the end of. Parents come before children; each has the
	 * same head.ts. */
	void (*found)(void *ctx, const struct process_facts *f);
};

/* 0 or -errno (-E2BIG: not all are followed, the kernel's table is full). */
int scan_processes(struct loader *l, const struct selection *s, const struct scan_events *ev, void *ctx);

#endif
