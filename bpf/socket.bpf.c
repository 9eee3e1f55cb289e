// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * socket.bpf.c - what the sockets of followed processes tell about their TLS.
 *
 * One tracepoint that fires where a process reads TCP data (in the reader's
 * context; no flag on tasks, unlike those of system calls).  From within a
 * call on a TLS object it gives the object's peer; and the first bytes that a
 * process reads from a connection tell whether TLS runs on it, plaintext seen
 * or not: the ground of the alarm "TLS on the wire but no plaintext seen".
 */
#include <asm/unistd.h>
#include "calls.bpf.h"
#include "goroutines.bpf.h"
#include "conns.bpf.h"
#include "compat.bpf.h"

/* TLS connections on the wire, from the first read to the close of the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct wire);
} wires SEC(".maps");

static __always_inline void read_ends(struct sock *sk, struct socket_ends *e)
{
	struct sock_common *s = &sk->__sk_common;

	__builtin_memset(e, 0, sizeof(*e));
	e->family = s->skc_family;
	e->local_port = __builtin_bswap16(s->skc_num);
	e->port = s->skc_dport;
	if (e->family == 2 /* AF_INET */) {
		__be32 local = s->skc_rcv_saddr, peer = s->skc_daddr;

		__builtin_memcpy(e->local_address, &local, sizeof(local));
		__builtin_memcpy(e->address, &peer, sizeof(peer));
	} else {
		BPF_CORE_READ_INTO(&e->local_address, s, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&e->address, s, skc_v6_daddr);
	}
}

#define KERNEL_STACK_SIZE 16384 /* THREAD_SIZE of x86-64 and arm64 with 4 KiB pages */

/* The registers with which the thread entered the kernel: bpf_task_pt_regs(), Linux 5.15, dd6e10fbd9fb; before, as task_pt_regs() does. */
static __always_inline struct pt_regs *user_registers(void)
{
	if (has_task_storage)
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct task_struct *task = (void *)bpf_get_current_task();
	return (void *)BPF_CORE_READ(task, stack) + KERNEL_STACK_SIZE - bpf_core_type_size(struct pt_regs);
}

/* Where the system call that the thread is in puts what it reads; 0: not known. */
static __always_inline __u64 read_buffer(void)
{
	struct pt_regs *regs = user_registers();
#if defined(__TARGET_ARCH_x86)
	__u64 nr = BPF_CORE_READ(regs, orig_ax), arg = BPF_CORE_READ(regs, si);
#elif defined(__TARGET_ARCH_arm64)
	__u64 nr = BPF_CORE_READ(regs, regs[8]), arg = BPF_CORE_READ(regs, regs[1]);
#endif
	struct {
		__u64 name, namelen, iov;
	} msg;
	__u64 base = 0;

	switch (nr) {
	case __NR_read:
	case __NR_recvfrom:
		return arg;
	case __NR_recvmsg:
		if (bpf_probe_read_user(&msg, sizeof(msg), (void *)arg))
			return 0;
		arg = msg.iov;
		/* fall through */
	case __NR_readv:
		bpf_probe_read_user(&base, sizeof(base), (void *)arg);
		return base;
	default:
		return 0;
	}
}

/* The record that opens either side of a TLS connection: handshake, version 3.x, a ClientHello or ServerHello if that far. */
static __always_inline bool opens_tls(__u64 buf)
{
	__u8 b[5] = {0};

	if (!buf || bpf_probe_read_user(b, sizeof(b), (void *)buf))
		return false;
	return b[0] == 22 && b[1] == 3 && b[2] <= 4 && b[3] <= 64;
}

SEC("tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(on_tcp_read, struct sock *sk)
{
	struct followed *f = follow_current();
	__u64 key = (__u64)sk;

	if (!f)
		return 0;

	struct thread_calls *t = thread_calls();
	const struct call *call = t ? innermost_call(&t->calls) : NULL;
	struct socket_ends ends;
	if (!call && control.goroutines)
		call = call_of_goroutine(user_registers());
	if (call) {
		read_ends(sk, &ends);
		conn_on_socket(call->tls, &ends);
		return 0;
	}
	if (bpf_map_lookup_elem(&wires, &key) || !opens_tls(read_buffer()))
		return 0;
	struct wire wire = {.tgid = f->proc.tgid, .ts = bpf_ktime_get_boot_ns()};
	read_ends(sk, &wire.ends);
	if (bpf_map_update_elem(&wires, &key, &wire, BPF_NOEXIST)) {
		count(EV_COUNT_WIRE_UNTRACKED, 1);
		return 0;
	}
	if (!f->wire_ts)
		f->wire_ts = wire.ts;
	f->wire++;
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_tcp_state, struct sock *sk, int old, int new)
{
	__u64 key = (__u64)sk;

	if (new == 7 /* TCP_CLOSE */)
		bpf_map_delete_elem(&wires, &key);
	return 0;
}
