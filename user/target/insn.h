/* SPDX-License-Identifier: Apache-2.0 */
/*
 * insn.h - what one machine instruction means for probes.
 *
 * Two machines, a row each (insn_x86.c, insn_arm64.c), which also say what the
 * kernel does with a uprobe on an instruction: it simulates a few, and copies
 * out and single-steps every other one, which costs a second trap.
 */
#ifndef SPANTAP_INSN_H
#define SPANTAP_INSN_H

#include <capstone/capstone.h>

#include "target/code.h"

#define INSN_ARGS  5      /* arguments whose registers are watched: the public functions have no more */
#define INSN_TOTAL 200000 /* instructions that one inspection decodes: 0.2 s; libssl takes 3,000 */

enum insn_kind {
	INSN_OTHER,
	INSN_CALL,        /* to `to` */
	INSN_CALL_MEMORY, /* through the slot at `to`, 0: not known */
	INSN_JUMP,
	INSN_JUMP_MEMORY,
	INSN_BRANCH, /* conditional, to `to` */
	INSN_RET,
	INSN_LANDING, /* endbr64, bti: marks where indirect jumps may land, does nothing */
};

struct insn {
	uint64_t at, to;
	uint8_t size;
	uint8_t kind;    /* enum insn_kind */
	bool simulated;  /* a uprobe there costs one trap */
	bool stores;     /* to memory behind a register that is neither stack nor frame pointer */
	bool frame;      /* changes the stack pointer, or where the return address is */
	uint8_t writes;  /* bit i: the register of argument i */
	uint8_t reads;   /* the same */
	int8_t moved[2]; /* a plain move of argument [1] to argument [0]; -1: none */
	uint64_t page;   /* arm64 adrp: what it loads */
	int32_t load;    /* arm64 ldr of 64 bits: the offset from its base register; -1: none */
	int32_t field;   /* x86-64: offset of the memory that it uses behind another register than rsp, rip; -1 */
	int8_t constant; /* the argument that gets `value`; -1: none */
	int8_t added;    /* arm64: the argument to which `value` is added; -1: none */
	uint64_t value;
	char name[8];
};

/* Addresses that are looked for, in order. */
struct insn_wanted {
	const uint64_t *v;
	size_t n;
};

/* The instruction at `at` forms the address `to`. */
struct insn_ref {
	uint64_t at, to;
};

bool insn_wants(const struct insn_wanted *wanted, uint64_t addr);

struct insn_machine {
	uint16_t machine;
	cs_arch arch;
	cs_mode mode;
	uint8_t insn_max;   /* bytes */
	/* Fills everything behind `size`; `raw` are the bytes. False: not an instruction that may be passed
	 * over. */
	bool (*describe)(csh cs, const cs_insn *i, struct insn *ret);
	/* An instruction that the disassembler does not know; false: this machine's rows do not know it
	 * either. */
	bool (*unknown)(const uint8_t *raw, struct insn *ret);
	/*
	 * The first of n places from p on, which lies at address `at`, whose bytes
	 * may mean the address `to` (a call, a branch, its address); n: none.
	 * INSN_MENTION bytes may be read from each.
	 */
	size_t (*mention)(const uint8_t *p, size_t n, uint64_t at, uint64_t to);
	/*
	 * The first of n places from p on, which lies at address `at`, where an
	 * instruction ends that forms one of the wanted addresses (which are in
	 * order): its own address and that one.  n: none.
	 */
	size_t (*refers)(const uint8_t *p, size_t n, uint64_t at, const struct insn_wanted *wanted,
	                 struct insn_ref *ret);
	/*
	 * Whether a function may begin at p, `before` bytes behind what is known;
	 * whether what is there, n bytes, lies between functions.
	 */
	bool (*begins)(const uint8_t *p, size_t before, size_t n);
	bool (*padding)(const uint8_t *p, size_t n);
	uint8_t aligned; /* functions are */
	bool fixed; /* instructions have one size, and lie at multiples of it */
};

#define INSN_MENTION 8
#define INSN_REFERS  64 /* bytes over which one reference may be spread */

extern const struct insn_machine insn_x86_64, insn_arm64;

const struct insn_machine *insn_machine(uint16_t machine); /* NULL: not known */

struct decoder {
	const struct insn_machine *m;
	csh cs;
	cs_insn *insn;
	unsigned left; /* of INSN_TOTAL */
};

/* False when the machine is not known. */
bool decoder_init(struct decoder *d, uint16_t machine);
void decoder_release(struct decoder *d);
/* The instruction at *at, *p; both move behind it. False: none, or the budget is spent. */
bool decoder_next(struct decoder *d, const uint8_t **p, size_t *left, uint64_t *at, struct insn *ret);

/* Instructions from an address on, INSN_WALK at the most. */
#define INSN_WALK 48

struct walk {
	struct decoder *d;
	const uint8_t *p;
	size_t left;
	uint64_t at; /* of the next one */
	uint8_t bytes[INSN_WALK * 15];
};

void walk_init(struct walk *w, struct decoder *d, const struct code *code, uint64_t at);
bool walk_next(struct walk *w, struct insn *ret);

#endif
