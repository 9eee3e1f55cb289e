/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * conns.bpf.h - the table of connections: generations of TLS objects.
 *
 * A generation begins with SSL_new or SSL_clear, else with the first call on an object that
 * is not in the table, or that is older than the process's latest exec, or
 * whose socket has changed.  It ends with SSL_free, with the next generation,
 * or with its process (the sweep of user space).
 */
#ifndef SPANTAP_CONNS_BPF_H
#define SPANTAP_CONNS_BPF_H

#include "emit.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct conn_key);
	__type(value, struct conn_state);
} conns SEC(".maps") __weak;

static __always_inline struct conn_state *conn_find(__u32 tgid, __u64 tls)
{
	struct conn_key key = {.tls = tls, .tgid = tgid};

	return bpf_map_lookup_elem(&conns, &key);
}

static __always_inline struct ev_conn_id conn_id(const struct conn_state *c, __u64 tls)
{
	struct ev_conn_id id = {.tls = tls, .gen = c->gen, .proc = c->proc};

	return id;
}

/* Announces the end of a generation; false when the ring is full. */
static __always_inline bool close_generation(struct conn_state *c, __u64 tls, __u64 ts)
{
	struct ev_conn *rec = bpf_ringbuf_reserve(&life_ring, sizeof(*rec), 0);

	if (!rec)
		return false;
	rec->head.type = EV_CONN_CLOSE;
	rec->head.size = sizeof(*rec);
	rec->head.ts = ts;
	rec->conn = conn_id(c, tls);
	for (int dir = 0; dir < 2; dir++) {
		rec->produced[dir] = c->produced[dir];
		rec->lost[dir] = c->lost[dir];
		rec->ignored[dir] = c->ignored[dir];
	}
	rec->lib = c->lib;
	rec->flags = c->flags | EV_CONN_FREED;
	bpf_ringbuf_submit(rec, wake_flags(&data_ring, 0));
	return true;
}

/*
 * Begins a generation of TLS object `tls`; `old`: the one it ends, or NULL.
 * NULL when the table is full.
 */
static __always_inline struct conn_state *begin_generation(const struct ev_proc *proc, __u64 tls, struct conn_state *old,
							   __u32 lib, __u32 flags, __u64 ts)
{
	struct conn_key key = {.tls = tls, .tgid = proc->tgid};
	struct conn_state fresh = {.gen = ts, .proc = *proc, .lib = lib, .flags = flags};

	if (old && !(old->flags & EV_CONN_FREED) && !close_generation(old, tls, ts))
		count(EV_COUNT_LIFE_LOST, 1); /* its totals are lost */
	if (bpf_map_update_elem(&conns, &key, &fresh, BPF_ANY)) {
		count(EV_COUNT_CONN_UNTRACKED, 1);
		return NULL;
	}
	return bpf_map_lookup_elem(&conns, &key);
}

/*
 * Whether a connection seen for the first time may have passed bytes before:
 * its process is older than the probe, or has it from its parent.
 */
static __always_inline __u32 lateness(const struct followed *f, __u64 tls, __u64 cookie)
{
	__u64 attached = cookie ? COOKIE_ATTACHED(cookie) : control.attached_ts;
	struct conn_state *inherited = f->parent ? conn_find(f->parent, tls) : NULL;

	if (f->exec_ts < attached || (inherited && inherited->gen < f->exec_ts))
		return EV_CONN_LATE;
	return 0;
}

/* The first bytes of a generation, or of an object that is not in the table. */
static __always_inline struct conn_state *first_bytes(struct conn_state *c, bool fresh, __u64 tls, __u64 cookie, __u64 ts)
{
	__u32 tgid = current_tgid();
	struct followed *f = bpf_map_lookup_elem(&followed, &tgid);

	if (!f)
		return NULL;
	if (!fresh)
		c = begin_generation(&f->proc, tls, c, COOKIE_LIB(cookie), lateness(f, tls, cookie), ts);
	if (!f->plain_ts)
		f->plain_ts = ts;
	f->plain++;
	return c;
}

/*
 * The state of the connection that TLS object `tls` carries now; NULL: untracked,
 * or the process is followed no more.  `exec_ts`: of the process.
 */
static __always_inline struct conn_state *connection(__u64 tls, __u64 cookie, __u64 exec_ts, __u64 ts)
{
	struct conn_state *c = conn_find(current_tgid(), tls);
	bool fresh = c && c->gen > exec_ts && !(c->flags & EV_CONN_FREED);

	if (fresh && (c->produced[0] | c->produced[1]))
		return c;
	return first_bytes(c, fresh, tls, cookie, ts);
}

static __always_inline void emit_peer(struct conn_state *c, __u64 tls, const struct socket_ends *ends, __u64 ts)
{
	c->ends = *ends;

	struct ev_peer *rec = bpf_ringbuf_reserve(&life_ring, sizeof(*rec), 0);
	if (!rec) {
		count(EV_COUNT_LIFE_LOST, 1);
		return;
	}
	rec->head.type = EV_PEER;
	rec->head.size = sizeof(*rec);
	rec->head.ts = ts;
	rec->conn = conn_id(c, tls);
	__builtin_memcpy(&rec->family, ends, sizeof(*ends));
	rec->flags = c->flags;
	bpf_ringbuf_submit(rec, wake_flags(&data_ring, 0));
}

/* The thread reads a socket from within a call on `tls`: the object's peer. Another one than before: another connection. */
static __always_inline void conn_on_socket(__u64 tls, const struct socket_ends *ends)
{
	__u32 tgid = current_tgid();
	struct conn_state *c = conn_find(tgid, tls);
	__u64 ts = bpf_ktime_get_boot_ns();

	if (!c || c->flags & EV_CONN_FREED)
		return; /* its first call is still under way: the next read tells */
	if (c->ends.family) {
		const __u64 *a = (const void *)&c->ends, *b = (const void *)ends;
		__u64 differ = 0;

#pragma unroll
		for (__u32 i = 0; i < sizeof(*ends) / 8; i++)
			differ |= a[i] ^ b[i];
		if (!differ)
			return;
		if (c->produced[0] | c->produced[1]) {
			struct ev_proc proc = c->proc;

			c = begin_generation(&proc, tls, c, c->lib, 0, ts);
			if (!c)
				return;
		}
	}
	emit_peer(c, tls, ends, ts);
}

#endif
