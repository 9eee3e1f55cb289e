/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ours.h - the capture as the product makes it, up to the bytes of streams.
 *
 * The product's BPF programs, loader, attacher, drain thread, journal and
 * stream stage; behind them, instead of the parsers, a reader that counts and
 * proves every byte against the pattern (ends.h).  As in the product the
 * reader is a process of its own.
 */
#ifndef SPANTAP_BENCH_OURS_H
#define SPANTAP_BENCH_OURS_H

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../../bpf/events.h"

#define OURS_STREAMS_MAX 1024

struct ours_stream {
	uint64_t tls;               /* address of the TLS object in the tracee */
	uint64_t bytes[2], lost[2]; /* by enum ev_dir: delivered, and reported as holes */
	uint64_t wrong[2];          /* bytes of pieces that are not the pattern */
	uint64_t holes[2];
};

/* What came out at the end. Kernel counts are of the whole capture, the streams what was delivered. */
struct ours_report {
	_Atomic bool ready;                       /* the reader has the rings */
	uint64_t produced, ring_lost, other_lost; /* counted by the kernel side */
	uint64_t records, n_streams, repeated;
	uint64_t reader_cpu_ns;
	uint64_t wakeups; /* times that the reader's threads went to sleep and came back */
	struct ours_stream stream[OURS_STREAMS_MAX];
};

struct ours;

/* Loads without enum loader_cap `without`, attaches to `lib`, starts the reader on `cpu`. Ends the program
 * when it cannot. */
struct ours *ours_start(const char *lib, int cpu, unsigned without);
/* The next process forked is followed. */
void ours_arm(struct ours *o);
/* Drains what is there, stops the reader, detaches. The report lives until the next ours_start(). */
const struct ours_report *ours_stop(struct ours *o);

/* Sums over streams, and whether every byte is there: delivered + lost = produced, nothing wrong, nothing
 * twice. */
uint64_t ours_delivered(const struct ours_report *r);
uint64_t ours_lost(const struct ours_report *r);
bool ours_exact(const struct ours_report *r);

/* Prints run count and nanoseconds of each BPF program this process holds that ran (needs BPF statistics on).
 */
void ours_print_programs(double pairs);

#endif
