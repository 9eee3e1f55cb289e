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

#include "probe/files.h"
#include "probe/load.h"

struct attacher;

struct attach_stats {
	uint64_t files;     /* inspected */
	uint64_t libraries; /* with probes on */
	uint64_t released;  /* probes taken off, because no followed process mapped the file any more */
	uint64_t failed;    /* recognised, but probes could not be placed */
	uint64_t unknown;   /* not looked at: too many files, or inspect did not answer */
};

/* Probes are on the file, or are taken off it: why, NULL when they are put on. */
typedef void (*attacher_changed)(void *ctx, const struct file *f, const char *why_off);

/* `l` may be NULL for inspection only. */
struct attacher *attacher_new(struct loader *l);
void attacher_free(struct attacher *a); /* takes all probes off, and tells nobody */
void attacher_on_change(struct attacher *a, attacher_changed changed, void *ctx);

/*
 * A connection takes longer than this to be set up after its library was
 * mapped (relocations, connect, handshake: 2 to 3 ms at the least on loopback).
 * Probes that are on within it miss no plaintext; later ones make the
 * connections of that process "joined late".
 */
#define ATTACH_IN_TIME_NS 2000000

/*
 * The file behind `fd` (borrowed), known to people as `name`, in use since
 * `since` (boot ns; 0: by no followed process yet, and to be kept).  1: probes
 * are on it, 0: nothing to probe, -errno.  *ret: what is known of it, NULL:
 * nothing; good until the next call.
 */
int attacher_file(struct attacher *a, int fd, const char *name, uint64_t since, struct file **ret);
int attacher_path(struct attacher *a, const char *path, uint64_t since);
/* Only inspects it, for later. */
void attacher_warm(struct attacher *a, const char *path);
void attacher_look(struct attacher *a, int fd, const char *name);
/* Its probes came later than they were said to: places them anew. As attacher_file(). */
int attacher_late(struct attacher *a, int fd, struct file *f, uint64_t since);
/* Takes the probes off the files that no followed process has mapped since `before` (file.mapped). */
void attacher_retire(struct attacher *a, uint64_t before);
struct files *attacher_files(struct attacher *a);
/* What the inspect role says of a file; ret->err tells why it cannot. */
void attacher_inspect(struct attacher *a, const char *path, struct target *ret);
const struct attach_stats *attacher_stats(const struct attacher *a);
/* Why there are no probes on a file whose `err` says so. */
const char *file_reason(const struct file *f);
/* Why the latest attachment failed, "" when none did. */
const char *attacher_error(const struct attacher *a);

#endif
