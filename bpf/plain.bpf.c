// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * plain.bpf.c - what followed processes send and receive without TLS: HTTP over
 * sockets (local model servers), JSON-RPC over standard input and output (MCP).
 *
 * Where from: the tracepoints at the end of each send and receive on a socket
 * (Linux 6.3, 6e6eda44b939), in the context of the system call, which knows the
 * user's memory.  They are attached always, as they set no flag on tasks.  For
 * pipes, and on older kernels for sockets too, it is the end of the system call
 * itself; user space attaches that one only while it is needed (probe/plain.h).
 * The beginning of a call is never looked at: the registers still hold it.
 *
 * What: a connection begins with a request line (HTTP) or a bracket (JSON) in
 * the first bytes of a call.  What begins otherwise is let go, for good when it
 * was seen from its first byte.
 */
/* bpftool cannot join what two objects say of one function of the kernel; a name's end after ___ is no part
 * of it (libbpf 1.3). */
#define bpf_probe_read_user_dynptr bpf_probe_read_user_dynptr___plain
#include "copy.bpf.h"
#include "plain.bpf.h"

int is_llm_request(__u64 buf, __u64 n, bool any); /* tls.bpf.c */

#define FIRST_BYTES 16

/*
 * Functions that are not inlined have a stack of their own, and those of all that
 * are in work at a time must fit into 512 bytes: hence those below.
 */

/* --- first bytes --- */

/* What a call begins with, NULs behind it. */
static __always_inline __u32 first_bytes_of(const struct transfer *x, __u64 n, char *ret)
{
	__u64 len = n < x->room ? n : x->room;

	__builtin_memset(ret, 0, FIRST_BYTES);
	if (!x->buf)
		return 0;
	barrier_var(len);
	if (len > FIRST_BYTES)
		len = FIRST_BYTES;
	if (bpf_probe_read_user(ret, len, (void *)x->buf))
		return 0;
	return len;
}

/*
 * A method, a space, and what a target begins with (RFC 9112 section 3; "*" is
 * also that of HTTP/2's preface); `n` bytes of a and b.  Not static: the
 * verifier then looks at it once, not once for each path to it.
 */
__noinline int begins_request(__u64 a, __u64 b, __u32 n)
{
	__u64 words[2] = {a, b};
	const char *c = (const char *)words;
	__u32 i;

	if (n > FIRST_BYTES)
		n = FIRST_BYTES;
	for (i = 0; i < FIRST_BYTES; i++)
		if (i >= n || c[i] < 'A' || c[i] > 'Z')
			break;
	if (i == n)
		return n > 0 && n < FIRST_BYTES; /* a method that is not complete */
	if (i < 3 || i >= FIRST_BYTES - 1 || c[i] != ' ')
		return 0;
	char d = c[i + 1];
	return i + 1 >= n || d == '/' || d == '*' || d == 'h' || (c[0] == 'C' && c[1] == 'O' && c[2] == 'N');
}

static __always_inline bool is_connect(const char *b)
{
	return b[0] == 'C' && b[1] == 'O' && b[2] == 'N' && b[3] == 'N';
}

static __always_inline bool begins_tls(const char *b)
{
	return b[0] >= 20 && b[0] <= 23 && b[1] == 3 && b[2] >= 0 && b[2] <= 4;
}

static __always_inline bool begins_json(const char *b)
{
	return b[0] == '{' || b[0] == '[';
}

/* --- copying --- */

/* Of one call at most its square, 64 MiB: what is kept of a body. The rest is a counted hole. */
#define PIECES 64

/*
 * Copies the next fragment of what the thread's vector describes; 1: there is
 * none.  It takes no arguments and is not static, so that the verifier looks at
 * it once, not once for each iteration and each path to it.
 */
