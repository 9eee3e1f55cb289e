/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sweep.h - all instructions of a piece of code, in order.
 *
 * Machine code does not say where it is data.  A sweep counts as right when
 * every instruction is known, the last one ends where the piece ends, and every
 * branch within it meets the start of an instruction.  What fails is refused:
 * a breakpoint within an instruction, or in data, would break the program.
 */
#ifndef SPANTAP_SWEEP_H
#define SPANTAP_SWEEP_H

#include "target/insn.h"
#include "target/target.h"

#define SWEEP_MAX 65536 /* bytes of one piece: SSL_new has 1,500, the largest function of libssl 9,000 */

struct sweep {
	uint64_t start, end;
	struct insn *insns; /* ours */
	size_t n;
};

/* TARGET_WHY_NONE, or why not; `ret` is to be released in any case. */
enum target_why sweep_init(struct sweep *ret, struct decoder *d, const struct code *code, uint64_t start,
                           uint64_t end);
void sweep_release(struct sweep *s);
/* The instruction that begins at `at`; NULL: none does. */
const struct insn *sweep_at(const struct sweep *s, uint64_t at);

#endif
