/* SPDX-License-Identifier: Apache-2.0 */
/*
 * insn_arm64.c - A64.
 *
 * Simulated under a uprobe (arch/arm64/kernel/probes/decode-insn.c): b, bl,
 * b.cond, cbz, cbnz, tbz, tbnz, adr, adrp, br, blr, ret.  Every other one is
 * stepped out of line: also `stp x29, x30, [sp, #-n]!`, bti, paciasp, retaa.
 * nop is simulated since 6.13, which is not counted on; ldr and ldrsw of a
 * literal are refused by kernels since 6.12 (acc450aa0709 "arm64: probes:
 * Remove broken LDR (literal) uprobe support") and so are never a site.
 *
 * Encodings: Arm Architecture Reference Manual, C4.1 "A64 instruction set
 * encoding".  An instruction behind paciasp is no place for a return probe:
 * x30 is signed there, the kernel would replace it.
 */
#include <elf.h>
#include <string.h>

#include "target/insn.h"

static uint32_t word(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* `bits` bits from bit `low` on, signed, times 4: the distance of a branch. */
static uint64_t distance(uint32_t w, unsigned low, unsigned bits)
{
	int32_t v = (int32_t)(w << (32 - low - bits)) >> (32 - bits);

	return (uint64_t)(int64_t)v * 4;
}

static uint64_t immediate(uint32_t w) /* of adr, adrp */
{
	return distance(w, 5, 19) | (w >> 29 & 3);
}

static uint64_t page_of(uint32_t w, uint64_t at)
{
	return (at & ~0xfffull) + (immediate(w) << 12);
}

/* Branches; false: it is none. */
static bool branch(uint32_t w, struct insn *ret)
{
	ret->simulated = true;
	if ((w & 0x7c000000) == 0x14000000) { /* b, bl */
		ret->kind = w >> 31 ? INSN_CALL : INSN_JUMP;
		ret->to = ret->at + distance(w, 0, 26);
	} else if ((w & 0xff000000) == 0x54000000 || (w & 0x7e000000) == 0x34000000) { /* b.cond, cbz, cbnz */
		ret->kind = INSN_BRANCH;
		ret->to = ret->at + distance(w, 5, 19);
	} else if ((w & 0x7e000000) == 0x36000000) { /* tbz, tbnz */
		ret->kind = INSN_BRANCH;
		ret->to = ret->at + distance(w, 5, 14);
	} else if ((w & 0xfe000000) ==
	           0xd6000000) { /* register: opc in bits 21 to 24, 8 of it: with authentication and key */
		unsigned opc = w >> 21 & 7;

		ret->kind = opc == 0 ? INSN_JUMP_MEMORY : opc == 1 ? INSN_CALL_MEMORY : INSN_RET;
		ret->simulated = (w & 0x01fffc1f) == (opc << 21 | 0x001f0000);
		return opc <= 2;
	} else {
		ret->simulated = false;
		return false;
	}
	return true;
}

static int argument(unsigned reg)
{
	if (reg >= ARM64_REG_X0 && reg < ARM64_REG_X0 + INSN_ARGS)
		return (int)(reg - ARM64_REG_X0);
	if (reg >= ARM64_REG_W0 && reg < ARM64_REG_W0 + INSN_ARGS)
		return (int)(reg - ARM64_REG_W0);
	return -1;
}

static void registers(csh cs, const cs_insn *i, struct insn *ret)
{
	const cs_arm64 *x = &i->detail->arm64;
	cs_regs read, written;
	uint8_t n_read, n_written;

	if (cs_regs_access(cs, i, read, &n_read, written, &n_written)) {
		ret->writes = 0xff;
		ret->frame = true;
		return;
	}
	for (uint8_t k = 0; k < n_read; k++)
		if (argument(read[k]) >= 0)
			ret->reads |= (uint8_t)(1u << argument(read[k]));
	for (uint8_t k = 0; k < n_written; k++) {
		int a = argument(written[k]);

		ret->frame |=
		    written[k] == ARM64_REG_SP || written[k] == ARM64_REG_WSP || written[k] == ARM64_REG_LR;
		if (a >= 0)
			ret->writes |= (uint8_t)(1u << a);
	}
	if (i->id == ARM64_INS_MOV && x->op_count == 2 && x->operands[0].type == ARM64_OP_REG &&
	    x->operands[1].type == ARM64_OP_REG && x->operands[0].reg >= ARM64_REG_X0) {
		int to = argument(x->operands[0].reg), from = argument(x->operands[1].reg);

		if (to >= 0 && from >= 0) {
			ret->moved[0] = (int8_t)to;
			ret->moved[1] = (int8_t)from;
		}
	}
}

/* mov w0, #1; mov w0, wzr; adrp x0, page; add x0, x0, #1 */
static void constant(uint32_t w, uint64_t at, struct insn *ret)
{
	unsigned to = w & 31, from = w >> 5 & 31;

	if (to >= INSN_ARGS)
		return;
	if ((w & 0x7f800000) == 0x52800000)
		ret->value = (uint64_t)(w >> 5 & 0xffff) << 16 * (w >> 21 & 3);
	else if ((w & 0x7fffffe0) == 0x2a1f03e0)
		ret->value = 0;
	else if ((w & 0x9f000000) == 0x90000000)
		ret->value = page_of(w, at);
	else if ((w & 0xffc00000) == 0x91000000 && to == from)
		ret->added = (int8_t)to;
	else
		return;
	if (ret->added >= 0)
		ret->value = w >> 10 & 0xfff;
	else
		ret->constant = (int8_t)to;
}

#define HINT_MASK 0xfffff01f
#define HINT      0xd503201f

static bool describe(csh cs, const cs_insn *i, struct insn *ret)
{
	uint32_t w = word(i->bytes);
	unsigned hint = w >> 5 & 0x7f;

	if (branch(w, ret))
		return true;
	if ((w & 0xff000000) == 0xd6000000) /* eret, drps */
		return false;
	registers(cs, i, ret);
	constant(w, ret->at, ret);
	/* str, stp of 64 bits */
	ret->stores = ((w & 0xffc00000) == 0xf9000000 || (w & 0xffc00000) == 0xa9000000) &&
	              (w >> 5 & 31) != 31 && (w >> 5 & 31) != 29;
	ret->simulated = (w & 0x1f000000) == 0x10000000; /* adr, adrp */
	if ((w & 0x9f000000) == 0x90000000)
		ret->page = page_of(w, ret->at);
	if ((w & 0xffc00000) == 0xf9400000)
		ret->load = (int32_t)(w >> 10 & 0xfff) * 8;
	if ((w & HINT_MASK) == HINT) {
		ret->writes = 0;
		if (hint >= 32 && hint <= 38 && hint % 2 == 0) /* bti, bti c, j, jc */
			ret->kind = INSN_LANDING;
		else if (hint != 0)
			ret->frame = true; /* paciasp and its like change x30 */
	}
	return true;
}

/* cas and its like, ldadd, swp and theirs: ARMv8.1-LSE. */
static bool is_atomic(uint32_t w)
{
	return (w & 0x3fa07c00) == 0x08a07c00 || (w & 0x3b200c00) == 0x38200000;
}

/* Branches with pointer authentication, and atomics, are younger than some disassemblers. */
static bool unknown(const uint8_t *raw, struct insn *ret)
{
	uint32_t w = word(raw);

	if (is_atomic(w)) {
		ret->writes = 0xff;
		strcpy(ret->name, "atomic");
		return true;
	}
	if ((w & 0xfe000000) != 0xd6000000 || !branch(w, ret))
		return false;
	strcpy(ret->name, ret->kind == INSN_RET ? "retaa" : "braa");
	return true;
}

/* A branch to it, its address by adr, or by adrp and the add behind that. */
static bool means(const uint8_t *p, uint64_t at, uint64_t to)
{
	uint32_t w = word(p), next = word(p + 4);
	struct insn i = {.at = at};

	if (branch(w, &i))
		return i.to == to;
	if ((w & 0x9f000000) == 0x10000000)
		return at + immediate(w) == to;
	return (w & 0x9f000000) == 0x90000000 && page_of(w, at) == (to & ~0xfffull) &&
	       (next & 0xffc00000) == 0x91000000 && (next >> 10 & 0xfff) == (to & 0xfff);
}

static size_t mention(const uint8_t *p, size_t n, uint64_t at, uint64_t to)
{
	for (size_t i = 0; i < n; i += 4)
		if (means(p + i, at + i, to))
			return i;
	return n;
}

/* adrp, and an add to its register some instructions behind it. */
static size_t refers(const uint8_t *p, size_t n, uint64_t at, const struct insn_wanted *wanted,
                     struct insn_ref *ret)
{
	uint64_t low = wanted->v[0] & ~0xfffull, high = wanted->v[wanted->n - 1];

	for (size_t i = -at & 3; i + 4 <= n; i += 4) {
		uint32_t w = word(p + i);
		uint64_t page = page_of(w, at + i);

		if ((w & 0x9f000000) != 0x90000000 || page < low || page > high)
			continue;
		for (size_t k = i + 4; k + 4 <= n && k < i + INSN_REFERS; k += 4) {
			uint32_t add = word(p + k);

			if ((add & 0xffc00000) != 0x91000000 || (add >> 5 & 31) != (w & 31))
				continue;
			ret->at = at + i;
			ret->to = page + (add >> 10 & 0xfff);
			if (insn_wants(wanted, ret->to))
				return i;
			break;
		}
	}
	return n;
}

/* nop, udf #0 */
static bool padding(const uint8_t *p, size_t n)
{
	return n >= 4 && (word(p) == 0xd503201f || word(p) == 0);
}

/* stp …, …, [sp, #-…]!, or sub sp, sp, #…: both may stand in the middle too, but not behind what never goes on. */
static bool begins(const uint8_t *p, size_t before, size_t n)
{
	struct insn last = {.at = 0};

	if (n < 4 || before < 4)
		return false;
	bool frame = (word(p) & 0xffe003e0) == 0xa9a003e0 || (word(p) & 0xffc003ff) == 0xd10003ff;
	return frame && (padding(p - 4, 4) || (branch(word(p - 4), &last) &&
	                                       (last.kind == INSN_RET || last.kind == INSN_JUMP ||
	                                        last.kind == INSN_JUMP_MEMORY)));
}

const struct insn_machine insn_arm64 = {
    .machine = EM_AARCH64,
    .arch = CS_ARCH_ARM64,
    .mode = CS_MODE_ARM,
    .insn_max = 4,
    .describe = describe,
    .unknown = unknown,
    .mention = mention,
    .refers = refers,
    .begins = begins,
    .padding = padding,
    .aligned = 4,
    .fixed = true,
};
