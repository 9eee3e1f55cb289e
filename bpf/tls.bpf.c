// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * tls.bpf.c - the plaintext side of OpenSSL, and of every library with calls of its form.
 *
 *   int SSL_write(SSL *, const void *buf, int num)                    returns bytes written, <= 0 none
 *   int SSL_write_ex(SSL *, const void *buf, size_t num, size_t *n)   returns 1 and *n, or 0
 *   (the same for SSL_read)                                           OpenSSL 3.0, SSL_write(3), SSL_read(3)
 *   ssl_write_internal has the form of SSL_write_ex, since 3.2 with flags before the last argument (_ex2);
 *   ssl_read_internal that of SSL_read_ex
 *   ssize_t gnutls_record_send(gnutls_session_t, const void *, size_t), PRInt32 ssl_Write(PRFileDesc *, ...),
 *   mbedtls_ssl_write, wolfSSL_write, s2n_send have the form of SSL_write
 *
 * Entry keeps the arguments, return decides: a non-blocking call that failed is
 * repeated with the same buffer, so only what the return value (or *n) admits
 * has passed.  Each connection numbers its bytes and records per direction;
 * numbers advance also for what was lost, so user space sees every hole.
 *
 * One entry program serves all functions: its cookie says what the arguments
 * mean.  Kernels without cookies (before 5.15) have a program for each form.
 * Returns come from a return probe, from probes on the function's `ret`
 * instructions (return_by_ret), or from the same session link as the entry.
 */
#include "leave.bpf.h"
#include "plaintext.bpf.h"

NO_PROGRAMS(no_program);
NO_PROGRAMS(no_session_program);

static __always_inline int on_entry(struct pt_regs *ctx, struct thread_calls *t, __u64 cookie, __u32 dir, __u64 n_ptr,
				    __u32 what)
{
	struct call call = {
	    .stack = PT_REGS_SP(ctx) + RETURN_ADDRESS_SIZE,
	    .tls = PT_REGS_PARM1(ctx),
	    .buf = PT_REGS_PARM2(ctx),
	    .n_ptr = n_ptr,
	    .ts = dir == EV_DIR_WRITE ? bpf_ktime_get_boot_ns() : 0, /* a read counts when it returns */
	    .cookie = cookie,
	    .dir = dir,
	    .what = what,
	};

	enter_call(&t->calls, &call);
	return 0;
}

/* int gnutls_init(gnutls_session_t *, unsigned flags), at its return: as SSL_new. */
static __always_inline int on_init(const struct call *call, __s64 ret)
{
	struct followed *f = follow_current();
	__u64 tls = 0;

	if (!f || ret || bpf_probe_read_user(&tls, sizeof(tls), (void *)call->n_ptr) || !tls)
		return 0;
	begin_generation(&f->proc, tls, conn_find(f->proc.tgid, tls), COOKIE_LIB(call->cookie), 0, bpf_ktime_get_boot_ns());
	return 0;
}

static __always_inline int on_return(struct pt_regs *ctx, __u64 stack, const bool loop)
{
	struct thread_calls *t = thread_calls();
	const struct call *call = t ? leave_call(&t->calls, stack) : NULL;

	if (!call || control.stop || call->what == CALL_FLUSH)
		return 0;

	__s64 ret = (int)PT_REGS_RC(ctx);
	__u64 n = ret;
	if (call->what == CALL_INIT)
		return on_init(call, ret);
	if (ret <= 0)
		return 0;
	if (call->n_ptr && bpf_probe_read_user(&n, sizeof(n), (void *)call->n_ptr)) {
		count(EV_COUNT_CALL_UNRETURNED, 1);
		return 0;
	}
	if (n == 0)
		return 0;
	emit_plaintext(t, call, n, loop);
	return 0;
}

static __always_inline int on_entry_by_cookie(struct pt_regs *ctx, struct thread_calls *t, __u64 cookie)
{
	__u64 ex = PT_REGS_PARM4(ctx), ex2 = PT_REGS_PARM5(ctx);
	__u32 shape = COOKIE_SHAPE(cookie);

	__u64 object = PT_REGS_PARM1(ctx);
	__u64 n_ptr = shape == SHAPE_EX ? ex : shape == SHAPE_EX2 ? ex2 : shape == SHAPE_INIT ? object : 0;
	__u32 what = shape == SHAPE_FLUSH ? CALL_FLUSH : shape == SHAPE_INIT ? CALL_INIT : CALL_DATA;

	if (shape == SHAPE_FLAGS && ex & PEEK_FLAG)
		return 0;
	return on_entry(ctx, t, cookie, COOKIE_DIR(cookie), n_ptr, what);
}

