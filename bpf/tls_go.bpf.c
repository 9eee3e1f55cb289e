// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * tls_go.bpf.c - the plaintext side of Go's crypto/tls.
 *
 *   func (c *Conn) Read(b []byte) (int, error)    c, b's address and length in the first three registers,
 *                                                 the number of bytes in the first one on return
 *   func (c *Conn) writeRecordLocked(typ recordType, data []byte) (int, error)
 *
 * Write calls the latter with the connection locked.  It counts when it is
 * entered: goroutines that read may have the answer before it returns, and
 * when it fails the connection is of no more use (halfConn.err is sticky).
 *
 * Go's own calling convention (cmd/compile/abi-internal.md): amd64 since 1.17,
 * arm64 since 1.18; before, arguments were on the stack, and user space does
 * not probe.  A count may come with an error: it counts.  Return probes would
 * break Go (they put their own address on a stack that the runtime reads and
 * copies), so returns are seen at every `ret`.
 *
 * The entry of Read may be hit twice: the function's head asks for more stack, and is
 * begun again with the same arguments.
 */
#define KFUNC(name) name##___go
#include "plaintext.bpf.h"
#include "goroutines.bpf.h"

#define APPLICATION_DATA 23 /* recordType: RFC 8446, 5.1 */

NO_PROGRAMS(no_go_program);

/* NULL: no room. */
static __always_inline struct goroutine *goroutine_create(const struct goroutine_key *key, __u64 exec_ts)
{
	struct goroutine *g = bpf_map_lookup_elem(&goroutines, key);

	if (!g) {
		struct goroutine none = {.exec_ts = exec_ts};

		bpf_map_update_elem(&goroutines, key, &none, BPF_ANY);
		g = bpf_map_lookup_elem(&goroutines, key);
	}
	if (g && g->exec_ts != exec_ts) {
		g->calls.n = 0;
		g->exec_ts = exec_ts;
	}
	return g;
}

/* The function was begun again, on a larger stack: the first time does not count. */
static __always_inline void forget_first_try(struct goroutine *g, const struct call *call)
{
	const struct call *top = innermost_call(&g->calls);

	if (top && top->stack == call->stack && top->tls == call->tls && top->dir == call->dir && top->n_ptr == call->n_ptr)
		g->calls.n--;
}

SEC("uprobe")
int go_read(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_go_program);
	struct thread_calls *t = followed_thread();
	struct goroutine_key key = {.g = GO_G(ctx)};
	__u64 sp = PT_REGS_SP(ctx);
	struct go_stack stack;

	if (!t)
		return 0;
	key.tgid = current_tgid();
	struct goroutine *g = read_go_stack(key.g, sp, &stack) ? goroutine_create(&key, t->exec_ts) : NULL;
	if (!g) {
		count(EV_COUNT_CALL_UNTRACKED, 1);
		return 0;
	}
	struct call call = {
	    .stack = sp - stack.hi,
	    .tls = GO_PARM1(ctx),
	    .buf = GO_PARM2(ctx),
	    .n_ptr = GO_PARM3(ctx), /* the buffer's length */
	    .cookie = has_cookies ? bpf_get_attach_cookie(ctx) : 0,
	    .dir = EV_DIR_READ,
	};

	if (call.buf >= stack.lo && call.buf < stack.hi) {
		call.what = CALL_ON_STACK;
		call.buf -= stack.hi;
	}
	forget_first_try(g, &call);
	enter_call(&g->calls, &call);
	return 0;
}

/* What the compiler keeps of the arguments, in room of the caller: c, b's address and length. */
struct go_arguments {
	__u64 c, buf, len;
};

/*
 * A call that had begun before the probes came, as the Read of every idle
 * connection: its arguments are taken from where the compiler puts them, when
 * they name a connection that is known.  False: what it passed is not known.
 */
