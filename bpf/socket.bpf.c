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
#include "plain.bpf.h"
#include "syscall.bpf.h"

/* TLS connections on the wire, from the first read to the close of the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct wire);
} wires SEC(".maps");

/* The record that opens either side of a TLS connection: handshake, version 3.x, a ClientHello or ServerHello if that far. */
static __always_inline bool opens_tls(void)
{
	__u8 b[5] = {0};
	struct transfer t;
	__u64 buf = transfer_of(user_registers(), &t) ? t.buf : 0;

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
	if (bpf_map_lookup_elem(&wires, &key) || !opens_tls())
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

	if (new == 7 /* TCP_CLOSE */) {
		bpf_map_delete_elem(&wires, &key);
		plain_close(sk);
	} else if (new == 2 /* TCP_SYN_SENT, in the context of connect() */) {
		plain_connect(sk);
	}
	return 0;
}
