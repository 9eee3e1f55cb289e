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

#define CALLS_DEPTH 4 /* TLS inside TLS inside TLS is the deepest that was ever heard of */

struct call {
	__u64 stack; /* address behind the return address */
	__u64 tls, buf;
	__u64 n_ptr; /* where an _ex call stores the number of bytes; 0: the return value is it */
	__u64 ts;
	__u64 cookie;
	__u64 exec_ts; /* of the process, as in struct followed */
	__u32 dir;
	__u32 pad;
};

struct thread_calls {
	struct call v[CALLS_DEPTH]; /* outermost first, stack addresses decreasing */
	__s64 n;
	char line[REQUEST_LOOK]; /* where a request line is looked at: too much for the stack */
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_calls);
} calls SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* threads that are in a call at the same time */
	__type(key, __u64);
	__type(value, struct thread_calls);
} calls_hash SEC(".maps") __weak;

const volatile bool has_task_storage __weak = false;

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
	struct thread_calls none = {};
	bpf_map_update_elem(&calls_hash, &thread, &none, BPF_ANY);
	return bpf_map_lookup_elem(&calls_hash, &thread);
}

/* The thread has ended, or executes another program. */
static __always_inline void thread_calls_forget(void)
{
	if (has_task_storage) {
		struct thread_calls *t = thread_calls();

		if (t)
			t->n = 0;
	} else {
		__u64 thread = bpf_get_current_pid_tgid();

		bpf_map_delete_elem(&calls_hash, &thread);
	}
}

/* The innermost call that the thread is in. */
static __always_inline const struct call *innermost_call(const struct thread_calls *t)
{
	return t->n ? &t->v[(t->n - 1) & (CALLS_DEPTH - 1)] : NULL;
}

/*
 * Remembers a call.  A call that is nested in one on the same object and in
 * the same direction is the same call under another name, and is not counted
 * twice.  Calls at or below our place on the stack have ended unseen.
 */
static __always_inline void enter_call(const struct call *call)
{
	struct thread_calls *t = thread_calls_create();

	if (!t) {
		count(EV_COUNT_CALL_UNTRACKED, 1);
		return;
	}
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

/* Takes the call back that returns to where `stack` points; false when it is none of ours. */
static __always_inline bool leave_call(struct thread_calls *t, __u64 stack, struct call *ret)
{
	__s64 n = t->n;

#pragma unroll
	for (int i = CALLS_DEPTH - 1; i >= 0; i--) {
		if (i < n && t->v[i].stack == stack) {
			*ret = t->v[i];
			if (n - 1 > i)
				count(EV_COUNT_CALL_UNRETURNED, n - 1 - i);
			t->n = i;
			return true;
		}
	}
	return false;
}

#endif
