/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * copy.bpf.h - one call's payload into the data ring, in fragments.
 *
 * A record has exactly the size of its payload: a small one is put together in
 * the thread's memory, a larger one where the kernel can fill a dynptr from
 * user memory (bpf_probe_read_user_dynptr, Linux 6.16, a498ee7576de "bpf:
 * Implement dynptr copy kfuncs"); else it sits in the smallest of three size
 * classes.  Nothing passes through memory of the processor, which another
 * task's program could overwrite.
 */
#ifndef SPANTAP_COPY_BPF_H
#define SPANTAP_COPY_BPF_H

#include "calls.bpf.h"
#include "compat.bpf.h"
#include "conns.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH); /* what it forgets costs a mark on one call */
	__uint(max_entries, 4096);
	__type(key, struct kept_key);
	__type(value, struct kept);
} kept SEC(".maps") __weak;

const volatile bool has_exact_records __weak = false;

/* What copying one call needs; lives on the stack of the program. */
struct copy {
	struct ev_data rec; /* the header of the next fragment */
	__u64 buf;          /* next byte in the tracee */
	__u64 left;         /* bytes not yet copied */
	__u64 lost; /* never looked at on the way: a branch on it would keep the verifier from seeing that iterations are alike */
};

/* Copies f->rec.len bytes into a record with room for `room`, a constant; false when the ring is full. */
static __always_inline bool emit_class(struct copy *f, const __u32 room)
{
	struct ev_data *rec = bpf_ringbuf_reserve(&data_ring, sizeof(*rec) + room, 0);

	if (!rec)
		return false;
	__u64 len = f->rec.len; /* 64 bits: a bound of 32 is lost when the helper's argument is widened */
	__builtin_memcpy(rec, &f->rec, sizeof(*rec));
	rec->head.size = sizeof(*rec) + room;
	barrier_var(len);
	if (len > room)
		len = room;
	if (bpf_probe_read_user(rec->data, len, (void *)f->buf)) {
		rec->flags |= EV_DATA_UNREADABLE;
		f->lost += len;
		count(EV_COUNT_DATA_UNREADABLE, len);
	}
	bpf_ringbuf_submit(rec, wake_flags(&data_ring, sizeof(*rec) + room));
	return true;
}

static __always_inline bool emit_exact(struct copy *f)
{
	__u32 size = sizeof(f->rec) + f->rec.len;
	struct bpf_dynptr record;
	bool ok = bpf_ringbuf_reserve_dynptr(&data_ring, size, 0, &record) == 0;
	struct ev_data *rec = bpf_dynptr_data(&record, 0, sizeof(*rec));

	if (!ok || !rec) {
		bpf_ringbuf_discard_dynptr(&record, BPF_RB_NO_WAKEUP);
		return false;
	}
	f->rec.head.size = size;
	__builtin_memcpy(rec, &f->rec, sizeof(*rec));
	if (KFUNC(bpf_probe_read_user_dynptr)(&record, sizeof(*rec), f->rec.len, (void *)f->buf)) {
		rec->flags |= EV_DATA_UNREADABLE;
		f->lost += f->rec.len;
		count(EV_COUNT_DATA_UNREADABLE, f->rec.len);
	}
	bpf_ringbuf_submit_dynptr(&record, wake_flags(&data_ring, size));
	return true;
}

/* The next fragment; false when the ring is full. */
static __always_inline bool copy_fragment(struct copy *f)
{
	__u32 len = f->left > EV_FRAGMENT_MAX ? EV_FRAGMENT_MAX : f->left;
	bool ok;

	f->rec.len = len;
	if (has_exact_records)
		ok = emit_exact(f);
	else if (len <= 1024)
		ok = emit_class(f, 1024);
	else if (len <= 4096)
		ok = emit_class(f, 4096);
	else
		ok = emit_class(f, EV_FRAGMENT_MAX);
	if (!ok) {
		f->lost += len;
		count(EV_COUNT_DATA_LOST, len);
	}
	f->rec.offset += len;
	f->rec.moved = 0;
	f->buf += len;
	f->left -= len;
	return ok;
}

static long next_fragment(__u32 i, void *ctx)
{
	struct copy *f = ctx;

	copy_fragment(f);
	return f->left == 0;
}

/* What is left of a call: a hole, and why (enum ev_data_flags). */
static __always_inline void emit_rest(struct copy *f, __u16 why)
{
	struct ev_data *rec = bpf_ringbuf_reserve(&data_ring, sizeof(*rec), 0);

	if (rec) {
		__builtin_memcpy(rec, &f->rec, sizeof(*rec));
		rec->head.size = sizeof(*rec);
		rec->len = f->left;
		rec->flags |= EV_DATA_UNREADABLE | why;
		bpf_ringbuf_submit(rec, wake_flags(&data_ring, sizeof(*rec)));
	}
}

