// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * tls_rustls.bpf.c - the plaintext side of rustls, a library of Rust.
 *
 *   CommonState::send_appdata_encrypt(&mut self, OutboundChunks, Limit) -> usize
 *        what a program writes, of which it takes as much as it returns
 *   RecordLayer::encrypt_outgoing(&mut self, OutboundPlainMessage) -> OutboundOpaqueMessage
 *        each record, where the former is compiled into several others; what it returns is large, so the first
 *        argument says where to
 *   <Reader as BufRead>::consume(&mut self, used)
 *        the program has read so many bytes of the first chunk that is received
 *
 * Rust has no stable interface between functions: where the functions are, and
 * that they and their objects have this form, is found out for each file
 * (user/target/locate_rustls.c), which is refused otherwise.  Measured on
 * rustls 0.23.36 to 0.23.46:
 *
 *   CommonState      begins with the RecordLayer         message         chunks, +0x20 the type
 *                    +0x10 the encrypter, a box          OutboundChunks  word 0 = 0: { pointer, length }
 *                    +0x38 number of the next record                     else slices, how many, from, to
 *                    +0x50 what was received:            chunk           { capacity, pointer, length }
 *                          +0x10 capacity, chunks, first, how many; +0x30 bytes of the first that were read
 *
 * Objects move: what stays is the box with the encrypter, made when the
 * handshake ends.  Its address is the connection's identity.  A record number
 * that is not above the last tells that another connection has that address.
 */
#define KFUNC(name) name##___rustls
#include "leave.bpf.h"
#include "plaintext.bpf.h"

NO_PROGRAMS(no_rustls_program);

#define STATE_ENCRYPTER 0x10
#define STATE_RECORD    0x38
#define STATE_RECEIVED  0x50
#define MESSAGE_TYPE    0x20
#define APPLICATION     3 /* the variant of the enum, not the byte of the protocol */
#define FIRST_RECORD    1 /* TLS 1.2 has sent its Finished, TLS 1.3 begins anew with 0 */

struct outbound {
	__u64 word, a, b, c;
};

struct received {
	__u64 limit[2], capacity, chunks, first, n, read;
};

struct chunk {
	__u64 capacity, p, n;
};

/* Begins a generation where another connection, or one that was not seen yet, has this object. */
static __always_inline void on_record(struct thread_calls *t, __u64 tls, __u64 cookie, __u64 record)
{
	__u32 tgid = current_tgid();
	struct conn_state *c = conn_find(tgid, tls);

	if (!c || c->gen <= t->exec_ts || c->flags & EV_CONN_FREED || record < c->record) {
		struct followed *f = bpf_map_lookup_elem(&followed, &tgid);

		if (!f)
			return;
		c = begin_generation(&f->proc, tls, c, COOKIE_LIB(cookie), record > FIRST_RECORD ? EV_CONN_LATE : 0,
				     bpf_ktime_get_boot_ns());
	}
	if (c)
		c->record = record;
}

/* What is written with this state; false: it cannot be read. *ret_n: bytes. */
static __always_inline bool outgoing(struct pt_regs *ctx, struct thread_calls *t, __u64 state, __u64 chunks,
				     struct call *ret, __u64 *ret_n)
{
	__u64 tls = 0, record = 0;
	struct outbound o;

	if (bpf_probe_read_user(&o, sizeof(o), (void *)chunks) ||
	    bpf_probe_read_user(&tls, sizeof(tls), (void *)state + STATE_ENCRYPTER) ||
	    bpf_probe_read_user(&record, sizeof(record), (void *)state + STATE_RECORD) || !tls) {
		count(EV_COUNT_CALL_UNTRACKED, 1);
		return false;
	}
	*ret = (struct call){
	    .stack = PT_REGS_SP(ctx) + RETURN_ADDRESS_SIZE,
	    .tls = tls,
	    .buf = o.word ? o.word : o.a,
	    .n_slices = o.word ? o.a : 0,
	    .start = o.word ? o.b : 0,
	    .ts = bpf_ktime_get_boot_ns(),
	    .cookie = bpf_get_attach_cookie(ctx),
	    .dir = EV_DIR_WRITE,
	};
	*ret_n = o.word ? o.c - o.b : o.b;
	on_record(t, tls, ret->cookie, record);
	return true;
}

SEC("uprobe")
int rustls_send(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_rustls_program);
	struct thread_calls *t = followed_thread();
	struct call call;
	__u64 n;

	if (t && outgoing(ctx, t, PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx), &call, &n))
		enter_call(&t->calls, &call);
	return 0;
}

/*
 * Slices, one after the other.  In the memory of the thread: the verifier
 * would follow every value that changes, were it on the stack.
 */
struct gather {
	struct copy copy; /* of the slice that is under way */
	__u64 slices, n_slices;
	__u64 skip;         /* bytes before the first that counts */
	__u64 left;         /* bytes of all that follow, that one included */
	__u64 begins;       /* no piece was copied yet */
	__u64 lost, n_lost; /* the first piece, if it was lost: where it lay */
};

_Static_assert(sizeof(struct gather) <= sizeof(((struct thread_calls *)0)->gather), "gather");

