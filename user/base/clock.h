/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - two clocks and the bridge between them.
 *
 * CLOCK_BOOTTIME orders events and measures durations; CLOCK_REALTIME only
 * dates them.  The wall clock may be stepped while we run, so the bridge is a
 * list of offsets, each valid from one boot time on: the start of a span is
 * dated by the offset that was current then, and its end is start + duration.
 */
#ifndef SPANTAP_CLOCK_H
#define SPANTAP_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_boot_ns(void);
int64_t clock_realtime_offset_ns(void); /* CLOCK_REALTIME - CLOCK_BOOTTIME, now */
uint64_t clock_wall_ns(void);            /* ns since the epoch, now */

#define CLOCK_STEP_NS     1000000 /* smaller changes of the offset are slew, not steps */
#define CLOCK_SAMPLES_MAX 1024    /* steps remembered; the oldest is forgotten first */

struct clock_map {
	struct clock_sample {
		uint64_t boot;
		int64_t offset;
	} samples[CLOCK_SAMPLES_MAX];
	size_t n;
};

/* Adds a sample; keeps it only if it differs from the last one by a step. Returns whether it was kept. */
int clock_map_add(struct clock_map *m, uint64_t boot, int64_t offset);
/* Wall clock of a boot time, ns since the epoch; 0 when there is no sample. */
uint64_t clock_map_wall(const struct clock_map *m, uint64_t boot);

#endif
