// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * tls.bpf.c - the plaintext side of OpenSSL and its kin.
 *
 *   int SSL_write(SSL *, const void *buf, int num)                    returns bytes written, <= 0 none
 *   int SSL_write_ex(SSL *, const void *buf, size_t num, size_t *n)   returns 1 and *n, or 0
 *   (the same for SSL_read)                                           OpenSSL 3.0, SSL_write(3), SSL_read(3)
 *   ssl_write_internal has the form of SSL_write_ex, since 3.2 with flags before the last argument (_ex2);
 *   ssl_read_internal that of SSL_read_ex
 *
 * Entry keeps the arguments, return decides: a non-blocking call that failed is
 * repeated with the same buffer, so only what the return value (or *n) admits
 * has passed.  Each connection numbers its bytes and records per direction;
 * numbers advance also for what was lost, so user space sees every hole.
 */
#include "emit.bpf.h"
#include "compat.bpf.h"

struct call_key {
	__u64 pid_tgid;
	__u64 dir;
};

struct call {
	__u64 tls, buf;
	__u64 n_ptr; /* where an _ex call stores the number of bytes; 0: the return value is it */
	__u64 ts;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, struct call_key);
	__type(value, struct call);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct conn_key);
	__type(value, struct conn_state);
} conns SEC(".maps");

static __always_inline void conn_record(struct ev_conn *rec, struct conn_state *c, __u64 tls, __u64 ts)
{
	rec->head.type = EV_CONN_CLOSE;
	rec->head.size = sizeof(*rec);
	rec->head.ts = ts;
	rec->conn.tls = tls;
	rec->conn.gen = c->gen;
	rec->conn.proc = c->proc;
	rec->produced[0] = c->produced[0];
	rec->produced[1] = c->produced[1];
	rec->lost[0] = c->lost[0];
	rec->lost[1] = c->lost[1];
	rec->lib = c->lib;
	rec->flags = c->flags | EV_CONN_FREED;
}

/* Announces the end of a generation; false when the ring is full. */
static __always_inline bool close_generation(struct conn_state *c, __u64 tls, __u64 ts)
{
	struct ev_conn *rec = bpf_ringbuf_reserve(&life_ring, sizeof(*rec), 0);

	if (!rec)
		return false;
	conn_record(rec, c, tls, ts);
	bpf_ringbuf_submit(rec, wake_flags(&data_ring, 0));
	return true;
}

/*
 * Begins a generation of TLS object `tls`; `old`: the one it ends, or NULL.
 * NULL when the table is full.
 */
static __always_inline struct conn_state *begin_generation(const struct followed *f, __u64 tls, struct conn_state *old,
							   __u32 flags, __u64 ts)
{
	struct conn_key key = {.tls = tls, .tgid = f->proc.tgid};
	struct conn_state fresh = {.gen = ts, .proc = f->proc, .lib = EV_LIB_OPENSSL, .flags = flags};

	if (old && !(old->flags & EV_CONN_FREED) && !close_generation(old, tls, ts))
		count(EV_COUNT_LIFE_LOST, 1); /* its totals are lost */
	if (bpf_map_update_elem(&conns, &key, &fresh, BPF_ANY)) {
		count(EV_COUNT_CONN_UNTRACKED, 1);
		return NULL;
	}
	return bpf_map_lookup_elem(&conns, &key);
}

/* The state of the connection that TLS object `tls` carries now; NULL when the table is full. */
static __always_inline struct conn_state *connection(const struct followed *f, __u64 tls, __u64 ts)
{
	struct conn_key key = {.tls = tls, .tgid = f->proc.tgid};
	struct conn_state *c = bpf_map_lookup_elem(&conns, &key);

	if (c && c->gen > f->exec_ts && !(c->flags & EV_CONN_FREED))
		return c;
	return begin_generation(f, tls, c, f->exec_ts < control.attached_ts ? EV_CONN_LATE : 0, ts);
}

/* What copying one call needs; lives on the stack of the program. */
struct copy {
	struct ev_data rec; /* the header of the next fragment */
	__u64 buf;          /* next byte in the tracee */
	__u64 left;         /* bytes not yet copied */
	__u64 lost;
};

/* Copies f->rec.len bytes into a record with room for `room`, a constant. */
static __always_inline bool emit_fragment(struct copy *f, const __u32 room)
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

static long next_fragment(__u32 i, void *ctx)
{
	struct copy *f = ctx;
	__u32 len = f->left > EV_FRAGMENT_MAX ? EV_FRAGMENT_MAX : f->left;
	bool ok;

	f->rec.len = len;
	if (len <= 256)
		ok = emit_fragment(f, 256);
	else if (len <= 1024)
		ok = emit_fragment(f, 1024);
	else if (len <= 4096)
		ok = emit_fragment(f, 4096);
	else
		ok = emit_fragment(f, EV_FRAGMENT_MAX);
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
	count(EV_COUNT_DATA_TOO_LONG, f->left);
	f->lost += f->left;
	f->rec.seq++;
}