/* A call of at most SMALL_MAX bytes; false when the ring is full. */
static __always_inline bool copy_small(struct thread_calls *t, struct copy *f)
{
	__u64 len = f->left;

	barrier_var(len);
	if (len > SMALL_MAX)
		len = SMALL_MAX;
	f->rec.len = len;
	f->rec.head.size = sizeof(f->rec) + len;
	if (bpf_probe_read_user(t->payload, len, (void *)f->buf)) {
		f->rec.flags |= EV_DATA_UNREADABLE;
		f->lost = len;
		count(EV_COUNT_DATA_UNREADABLE, len);
	}
	t->small = f->rec;
	if (bpf_ringbuf_output(&data_ring, &t->small, sizeof(t->small) + len, wake_flags(&data_ring, sizeof(t->small) + len))) {
		f->lost = len;
		count(EV_COUNT_DATA_LOST, len);
		return false;
	}
	return true;
}

/* Keeps how a call began of which the first fragment is lost. */
static __always_inline void keep_begin(struct conn_state *c, const struct copy *f, __u64 offset, __u32 moved, __u64 buf, __u64 n)
{
	struct kept_key key = {.tls = f->rec.conn.tls, .tgid = f->rec.conn.proc.tgid, .dir = f->rec.dir};
	struct kept k = {.gen = c->gen, .offset = offset, .other = f->rec.other, .ts = f->rec.head.ts, .moved = moved};

	if (n > EV_BEGIN_MAX)
		n = EV_BEGIN_MAX;
	k.len = n;
	if (bpf_probe_read_user(k.bytes, n, (void *)buf) || bpf_map_update_elem(&kept, &key, &k, BPF_ANY))
		return;
	c->kept |= 1 << (key.dir & 1);
}

/*
 * Delivers what was kept of `dir`, before anything else of the connection; when
 * there is still no room, it is kept further.
 */
static __always_inline void deliver_begin(struct conn_state *c, __u64 tls, __u32 dir)
{
	struct kept_key key = {.tls = tls, .tgid = c->proc.tgid, .dir = dir};
	struct kept *k = bpf_map_lookup_elem(&kept, &key);

	if (!k || k->gen != c->gen) {
		c->kept &= ~(1 << dir);
		return;
	}
	struct ev_data *rec = bpf_ringbuf_reserve(&data_ring, sizeof(*rec) + EV_BEGIN_MAX, 0);
	if (!rec)
		return;
	__builtin_memset(rec, 0, sizeof(*rec));
	rec->head.type = EV_DATA;
	rec->head.size = sizeof(*rec) + EV_BEGIN_MAX;
	rec->head.ts = k->ts;
	rec->conn = conn_id(c, tls);
	rec->offset = k->offset;
	rec->other = k->other;
	rec->moved = k->moved;
	rec->len = k->len;
	rec->dir = dir;
	rec->lib = c->lib;
	rec->flags = (c->flags & EV_CONN_LATE ? EV_DATA_LATE : 0) | (c->flags & EV_CONN_RESUMED ? EV_DATA_RESUMED : 0);
	rec->tid = (__u32)bpf_get_current_pid_tgid();
	__builtin_memcpy(rec->data, k->bytes, EV_BEGIN_MAX);
	bpf_ringbuf_submit(rec, wake_flags(&data_ring, sizeof(*rec) + EV_BEGIN_MAX));
	c->kept &= ~(1 << dir);
	c->lost[dir] -= k->len;
	count(EV_COUNT_DATA_LOST, -(__u64)k->len);
	bpf_map_delete_elem(&kept, &key);
}

/* Copies all of it, `loop` (a constant): by bpf_loop. f->lost: bytes of it that were not delivered. */
static __always_inline void copy_call(struct thread_calls *t, struct conn_state *c, struct copy *f, const bool loop)
{
	__u64 n = f->left, buf = f->buf, offset = f->rec.offset;
	__u32 moved = f->rec.moved;

	count(EV_COUNT_DATA_BYTES, n);
	bool ok = n <= SMALL_MAX ? copy_small(t, f) : copy_fragment(f);
	if (!ok && (moved || !offset))
		keep_begin(c, f, offset, moved, buf, n);
	if (n <= EV_FRAGMENT_MAX)
		return;
	for_each_fragment(loop, next_fragment, f, (n - 1) / EV_FRAGMENT_MAX);
	if (f->left) {
		emit_rest(f, EV_DATA_TOO_LONG);
		count(EV_COUNT_DATA_TOO_LONG, f->left);
		f->lost += f->left;
	}
}

#endif
