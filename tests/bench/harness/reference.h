/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reference.h - the programs of reference.bpf.c on a library: the floor, or
 * the conventional design with its reader.
 */
#ifndef SPANTAP_BENCH_REFERENCE_H
#define SPANTAP_BENCH_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct reference;

/* Empty programs at the fast sites: entry on write; entry and return on read, as one session where the kernel
 * has it. */
struct reference *reference_floor(const char *lib);
/* Its reader counts what comes and runs on `cpu`. */
struct reference *reference_conventional(const char *lib, int cpu);
/* What they cost differs by it: whether the floor of reads is one session link (Linux 6.13), or entry and
 * return links. */
bool reference_has_session(const struct reference *r);
/* The process that the conventional programs are to trace. */
void reference_trace(struct reference *r, pid_t pid);
/* Detaches. *ret_events, *ret_bytes: what the reader of the conventional design got; payload beyond 16 KiB
 * was cut off. */
void reference_stop(struct reference *r, uint64_t *ret_events, uint64_t *ret_bytes);

#endif