__noinline int next_piece(void)
{
	struct thread_calls *t = thread_calls();

	if (!t)
		return 1;
	struct vector *v = &t->vector;
	if (!v->left) {
		struct user_iovec next = {0};

		if (!v->iovs || !v->behind || bpf_probe_read_user(&next, sizeof(next), (void *)v->iov))
			return 1;
		v->iov += sizeof(next);
		v->iovs--;
		v->buf = next.base;
		v->left = next.len < v->behind ? next.len : v->behind;
		v->behind -= v->left;
		if (!v->left)
			return 0;
	}
	struct copy f = {.rec = v->rec, .buf = v->buf, .left = v->left};
	next_fragment(0, &f);
	v->rec = f.rec;
	v->buf = f.buf;
	v->left = f.left;
	v->lost += f.lost;
	return 0;
}

__noinline int next_pieces(void)
{
	for (int i = 0; i < PIECES; i++)
		if (next_piece())
			return 1;
	return 0;
}

/* Copies n bytes of a transfer; `copy` has the header of the first fragment, and gets what was lost. */
static __always_inline void copy_transfer(struct thread_calls *t, struct copy *copy, const struct transfer *x,
                                          __u64 n)
{
	__u64 first = !x->buf ? 0 : n <= x->room ? n : x->room;

	count(EV_COUNT_DATA_BYTES, n);
	if (first == n && n <= SMALL_MAX) {
		copy->buf = x->buf;
		copy->left = n;
		copy_small(t, copy);
		return;
	}
	struct vector *v = &t->vector;
	v->rec = copy->rec;
	v->buf = x->buf;
	v->left = first;
	v->iov = x->iov;
	v->iovs = x->iovs;
	v->behind = n - first;
	v->lost = 0;
	for (int i = 0; i < PIECES; i++)
		if (next_pieces())
			break;
	copy->rec = v->rec;
	copy->left = v->left + v->behind;
	copy->lost = v->lost + copy->left;
	if (copy->left) {
		bool too_long = v->left;

		count(too_long ? EV_COUNT_DATA_TOO_LONG : EV_COUNT_DATA_UNREADABLE, copy->left);
		emit_rest(copy, too_long ? EV_DATA_TOO_LONG : 0);
	}
}

/* --- connections --- */

/* Bytes of an ignored connection. The connection that they resume, as they begin a request, or NULL. */
static __noinline struct conn_state *resumed(struct conn_state *old, __u64 conn, const struct transfer *x,
                                             __u64 n, __u64 ts)
{
	__u32 flags = old->flags, dir = x->dir & 1;
	__u32 request_dir = flags & EV_CONN_SERVER ? EV_DIR_READ : EV_DIR_WRITE;

	if (!(flags & EV_CONN_FINAL) && dir == request_dir && x->buf &&
	    is_llm_request(x->buf, n < x->room ? n : x->room, flags & EV_CONN_ANY)) {
		struct ev_proc proc = old->proc;
		struct socket_ends ends = old->ends;

		struct conn_state *c = begin_generation(&proc, conn, old, old->lib, EV_CONN_RESUMED, ts);
		if (c)
			emit_peer(c, conn, &ends, ts);
		return c;
	}
	old->ignored[dir] += n;
	count(EV_COUNT_IGNORED, n);
	return NULL;
}

/*
 * The thread's transfer has moved n bytes of a connection that is in the table.
 * Not static, for the reason above.
 */
__noinline int take(__u64 conn, __u64 n, __u64 ts)
{
	struct thread_calls *t = thread_calls();
	struct conn_state *c = t ? conn_find(current_tgid(), conn) : NULL;

	if (!c)
		return 0;
	const struct transfer *x = &t->transfer;
	__u32 dir = x->dir & 1;
	__u16 flags = 0;
	if (c->flags & EV_CONN_LATE)
		flags |= EV_DATA_LATE;
	if (c->flags & EV_CONN_RESUMED)
		flags |= EV_DATA_RESUMED;
	if (c->flags & EV_CONN_SERVER)
		flags |= EV_DATA_SERVER;
	__u64 other = c->produced[dir ^ 1], moved = other - c->met[dir];
	struct copy copy = {
	    .rec = {.head = {.type = EV_DATA, .ts = ts},
	            .conn = conn_id(c, conn),
	            .offset = c->produced[dir],
	            .other = other,
	            .moved = moved < 0xffffffff ? moved : 0xffffffff,
	            .dir = dir,
	            .lib = c->lib,
	            .flags = flags,
	            .tid = (__u32)bpf_get_current_pid_tgid()},
	};
	copy_transfer(t, &copy, x, n);
	c->produced[dir] += n;
	c->lost[dir] += copy.lost;
	c->met[dir] = other;
	return 0;
}

