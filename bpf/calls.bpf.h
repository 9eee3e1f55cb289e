/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * calls.bpf.h - the calls that a thread is in: what entry knows, until return.
 *
 * A call is found again by the address of its return address on the stack.
 * That tells nested calls apart (TLS inside TLS: SSL_write of one object calls
 * SSL_write of another through its BIO), makes a second return probe on the
 * same call harmless, and shows which calls were left without returning.
 *
 * Where: in task storage, which dies with the thread (helpers for tracing
 * programs since Linux 5.12, a10787e6d58c); before, in a hash that on_exit
 * cleans.
 */
#ifndef SPANTAP_CALLS_BPF_H
#define SPANTAP_CALLS_BPF_H

#include "emit.bpf.h"

#define SMALL_MAX   512 /* payload of records that are put together in the thread's memory */
#define GATHER_WORDS 20
#define CALLS_DEPTH 4 /* TLS inside TLS inside TLS is the deepest that was ever heard of */

enum call_what {
	CALL_DATA = 0,     /* passes plaintext */
	CALL_FLUSH = 1,    /* passes again what was seen before: not counted, and neither are calls within */
	CALL_INIT = 2,     /* makes a TLS object, its address goes to *n_ptr */
	CALL_ON_STACK = 3, /* as CALL_DATA, `buf` counted from the upper end of a stack that may move */
};

struct call {
	__u64 stack; /* address behind the return address; of a stack that moves: how far from its upper end, negative */
	__u64 tls, buf;
	__u64 n_ptr; /* where an _ex call stores the number of bytes; 0: the return value is it */
	__u64 n_slices, start; /* rustls: `buf` are so many slices, of which bytes from `start` on; 0: it is the bytes */
	__u64 ts;
	__u64 cookie;
	__u32 dir;
	__u32 what; /* enum call_what */
};

struct call_stack {
	struct call v[CALLS_DEPTH]; /* outermost first, stack addresses decreasing */
	__s64 n;
};

/* What a call that transfers bytes was given. */
struct transfer {
	__u64 fd;
	__u64 buf;  /* the first buffer; 0: not known */
	__u64 room; /* of it */
	__u64 iov;  /* the iovec behind it */
	__u64 iovs; /* how many there are, from there on */
	__u32 dir;  /* enum ev_dir */
	__u32 flags; /* of recv */
};

struct thread_calls {
	struct call_stack calls;
	__u64 exec_ts; /* of the process, as in struct followed; 0: not known to be followed */
	__u32 epoch;   /* control.epoch when that was found out */
	__u32 pad;
	__u64 passed;  /* bytes of the call that returned last */
	/* Memory that is the thread's own, unlike that of a processor, and larger than the stack. */
	union {
		char line[REQUEST_LOOK]; /* a request line that is looked at */
		__u64 gather[GATHER_WORDS]; /* then: of tls_rustls.bpf.c */
	};
	struct transfer transfer;
	struct vector {          /* a call's buffers, one behind the other (plain.bpf.c) */
		struct ev_data rec; /* the header of the next fragment */
		__u64 buf, left;    /* of the buffer in work */
		__u64 iov, iovs;    /* those behind it */
		__u64 behind;       /* bytes of the call in them */
		__u64 lost;
	} vector;
	struct ev_data small;    /* a small record ... */
	__u8 payload[SMALL_MAX]; /* ... and what is behind it */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_calls);
} calls SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* threads of followed processes that use TLS */
	__type(key, __u64);
	__type(value, struct thread_calls);
} calls_hash SEC(".maps") __weak;

/* Zeros: what a new entry of calls_hash begins with, too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct thread_calls);
} no_calls SEC(".maps") __weak;

const volatile bool has_task_storage __weak = false;

/* Without cookies the library is not known, and returns are read at `ret` instructions only. */
const volatile bool has_cookies __weak = false;

