/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reporters.h - the roles that send on or show what others have made, as probe keeps them: exporters
 * (exporter.h), the webhook (webhook.h), the exporter and the server of metrics (metrics_exporter.h,
 * metrics_server.h).
 *
 * Nobody waits for one: it begins where it left off, and capture does not need
 * it.  One that ends by itself is started again after REPORT_AGAIN_NS.
 *
 * They may change while they run (reporters_set()): one whose configuration is
 * the same goes on; any other is told to end, sends what it can, notes how far
 * it got, and only when all that were told so are gone, the new ones start.  So
 * no cursor has two writers, and a changed endpoint goes on behind the last span
 * that its predecessor got rid of.  An endpoint that was never there before
 * begins with the spans stored after its start.
 */
#ifndef SPANTAP_REPORTERS_H
#define SPANTAP_REPORTERS_H

#include "daemon/child.h"
#include "daemon/daemon.h"

#define REPORTERS_MAX   (EXPORT_ENDPOINTS_MAX + 3) /* the webhook, exporter and server of metrics */
#define REPORT_AGAIN_NS 10000000000ull             /* between two starts of one that ends by itself */
#define REPORT_END_NS   4000000000ull              /* for them to send what they can; then they are killed */

struct reporter_conf {
	const char *name; /* for messages */
	const char *role; /* of the table in spawn.c */
	struct buf wire;  /* its MSG_CONF; equal configurations are equal bytes */
	int fd;           /* goes with it, borrowed; -1: none */
};

struct reporters;

struct reporters *reporters_new(void);
/* These from now on, at most REPORTERS_MAX; takes `wire` over. How many end or are to start. */
size_t reporters_set(struct reporters *x, struct reporter_conf *v, size_t n);
/*
 * Starts those that are to be, and waits for each: an exporter knows then from
 * where on to export.  False, said why: one does not work.
 */
bool reporters_start(struct reporters *x);
/* To be called in each turn of the loop: hears, buries, starts again. */
void reporters_turn(struct reporters *x);
/* Everything is in the store: they shall send what they can within a few seconds. Nothing is started any
 * more. */
void reporters_end(struct reporters *x);
#define REPORTERS_RUNNING_MAX (2 * REPORTERS_MAX) /* those of the configuration, and those that leave */
/* The processes; at most REPORTERS_RUNNING_MAX. How many. */
size_t reporters_pids(const struct reporters *x, pid_t *ret);
/* The same, each with its role. */
void reporters_each(const struct reporters *x, void (*fn)(void *ctx, const char *role, pid_t pid), void *ctx);
/* Whether one of them still runs. */
bool reporters_run(const struct reporters *x);
void reporters_free(struct reporters *x); /* ends them; accepts NULL */

#endif