static __noinline int end_connection(__u64 conn)
{
	struct conn_key key = {.tls = conn, .tgid = current_tgid()};
	struct conn_state *c = bpf_map_lookup_elem(&conns, &key);

	if (!c || c->flags & EV_CONN_FREED)
		return 0;
	if (close_generation(c, conn, bpf_ktime_get_boot_ns())) {
		bpf_map_delete_elem(&conns, &key);
	} else {
		c->flags |= EV_CONN_FREED;
		count(EV_COUNT_LIFE_LOST, 1);
	}
	return 0;
}

/* --- standard input and output --- */

/* Whether more has been written into a pipe than the call that has just ended, of n bytes. */
static __always_inline bool pipe_was_used(struct file *file, __u64 n)
{
	struct pipe_inode_info *pipe = BPF_CORE_READ(file, f_inode, i_pipe);
	__u32 head = BPF_CORE_READ(pipe, head), size = BPF_CORE_READ(pipe, ring_size);
	struct pipe_buffer *last = BPF_CORE_READ(pipe, bufs);

	if (!head || !size || head != (n + 4095) / 4096)
		return true;
	last = (void *)last + ((head - 1) & (size - 1)) * bpf_core_type_size(struct pipe_buffer);
	return BPF_CORE_READ(last, offset) + BPF_CORE_READ(last, len) != n - (__u64)(head - 1) * 4096;
}

static __noinline struct conn_state *begin_stdio(struct stdio_end *e, __u64 conn, bool late, __u64 ts)
{
	struct followed *f = follow_current();
	__u32 flags = (e->flags & STDIO_SERVER ? EV_CONN_SERVER : 0) | (late ? EV_CONN_LATE : 0);

	e->flags |= STDIO_SPOKEN;
	e->client = current_tgid();
	count(EV_COUNT_PLAIN_EARLY, late && !(e->flags & STDIO_FOUND));
	return f ? begin_generation(&f->proc, conn, NULL, EV_LIB_STDIO, flags, ts) : NULL;
}

/*
 * A transfer of `n` bytes, 0: the end of file, by the holder of an end in map
 * "stdio"; `file`: when it is a pipe.  The connection that they belong to, or NULL.
 */
static __always_inline struct conn_state *stdio_conn(struct stdio_end *e, __u64 ino, struct file *file,
                                                     const struct transfer *x, __u64 n, __u64 ts,
                                                     __u64 *ret_conn)
{
	char first[FIRST_BYTES] __attribute__((aligned(8)));
	__u64 conn = EV_CONN_INODE | e->conn;

	*ret_conn = conn;
	if (e->flags & STDIO_NOTHING || !(e->flags & (x->dir == EV_DIR_WRITE ? STDIO_WRITE : STDIO_READ)))
		return NULL;
	if (!n) {
		end_connection(conn);
		bpf_map_delete_elem(&stdio, &ino);
		return NULL;
	}
	struct conn_state *c = conn_find(current_tgid(), conn);
	if (c && !(c->flags & EV_CONN_FREED))
		return c;
	/* The client speaks first. What a server prints before is none of it. */
	if (ino != e->conn)
		return NULL;
	if (!first_bytes_of(x, n, first) || !begins_json(first)) {
		e->flags |= STDIO_NOTHING;
		return NULL;
	}
	return begin_stdio(e, conn, e->flags & STDIO_FOUND || (file && pipe_was_used(file, n)), ts);
}

/* --- sockets --- */

