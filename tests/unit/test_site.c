/* SPDX-License-Identifier: Apache-2.0 */
/* Function starts as compilers lay them out (Debian 12: OpenSSL 3.0, Debian 13: 3.5, endbr64), written by
 * hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>

#include "../../bpf/events.h"
#include "target/site.h"

#define BASE 0x1000 /* address of the code */

struct code_bytes {
	uint8_t b[512];
	size_t ex_size; /* of SSL_write_ex */
};

#define PUT(c, at, bytes, call_at, to) put(c, at, bytes, sizeof(bytes) - 1, call_at, to)

/* sub $0x18,%rsp; test %edx,%edx; js +2; mov %rsp,%rcx; movslq %edx,%rdx; call; ret */
#define PLAIN    "\x48\x83\xec\x18\x85\xd2\x78\x20\x48\x89\xe1\x48\x63\xd2\xe8\0\0\0\0\xc3"
#define PLAIN_AT 14
/* sub $8,%rsp; call; ret */
#define EX    "\x48\x83\xec\x08\xe8\0\0\0\0\xc3"
#define EX_AT 4
/* sub $8,%rsp; mov %rcx,%r8; xor %ecx,%ecx; call; ret */
#define EX_AS_5TH    "\x48\x83\xec\x08\x49\x89\xc8\x31\xc9\xe8\0\0\0\0\xc3"
#define EX_AS_5TH_AT 9
/* sub $8,%rsp; mov %rcx,%rdx; call; ret: an argument that we need is gone */
#define EX_SPOILT    "\x48\x83\xec\x08\x48\x89\xca\xe8\0\0\0\0\xc3"
#define EX_SPOILT_AT 7
/* sub $8,%rsp; call; call *%rax; ret */
#define EX_TWICE    "\x48\x83\xec\x08\xe8\0\0\0\0\xff\xd0\xc3"
#define EX_TWICE_AT 4
#define PUSH        "\x41\x56\xc3"                 /* push %r14; ret */
#define ENDBR_PUSH  "\xf3\x0f\x1e\xfa\x41\x56\xc3" /* endbr64; push %r14; ret */
#define SUB         "\x48\x83\xec\x18\xc3"

static long read_code(void *ctx, uint64_t offset, void *ret, size_t n)
{
	const struct code_bytes *c = ctx;
	size_t left = sizeof(c->b) - (offset - BASE);

	memcpy(ret, c->b + (offset - BASE), n < left ? n : left);
	return (long)(n < left ? n : left);
}

static const char *const symbols[TARGET_FUNCS] = {
    [TARGET_WRITE] = "SSL_write",
    [TARGET_WRITE_EX] = "SSL_write_ex",
    [TARGET_READ] = "SSL_read",
    [TARGET_READ_EX] = "SSL_read_ex",
};

static struct target choose_version(struct code_bytes *c, size_t text_end, const char *version)
{
	struct code code = {.read = read_code,
	                    .ctx = c,
	                    .machine = EM_X86_64,
	                    .text_start = BASE,
	                    .text_end = BASE + text_end};
	struct site_func funcs[TARGET_FUNCS] = {[TARGET_WRITE] = {BASE + 16, sizeof(PLAIN) - 1},
	                                        [TARGET_WRITE_EX] = {BASE + 64, c->ex_size},
	                                        [TARGET_READ] = {BASE + 128, sizeof(PLAIN) - 1},
	                                        [TARGET_READ_EX] = {BASE + 192, sizeof(EX) - 1}};
	struct target t = {.lib = EV_LIB_OPENSSL};

	snprintf(t.version, sizeof(t.version), "%s", version);
	site_choose(&code, funcs, symbols, &t);
	return t;
}

static struct target choose(struct code_bytes *c, size_t text_end)
{
	return choose_version(c, text_end, "3.0.19");
}

/* Places `bytes` at BASE + at; a call in them is patched to go to BASE + to. */
static void put(struct code_bytes *c, size_t at, const char *bytes, size_t n, size_t call_at, size_t to)
{
	memcpy(c->b + at, bytes, n);
	if (call_at) {
		int32_t rel = (int32_t)(to - (at + call_at + 5));

		memcpy(c->b + at + call_at + 1, &rel, sizeof(rel));
	}
}

/* A library whose four functions call 300 (write) and 340 (read), the latter two beginning with `start`. */
static struct code_bytes library(const char *start, size_t n)
{
	struct code_bytes c;

	memset(c.b, 0xcc, sizeof(c.b));
	c.ex_size = sizeof(EX) - 1;
	PUT(&c, 16, PLAIN, PLAIN_AT, 300);
	PUT(&c, 64, EX, EX_AT, 300);
	PUT(&c, 128, PLAIN, PLAIN_AT, 340);
	PUT(&c, 192, EX, EX_AT, 340);
	put(&c, 300, start, n, 0, 0);
	put(&c, 340, start, n, 0, 0);
	return c;
}

static void the_common_function_is_found(void **state)
{
	struct code_bytes c = library(PUSH, sizeof(PUSH) - 1);
	struct target t = choose(&c, 512);

	(void)state;
	assert_true(t.internal);
	assert_int_equal(t.slow, 0);
	assert_int_equal(t.offset[TARGET_WRITE], 0);
	assert_int_equal(t.offset[TARGET_WRITE_EX], BASE + 300);
	assert_int_equal(t.offset[TARGET_READ], 0);
	assert_int_equal(t.offset[TARGET_READ_EX], BASE + 340);
}