SEC("uprobe")
int tls_enter(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct thread_calls *t = followed_thread();

	return t ? on_entry_by_cookie(ctx, t, bpf_get_attach_cookie(ctx)) : 0;
}

SEC("uprobe")
int tls_leave(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	return on_return(ctx, stack_after_return(ctx), true);
}

/*
 * Entry and return in one link (uprobe.session, Linux 6.13, 4d756095d3994cb4
 * "uprobe: Add support for session consumer"): 1 at entry means no return trap,
 * so a process that is not followed pays for one trap, not two.  Told apart
 * without the kfunc bpf_session_is_return(): its prototype changes.
 */
SEC("uprobe")
int tls_session(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_session_program);
	if (PT_REGS_IP(ctx) != bpf_get_func_ip(ctx))
		return on_return(ctx, PT_REGS_SP(ctx), true);
	struct thread_calls *t = followed_thread();

	return t ? on_entry_by_cookie(ctx, t, bpf_get_attach_cookie(ctx)) : 1;
}

/* --- kernels without cookies and bpf_loop --- */

SEC("uprobe")
int tls_write(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct thread_calls *t = followed_thread();

	return t ? on_entry(ctx, t, 0, EV_DIR_WRITE, 0, CALL_DATA) : 0;
}

SEC("uprobe")
int tls_write_ex(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct thread_calls *t = followed_thread();

	return t ? on_entry(ctx, t, 0, EV_DIR_WRITE, PT_REGS_PARM4(ctx), CALL_DATA) : 0;
}

SEC("uprobe")
int tls_write_ex2(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct thread_calls *t = followed_thread();

	return t ? on_entry(ctx, t, 0, EV_DIR_WRITE, PT_REGS_PARM5(ctx), CALL_DATA) : 0;
}

SEC("uprobe")
int tls_read(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct thread_calls *t = followed_thread();

	return t ? on_entry(ctx, t, 0, EV_DIR_READ, 0, CALL_DATA) : 0;
}

SEC("uprobe")
int tls_read_ex(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct thread_calls *t = followed_thread();

	return t ? on_entry(ctx, t, 0, EV_DIR_READ, PT_REGS_PARM4(ctx), CALL_DATA) : 0;
}

SEC("uprobe")
int tls_read_flags(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct thread_calls *t = followed_thread();

	return t && !(PT_REGS_PARM4(ctx) & PEEK_FLAG) ? on_entry(ctx, t, 0, EV_DIR_READ, 0, CALL_DATA) : 0;
}

SEC("uprobe")
int tls_flush(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct thread_calls *t = followed_thread();

	return t ? on_entry(ctx, t, 0, EV_DIR_WRITE, 0, CALL_FLUSH) : 0;
}

SEC("uprobe")
int tls_init(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct thread_calls *t = followed_thread();

	return t ? on_entry(ctx, t, 0, EV_DIR_WRITE, PT_REGS_PARM1(ctx), CALL_INIT) : 0;
}

SEC("uprobe")
int tls_leave_no_loop(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	return on_return(ctx, stack_after_return(ctx), false);
}

/* --- the life of TLS objects --- */

/* SSL *SSL_new(SSL_CTX *), at its return: what is seen from here on is seen from its first byte, whatever was here before. */
SEC("uprobe")
int tls_new(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct followed *f = follow_current();
	__u64 tls = PT_REGS_RC(ctx);

	if (!f || !tls)
		return 0;
	begin_generation(&f->proc, tls, conn_find(f->proc.tgid, tls),
			 has_cookies ? COOKIE_LIB(bpf_get_attach_cookie(ctx)) : EV_LIB_UNKNOWN, 0, bpf_ktime_get_boot_ns());
	return 0;
}

/* int mbedtls_ssl_setup(mbedtls_ssl_context *, const mbedtls_ssl_config *): the object, which the program made, is set up. */
SEC("uprobe")
int tls_begin(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct followed *f = follow_current();
	__u64 tls = PT_REGS_PARM1(ctx);

	if (f)
		begin_generation(&f->proc, tls, conn_find(f->proc.tgid, tls),
				 has_cookies ? COOKIE_LIB(bpf_get_attach_cookie(ctx)) : EV_LIB_UNKNOWN, 0, bpf_ktime_get_boot_ns());
	return 0;
}

