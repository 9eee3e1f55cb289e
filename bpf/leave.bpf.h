/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* leave.bpf.h - which call it is that returns, where the return is not told by a return probe. */
#ifndef SPANTAP_LEAVE_BPF_H
#define SPANTAP_LEAVE_BPF_H

#include "calls.bpf.h"
#include "compat.bpf.h"

/* The return programs sit on `ret` instructions: return probes would kill sandboxed programs on this host. */
const volatile bool return_by_ret __weak = false;

/* Where the stack pointer is after the return: it has still to come when the program sits on a `ret`. */
static __always_inline __u64 stack_after_return(struct pt_regs *ctx)
{
	__u64 sp = PT_REGS_SP(ctx);

	barrier_var(sp); /* read once, here: else clang reads from a moved context, which the verifier refuses */
	if (!return_by_ret || (has_cookies && bpf_get_attach_cookie(ctx) & COOKIE_BEHIND_CALL))
		return sp;
	return sp + RETURN_ADDRESS_SIZE;
}

#endif
