/* SPDX-License-Identifier: Apache-2.0 */
/*
 * insn_x86.c - x86-64.
 *
 * Simulated under a uprobe (arch/x86/kernel/uprobes.c): push of a register,
 * one-byte nop, and direct jmp, jcc and call (branch_setup_ops()).  `ret` and
 * everything else is single-stepped.
 */
#include <elf.h>
#include <string.h>

#include "target/insn.h"

#define NAMES 5

/* Of each argument: the register, then its parts. */
static const x86_reg args[INSN_ARGS][NAMES] = {
    {X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL},
    {X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL},
    {X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH},
    {X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH},
    {X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B},
};

static void registers(csh cs, const cs_insn *i, struct insn *ret)
{
	cs_regs read, written;
	uint8_t n_read, n_written;

	if (cs_regs_access(cs, i, read, &n_read, written, &n_written)) {
		ret->writes = 0xff;
		ret->frame = true;
		return;
	}
	for (uint8_t k = 0; k < n_read; k++)
		for (int a = 0; a < INSN_ARGS * NAMES; a++)
			if (read[k] && read[k] == args[a / NAMES][a % NAMES])
				ret->reads |= (uint8_t)(1u << a / NAMES);
	for (uint8_t k = 0; k < n_written; k++) {
		ret->frame |= written[k] == X86_REG_RSP || written[k] == X86_REG_ESP;
		for (int a = 0; a < INSN_ARGS * NAMES; a++)
			if (written[k] && written[k] == args[a / NAMES][a % NAMES])
				ret->writes |= (uint8_t)(1u << a / NAMES);
	}
}

static void field(const cs_insn *i, struct insn *ret)
{
	const cs_x86 *x = &i->detail->x86;

	for (uint8_t k = 0; k < x->op_count; k++) {
		const cs_x86_op *op = &x->operands[k];

		if (op->type == X86_OP_MEM && op->access & CS_AC_WRITE && op->mem.base != X86_REG_INVALID &&
		    op->mem.base != X86_REG_RIP && op->mem.base != X86_REG_RSP &&
		    op->mem.base != X86_REG_RBP)
			ret->stores = true;
		if (op->type == X86_OP_MEM && op->mem.base != X86_REG_INVALID && op->mem.base != X86_REG_RIP &&
		    op->mem.base != X86_REG_RSP && op->mem.disp >= 0 && op->mem.disp < INT32_MAX)
			ret->field = (int32_t)op->mem.disp;
	}
}

static int argument(const cs_x86_op *op)
{
	for (int a = 0; a < INSN_ARGS; a++)
		if (op->type == X86_OP_REG && op->reg == args[a][0])
			return a;
	return -1;
}

/* mov reg, 1; xor reg, reg; lea reg, [rip + 1] */
static void constant(const cs_insn *i, struct insn *ret)
{
	const cs_x86_op *to = &i->detail->x86.operands[0], *from = &i->detail->x86.operands[1];

	for (int a = 0; a < INSN_ARGS && to->type == X86_OP_REG && i->detail->x86.op_count == 2; a++) {
		if (to->reg != args[a][0] && to->reg != args[a][1])
			continue;
		if (i->id == X86_INS_XOR && from->type == X86_OP_REG && from->reg == to->reg)
			ret->value = 0;
		else if (i->id == X86_INS_LEA && from->mem.base == X86_REG_RIP)
			ret->value = i->address + i->size + (uint64_t)from->mem.disp;
		else if (i->id != X86_INS_XOR && from->type == X86_OP_IMM)
			ret->value = (uint64_t)from->imm;
		else
			return;
		ret->constant = (int8_t)a;
	}
}

static void direction(const cs_insn *i, struct insn *ret, enum insn_kind direct, enum insn_kind memory)
{
	const cs_x86_op *op = &i->detail->x86.operands[0];

	ret->kind = (uint8_t)memory;
	if (i->detail->x86.op_count == 1 && op->type == X86_OP_IMM) {
		ret->kind = (uint8_t)direct;
		ret->to = (uint64_t)op->imm;
		ret->simulated = true;
	} else if (op->type == X86_OP_MEM && op->mem.base == X86_REG_RIP &&
	           op->mem.index == X86_REG_INVALID) {
		ret->to = i->address + i->size + (uint64_t)op->mem.disp;
	}
}

/* Jumps that depend on a register, and so are conditional although they are no jcc, are in the group too. */
static bool conditional(csh cs, const cs_insn *i)
{
	return i->id != X86_INS_JMP && i->id != X86_INS_LJMP && cs_insn_group(cs, i, X86_GRP_JUMP);
}

