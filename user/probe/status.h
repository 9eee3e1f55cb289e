/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.h - what `spantap status` shows of a capture, as one JSON object; and
 * the alarm "TLS on the wire but no plaintext seen".
 *
 *   began (s), roles [{role, began, cpu (s), memory (bytes)}] (when they are asked for),
 *   selection, capabilities {used, missing}, attached {...}, totals {...},
 *   data_ring {bytes, used}, hold {files, attached, overdue, ms, longest_ms} (hold.h), alarms, omitted (processes not listed),
 *   processes [{pid, comm, exe, since, libraries [{path, library, version,
 *   site, why, state}], unsupported [...], late, wire, plaintext,
 *   alarm {peers, remedy}}]
 *
 * Listed are followed processes that use TLS or map a TLS library.  Keys are
 * stable: they are added to, never renamed.  Times are seconds since the epoch.
 */
#ifndef SPANTAP_STATUS_H
#define SPANTAP_STATUS_H

#include "probe/discover.h"
#include "probe/hold.h"
#include "probe/procfs.h"

#define STATUS_PROCESSES_MAX                                                                                 \
	100                   /* listed; those with an alarm, then those with most connections, come first */
#define STATUS_KNOWN_MAX 4096 /* processes whose program is remembered */
#define STATUS_LOOKS_MAX 64   /* processes looked at in one go */
#define STATUS_LOOK_NS   30000000000ull /* a process is looked at anew after so long */
#define STATUS_PEERS_MAX 4
#define STATUS_JSON_MAX  (59 * 1024) /* fits a message */

/* A connection has been there for so long, and nothing of it has passed the probes. */
#define ALARM_NS 5000000000ull

struct status;

/* One of spantap's own processes. */
#define STATUS_ROLES_MAX 16
struct status_role {
	const char *name;
	struct procfs_usage usage;
};

/* What it is made of; the rest comes from probe's own loop. */
struct status_sources {
	struct loader *loader;
	struct attacher *attacher;
	struct discover *discover;
	const struct hold *hold; /* NULL: programs are not held */
	const char *selection; /* in words */
	uint64_t not_told, decode_crashes, verdicts, verdicts_refused;
	uint64_t began; /* s since the epoch */
	const struct status_role *roles;
	size_t n_roles;
};

/* `alarm` is called once for each process, with one line for the operator. */
struct status *status_new(void (*alarm)(void *ctx, const char *text), void *ctx);
void status_free(struct status *s); /* accepts NULL */
/* Replaces *out; false: nothing has changed since the last call. */
bool status_compose(struct status *s, const struct status_sources *src, struct buf *out);

/* A library with probes as an object of JSON, as in the status; why_off: why they are taken off, NULL: they are put on. */
struct file;
void status_library(struct buf *out, const struct file *f, const char *why_off);

#endif
