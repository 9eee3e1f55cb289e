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

/* A process that is followed from now on; parents come before children, and each has the same head.ts. */
typedef void (*scan_found)(void *ctx, const struct process_facts *f);

/* 0 or -errno (-E2BIG: not all are followed, the kernel's table is full). */
int scan_processes(struct loader *l, const struct selection *s, scan_found found, void *ctx);

#endif