static long next_piece(__u32 i, void *ctx)
{
	struct gather *g = *(struct gather **)ctx;
	__u64 slice[2];

	if (!g->copy.left) {
		if (!g->n_slices || bpf_probe_read_user(slice, sizeof(slice), (void *)g->slices))
			return 1;
		g->slices += sizeof(slice);
		g->n_slices--;
		if (g->skip >= slice[1]) {
			g->skip -= slice[1];
			return 0;
		}
		g->copy.buf = slice[0] + g->skip;
		g->copy.left = slice[1] - g->skip;
		if (g->copy.left > g->left)
			g->copy.left = g->left;
		g->skip = 0;
	}
	__u64 buf = g->copy.buf, before = g->copy.left;
	if (!copy_fragment(&g->copy) && g->begins)
		g->lost = buf, g->n_lost = before - g->copy.left;
	g->begins = false;
	g->left -= before - g->copy.left;
	return g->left == 0;
}

/* All of the call: `copy` says how much. */
static __always_inline void copy_slices(struct thread_calls *t, struct conn_state *c, struct copy *copy, const struct call *call)
{
	struct gather *g = (void *)t->gather;
	__u64 offset = copy->rec.offset;
	__u32 moved = copy->rec.moved;

	count(EV_COUNT_DATA_BYTES, copy->left);
	g->copy = *copy;
	g->copy.left = 0;
	g->slices = call->buf;
	g->n_slices = call->n_slices;
	g->skip = call->start;
	g->left = copy->left;
	g->begins = true;
	g->n_lost = 0;
	bpf_loop(FRAGMENTS_MAX, next_piece, &g, 0);
	if (g->n_lost && (moved || !offset))
		keep_begin(c, copy, offset, moved, g->lost, g->n_lost);
	if (g->left) {
		g->copy.left = g->left;
		emit_rest(&g->copy, 0);
		count(EV_COUNT_DATA_UNREADABLE, g->left);
		g->copy.lost += g->left;
	}
	*copy = g->copy;
}

/* Where the first byte of a call lies. */
static __always_inline __u64 first_byte(const struct call *call)
{
	__u64 p = call->buf;

	if (call->n_slices && bpf_probe_read_user(&p, sizeof(p), (void *)call->buf))
		return 0;
	return call->n_slices ? p + call->start : p;
}

static __always_inline int transferred(struct thread_calls *t, const struct call *call, __u64 n)
{
	struct call first = *call;
	struct copy copy;
	/* Through memory: of a number with bounds the verifier would follow every fragment on its own. */
	volatile __u64 *passed = &t->passed;

	*passed = n;
	n = *passed;
	first.buf = first_byte(call);
	struct conn_state *c = begin_plaintext(t, &first, n, &copy);
	if (!c)
		return 0;
	if (call->n_slices)
		copy_slices(t, c, &copy, call);
	else
		copy_call(t, c, &copy, true);
	end_plaintext(c, &copy, call->dir & 1, n);
	return 0;
}

SEC("uprobe")
int rustls_sent(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_rustls_program);
	struct thread_calls *t = thread_calls();
	__u64 n = PT_REGS_RC(ctx);
	const struct call *call = t ? leave_call(&t->calls, stack_after_return(ctx)) : NULL;

	if (!call || control.stop || n == 0 || n >> 40)
		return 0;
	return transferred(t, call, n);
}

SEC("uprobe")
int rustls_encrypt(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_rustls_program);
	struct thread_calls *t = followed_thread();
	__u64 message = PT_REGS_PARM3(ctx), n;
	struct call call;
	__u8 type = 0;

	if (!t || bpf_probe_read_user(&type, sizeof(type), (void *)message + MESSAGE_TYPE) || type != APPLICATION)
		return 0;
	if (!outgoing(ctx, t, PT_REGS_PARM2(ctx), message, &call, &n) || n == 0 || n >> 40)
		return 0;
	return transferred(t, &call, n);
}

SEC("uprobe")
int rustls_consume(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_rustls_program);
	struct thread_calls *t = followed_thread();
	__u64 reader = PT_REGS_PARM1(ctx), used = PT_REGS_PARM2(ctx), buffer = 0, tls = 0;
	struct received r = {};
	struct chunk chunk = {};

	if (!t || used == 0 || used >> 40)
		return 0;
	if (bpf_probe_read_user(&buffer, sizeof(buffer), (void *)reader) ||
	    bpf_probe_read_user(&r, sizeof(r), (void *)buffer) ||
	    bpf_probe_read_user(&tls, sizeof(tls), (void *)buffer - STATE_RECEIVED + STATE_ENCRYPTER) || !tls) {
		count(EV_COUNT_CALL_UNTRACKED, 1);
		return 0;
	}
	if (r.first >= r.capacity)
		r.first -= r.capacity;
	/* What does not hold together cannot be read: a hole of the size that was said. */
	if (r.n && bpf_probe_read_user(&chunk, sizeof(chunk), (void *)r.chunks + r.first * sizeof(chunk)))
		chunk.p = 0;
	if (r.read > chunk.n || used > chunk.n - r.read)
		chunk.p = 0;
	struct call call = {
	    .tls = tls,
	    .buf = chunk.p ? chunk.p + r.read : 0,
	    .cookie = bpf_get_attach_cookie(ctx),
	    .dir = EV_DIR_READ,
	};
	return transferred(t, &call, used);
}
