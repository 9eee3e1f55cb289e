/* SPDX-License-Identifier: Apache-2.0 */
/*
 * code.h - the code of a file, by virtual address, read piece by piece.
 *
 * Not mapped: while some tracer has uprobes on the file, the kernel puts its
 * breakpoints into every private mapping of it, ours too, and the first
 * instruction would read as int3.
 */
#ifndef SPANTAP_CODE_H
#define SPANTAP_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct code {
	/* Up to `n` bytes at an address; how many, 0 or less when there are none. */
	long (*read)(void *ctx, uint64_t addr, void *ret, size_t n);
	/* The dynamic symbol whose address the slot at `addr` (of the GOT) gets when the file is loaded;
	 * NULL: none. */
	const char *(*slot)(void *ctx, uint64_t addr);
	/* Whether data of the file may hold the address `addr` when it is loaded. */
	bool (*in_data)(void *ctx, uint64_t addr);
	void *ctx;
	uint16_t machine;              /* EM_X86_64, EM_AARCH64 */
	uint64_t text_start, text_end; /* .text: a call that leaves it goes through the PLT */
	uint64_t eh_hdr;               /* .eh_frame_hdr; 0: none */
};

static inline bool code_in_text(const struct code *c, uint64_t addr)
{
	return addr >= c->text_start && addr < c->text_end;
}

#endif
