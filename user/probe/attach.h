/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach.h - from "this process maps this file" to probes on it.
 *
 * A probe sits on an inode, so each file is inspected and attached once,
 * whichever process maps it and under whatever name, and covers every process
 * from its first call.  Files are parsed by the inspect role, never here.
 */
#ifndef SPANTAP_ATTACH_H
#define SPANTAP_ATTACH_H

#include "probe/load.h"

#define ATTACH_FILES_MAX 16384 /* files known; beyond it new ones are not looked at, counted */

struct attacher;

struct attach_stats {
	uint64_t files;     /* inspected */
	uint64_t libraries; /* with probes on */
	uint64_t failed;    /* recognised, but probes could not be placed */
	uint64_t unknown;   /* not looked at: too many files, or inspect did not answer */
};

/* `l` may be NULL for inspection only. */
struct attacher *attacher_new(struct loader *l);
void attacher_free(struct attacher *a);

/*
 * A connection takes longer than this to be set up after its library was
 * mapped (relocations, connect, handshake: 2 to 3 ms at the least on loopback).
 * Probes that are on within it miss no plaintext; later ones make the
 * connections of that process "joined late".
 */
#define ATTACH_IN_TIME_NS 2000000

/*
 * The file behind `fd` (borrowed), known to people as `name`, in use since
 * `since` (boot ns; 0: by no followed process yet).  1: probes are on it, 0:
 * nothing to probe, -errno.
 */
int attacher_file(struct attacher *a, int fd, const char *name, uint64_t since);
int attacher_path(struct attacher *a, const char *path); /* of a file that is not yet in use */
/* What the inspect role says of a file; ret->err tells why it cannot. */
struct target;
void attacher_inspect(struct attacher *a, const char *path, struct target *ret);
const struct attach_stats *attacher_stats(const struct attacher *a);
/* Why the latest attachment failed, "" when none did. */
const char *attacher_error(const struct attacher *a);

#endif