/* int SSL_clear(SSL *): the object is made ready for another connection. SSL_new calls it too, before it is known here. */
SEC("uprobe")
int tls_clear(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct followed *f = follow_current();
	__u64 tls = PT_REGS_PARM1(ctx);
	struct conn_state *c = f ? conn_find(f->proc.tgid, tls) : NULL;

	if (c)
		begin_generation(&f->proc, tls, c, c->lib, 0, bpf_ktime_get_boot_ns());
	return 0;
}

/*
 * int SSL_do_handshake(SSL *), where SSL_new is not known: called, many times,
 * before the first byte passes.  An object that has passed bytes lies where a
 * freed one lay.
 */
SEC("uprobe")
int tls_handshake(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct followed *f = follow_current();
	__u64 tls = PT_REGS_PARM1(ctx);
	struct conn_state *c = f ? conn_find(f->proc.tgid, tls) : NULL;

	if (!f || (c && c->gen > f->exec_ts && !(c->flags & EV_CONN_FREED) && !(c->produced[0] | c->produced[1])))
		return 0;
	begin_generation(&f->proc, tls, c, has_cookies ? COOKIE_LIB(bpf_get_attach_cookie(ctx)) : EV_LIB_UNKNOWN, 0,
			 bpf_ktime_get_boot_ns());
	return 0;
}

/* void SSL_free(SSL *) */
SEC("uprobe")
int tls_free(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	struct followed *f = follow_current();

	if (f)
		end_connection(f->proc.tgid, PT_REGS_PARM1(ctx));
	return 0;
}

static __always_inline int on_server_name(__u64 tls, __u64 name)
{
	struct conn_state *c = conn_find(current_tgid(), tls);

	if (!c || !name || c->flags & EV_CONN_FREED)
		return 0;
	struct ev_name *rec = bpf_ringbuf_reserve(&life_ring, sizeof(*rec), 0);
	if (!rec) {
		count(EV_COUNT_LIFE_LOST, 1);
		return 0;
	}
	rec->head.type = EV_NAME;
	rec->head.size = sizeof(*rec);
	rec->head.ts = bpf_ktime_get_boot_ns();
	rec->conn = conn_id(c, tls);
	rec->flags = c->flags;
	rec->pad = 0;
	if (bpf_probe_read_user_str(rec->name, sizeof(rec->name), (void *)name) <= 0)
		rec->name[0] = '\0';
	bpf_ringbuf_submit(rec, wake_flags(&data_ring, 0));
	return 0;
}

/* long SSL_ctrl(SSL *, int cmd, long larg, void *parg): SSL_set_tlsext_host_name() is a macro for one of its commands. */
SEC("uprobe")
int tls_ctrl(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	if ((int)PT_REGS_PARM2(ctx) != 55 /* SSL_CTRL_SET_TLSEXT_HOSTNAME */ || !follow_current())
		return 0;
	return on_server_name(PT_REGS_PARM1(ctx), PT_REGS_PARM4(ctx));
}

/* int SSL_set_tlsext_host_name(SSL *, const char *name): BoringSSL */
SEC("uprobe")
int tls_sni(struct pt_regs *ctx)
{
	NO_PRIVATE_STACK(ctx, no_program);
	return follow_current() ? on_server_name(PT_REGS_PARM1(ctx), PT_REGS_PARM2(ctx)) : 0;
}

/* Run by user space: its verdict on a connection (struct verdict). */
SEC("raw_tp")
int judge(struct bpf_raw_tracepoint_args *ctx)
{
	struct conn_key key = {.tls = ctx->args[0], .tgid = ctx->args[1]};
	struct conn_state *c = bpf_map_lookup_elem(&conns, &key);
	const __u32 verdict = EV_CONN_IGNORED | EV_CONN_FINAL | EV_CONN_SERVER | EV_CONN_ANY;

	if (!c || c->gen != ctx->args[2])
		return 0;
	for (int dir = 0; dir < 2; dir++)
		if (ctx->args[4 + dir] != VERDICT_ANY_BYTES && ctx->args[4 + dir] != c->produced[dir])
			return 0;
	c->flags = (c->flags & ~verdict) | ((__u32)ctx->args[3] & verdict);
	return 0;
}
