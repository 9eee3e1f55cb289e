/* SPDX-License-Identifier: Apache-2.0 */
#include <capstone/capstone.h>
#include <string.h>

#include "target/site.h"

#define WALK_MAX 40 /* instructions looked at from a function's start */
#define INSN_MAX 15 /* bytes of the longest one */

#if defined(__x86_64__)

/* Passes a probe's work: instructions that the kernel emulates and that occur at a function's start. */
static bool emulated(const cs_insn *i)
{
	return (i->id == X86_INS_PUSH && i->detail->x86.op_count == 1 && i->detail->x86.operands[0].type == X86_OP_REG) ||
	       (i->id == X86_INS_NOP && i->size == 1);
}

static bool writes(csh cs, const cs_insn *i, x86_reg reg64, x86_reg reg32)
{
	cs_regs read, written;
	uint8_t n_read, n_written;

	if (cs_regs_access(cs, i, read, &n_read, written, &n_written))
		return true;
	for (uint8_t k = 0; k < n_written; k++)
		if (written[k] == reg64 || written[k] == reg32)
			return true;
	return false;
}

static bool is_move(const cs_insn *i, x86_reg to, x86_reg from)
{
	const cs_x86 *x = &i->detail->x86;

	return i->id == X86_INS_MOV && x->op_count == 2 && x->operands[0].type == X86_OP_REG && x->operands[0].reg == to &&
	       x->operands[1].type == X86_OP_REG && x->operands[1].reg == from;
}

/* What the instructions before a call have done with the arguments of their function. */
struct flow {
	bool base_intact;   /* the first three are where the caller put them */
	bool fourth_intact, fifth_intact;
	bool fourth_is_fifth; /* the 4th was handed on as the 5th */
};

static void follow(csh cs, const cs_insn *i, struct flow *f)
{
	if (writes(cs, i, X86_REG_RDI, X86_REG_EDI) || writes(cs, i, X86_REG_RSI, X86_REG_ESI) ||
	    writes(cs, i, X86_REG_RDX, X86_REG_EDX))
		f->base_intact = false;
	if (writes(cs, i, X86_REG_R8, X86_REG_R8D)) {
		f->fifth_intact = false;
		f->fourth_is_fifth = f->fourth_intact && is_move(i, X86_REG_R8, X86_REG_RCX);
	}
	if (writes(cs, i, X86_REG_RCX, X86_REG_ECX))
		f->fourth_intact = false;
}

/* From a function's start on, WALK_MAX instructions at the most. */
struct walk {
	csh cs;
	cs_insn *insn;
	const uint8_t *p;
	size_t left;
	uint64_t at; /* file offset of the next instruction */
	uint8_t bytes[WALK_MAX * INSN_MAX];
};

static bool walk_begin(struct walk *w, csh cs, const struct site_code *code, uint64_t at)
{
	long n = at >= code->text_start && at < code->text_end ? code->read(code->ctx, at, w->bytes, sizeof(w->bytes)) : 0;

	w->cs = cs;
	w->p = w->bytes;
	w->left = n > 0 ? (size_t)n : 0;
	w->at = at;
	w->insn = n > 0 ? cs_malloc(cs) : NULL;
	return w->insn != NULL;
}

static bool walk_next(struct walk *w)
{
	/* Capstone 4 leaves parts of it, the operands' access among them, as malloc gave them. */
	memset(w->insn->detail, 0, sizeof(*w->insn->detail));
	return cs_disasm_iter(w->cs, &w->p, &w->left, &w->at, w->insn);
}

static void walk_end(struct walk *w)
{
	cs_free(w->insn, 1);
}

/*
 * The first function of the same .text that the function at `at` calls before
 * it jumps or returns (a conditional jump over the error path is passed), and
 * what it had done with its arguments by then.  0: none.
 */
