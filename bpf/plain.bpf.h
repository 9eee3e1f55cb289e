/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* plain.bpf.h - the sockets of followed processes, and what each of them carries (struct plain). */
#ifndef SPANTAP_PLAIN_BPF_H
#define SPANTAP_PLAIN_BPF_H

#include "conns.bpf.h"
#include "stdio.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64); /* struct sock * */
	__type(value, struct plain);
} plains SEC(".maps") __weak;

/* Makes a name of a pair of UNIX sockets that does not tell where the kernel has them. */
const volatile __u64 pair_key __weak = 1;

static __always_inline void read_ends(struct sock *sk, struct socket_ends *e)
{
	struct sock_common *s = &sk->__sk_common;

	__builtin_memset(e, 0, sizeof(*e));
	e->family = BPF_CORE_READ(s, skc_family);
	if (e->family == AF_UNIX) {
		__u64 own = (__u64)sk, pair = 0;

		bpf_probe_read_kernel(&pair, sizeof(pair), &own); /* to the verifier, no longer a pointer */
		pair = (pair ^ (__u64)BPF_CORE_READ((struct unix_sock *)sk, peer)) * pair_key;
		__builtin_memcpy(e->local_address, &pair, sizeof(pair));
		__builtin_memcpy(e->address, &pair, sizeof(pair));
		return;
	}
	e->local_port = __builtin_bswap16(BPF_CORE_READ(s, skc_num));
	e->port = BPF_CORE_READ(s, skc_dport);
	if (e->family == AF_INET) {
		__be32 local = BPF_CORE_READ(s, skc_rcv_saddr), peer = BPF_CORE_READ(s, skc_daddr);

		__builtin_memcpy(e->local_address, &local, sizeof(local));
		__builtin_memcpy(e->address, &peer, sizeof(peer));
	} else {
		BPF_CORE_READ_INTO(&e->local_address, s, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&e->address, s, skc_v6_daddr);
	}
}

/* 127.0.0.0/8, ::1, and the former mapped into IPv6. */
static __always_inline bool is_loopback(struct sock *sk)
{
	struct socket_ends e;
	const __u32 *a = (const void *)e.address;

	read_ends(sk, &e);
	if (e.family == AF_INET)
		return e.address[0] == 127;
	if (e.family != AF_INET6 || a[0] | a[1])
		return false;
	return a[2] ? a[2] == __builtin_bswap32(0xffff) && e.address[12] == 127
	            : a[3] == __builtin_bswap32(1);
}

static __always_inline bool is_stream(struct sock *sk, __u32 family)
{
	return (family == AF_INET || family == AF_INET6 || family == AF_UNIX) &&
	       BPF_CORE_READ(sk, sk_type) == 1 /* SOCK_STREAM */;
}

static __always_inline struct plain *plain_add(__u64 key, const struct plain *new)
{
	if (bpf_map_update_elem(&plains, &key, new, BPF_ANY)) {
		count(EV_COUNT_PLAIN_UNTRACKED, 1);
		return NULL;
	}
	return bpf_map_lookup_elem(&plains, &key);
}

/* Asks user space for the tracepoints of system calls. */
static __always_inline void plain_ask(const struct ev_proc *proc, __u64 ts)
{
	struct ev_watch *w = bpf_ringbuf_reserve(&watch_ring, sizeof(*w), 0);

	if (!w) {
		count(EV_COUNT_WATCH_LOST, 1);
		return;
	}
	__builtin_memset(w, 0, sizeof(*w));
	w->head.type = EV_WATCH;
	w->head.size = sizeof(*w);
	w->head.ts = ts;
	w->proc = *proc;
	w->what = EV_WATCH_PLAIN;
	bpf_ringbuf_submit(w, BPF_RB_FORCE_WAKEUP);
}

/* A followed process connects a TCP socket: what passes is seen from the first byte, if sockets are seen at
 * all. */
static __always_inline void plain_connect(struct sock *sk)
{
	struct followed *f = follow_current();
	struct plain new = {0};

	if (!f)
		return;
	new.ino = sock_inode(sk);
	new.tgid = f->proc.tgid;
	new.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	new.fresh = has_socket_events;
	new.local = is_loopback(sk);
	plain_add((__u64)sk, &new);
	if (!has_socket_events && new.local)
		plain_ask(&f->proc, bpf_ktime_get_boot_ns());
}

/* Without the sockets' tracepoints: whether a connection within the host has been answered before anyone
 * looked. */
static __always_inline bool was_answered(const struct plain *p, struct sock *sk)
{
	/* The end of the stream counts as a byte. */
	return !has_socket_events && p->local && p->family != AF_UNIX &&
	       BPF_CORE_READ((struct tcp_sock *)sk, bytes_received) > 1;
}

static __always_inline void plain_close(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct plain *p = bpf_map_lookup_elem(&plains, &key);

	if (!p)
		return;
	if (p->what == PLAIN_WAIT && !p->looked)
		count(EV_COUNT_PLAIN_EARLY, was_answered(p, sk));
	struct conn_key at = {.tls = EV_CONN_INODE | p->ino, .tgid = p->tgid};
	struct conn_state *c = p->what == PLAIN_HTTP ? bpf_map_lookup_elem(&conns, &at) : NULL;
	if (c && !(c->flags & EV_CONN_FREED)) {
		if (close_generation(c, at.tls, bpf_ktime_get_boot_ns())) {
			bpf_map_delete_elem(&conns, &at);
		} else {
			c->flags |= EV_CONN_FREED;
			count(EV_COUNT_LIFE_LOST, 1);
		}
	}
	bpf_map_delete_elem(&plains, &key);
}

#endif
