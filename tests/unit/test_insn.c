/* SPDX-License-Identifier: Apache-2.0 */
/* What single instructions mean for probes, encodings from the assemblers' listings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <string.h>

#include "target/insn.h"

struct one {
	const char *text, *bytes;
	uint8_t n, kind;
	bool simulated, frame;
	uint8_t writes;
	uint64_t to;
};

#define AT 0x1000u

static const struct one x86[] = {
    {"push %rbp", "\x55", 1, INSN_OTHER, true, true, 0, 0},
    {"push %r14", "\x41\x56", 2, INSN_OTHER, true, true, 0, 0},
    {"sub $8,%rsp", "\x48\x83\xec\x08", 4, INSN_OTHER, false, true, 0, 0},
    {"nop", "\x90", 1, INSN_OTHER, true, false, 0, 0},
    {"nopl", "\x0f\x1f\x44\0\0", 5, INSN_OTHER, false, false, 0, 0},
    {"endbr64", "\xf3\x0f\x1e\xfa", 4, INSN_LANDING, false, false, 0, 0},
    {"test %rdi,%rdi", "\x48\x85\xff", 3, INSN_OTHER, false, false, 0, 0},
    {"je +2", "\x74\x02", 2, INSN_BRANCH, true, false, 0, AT + 4},
    {"call +0", "\xe8\0\0\0\0", 5, INSN_CALL, true, true, 0, AT + 5},
    {"jmp -2", "\xeb\xfe", 2, INSN_JUMP, true, false, 0, AT},
    {"jmp *%rax", "\xff\xe0", 2, INSN_JUMP_MEMORY, false, false, 0, 0},
    {"jmp *8(%rip)", "\xff\x25\x08\0\0\0", 6, INSN_JUMP_MEMORY, false, false, 0, AT + 14},
    {"ret", "\xc3", 1, INSN_RET, false, true, 0, 0},
    {"rep ret", "\xf3\xc3", 2, INSN_RET, false, true, 0, 0},
    {"bnd ret", "\xf2\xc3", 2, INSN_RET, false, true, 0, 0},
    {"mov %rcx,%r8", "\x49\x89\xc8", 3, INSN_OTHER, false, false, 16, 0},
    {"xor %ecx,%ecx", "\x31\xc9", 2, INSN_OTHER, false, false, 8, 0},
    {"mov $1,%sil", "\x40\xb6\x01", 3, INSN_OTHER, false, false, 2, 0},
};

static const struct one arm64[] = {
    {"stp x29, x30, [sp, #-32]!", "\xfd\x7b\xbe\xa9", 4, INSN_OTHER, false, true, 0, 0},
    {"bti c", "\x5f\x24\x03\xd5", 4, INSN_LANDING, false, false, 0, 0},
    {"paciasp", "\x3f\x23\x03\xd5", 4, INSN_OTHER, false, true, 0, 0},
    {"nop", "\x1f\x20\x03\xd5", 4, INSN_OTHER, false, false, 0, 0},
    {"cbz x0, +8", "\x40\0\0\xb4", 4, INSN_BRANCH, true, false, 0, AT + 8},
    {"tbnz w2, #31, +8", "\x42\0\xf8\x37", 4, INSN_BRANCH, true, false, 0, AT + 8},
    {"b.eq +8", "\x40\0\0\x54", 4, INSN_BRANCH, true, false, 0, AT + 8},
    {"b -4", "\xff\xff\xff\x17", 4, INSN_JUMP, true, false, 0, AT - 4},
    {"bl +4", "\x01\0\0\x94", 4, INSN_CALL, true, false, 0, AT + 4},
    {"br x17", "\x20\x02\x1f\xd6", 4, INSN_JUMP_MEMORY, true, false, 0, 0},
    {"blr x1", "\x20\0\x3f\xd6", 4, INSN_CALL_MEMORY, true, false, 0, 0},
    {"ret", "\xc0\x03\x5f\xd6", 4, INSN_RET, true, false, 0, 0},
    {"retaa", "\xff\x0b\x5f\xd6", 4, INSN_RET, false, false, 0, 0},
    {"braa x8, x9", "\x09\x09\x1f\xd7", 4, INSN_JUMP_MEMORY, false, false, 0, 0},
    {"mov x4, x3", "\xe4\x03\x03\xaa", 4, INSN_OTHER, false, false, 16, 0},
    {"mov w3, #0", "\x03\0\x80\x52", 4, INSN_OTHER, false, false, 8, 0},
    {"ldr x0, +8 (literal)", "\x40\0\0\x58", 4, INSN_OTHER, false, false, 1, 0},
};

static void check(uint16_t machine, const struct one *table, size_t n)
{
	struct decoder d;

	assert_true(decoder_init(&d, machine));
	for (size_t i = 0; i < n; i++) {
		const struct one *e = &table[i];
		const uint8_t *p = (const uint8_t *)e->bytes;
		size_t left = e->n;
		uint64_t at = AT;
		struct insn insn;

		if (!decoder_next(&d, &p, &left, &at, &insn))
			fail_msg("%s: not known", e->text);
		if (insn.size != e->n || at != AT + e->n || left)
			fail_msg("%s: %u bytes", e->text, insn.size);
		if (insn.kind != e->kind || insn.simulated != e->simulated || insn.writes != e->writes ||
		    insn.to != e->to)
			fail_msg("%s: kind %u simulated %d writes %x to %#llx", e->text, insn.kind,
			         insn.simulated, insn.writes, (unsigned long long)insn.to);
		if (e->kind == INSN_OTHER && insn.frame != e->frame)
			fail_msg("%s: frame %d", e->text, insn.frame);
	}
	decoder_release(&d);
}

static void x86_64_instructions(void **state)
{
	(void)state;
	check(EM_X86_64, x86, sizeof(x86) / sizeof(x86[0]));
}

static void arm64_instructions(void **state)
{
	(void)state;
	check(EM_AARCH64, arm64, sizeof(arm64) / sizeof(arm64[0]));
}

static void the_budget_ends(void **state)
{
	static uint8_t nops[INSN_TOTAL + 10];
	const uint8_t *p = nops;
	size_t left = sizeof(nops), n = 0;
	struct decoder d;
	struct insn i;
	uint64_t at = 0;

	(void)state;
	memset(nops, 0x90, sizeof(nops));
	assert_true(decoder_init(&d, EM_X86_64));
	while (decoder_next(&d, &p, &left, &at, &i))
		n++;
	assert_int_equal(n, INSN_TOTAL);
	decoder_release(&d);
	assert_false(decoder_init(&d, EM_386));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(x86_64_instructions),
	    cmocka_unit_test(arm64_instructions),
	    cmocka_unit_test(the_budget_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
