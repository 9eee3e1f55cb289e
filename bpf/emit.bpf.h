/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * emit.bpf.h - the only code that touches a ring.
 *
 * Records of variable size are reserved in size classes, because that works
 * from 5.10 on, needs no scratch memory that a preempting program could
 * overwrite, and wastes ring room only.
 */
#ifndef SPANTAP_EMIT_BPF_H
#define SPANTAP_EMIT_BPF_H

#include "follow.bpf.h"

#define DATA_RING_BYTES  (64 << 20) /* default; user space may resize before load */
#define LIFE_RING_BYTES  (8 << 20)
#define WATCH_RING_BYTES (256 << 10)

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, DATA_RING_BYTES);
} data_ring SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LIFE_RING_BYTES);
} life_ring SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, WATCH_RING_BYTES);
} watch_ring SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EV_COUNT_N);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps") __weak;

/* One word that decode's drain thread sets before it sleeps long: a map of its own, so that it is all the jail can write. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} idle SEC(".maps") __weak;

/* Bytes in the data ring above which the consumer is woken: a quarter of its size. */
const volatile __u64 wake_at __weak = DATA_RING_BYTES / 4;

static __always_inline void count(__u32 what, __u64 n)
{
	__u64 *c = bpf_map_lookup_elem(&counts, &what);

	if (c)
		*c += n;
}

/*
 * Adaptive notification costs the traced process 4 to 10 us a record (an
 * inter-processor interrupt).  So the consumer runs on a timer while there is
 * traffic, and is woken only when it sleeps deeply, or on the edge where the
 * ring gets a quarter full.
 */
static __always_inline __u64 wake_flags(void *ring, __u64 size)
{
	__u32 zero = 0;
	__u32 *sleeping = bpf_map_lookup_elem(&idle, &zero);

	if (sleeping && *sleeping) {
		*sleeping = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	__u64 used = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	return used >= wake_at && used - size < wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

#endif