static __always_inline struct thread_calls *thread_calls(void)
{
	if (has_task_storage)
		return bpf_task_storage_get(&calls, bpf_get_current_task_btf(), NULL, 0);
	__u64 thread = bpf_get_current_pid_tgid();
	return bpf_map_lookup_elem(&calls_hash, &thread);
}

/* NULL when there is no room. */
static __always_inline struct thread_calls *thread_calls_create(void)
{
	if (has_task_storage)
		return bpf_task_storage_get(&calls, bpf_get_current_task_btf(), NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	__u64 thread = bpf_get_current_pid_tgid();
	struct thread_calls *t = bpf_map_lookup_elem(&calls_hash, &thread);
	if (t)
		return t;
	__u32 zero = 0;
	struct thread_calls *none = bpf_map_lookup_elem(&no_calls, &zero);
	if (!none)
		return NULL;
	bpf_map_update_elem(&calls_hash, &thread, none, BPF_ANY);
	return bpf_map_lookup_elem(&calls_hash, &thread);
}

/* The thread has ended, or executes another program. */
static __always_inline void thread_calls_forget(void)
{
	if (has_task_storage) {
		struct thread_calls *t = thread_calls();

		if (t) {
			t->calls.n = 0;
			t->exec_ts = 0;
		}
	} else {
		__u64 thread = bpf_get_current_pid_tgid();

		bpf_map_delete_elem(&calls_hash, &thread);
	}
}

/*
 * The calls of a thread whose process is followed, else NULL.  That it is
 * followed is looked up once, and again when user space has let one go.
 */
static __always_inline struct thread_calls *followed_thread(void)
{
	struct thread_calls *t = thread_calls();

	if (t && t->exec_ts && t->epoch == control.epoch && !control.stop)
		return t;
	struct followed *f = follow_current();
	if (!f)
		return NULL;
	t = thread_calls_create();
	if (!t) {
		count(EV_COUNT_CALL_UNTRACKED, 1);
		return NULL;
	}
	t->exec_ts = f->exec_ts;
	t->epoch = control.epoch;
	return t;
}

/* The innermost call. */
static __always_inline const struct call *innermost_call(const struct call_stack *t)
{
	return t->n ? &t->v[(t->n - 1) & (CALLS_DEPTH - 1)] : NULL;
}

/*
 * Remembers a call.  A call that is nested in one on the same object and in
 * the same direction is the same call under another name, and is not counted
 * twice.  Calls at or below our place on the stack have ended unseen.
 */
static __always_inline void enter_call(struct call_stack *t, const struct call *call)
{
	__s64 n = t->n, kept = n;
#pragma unroll
	for (int i = CALLS_DEPTH - 1; i >= 0; i--)
		if (i < n && t->v[i].stack <= call->stack)
			kept = i;
	if (kept != n) {
		count(EV_COUNT_CALL_UNRETURNED, n - kept);
		t->n = kept;
	}
#pragma unroll
	for (int i = 0; i < CALLS_DEPTH; i++)
		if (i < kept && t->v[i].tls == call->tls && t->v[i].dir == call->dir)
			return;
	if (kept >= CALLS_DEPTH) {
		count(EV_COUNT_CALL_UNTRACKED, 1);
		return;
	}
	t->v[kept & (CALLS_DEPTH - 1)] = *call;
	t->n = kept + 1;
}

/* Takes the call back that returns to where `stack` points, valid until the next one; NULL when it is none of ours. */
static __always_inline const struct call *leave_call(struct call_stack *t, __u64 stack)
{
	__s64 n = t->n;

#pragma unroll
	for (int i = CALLS_DEPTH - 1; i >= 0; i--) {
		if (i < n && t->v[i].stack == stack) {
			if (n - 1 > i)
				count(EV_COUNT_CALL_UNRETURNED, n - 1 - i);
			t->n = i;
			return &t->v[i];
		}
	}
	return NULL;
}

#endif