static bool describe(csh cs, const cs_insn *i, struct insn *ret)
{
	const cs_x86 *x = &i->detail->x86;

	registers(cs, i, ret);
	field(i, ret);
	if (conditional(cs, i)) {
		direction(i, ret, INSN_BRANCH, INSN_JUMP_MEMORY);
		ret->simulated &= i->id != X86_INS_JRCXZ && i->id != X86_INS_JECXZ && i->id != X86_INS_JCXZ &&
		                  i->id != X86_INS_LOOP && i->id != X86_INS_LOOPE && i->id != X86_INS_LOOPNE;
		return true;
	}
	switch (i->id) {
	case X86_INS_CALL:
		direction(i, ret, INSN_CALL, INSN_CALL_MEMORY);
		break;
	case X86_INS_JMP:
		direction(i, ret, INSN_JUMP, INSN_JUMP_MEMORY);
		break;
	case X86_INS_RET:
		ret->kind = INSN_RET;
		break;
	case X86_INS_LOOP: /* some releases of Capstone keep these out of the group */
	case X86_INS_LOOPE:
	case X86_INS_LOOPNE:
		ret->kind = INSN_BRANCH;
		ret->to = (uint64_t)x->operands[0].imm;
		break;
	case X86_INS_RETF:
	case X86_INS_RETFQ:
	case X86_INS_IRET:
	case X86_INS_IRETD:
	case X86_INS_IRETQ:
	case X86_INS_LJMP:
	case X86_INS_LCALL:
	case X86_INS_XBEGIN:
		return false;
	case X86_INS_ENDBR64:
		ret->kind = INSN_LANDING;
		break;
	case X86_INS_PUSH:
		ret->simulated = x->op_count == 1 && x->operands[0].type == X86_OP_REG && i->size <= 2;
		break;
	case X86_INS_NOP:
		ret->simulated = i->size == 1;
		break;
	case X86_INS_LEA:
	case X86_INS_XOR:
		constant(i, ret);
		break;
	case X86_INS_MOV:
	case X86_INS_MOVABS:
		constant(i, ret);
		if (x->op_count == 2 && argument(&x->operands[0]) >= 0 && argument(&x->operands[1]) >= 0) {
			ret->moved[0] = (int8_t)argument(&x->operands[0]);
			ret->moved[1] = (int8_t)argument(&x->operands[1]);
		}
		break;
	default:
		break;
	}
	return true;
}

/* A relative address is 32 bits from the end of the instruction, which it ends: e8 (call), e9 (jmp), 0f 8x
 * (jcc), lea. */
static size_t mention(const uint8_t *p, size_t n, uint64_t at, uint64_t to)
{
	uint32_t want = (uint32_t)(to - at - 5); /* at the first place; one less at each next */

	for (size_t i = 0; i < n; i++) {
		uint32_t rel;

		memcpy(&rel, p + i + 1, sizeof(rel));
		if (rel + (uint32_t)i == want)
			return i;
	}
	return n;
}

/*
 * lea r64, [rip + x] (48 or 4c, 8d, 05 to 3d), and mov r32, x (b8 to bf, with 41 before r8 to r15) or
 * mov r64, x (48 or 49, c7, c0 to c7): the address lies in the last four bytes.
 */
static size_t refers(const uint8_t *p, size_t n, uint64_t at, const struct insn_wanted *wanted,
                     struct insn_ref *ret)
{
	for (size_t i = 3; i + 4 <= n; i++) {
		uint32_t x;

		if ((p[i - 1] & 0xc7) == 0x05) {
			if (p[i - 2] != 0x8d || (p[i - 3] & 0xfb) != 0x48)
				continue;
			memcpy(&x, p + i, sizeof(x));
			ret->to = at + i + 4 + (uint64_t)(int64_t)(int32_t)x;
			ret->at = at + i - 3;
		} else if ((p[i - 1] & 0xf8) == 0xb8) {
			memcpy(&x, p + i, sizeof(x));
			ret->to = x;
			ret->at = at + i - (p[i - 2] == 0x41 ? 2 : 1);
		} else if ((p[i - 1] & 0xf8) == 0xc0 && p[i - 2] == 0xc7 && (p[i - 3] & 0xfe) == 0x48) {
			memcpy(&x, p + i, sizeof(x));
			ret->to = (uint64_t)(int64_t)(int32_t)x;
			ret->at = at + i - 3;
		} else {
			continue;
		}
		if (ret->to >= wanted->v[0] && ret->to <= wanted->v[wanted->n - 1] &&
		    insn_wants(wanted, ret->to))
			return i;
	}
	return n;
}

/* int3 */
static bool padding(const uint8_t *p, size_t n)
{
	return n > 0 && p[0] == 0xcc;
}

/* push rbp; mov rbp, rsp; or anything behind padding. */
static bool begins(const uint8_t *p, size_t before, size_t n)
{
	static const uint8_t frame[] = {0x55, 0x48, 0x89, 0xe5};

	return (n >= sizeof(frame) && memcmp(p, frame, sizeof(frame)) == 0) ||
	       (before > 0 && padding(p - 1, 1) && n > 0 && !padding(p, n));
}

const struct insn_machine insn_x86_64 = {
    .machine = EM_X86_64,
    .arch = CS_ARCH_X86,
    .mode = CS_MODE_64,
    .insn_max = 15,
    .describe = describe,
    .mention = mention,
    .refers = refers,
    .begins = begins,
    .padding = padding,
    .aligned = 16,
};
