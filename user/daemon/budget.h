/* SPDX-License-Identifier: Apache-2.0 */
/*
 * budget.h - what spantap may use of the machine itself.
 *
 * Once a second probe adds up the processor time and the memory of spantap's
 * processes.  Above a limit spantap does with less, step by step: the first step
 * leaves out content, each further one halves the share of conversations that
 * are kept (pipeline_sample()).  A step up is taken when a limit was exceeded
 * over BUDGET_UP_NS, so that a burst that the queues hold costs nothing; a step
 * down when both have been below BUDGET_DOWN of their limits over
 * BUDGET_DOWN_NS, longer than a step takes to show, so that it does not swing.
 *
 * Counted are processor time in spantap's own processes (the probes run in the
 * traced ones), and anonymous memory plus the journal and other shared memory
 * once (RssAnon, RssShmem of proc(5)); the rings of the kernel side are fixed.
 */
#ifndef SPANTAP_BUDGET_H
#define SPANTAP_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PRESSURE_STEPS 8 /* at the last one 1 of 128 conversations is kept */

#define BUDGET_UP_NS   3000000000ull
#define BUDGET_DOWN_NS 30000000000ull
#define BUDGET_DOWN    0.7

#define BUDGET_MEMORY_MIN (512ull << 20) /* the journal has 128 MiB, as much what requests repeat, the rest is other tables */

#define BUDGET_PROCESSES 32

struct budget_process {
	pid_t pid;       /* 0: none */
	uint64_t cpu_ns; /* until the last look */
};

struct budget {
	double cpu;      /* processors, 0.1: a tenth of one; 0: no limit */
	uint64_t memory; /* bytes; 0: no limit */

	struct budget_process seen[BUDGET_PROCESSES];
	uint64_t looked, over_since, under_since; /* boot ns; 0: never, not */
	double cpu_used; /* processors, since the look before; below 0: not known yet */
	uint64_t memory_used;
	unsigned step; /* 0 to PRESSURE_STEPS */
};

/* Looks at these processes (0: not running). Returns whether b->step has changed. */
bool budget_look(struct budget *b, uint64_t now, const pid_t *pids, size_t n);
/* The rule alone: what was used up to `now`. Returns whether b->step has changed. */
bool budget_judge(struct budget *b, uint64_t now, double cpu, uint64_t memory);

#endif
