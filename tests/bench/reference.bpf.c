// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * reference.bpf.c - what the capture is measured against.
 *
 * The floor: programs that do nothing, for the cost of the traps alone.
 * The conventional design, as TLS sniffers are usually written: hooks at entry
 * and return of the exported SSL_write and SSL_read, arguments kept in a hash
 * by thread, payload through a per-CPU scratch buffer (16 KiB, the rest is cut
 * off), one bpf_ringbuf_output with the default, adaptive notification.
 */
#include "core.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("uprobe")
int empty_entry(void *ctx)
{
	return 0;
}

SEC("uprobe")
int empty_return(void *ctx)
{
	return 0;
}

SEC("uprobe")
int empty_session(void *ctx)
{
	return 0;
}

#define PAYLOAD_MAX 16384

struct call {
	__u64 buf;
	__u64 ts;
};

struct event {
	__u64 ts, took;
	__u32 tgid, tid, dir, len, cut, pad;
	char comm[16];
	__u8 data[PAYLOAD_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64); /* pid_tgid */
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} events SEC(".maps");

__u32 target = 0; /* the process that is traced */

static __always_inline int keep_call(__u64 buf)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct call call = {.buf = buf, .ts = bpf_ktime_get_ns()};

	if (id >> 32 == target)
		bpf_map_update_elem(&calls, &id, &call, BPF_ANY);
	return 0;
}

static __always_inline int report_call(int ret, __u32 dir)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &id);
	__u32 zero = 0;
	struct event *e = bpf_map_lookup_elem(&scratch, &zero);

	if (!call || !e)
		return 0;
	__u64 buf = call->buf, ts = call->ts;
	bpf_map_delete_elem(&calls, &id);
	if (ret <= 0)
		return 0;
	__u64 len = ret;
	e->cut = len > PAYLOAD_MAX ? len - PAYLOAD_MAX : 0;
	if (len > PAYLOAD_MAX)
		len = PAYLOAD_MAX;
	e->ts = ts;
	e->took = bpf_ktime_get_ns() - ts;
	e->tgid = id >> 32;
	e->tid = (__u32)id;
	e->dir = dir;
	e->len = len;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	barrier_var(len);
	if (len > PAYLOAD_MAX || bpf_probe_read_user(e->data, len, (void *)buf))
		return 0;
	bpf_ringbuf_output(&events, e, sizeof(*e) - PAYLOAD_MAX + len, 0);
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(conventional_write, void *tls, void *buf)
{
	return keep_call((__u64)buf);
}

SEC("uretprobe")
int BPF_KRETPROBE(conventional_write_return, int ret)
{
	return report_call(ret, 0);
}

SEC("uprobe")
int BPF_KPROBE(conventional_read, void *tls, void *buf)
{
	return keep_call((__u64)buf);
}

SEC("uretprobe")
int BPF_KRETPROBE(conventional_read_return, int ret)
{
	return report_call(ret, 1);
}
