/* SPDX-License-Identifier: Apache-2.0 */
/*
 * safety.h - does a return probe kill a sandboxed program on this kernel?
 *
 * On x86 the return trampoline is a system call since Linux 6.11 ("uprobe: Add
 * uretprobe syscall to speed up return probe").  A seccomp filter of the traced
 * program does not know it and may kill the program, until the kernel lets it
 * pass ("seccomp: passthrough uretprobe systemcall without filtering", 6.14 and
 * stable releases).  Probes sit on files, so this cannot be decided by process;
 * it is found out on a child of our own.
 */
#ifndef SPANTAP_SAFETY_H
#define SPANTAP_SAFETY_H

#include "probe/uprobe.h"

/* 1: a seccomp-filtered child survived a return probe (attached to it alone); 0: it was killed; -errno. */
int safety_return_probe(enum uprobe_kind kind);

#endif
