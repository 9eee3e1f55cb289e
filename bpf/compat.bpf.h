/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* compat.bpf.h - what differs between kernels, one accessor each, with the commit that made the difference. */
#ifndef SPANTAP_COMPAT_BPF_H
#define SPANTAP_COMPAT_BPF_H

#include "core.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define FRAGMENTS_MAX     131072 /* of one call with bpf_loop: 2 GiB, more than SSL_write can take */
#define FRAGMENTS_UNROLLED 8     /* of one call without it: 128 KiB, the rest is a counted hole */

/*
 * Calls step(i, ctx) until it returns 1, at most n times; `loop`, a constant, says how.
 * bpf_loop: Linux 5.17, e6f2dd0f8067 ("bpf: Add bpf_loop helper").  Before 5.13,
 * 69c087ba6225 ("bpf: Add bpf_for_each_map_elem() helper"), a program that holds the address of
 * a function is refused even when the code is dead: hence a constant, and two programs.
 */
#define for_each_fragment(loop, step, ctx, n)                                                                        \
	do {                                                                                                         \
		if (loop) {                                                                                          \
			bpf_loop((n) < FRAGMENTS_MAX ? (n) : FRAGMENTS_MAX, step, ctx, 0);                           \
		} else {                                                                                             \
			for (int i_ = 1; i_ < FRAGMENTS_UNROLLED; i_++)                                              \
				if (step(i_, ctx))                                                                   \
					break;                                                                       \
		}                                                                                                    \
	} while (0)

/*
 * Two objects that are linked must not declare the same kfunc (libbpf's linker refuses), but names that differ
 * behind three underscores mean the same one: each file but the first says which before it includes this.
 */
#ifndef KFUNC
#define KFUNC(name) name
#endif

/* Linux 6.16, a498ee7576de ("bpf: Implement dynptr copy kfuncs"); weak: called only where the loader found it. */
extern int KFUNC(bpf_probe_read_user_dynptr)(const struct bpf_dynptr *ptr, __u64 offset, __u64 size, const void *user) __ksym __weak;

/* The name of kernfs_node.parent since Linux 6.15, 633488947ef6 ("kernfs: Use RCU to access kernfs_node::parent"). */
struct kernfs_node___rcu {
	struct kernfs_node *__parent;
} __attribute__((preserve_access_index));

static __always_inline struct kernfs_node *kernfs_parent(struct kernfs_node *node)
{
	struct kernfs_node___rcu *rcu = (void *)node;

	if (bpf_core_field_exists(rcu->__parent))
		return BPF_CORE_READ(rcu, __parent);
	return BPF_CORE_READ(node, parent);
}

/*
 * The address behind a probed function's return address: x86's `call` pushes
 * it and `ret` pops it; arm64 has it in a register, the stack pointer stays.
 */
#if defined(__TARGET_ARCH_x86)
#define RETURN_ADDRESS_SIZE 8
#else
#define RETURN_ADDRESS_SIZE 0
#endif

/*
 * Since Linux 6.13 (a76ab5731e32, "bpf: Find eligible subprogs for private stack
 * support") a kprobe-type program may get a stack per processor instead of the
 * kernel stack.  A uprobe's program can be preempted, on kernels that preempt,
 * by another task that runs the same program on that processor: both then write
 * into one stack (seen on 7.2 and 7.3: reads lost without a trace, wrong data).
 * A program with a tail call, taken or not, keeps the kernel stack.
 */
const volatile bool never __weak = false;

#define NO_PRIVATE_STACK(ctx, map)                                                                                   \
	do {                                                                                                         \
		if (never)                                                                                           \
			bpf_tail_call(ctx, &map, 0);                                                                 \
	} while (0)

/* An empty map of programs; those that name the same one must be loaded for the same kind of attachment. */
#define NO_PROGRAMS(name)                                                                                            \
	struct {                                                                                                     \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY);                                                               \
		__uint(max_entries, 1);                                                                              \
		__type(key, __u32);                                                                                  \
		__type(value, __u32);                                                                                \
	} name SEC(".maps")

#endif