/* The path of the server's end (unix(7)); abstract names get an '@'. */
static __always_inline void emit_path(struct sock *sk, const struct conn_state *c, __u64 conn, bool server)
{
	struct unix_sock *u = server ? (void *)sk : (void *)BPF_CORE_READ((struct unix_sock *)sk, peer);
	struct unix_address *addr = u ? BPF_CORE_READ(u, addr) : NULL;
	__u64 len = addr ? BPF_CORE_READ(addr, len) : 0;

	if (len <= 2 || len > 2 + 108)
		return;
	struct ev_name *rec = bpf_ringbuf_reserve(&life_ring, sizeof(*rec), 0);
	if (!rec) {
		count(EV_COUNT_LIFE_LOST, 1);
		return;
	}
	rec->head.type = EV_NAME;
	rec->head.size = sizeof(*rec);
	rec->head.ts = bpf_ktime_get_boot_ns();
	rec->conn = conn_id(c, conn);
	rec->flags = c->flags;
	rec->pad = 0;
	__builtin_memset(rec->name, 0, sizeof(rec->name));
	len -= 2;
	barrier_var(len);
	if (len > 108)
		len = 108;
	bpf_probe_read_kernel(rec->name, len, (void *)addr + bpf_core_type_size(struct unix_address) + 2);
	if (!rec->name[0])
		rec->name[0] = '@';
	bpf_ringbuf_submit(rec, wake_flags(&data_ring, 0));
}

static __noinline struct conn_state *begin_http(struct plain *p, struct sock *sk, __u64 conn, __u32 dir,
                                                __u64 ts)
{
	struct followed *f = follow_current();
	struct conn_state *c =
	    f ? begin_generation(&f->proc, conn, NULL, EV_LIB_SOCKET, p->fresh ? 0 : EV_CONN_RESUMED, ts)
	      : NULL;
	struct socket_ends ends;

	if (!c)
		return NULL;
	if (!p->fresh && !p->looked)
		count(EV_COUNT_PLAIN_EARLY, was_answered(p, sk));
	read_ends(sk, &ends);
	emit_peer(c, conn, &ends, ts);
	if (p->family == AF_UNIX)
		emit_path(sk, c, conn, dir == EV_DIR_READ);
	p->what = PLAIN_HTTP;
	p->request_dir = dir;
	return c;
}

/* The entry of a socket, made when it has none. */
static __noinline struct plain *plain_of(struct sock *sk, __u64 exec_ts)
{
	__u64 key = (__u64)sk, ino;
	struct plain *p = bpf_map_lookup_elem(&plains, &key);
	__u32 family = p ? p->family : BPF_CORE_READ(sk, __sk_common.skc_family);

	if (p && family != AF_UNIX && p->ino)
		return p;
	if (!p && !is_stream(sk, family))
		return NULL;
	ino = sock_inode(sk);
	if (!ino)
		return NULL; /* one of the kernel's own */
	if (p && (p->ino == ino || !p->ino)) {
		p->ino = ino;
		return p;
	}
	struct plain new = {.ino = ino, .tgid = current_tgid(), .family = family, .local = family == AF_UNIX};
	new.fresh = control.sockets_ts &&exec_ts >= control.sockets_ts;
	if (family == AF_UNIX && bpf_map_lookup_elem(&stdio, &ino))
		new.what = PLAIN_STDIO;
	return plain_add(key, &new);
}

/* Whether `p`, of which no request was seen, begins with one now. */
static __always_inline bool begins_http(struct plain *p, struct sock *sk, const struct transfer *x,
                                        const char *first, __u32 n)
{
	const __u64 *words = (const void *)first;

	if (!n)
		return false;
	if (begins_request(words[0], words[1], n)) {
		struct file *file = file_of((void *)bpf_get_current_task(), x->fd);

		return file && file_type(file) == S_IFSOCK && file_sock(file) == sk;
	}
	if (p->fresh || begins_tls(first) || ++p->looked > PLAIN_LOOK_MAX)
		p->what = PLAIN_NOTHING;
	return false;
}

