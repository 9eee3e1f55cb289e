/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uprobe.h - one probe on one instruction of a file.
 *
 * Two kernel interfaces.  uprobe.multi links (Linux 6.6, 89ae89f53d20 "bpf: Add
 * multi uprobe link") need CAP_BPF and CAP_PERFMON only, and go away side by
 * side; perf-event uprobes (4.17) need CAP_SYS_ADMIN on patched kernels, and
 * each one that goes away waits about 0.1 s under a lock of the whole host.
 */
#ifndef SPANTAP_UPROBE_H
#define SPANTAP_UPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bpf_link;
struct bpf_program;

/* pid -1: every process. `prog` must have been loaded for the interface. NULL: errno. */
struct bpf_link *uprobe_attach(const struct bpf_program *prog, bool multi, pid_t pid, const char *path, uint64_t offset,
			       bool at_return);
/* Removes them all at the same time. */
void uprobe_detach(struct bpf_link *const *links, size_t n);

#endif
