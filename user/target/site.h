/* SPDX-License-Identifier: Apache-2.0 */
/*
 * site.h - on which instruction a probe sits decides what it costs.
 *
 * The kernel simulates a few instructions under a uprobe (insn_x86.c,
 * insn_arm64.c); every other one is copied out and single-stepped, which costs
 * a second trap: measured on x86-64 0.95 us against 13.5.  Debian's SSL_write
 * and SSL_read begin with `sub`, but they and their _ex twins call one internal
 * function each that begins with `push`.
 */
#ifndef SPANTAP_SITE_H
#define SPANTAP_SITE_H

#include "target/insn.h"
#include "target/target.h"

/* The public functions as the symbol table has them, by enum target_func. */
struct site_func {
	uint64_t addr; /* virtual; 0: there is none */
	uint64_t size; /* 0: not said */
};

/*
 * What `lib` and `version` of the target say: the internal write function has
 * a flags argument before the last since 3.3; a version that is not known, and
 * every other library, gets the public symbols.
 */
enum site_form { SITE_FORM_UNKNOWN, SITE_FORM_PLAIN, SITE_FORM_FLAGS };
enum site_form site_form(const struct target *t);

/*
 * Sets the offsets of `t` (as virtual addresses), internal, why_public, slow,
 * nested, insn, and all that tells where the functions return.
 *
 * The probes go to the common internal function, when both public functions of
 * a direction call it and its arguments can be told from how they are passed
 * on, and the version says the same; else they stay on the symbols.  From the
 * first instruction of either a probe moves on to a simulated one, as long as
 * arguments and stack pointer are what they were on entry and nothing jumps
 * in between.  Of two public functions of which one only calls the other, the
 * latter alone is probed.
 */
void site_choose(const struct code *code, const struct site_func funcs[TARGET_FUNCS],
                 const char *const symbols[TARGET_FUNCS], struct target *t);

#endif