static void a_probe_goes_behind_endbr64(void **state)
{
	struct code_bytes c = library(ENDBR_PUSH, sizeof(ENDBR_PUSH) - 1);
	struct target t = choose(&c, 512);

	(void)state;
	assert_true(t.internal);
	assert_int_equal(t.offset[TARGET_WRITE_EX], BASE + 304);
}

static void flags_in_between_change_the_form(void **state)
{
	struct code_bytes c = library(PUSH, sizeof(PUSH) - 1);

	(void)state;
	PUT(&c, 64, EX_AS_5TH, EX_AS_5TH_AT, 300);
	c.ex_size = sizeof(EX_AS_5TH) - 1;
	struct target t = choose_version(&c, 512, "3.5");
	assert_true(t.internal);
	assert_int_equal(t.offset[TARGET_WRITE_EX], 0);
	assert_int_equal(t.offset[TARGET_WRITE_EX2], BASE + 300);
}

static void version_and_code_must_agree(void **state)
{
	static const struct {
		const char *version;
		enum target_why plain,
		    flags; /* of code that hands the 4th argument on as the 4th, as the 5th */
	} cases[] = {
	    {"1.1.1w", TARGET_WHY_NONE, TARGET_WHY_VERSION_DISAGREES},
	    {"3.0", TARGET_WHY_NONE, TARGET_WHY_VERSION_DISAGREES},
	    {"3.2.1", TARGET_WHY_NONE, TARGET_WHY_VERSION_DISAGREES},
	    {"3.3.0", TARGET_WHY_VERSION_DISAGREES, TARGET_WHY_NONE},
	    {"3.6", TARGET_WHY_VERSION_DISAGREES, TARGET_WHY_NONE},
	    {"3.7.0", TARGET_WHY_VERSION_UNKNOWN, TARGET_WHY_VERSION_UNKNOWN},
	    {"", TARGET_WHY_VERSION_UNKNOWN, TARGET_WHY_VERSION_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct code_bytes plain = library(PUSH, sizeof(PUSH) - 1),
		                  flags = library(PUSH, sizeof(PUSH) - 1);
		struct target t = choose_version(&plain, 512, cases[i].version);

		assert_int_equal(t.why_public, cases[i].plain);
		assert_int_equal(t.internal, cases[i].plain == TARGET_WHY_NONE);
		PUT(&flags, 64, EX_AS_5TH, EX_AS_5TH_AT, 300);
		flags.ex_size = sizeof(EX_AS_5TH) - 1;
		t = choose_version(&flags, 512, cases[i].version);
		assert_int_equal(t.why_public, cases[i].flags);
		assert_int_equal(t.internal, cases[i].flags == TARGET_WHY_NONE);
	}
}

static void stays_on_the_symbols(struct code_bytes *c, size_t text_end)
{
	struct target t = choose(c, text_end);

	assert_false(t.internal);
	assert_int_equal(t.offset[TARGET_WRITE], BASE + 16);
	assert_int_equal(t.offset[TARGET_WRITE_EX], BASE + 64);
	assert_int_equal(t.offset[TARGET_READ], BASE + 128);
	assert_int_equal(t.offset[TARGET_READ_EX], BASE + 192);
	assert_int_not_equal(t.why_public, TARGET_WHY_NONE);
	assert_string_equal(t.insn[TARGET_WRITE], "sub");
	assert_int_equal(t.slow, 1u << TARGET_WRITE | 1u << TARGET_WRITE_EX | 1u << TARGET_READ |
	                             1u << TARGET_READ_EX);
}

static void doubt_means_the_symbols(void **state)
{
	struct code_bytes c = library(SUB, sizeof(SUB) - 1); /* no gain */

	(void)state;
	stays_on_the_symbols(&c, 512);

	c = library(PUSH, sizeof(PUSH) - 1); /* the two call different functions */
	PUT(&c, 192, EX, EX_AT, 300);
	stays_on_the_symbols(&c, 512);

	c = library(PUSH, sizeof(PUSH) - 1); /* an argument is not where it was */
	PUT(&c, 64, EX_SPOILT, EX_SPOILT_AT, 300);
	c.ex_size = sizeof(EX_SPOILT) - 1;
	stays_on_the_symbols(&c, 512);

	c = library(PUSH, sizeof(PUSH) - 1); /* what it calls first is not all that it calls */
	PUT(&c, 64, EX_TWICE, EX_TWICE_AT, 300);
	c.ex_size = sizeof(EX_TWICE) - 1;
	stays_on_the_symbols(&c, 512);

	c = library(PUSH, sizeof(PUSH) - 1); /* the calls leave .text: the PLT */
	stays_on_the_symbols(&c, 290);
}

static void hostile_code_is_survived(void **state)
{
	struct code_bytes c = {.ex_size = 40};

	(void)state;
	for (unsigned seed = 1; seed < 3000; seed++) {
		uint32_t x = seed * 2654435761u;

		for (size_t i = 0; i < sizeof(c.b); i++)
			c.b[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
		choose(&c, 512);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_common_function_is_found),     cmocka_unit_test(a_probe_goes_behind_endbr64),
	    cmocka_unit_test(flags_in_between_change_the_form), cmocka_unit_test(version_and_code_must_agree),
	    cmocka_unit_test(doubt_means_the_symbols),          cmocka_unit_test(hostile_code_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
