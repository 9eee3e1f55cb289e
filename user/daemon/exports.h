/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exports.h - the exporters, as probe keeps them: one process an endpoint (exporter.h).
 *
 * Nobody waits for an exporter: it begins where it left off, and capture does
 * not need it.  One that ends by itself is started again after EXPORT_AGAIN_NS.
 *
 * The endpoints may change while they run (exports_set()): an exporter whose
 * configuration is the same goes on; any other is told to end, sends what it
 * can, notes its cursor, and only when all that were told so are gone, the new
 * ones start.  So no cursor has two writers, and a changed endpoint goes on
 * behind the last span that its predecessor got rid of.  An endpoint that was
 * never there before begins with the spans stored after its start.
 */
#ifndef SPANTAP_EXPORTS_H
#define SPANTAP_EXPORTS_H

#include "daemon/child.h"
#include "daemon/daemon.h"

#define EXPORT_AGAIN_NS 10000000000ull /* between two starts of an exporter that ends by itself */
#define EXPORT_END_NS   4000000000ull  /* for exporters to send what they can; then they are killed */

struct exports;

struct exports *exports_new(void);
/* The endpoints from now on; copies what it needs. How many exporters end or are to start. */
size_t exports_set(struct exports *x, const struct outputs *o);
/* Starts those that are to be, and waits for each: it knows then from where on to export. False, said why:
 * one does not work. */
bool exports_start(struct exports *x);
/* To be called in each turn of the loop: hears, buries, starts again. */
void exports_turn(struct exports *x);
/* Everything is in the store: they shall send what they can within a few seconds. Nothing is started any
 * more. */
void exports_end(struct exports *x);
#define EXPORTS_MAX (2 * EXPORT_ENDPOINTS_MAX) /* of the configuration, and those that leave */
/* Those that run; at most EXPORTS_MAX. */
size_t exports_pids(const struct exports *x, pid_t *ret);
/* Whether one of them still runs. */
bool exports_run(const struct exports *x);
void exports_free(struct exports *x); /* ends them; accepts NULL */

#endif
