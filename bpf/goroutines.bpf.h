// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * goroutines.bpf.h - the calls that a goroutine is in, as calls.bpf.h has
 * those of a thread.
 *
 * A goroutine moves from thread to thread, and a thread runs many of them, so
 * what is pending belongs to the goroutine: its struct g, whose address is in
 * a register of its own (r14, x28: cmd/compile/abi-internal.md).  Its stack is
 * copied elsewhere when it grows, so places on it are counted from its upper
 * end, which a copy keeps (runtime/stack.go, copystack).
 */
#ifndef SPANTAP_GOROUTINES_BPF_H
#define SPANTAP_GOROUTINES_BPF_H

#include "calls.bpf.h"

struct goroutine {
	struct call_stack calls;
	__u64 exec_ts; /* of the process: the next program has goroutines at the same addresses */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* within a call: each connection that waits for data is one */
	__type(key, struct goroutine_key);
	__type(value, struct goroutine);
} goroutines SEC(".maps") __weak;

#if defined(__TARGET_ARCH_x86)
#define GO_G(ctx) ((ctx)->r14)
#define GO_G_SAVED(regs) BPF_CORE_READ(regs, r14)
#define GO_PARM1(ctx) ((ctx)->ax)
#define GO_PARM2(ctx) ((ctx)->bx)
#define GO_PARM3(ctx) ((ctx)->cx)
#define GO_PARM4(ctx) ((ctx)->di)
#define GO_RC(ctx) ((ctx)->ax)
#elif defined(__TARGET_ARCH_arm64)
#define GO_REG(ctx, i) (((const struct user_pt_regs *)(ctx))->regs[i])
#define GO_G(ctx) GO_REG(ctx, 28)
#define GO_G_SAVED(r) BPF_CORE_READ(r, regs[28])
#define GO_PARM1(ctx) GO_REG(ctx, 0)
#define GO_PARM2(ctx) GO_REG(ctx, 1)
#define GO_PARM3(ctx) GO_REG(ctx, 2)
#define GO_PARM4(ctx) GO_REG(ctx, 3)
#define GO_RC(ctx) GO_REG(ctx, 0)
#endif

/* The first member of struct g: `stack stack // offset known to runtime/cgo`. */
struct go_stack {
	__u64 lo, hi;
};

/* False when `g` is not a goroutine whose stack holds `sp`. */
static __always_inline bool read_go_stack(__u64 g, __u64 sp, struct go_stack *ret)
{
	return bpf_probe_read_user(ret, sizeof(*ret), (void *)g) == 0 && sp > ret->lo && sp < ret->hi;
}

/* The innermost call of the goroutine that entered the kernel with these registers; NULL: none. */
static __always_inline const struct call *call_of_goroutine(const struct pt_regs *regs)
{
	struct goroutine_key key = {.g = GO_G_SAVED(regs), .tgid = bpf_get_current_pid_tgid() >> 32};
	const struct goroutine *g = bpf_map_lookup_elem(&goroutines, &key);

	return g ? innermost_call(&g->calls) : NULL;
}

#endif
