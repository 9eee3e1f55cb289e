/* SPDX-License-Identifier: Apache-2.0 */
/*
 * site.h - on which instruction a probe sits decides what it costs.
 *
 * The kernel emulates a few instructions under a uprobe (x86: push, nop, jmp,
 * jcc, call; arch/x86/kernel/uprobes.c); every other one is copied out and
 * single-stepped, which costs a second trap: measured 0.95 us against 13.5.
 * Debian's SSL_write and SSL_read begin with `sub`, but they and their _ex
 * twins call one internal function each that begins with `push`.
 */
#ifndef SPANTAP_SITE_H
#define SPANTAP_SITE_H

#include <stdbool.h>
#include <stddef.h>

#include "target/target.h"

/*
 * The code of a file, read piece by piece.  Not mapped: while some tracer has
 * uprobes on the file, the kernel puts its breakpoints into every private
 * mapping of it, ours too, and the first instruction would read as int3.
 */
struct site_code {
	/* Up to `n` bytes at a file offset; how many, 0 or less when there are none. */
	long (*read)(void *ctx, uint64_t offset, void *ret, size_t n);
	void *ctx;
	uint64_t text_start, text_end; /* file offsets of .text: a call that leaves it goes through the PLT */
};

/*
 * Moves the probes of `t` from the public symbols to better instructions where
 * that is provably the same: to the common internal function, when both public
 * functions call it and its arguments can be told from how they are passed on;
 * behind an endbr64; else they stay. Sets t->internal and t->slow.
 */
void site_choose(const struct site_code *code, struct target *t);

#endif