static __always_inline int on_entry(__u64 dir, __u64 tls, __u64 buf, __u64 n_ptr)
{
	if (!follow_current())
		return 0;

	struct call_key key = {.pid_tgid = bpf_get_current_pid_tgid(), .dir = dir};
	struct call call = {.tls = tls, .buf = buf, .n_ptr = n_ptr, .ts = bpf_ktime_get_boot_ns()};
	if (bpf_map_update_elem(&calls, &key, &call, BPF_ANY))
		count(EV_COUNT_CALL_UNTRACKED, 1);
	return 0;
}

static __always_inline int on_return(__u32 dir, int ret, const bool loop)
{
	struct followed *f = follow_current();

	if (!f)
		return 0;
	struct call_key key = {.pid_tgid = bpf_get_current_pid_tgid(), .dir = dir};
	struct call *found = bpf_map_lookup_elem(&calls, &key);
	if (!found)
		return 0;
	struct call call = *found;
	bpf_map_delete_elem(&calls, &key);

	__u64 n = ret;
	if (ret <= 0)
		return 0;
	if (call.n_ptr && bpf_probe_read_user(&n, sizeof(n), (void *)call.n_ptr)) {
		count(EV_COUNT_CALL_UNTRACKED, 1);
		return 0;
	}
	if (n == 0)
		return 0;

	__u64 ts = dir == EV_DIR_WRITE ? call.ts : bpf_ktime_get_boot_ns();
	struct conn_state *c = connection(f, call.tls, ts);
	if (!c)
		return 0;

	dir &= 1;
	struct copy copy = {
	    .rec = {.head = {.type = EV_DATA, .ts = ts},
		    .conn = {.tls = call.tls, .gen = c->gen, .proc = f->proc},
		    .offset = c->produced[dir],
		    .seq = c->seq[dir],
		    .dir = dir,
		    .lib = c->lib,
		    .flags = c->flags & EV_CONN_LATE ? EV_DATA_LATE : 0,
		    .tid = (__u32)key.pid_tgid},
	    .buf = call.buf,
	    .left = n,
	};
	for_each_fragment(loop, next_fragment, &copy, (n + EV_FRAGMENT_MAX - 1) / EV_FRAGMENT_MAX);
	if (copy.left)
		emit_rest(&copy);
	count(EV_COUNT_DATA_BYTES, n);
	c->produced[dir] += n;
	c->lost[dir] += copy.lost;
	c->seq[dir] = copy.rec.seq;
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(tls_write, void *tls, void *buf)
{
	return on_entry(EV_DIR_WRITE, (__u64)tls, (__u64)buf, 0);
}

SEC("uprobe")
int BPF_KPROBE(tls_write_ex, void *tls, void *buf, __u64 num, void *n)
{
	return on_entry(EV_DIR_WRITE, (__u64)tls, (__u64)buf, (__u64)n);
}

SEC("uprobe")
int BPF_KPROBE(tls_write_ex2, void *tls, void *buf, __u64 num, __u64 flags, void *n)
{
	return on_entry(EV_DIR_WRITE, (__u64)tls, (__u64)buf, (__u64)n);
}

SEC("uretprobe")
int BPF_KRETPROBE(tls_write_return, int ret)
{
	return on_return(EV_DIR_WRITE, ret, true);
}

SEC("uretprobe")
int BPF_KRETPROBE(tls_write_return_no_loop, int ret)
{
	return on_return(EV_DIR_WRITE, ret, false);
}

SEC("uprobe")
int BPF_KPROBE(tls_read, void *tls, void *buf)
{
	return on_entry(EV_DIR_READ, (__u64)tls, (__u64)buf, 0);
}

SEC("uprobe")
int BPF_KPROBE(tls_read_ex, void *tls, void *buf, __u64 num, void *n)
{
	return on_entry(EV_DIR_READ, (__u64)tls, (__u64)buf, (__u64)n);
}

SEC("uretprobe")
int BPF_KRETPROBE(tls_read_return, int ret)
{
	return on_return(EV_DIR_READ, ret, true);
}

SEC("uretprobe")
int BPF_KRETPROBE(tls_read_return_no_loop, int ret)
{
	return on_return(EV_DIR_READ, ret, false);
}

/* SSL *SSL_new(SSL_CTX *): what is seen from here on is seen from its first byte, whatever the address was before. */
SEC("uretprobe")
int BPF_KRETPROBE(tls_new_return, void *tls)
{
	struct followed *f = follow_current();

	if (!f || !tls)
		return 0;
	struct conn_key key = {.tls = (__u64)tls, .tgid = f->proc.tgid};
	begin_generation(f, key.tls, bpf_map_lookup_elem(&conns, &key), 0, bpf_ktime_get_boot_ns());
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(tls_free, void *tls)
{
	struct followed *f = follow_current();

	if (!f)
		return 0;
	struct conn_key key = {.tls = (__u64)tls, .tgid = f->proc.tgid};
	struct conn_state *c = bpf_map_lookup_elem(&conns, &key);
	if (!c || (c->flags & EV_CONN_FREED))
		return 0;
	if (close_generation(c, key.tls, bpf_ktime_get_boot_ns())) {
		bpf_map_delete_elem(&conns, &key);
	} else {
		/* The sweep of user space reports and removes it. */
		c->flags |= EV_CONN_FREED;
		count(EV_COUNT_LIFE_LOST, 1);
	}
	return 0;
}
