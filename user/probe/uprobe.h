/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uprobe.h - one program on instructions of a file.
 *
 * Three kernel interfaces, each with a BPF cookie per instruction.
 * UPROBE_SESSION (Linux 6.13, d920179b3d48 "bpf: Add support for uprobe multi
 * session attach"): one program runs at entry and at return, and says at entry
 * whether it wants the return.  UPROBE_MULTI (6.6, 89ae89f53d20 "bpf: Add
 * multi uprobe link"): needs CAP_BPF and CAP_PERFMON only, and goes away side
 * by side.  UPROBE_PERF (4.17, e12f03d7031a): needs CAP_SYS_ADMIN on patched
 * kernels, each one that goes away waits about 0.1 s under a lock of the whole
 * host, and has a cookie only since 5.15.
 */
#ifndef SPANTAP_UPROBE_H
#define SPANTAP_UPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bpf_program;

enum uprobe_kind { UPROBE_PERF, UPROBE_MULTI, UPROBE_SESSION };

/* Whether this kernel has the interface, and lets us use it. */
bool uprobe_supported(enum uprobe_kind kind);
/* A program must be loaded for its interface: its expected attach type, 0 for UPROBE_PERF. */
uint32_t uprobe_attach_type(enum uprobe_kind kind);

struct uprobe {
	int prog_fd;
	enum uprobe_kind kind;
	bool at_return;          /* a return probe; not with UPROBE_SESSION */
	pid_t pid;               /* this process only; 0: every one */
	const char *path;
	const uint64_t *offsets; /* in the file */
	const uint64_t *cookies; /* NULL: none */
	size_t n;
};

/* File descriptors that hold the probes: one, with UPROBE_PERF one an offset. */
struct uprobe_links {
	int *fds;
	size_t n, cap;
};

/* Adds to *links. 0 or -errno, then nothing was added. */
int uprobe_attach(const struct uprobe *u, struct uprobe_links *links);
/* Removes them all, at the same time. */
void uprobe_detach(struct uprobe_links *links);

/* Loads a program that does nothing, for UPROBE_PERF or UPROBE_MULTI or UPROBE_SESSION. fd or -errno. */
int uprobe_empty_program(enum uprobe_kind kind);

#endif
