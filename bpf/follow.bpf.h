/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * follow.bpf.h - which processes are followed, decided in the kernel.
 *
 * A process is followed when its parent is; when it is the one child that
 * spantap forks while control.armed is set (that child becomes CMD); when the
 * program that it executes is selected (map "selected"), or user space says so;
 * or all are (control.all).  spantap's own processes are its other children,
 * and never followed.  Process ids in here are those of the initial pid
 * namespace, whatever namespace spantap runs in.
 */
#ifndef SPANTAP_FOLLOW_BPF_H
#define SPANTAP_FOLLOW_BPF_H

#include "core.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>
#include "events.h"
#include "state.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32); /* tgid */
	__type(value, struct followed);
} followed SEC(".maps") __weak;

struct self self __weak = {};
struct control control __weak = {};

static __always_inline __u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* NULL: not followed, or the capture has ended. */
static __always_inline struct followed *follow_current(void)
{
	__u32 tgid = current_tgid();

	if (control.stop)
		return NULL;
	return bpf_map_lookup_elem(&followed, &tgid);
}

/* The id of `task`'s process in spantap's own pid namespace, 0 when it has none there. */
static __always_inline __u32 pid_in_our_namespace(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	__u32 level = self.level;
	int nr = 0;

	if (!pid || BPF_CORE_READ(pid, level) < level || level > 32)
		return 0;
	void *number = (void *)pid + bpf_core_field_offset(struct pid, numbers) + level * bpf_core_type_size(struct upid);
	__u64 ns = 0;
	bpf_probe_read_kernel(&ns, sizeof(ns), number + bpf_core_field_offset(struct upid, ns));
	if (ns != self.ns)
		return 0;
	bpf_probe_read_kernel(&nr, sizeof(nr), number + bpf_core_field_offset(struct upid, nr));
	return nr;
}

static __always_inline struct ev_proc proc_of(struct task_struct *task)
{
	struct ev_proc p = {
	    .start = BPF_CORE_READ(task, group_leader, start_boottime),
	    .tgid = BPF_CORE_READ(task, tgid),
	    .pid = pid_in_our_namespace(task),
	};
	return p;
}

#endif