/* The same of a socket; the connection may begin now. */
static __always_inline struct conn_state *
http_conn(struct plain *p, struct sock *sk, const struct transfer *x, __u64 n, __u64 ts, __u64 *ret_conn)
{
	char first[FIRST_BYTES] __attribute__((aligned(8)));
	__u64 conn = EV_CONN_INODE | p->ino;
	__u32 dir = x->dir;

	*ret_conn = conn;
	if (!n) {
		/* A client that reads no more gets no more answers; a server may still send one. */
		if (p->what == PLAIN_HTTP && p->request_dir == EV_DIR_WRITE && dir == EV_DIR_READ)
			end_connection(conn);
		return NULL;
	}
	struct conn_state *c = p->what == PLAIN_HTTP ? conn_find(current_tgid(), conn) : NULL;
	bool live = c && !(c->flags & EV_CONN_FREED);
	if (live && !p->tunnel && dir != p->request_dir)
		return c;
	__u32 len = first_bytes_of(x, n, first);
	if (live && len && p->tunnel && begins_tls(first)) {
		end_connection(conn);
		p->what = PLAIN_NOTHING;
		return NULL;
	}
	if (!live) {
		if (!begins_http(p, sk, x, first, len))
			return NULL;
		c = begin_http(p, sk, conn, dir, ts);
	}
	if (len && is_connect(first))
		p->tunnel = 1;
	return c;
}

/* The thread's transfer on a socket or, sk NULL, on the pipe `file` has ended well: n bytes, 0: the end of
 * file. */
static __always_inline int on_transfer(struct thread_calls *t, struct sock *sk, struct file *file, __u64 n)
{
	const struct transfer *x = &t->transfer;
	struct plain *p = sk ? plain_of(sk, t->exec_ts) : NULL;
	__u64 ino = 0, conn = 0, ts = bpf_ktime_get_boot_ns();
	struct stdio_end *e = NULL;
	struct conn_state *c = NULL;

	if (sk) {
		if (!p || p->what == PLAIN_NOTHING)
			return 0;
		ino = p->what == PLAIN_STDIO ? p->ino : 0;
	} else {
		ino = BPF_CORE_READ(file, f_inode, i_ino);
	}
	if (ino)
		e = bpf_map_lookup_elem(&stdio, &ino);
	if (e)
		c = stdio_conn(e, ino, file, x, n, ts, &conn);
	else if (p && !ino)
		c = http_conn(p, sk, x, n, ts, &conn);
	if (c && c->flags & EV_CONN_IGNORED)
		c = resumed(c, conn, x, n, ts);
	return c ? take(conn, n, ts) : 0;
}

/* The tracepoints at the end of a send or receive. */
static __always_inline int on_socket(struct sock *sk, __u32 dir, __u64 n)
{
	struct thread_calls *t = followed_thread();

	if (!t)
		return 0;
	struct transfer *x = &t->transfer;
	if (!transfer_of(user_registers(), x) || x->flags & MSG_TRUNC)
		x->buf = x->iovs = 0; /* io_uring, splice, sendmmsg; or the bytes were thrown away: a hole */
	x->dir = dir;
	return on_transfer(t, sk, NULL, n);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(on_sock_send, struct sock *sk, int ret, int flags)
{
	return ret > 0 ? on_socket(sk, EV_DIR_WRITE, ret) : 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(on_sock_recv, struct sock *sk, int ret, int flags)
{
	return ret >= 0 && !(flags & MSG_PEEK) ? on_socket(sk, EV_DIR_READ, ret) : 0;
}

/* --- the end of a system call --- */

SEC("tp_btf/sys_exit")
int BPF_PROG(on_syscall_exit, struct pt_regs *regs, long ret)
{
	struct thread_calls *t = ret >= 0 ? followed_thread() : NULL;
	struct sock *sk = NULL;

	if (!t)
		return 0;
	struct transfer *x = &t->transfer;
	if (!transfer_of(regs, x) || (!ret && x->dir == EV_DIR_WRITE))
		return 0;
	struct file *file = file_of((void *)bpf_get_current_task(), x->fd);
	__u32 type = file ? file_type(file) : 0;
	if (type == S_IFSOCK && !has_socket_events && !(x->flags & MSG_PEEK))
		sk = file_sock(file);
	else if (type != S_IFIFO)
		return 0;
	if (x->flags & MSG_TRUNC)
		x->buf = x->iovs = 0;
	if (type == S_IFIFO)
		return on_transfer(t, NULL, file, ret);
	return sk ? on_transfer(t, sk, NULL, ret) : 0;
}
