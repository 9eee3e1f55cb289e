// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * plaintext.bpf.h - what a call has passed, as records of its connection.
 *
 * Whatever the library and the processor's calling convention: from here on a
 * call is (TLS object, buffer, direction, bytes).
 */
#ifndef SPANTAP_PLAINTEXT_BPF_H
#define SPANTAP_PLAINTEXT_BPF_H

#include "calls.bpf.h"
#include "conns.bpf.h"
#include "copy.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LLM_NAMES_MAX);
	__type(key, __u64);
	__type(value, __u32);
} llm_names SEC(".maps") __weak;

/*
 * Whether what begins here, `n` bytes long, is a request that may be an LLM
 * call: a request line whose target ends (before its query) with a name on the
 * list, or with `any` any request line.  A target longer than is looked at counts.
 * Not static: the verifier then looks at it once, not once for each path to it.
 */
__weak __noinline int is_llm_request(__u64 buf, __u64 n, bool any)
{
	struct thread_calls *t = thread_calls();
	__u64 hash = LLM_NAME_SEED, before = LLM_NAME_SEED; /* of the segment, of the one before it */
	int spaces = 0;

	if (!t)
		return true;
	char *line = t->line;
	if (n > REQUEST_LOOK)
		n = REQUEST_LOOK;
	__builtin_memset(line, 0, REQUEST_LOOK);
	barrier_var(n);
	if (n > REQUEST_LOOK || bpf_probe_read_user(line, n, (void *)buf))
		return true;
	if (line[0] < 'A' || line[0] > 'Z')
		return false;
	for (__u32 i = 0; i < REQUEST_LOOK; i++) {
		unsigned char c = line[i];

		if (c == 0)
			return i > 0 && spaces; /* shorter than a request line: the rest may be in the next write */
		if (!spaces) {
			if (c == ' ')
				spaces = 1;
			else if (c < 'A' || c > 'Z')
				return false;
		} else if (c == ' ' || c == '?') {
			if (hash == LLM_NAME_SEED)
				hash = before; /* the target ends with a slash */
			return any || bpf_map_lookup_elem(&llm_names, &hash);
		} else if (c == '/' || c == ':') {
			before = hash;
			hash = LLM_NAME_SEED;
		} else {
			hash = (hash ^ c) * LLM_NAME_PRIME;
		}
	}
	return spaces;
}

/* Bytes of an ignored connection. True: they begin a request that resumes it, as *c from now on. */
static __always_inline bool resume(struct conn_state **c, const struct call *call, __u64 n, __u64 ts)
{
	struct conn_state *old = *c;
	__u32 flags = old->flags, dir = call->dir & 1;
	__u32 request_dir = flags & EV_CONN_SERVER ? EV_DIR_READ : EV_DIR_WRITE;

	if (!(flags & EV_CONN_FINAL) && dir == request_dir && is_llm_request(call->buf, n, flags & EV_CONN_ANY)) {
		struct ev_proc proc = old->proc;

		*c = begin_generation(&proc, call->tls, old, old->lib, EV_CONN_RESUMED, ts);
		return *c != NULL;
	}
	old->ignored[dir] += n;
	count(EV_COUNT_IGNORED, n);
	return false;
}

/*
 * Begins to record the `n` bytes that a call has passed: as *ret, which whoever
 * copies them then consumes.  NULL: they are not recorded.
 */
static __always_inline struct conn_state *begin_plaintext(struct thread_calls *t, const struct call *call, __u64 n,
							  struct copy *ret)
{
	__u32 dir = call->dir & 1;
	__u64 ts = dir == EV_DIR_WRITE ? call->ts : bpf_ktime_get_boot_ns();
	struct conn_state *c = connection(call->tls, call->cookie, t->exec_ts, ts);
	if (!c || (c->flags & EV_CONN_IGNORED && !resume(&c, call, n, ts)))
		return NULL;

	__u16 flags = 0;
	if (c->flags & EV_CONN_LATE)
		flags |= EV_DATA_LATE;
	if (c->flags & EV_CONN_RESUMED)
		flags |= EV_DATA_RESUMED;
	if (c->kept & 1 << EV_DIR_WRITE)
		deliver_begin(c, call->tls, EV_DIR_WRITE);
	if (c->kept & 1 << EV_DIR_READ)
		deliver_begin(c, call->tls, EV_DIR_READ);
	__u64 other = c->produced[dir ^ 1], moved = other - c->met[dir];
	*ret = (struct copy){
	    .rec = {.head = {.type = EV_DATA, .ts = ts},
		    .conn = conn_id(c, call->tls),
		    .offset = c->produced[dir],
		    .other = other,
		    .moved = moved < 0xffffffff ? moved : 0xffffffff,
		    .dir = dir,
		    .lib = c->lib,
		    .flags = flags,
		    .tid = (__u32)bpf_get_current_pid_tgid()},
	    .buf = call->buf,
	    .left = n,
	};
	return c;
}

static __always_inline void end_plaintext(struct conn_state *c, const struct copy *copy, __u32 dir, __u64 n)
{
	c->produced[dir] += n;
	c->lost[dir] += copy->lost;
	c->met[dir] = copy->rec.other;
}

/* Records the `n` bytes that a call has passed. */
static __always_inline void emit_plaintext(struct thread_calls *t, const struct call *call, __u64 n, const bool loop)
{
	struct copy copy;
	struct conn_state *c = begin_plaintext(t, call, n, &copy);

	if (!c)
		return;
	copy_call(t, c, &copy, loop);
	end_plaintext(c, &copy, call->dir & 1, n);
}

/* The TLS object is no more, or carries nothing more. */
static __always_inline void end_connection(__u32 tgid, __u64 tls)
{
	struct conn_key key = {.tls = tls, .tgid = tgid};
	struct conn_state *c = bpf_map_lookup_elem(&conns, &key);

	if (!c || (c->flags & EV_CONN_FREED))
		return;
	if (close_generation(c, key.tls, bpf_ktime_get_boot_ns())) {
		bpf_map_delete_elem(&conns, &key);
	} else {
		/* The sweep of user space reports and removes it. */
		c->flags |= EV_CONN_FREED;
		count(EV_COUNT_LIFE_LOST, 1);
	}
}

#endif
