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

static long next_fragment(__u32 i, void *ctx)
{
	struct copy *f = ctx;
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
	f->rec.seq++;
	f->buf += len;
	f->left -= len;
	return f->left == 0;
}

/* What is left of a call that is too long: a hole that says so. */
static __always_inline void emit_rest(struct copy *f)
{
	struct ev_data *rec = bpf_ringbuf_reserve(&data_ring, sizeof(*rec), 0);

	if (rec) {
		__builtin_memcpy(rec, &f->rec, sizeof(*rec));
		rec->head.size = sizeof(*rec);
		rec->len = f->left;
		rec->flags |= EV_DATA_UNREADABLE | EV_DATA_TOO_LONG;
		bpf_ringbuf_submit(rec, wake_flags(&data_ring, sizeof(*rec)));
	}
	f->rec.seq++;
}

/* A call of at most SMALL_MAX bytes. */
static __always_inline void copy_small(struct thread_calls *t, struct copy *f)
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
	}
	f->rec.seq++;
}

/* Copies all of it, `loop` (a constant): by bpf_loop. f->lost: bytes of it that were not delivered. */
static __always_inline void copy_call(struct thread_calls *t, struct copy *f, const bool loop)
{
	__u64 n = f->left;

	count(EV_COUNT_DATA_BYTES, n);
	if (n <= SMALL_MAX) {
		copy_small(t, f);
		return;
	}
	if (n <= EV_FRAGMENT_MAX)
		next_fragment(0, f);
	else
		for_each_fragment(loop, next_fragment, f, (n + EV_FRAGMENT_MAX - 1) / EV_FRAGMENT_MAX);
	if (f->left) {
		emit_rest(f);
		count(EV_COUNT_DATA_TOO_LONG, f->left);
		f->lost += f->left;
	}
}

#endif