static __always_inline bool recover(__u64 sp, const struct go_stack *stack, __u64 cookie, struct call *ret)
{
	struct go_arguments a = {};

	if (bpf_probe_read_user(&a, sizeof(a), (void *)sp + 8))
		return false;
	struct conn_state *c = conn_find(current_tgid(), a.c);
	if (!c || c->flags & EV_CONN_FREED || !(c->flags & EV_CONN_LATE) || (a.buf >= stack->lo && a.buf < stack->hi))
		return false;
	ret->tls = a.c;
	ret->buf = a.buf;
	ret->n_ptr = a.len;
	ret->cookie = cookie;
	ret->dir = EV_DIR_READ;
	return true;
}

static __always_inline int on_return(struct pt_regs *ctx, __u64 cookie, const bool loop)
{
	struct goroutine_key key = {.g = GO_G(ctx), .tgid = current_tgid()};
	struct thread_calls *t = followed_thread();
	__u64 sp = PT_REGS_SP(ctx);
	__s64 n = GO_RC(ctx);
	struct go_stack stack;
	struct call call = {};

	if (!t || !read_go_stack(key.g, sp, &stack))
		return 0;
	struct goroutine *g = bpf_map_lookup_elem(&goroutines, &key);
	const struct call *left = g ? leave_call(&g->calls, sp - stack.hi) : NULL;
	if (left)
		call = *left;
	if (g && g->calls.n == 0)
		bpf_map_delete_elem(&goroutines, &key);
	if (n <= 0)
		return 0;
	if ((!left && !(cookie && recover(sp, &stack, cookie, &call))) || (__u64)n > call.n_ptr) {
		count(EV_COUNT_CALL_UNRETURNED, 1);
		return 0;
	}
	if (call.what == CALL_ON_STACK)
		call.buf += stack.hi;
	/* Through memory: of a number with bounds the verifier would follow every fragment on its own. */
	volatile __u64 *passed = &t->passed;
	*passed = n;
	emit_plaintext(t, &call, *passed, loop);
	return 0;
}

SEC("uprobe")
int go_leave(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_go_program);
	return on_return(ctx, bpf_get_attach_cookie(ctx), true);
}

static __always_inline int on_write(struct pt_regs *ctx, __u64 cookie, const bool loop)
{
	struct thread_calls *t = (GO_PARM2(ctx) & 0xff) == APPLICATION_DATA ? followed_thread() : NULL;
	struct call call = {
	    .tls = GO_PARM1(ctx),
	    .buf = GO_PARM3(ctx),
	    .ts = bpf_ktime_get_boot_ns(),
	    .cookie = cookie,
	    .dir = EV_DIR_WRITE,
	};

	if (!t)
		return 0;
	volatile __u64 *passed = &t->passed;
	*passed = GO_PARM4(ctx);
	__u64 n = *passed;
	if (n)
		emit_plaintext(t, &call, n, loop);
	return 0;
}

SEC("uprobe")
int go_write(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_go_program);
	return on_write(ctx, bpf_get_attach_cookie(ctx), true);
}

/* --- kernels without cookies and bpf_loop --- */

SEC("uprobe")
int go_write_no_loop(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_go_program);
	return on_write(ctx, 0, false);
}

SEC("uprobe")
int go_leave_no_loop(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_go_program);
	return on_return(ctx, 0, false);
}

/* --- the life of connections --- */

/* func (c *Conn) clientHandshake(ctx context.Context) error, and serverHandshake: before the first byte, once. */
SEC("uprobe")
int go_handshake(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_go_program);
	struct followed *f = follow_current();
	__u64 tls = GO_PARM1(ctx);

	if (!f)
		return 0;
	struct conn_state *c = conn_find(f->proc.tgid, tls);
	if (c && c->gen > f->exec_ts && !(c->flags & EV_CONN_FREED) && !(c->produced[0] | c->produced[1]))
		return 0; /* begun again, on a larger stack */
	begin_generation(&f->proc, tls, c, has_cookies ? COOKIE_LIB(bpf_get_attach_cookie(ctx)) : EV_LIB_UNKNOWN, 0,
			 bpf_ktime_get_boot_ns());
	return 0;
}

/* func (c *Conn) Close() error */
SEC("uprobe")
int go_close(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_go_program);
	struct followed *f = follow_current();

	if (f)
		end_connection(f->proc.tgid, GO_PARM1(ctx));
	return 0;
}
