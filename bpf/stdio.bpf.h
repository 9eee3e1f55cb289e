/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/*
 * stdio.bpf.h - processes that may serve over standard input and output (MCP).
 *
 * A program that is executed with pipes or UNIX sockets as both of its standard
 * input and output may talk JSON-RPC with whom holds the other ends.  These
 * ends are written down in map "stdio": the process that executed it writes
 * into the one and reads from the other.  So each byte is seen once: of sockets
 * at the client if it is followed; else, and of pipes, at the server, because
 * what shows pipes has to be attached first, and a client may have written its
 * first message by then, but no server has read it.  What begins otherwise than
 * JSON is let go at the first byte (plain.bpf.c).
 */
#ifndef SPANTAP_STDIO_BPF_H
#define SPANTAP_STDIO_BPF_H

#include "syscall.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct stdio_end);
} stdio SEC(".maps") __weak;

/* The sockets' tracepoints of Linux 6.3 (6e6eda44b939 "sock: add tracepoint for send recv length") are there:
 * no system call need be seen for them. */
const volatile bool has_socket_events __weak = false;

/* The inode of the far end (`own`: this end) of a descriptor that is a pipe or a UNIX stream socket; 0:
 * neither. */
static __always_inline __u64 stdio_inode(struct task_struct *task, __u32 fd, bool own, __u32 *ret_pipe)
{
	struct file *file = file_of(task, fd);
	__u32 type = file ? file_type(file) : 0;

	if (type == S_IFIFO) {
		*ret_pipe = 1;
		return BPF_CORE_READ(file, f_inode, i_ino);
	}
	if (type != S_IFSOCK)
		return 0;
	struct sock *sk = file_sock(file);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX ||
	    BPF_CORE_READ(sk, sk_type) != 1 /* SOCK_STREAM */)
		return 0;
	if (own)
		return BPF_CORE_READ(file, f_inode, i_ino);
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
	return peer ? sock_inode(peer) : 0;
}

static __always_inline void stdio_add(__u64 ino, const struct stdio_end *end, __u32 dir_flag)
{
	struct stdio_end *old = bpf_map_lookup_elem(&stdio, &ino), new = *end;

	if (old && old->conn == end->conn && old->ts == end->ts) {
		old->flags |= dir_flag; /* input and output are one socket */
		return;
	}
	if (old) {
		struct followed *f = bpf_map_lookup_elem(&followed, &old->server.tgid);

		if (f && f->proc.start == old->server.start)
			return; /* inherited: whom it was made for is still there */
	}
	new.flags |= dir_flag;
	if (bpf_map_update_elem(&stdio, &ino, &new, BPF_ANY))
		count(EV_COUNT_PLAIN_UNTRACKED, 1);
}

/*
 * The current process, followed, has executed a program; parent_followed: so
 * is its parent.  True: only the tracepoints of system calls show what passes.
 */
static __always_inline bool stdio_exec(struct task_struct *task, const struct ev_proc *proc,
                                       bool parent_followed, __u64 ts)
{
	__u32 pipe = 0;
	__u64 in = stdio_inode(task, 0, !parent_followed, &pipe),
	      out = stdio_inode(task, 1, !parent_followed, &pipe);

	if (!in || !out)
		return false;
	/* It reads its first message when it is up; its client may have written it before anybody could look. */
	bool server = !parent_followed || pipe;
	struct stdio_end end = {.conn = in,
	                        .server = *proc,
	                        .ts = ts,
	                        .flags = (pipe ? STDIO_PIPE : 0) | (server ? STDIO_SERVER : 0)};
	stdio_add(in, &end, server ? STDIO_READ : STDIO_WRITE);
	stdio_add(out, &end, server ? STDIO_WRITE : STDIO_READ);
	return pipe || !has_socket_events;
}

#endif
