/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */
/* compat.bpf.h - what differs between kernels, one accessor each, with the commit that made the difference. */
#ifndef SPANTAP_COMPAT_BPF_H
#define SPANTAP_COMPAT_BPF_H

#include "core.h"
#include <bpf/bpf_helpers.h>

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
			for (int i_ = 0; i_ < FRAGMENTS_UNROLLED; i_++)                                              \
				if (step(i_, ctx))                                                                   \
					break;                                                                       \
		}                                                                                                    \
	} while (0)

#endif