static uint64_t first_call(csh cs, const struct site_code *code, uint64_t at, struct flow *ret)
{
	uint64_t target = 0;
	struct walk w;

	*ret = (struct flow){true, true, true, false};
	if (!at || !walk_begin(&w, cs, code, at))
		return 0;
	for (int n = 0; n < WALK_MAX && walk_next(&w); n++) {
		const cs_insn *i = w.insn;

		if (i->id == X86_INS_RET || i->id == X86_INS_JMP)
			break;
		if (i->id == X86_INS_CALL) {
			const cs_x86 *x = &i->detail->x86;
			uint64_t to = x->operands[0].type == X86_OP_IMM ? (uint64_t)x->operands[0].imm : 0;

			if (to >= code->text_start && to < code->text_end)
				target = to;
			break;
		}
		follow(cs, i, ret);
	}
	walk_end(&w);
	return target;
}

/* `at`, or the instruction behind an endbr64 there; *ret_fast: whether the kernel emulates it. */
static uint64_t entry_site(csh cs, const struct site_code *code, uint64_t at, bool *ret_fast)
{
	struct walk w;

	*ret_fast = false;
	if (!walk_begin(&w, cs, code, at))
		return at;
	uint64_t site = at;
	if (walk_next(&w) && w.insn->id == X86_INS_ENDBR64) {
		uint64_t behind = w.at;

		*ret_fast = walk_next(&w) && emulated(w.insn);
		if (*ret_fast)
			site = behind;
	} else {
		*ret_fast = emulated(w.insn);
	}
	walk_end(&w);
	return site;
}

/*
 * What the internal function gets as place for the byte count: the form of
 * `ex` or `ex2`, told by how SSL_write_ex (SSL_write_ex2 where there is one:
 * SSL_write_ex then only jumps to it) hands its own on.  -1: cannot be told.
 */
static int internal_form(csh cs, const struct site_code *code, const struct target *t, int ex, int ex2, uint64_t internal)
{
	struct flow f;

	if (ex2 >= 0 && t->offset[ex2])
		return first_call(cs, code, t->offset[ex2], &f) == internal && f.base_intact && f.fifth_intact ? ex2 : -1;
	if (first_call(cs, code, t->offset[ex], &f) != internal || !f.base_intact)
		return -1;
	return f.fourth_intact ? ex : f.fourth_is_fifth ? ex2 : -1;
}

/* Puts the probes of all forms on the function that they call; false when that is not provably right. */
static bool use_internal(csh cs, const struct site_code *code, struct target *t, int plain, int ex, int ex2)
{
	struct flow ignored;
	bool fast;

	uint64_t internal = first_call(cs, code, t->offset[plain], &ignored);
	int form = internal ? internal_form(cs, code, t, ex, ex2, internal) : -1;
	if (form < 0)
		return false;
	uint64_t site = entry_site(cs, code, internal, &fast);
	if (!fast)
		return false;
	t->offset[plain] = t->offset[ex] = 0;
	t->offset[form] = site;
	return true;
}

void site_choose(const struct site_code *code, struct target *t)
{
	csh cs;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &cs)) {
		t->slow = ~0u;
		return;
	}
	cs_option(cs, CS_OPT_DETAIL, CS_OPT_ON);
	struct target moved = *t;
	if (use_internal(cs, code, &moved, TARGET_WRITE, TARGET_WRITE_EX, TARGET_WRITE_EX2) &&
	    use_internal(cs, code, &moved, TARGET_READ, TARGET_READ_EX, -1)) {
		*t = moved;
		t->internal = 1;
	}
	for (int f = 0; f < TARGET_FUNCS; f++) {
		bool fast;

		if (!t->offset[f])
			continue;
		t->offset[f] = entry_site(cs, code, t->offset[f], &fast);
		if (!fast)
			t->slow |= 1u << f;
	}
	cs_close(&cs);
}

#else

/* Which instructions are simulated under a uprobe differs here: the probes stay on the symbols. */
void site_choose(const struct site_code *code, struct target *t)
{
	(void)code;
	t->slow = ~0u;
}

#endif
