/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.h - the files that followed processes execute from, each known once.
 *
 * A file is its inode, with the time and size of its content: what was found
 * in it stays known after its probes were taken off, so that it is not
 * inspected again when it comes back.  (Not by build id: the file itself says
 * it, and one that lies could say where probes go in another.)  Mappings name
 * files by other numbers than stat(2) does on some file systems (overlayfs,
 * btrfs); a second table leads from those to the file.
 */
#ifndef SPANTAP_FILES_H
#define SPANTAP_FILES_H

#include <sys/stat.h>

#include "base/map.h"
#include "probe/uprobe.h"
#include "target/target.h"

#define FILES_MAX                                                                                            \
	16384 /* known; then those without probes are forgotten, and looked at again when they come back */
#define MAPPINGS_MAX 65536 /* names of them */
#define OPEN_TRIES                                                                                           \
	8 /* a mapping whose file cannot be opened, because its process has ended, is tried again */

struct file {
	uint64_t dev, ino, mtime, size; /* as fstat(2) has them */
	char *name;                     /* where a process first had it */
	struct target *target;          /* NULL: there is nothing to probe in it */
	const char *refused;            /* a library in it that is not probed; NULL: none */
	uint32_t why_refused;           /* enum target_why */
	int err;                        /* why there are no probes on it although there might be; -errno */
	bool on;                        /* probes are on it */
	uint64_t attached;              /* since when, boot ns; 0: since before its first use */
	bool pinned;                    /* they stay, mapped or not */
	uint64_t mapped;                /* when a followed process was last known to map it, boot ns */
	struct uprobe_links links;
};

/* What /proc/PID/maps and perf's mapping records call a file. */
struct mapping_key {
	uint64_t dev, ino;
};

#define GENERATION_UNKNOWN UINT64_MAX /* /proc/PID/maps has none */

struct files {
	struct map by_inode;   /* struct inode_key -> struct file */
	struct map by_mapping; /* struct mapping_key -> struct mapping */
};

struct file *files_find(const struct files *fs, const struct stat *st); /* NULL: not known */
bool file_is_changed(const struct file *f, const struct stat *st);
/* NULL: there is no room. Files without probes may be forgotten to make some. */
struct file *files_add(struct files *fs, const struct stat *st, const char *name);
void files_forget(struct files *fs, struct file *f); /* its probes are off */

/* Whether the file behind a mapping should be opened and looked at. */
bool files_want(struct files *fs, const struct mapping_key *key, uint64_t generation);
/* It was: `f` NULL when it could not be opened, or cannot hold code of interest. */
void files_map(struct files *fs, const struct mapping_key *key, uint64_t generation, struct file *f);
struct file *files_mapped(const struct files *fs, const struct mapping_key *key); /* NULL: not known */

/* Detaches all, side by side. */
void files_release(struct files *fs);

#endif
