/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Go programs: their table of functions in its four formats, made here byte
 * by byte and cut at every place; and whole files with one, whose code is
 * that of Go's compiler.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <linux/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../bpf/events.h"
#include "base/buf.h"
#include "target/go.h"
#include "target/gopclntab.h"
#include "target/target.h"

#define TEXT 0x401000 /* address of the code */
#define HERE 0x1000   /* where it lies in the file */

static const char *const names[] = {"runtime.text", "crypto/tls.(*Conn).writeRecordLocked",
                                    "crypto/tls.(*Conn).Read", "crypto/tls.(*Conn).Readers",
                                    "crypto/tls.(*Conn).clientHandshake"};

#define NAMES    5
#define FUNCTION 64 /* bytes of each */

static void add32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof(v));
}

static void add64(struct buf *b, uint64_t v)
{
	buf_add(b, &v, sizeof(v));
}

static void set64(struct buf *b, size_t at, uint64_t v)
{
	memcpy(b->p + at, &v, sizeof(v));
}

/* As the linker of Go writes it: header, names, table of functions, their records. */
static void make(struct buf *b, enum gopclntab_format format, uint64_t text)
{
	static const uint32_t magics[] = {0xfffffffb, 0xfffffffa, 0xfffffff0, 0xfffffff1};
	bool small = format >= GOPCLNTAB_118;
	size_t words = format == GOPCLNTAB_12 ? 1 : small ? 8 : 7, name_at[NAMES], rows, base;

	add32(b, magics[format]);
	buf_add(b, "\0\0\1\10", 4);
	for (size_t i = 0; i < words; i++)
		add64(b, i == 0 ? NAMES : small && i == 2 ? text : 0);
	size_t at_names = b->n;
	if (format != GOPCLNTAB_12) {
		for (int i = 0; i < NAMES; i++) {
			name_at[i] = b->n - at_names;
			buf_add(b, names[i], strlen(names[i]) + 1);
		}
		set64(b, small ? 32 : 24, at_names);
		set64(b, small ? 64 : 56, b->n);
	}
	base = format == GOPCLNTAB_12 ? 0 : b->n;
	rows = b->n;
	for (int i = 0; i < NAMES; i++) {
		uint64_t start = FUNCTION * (uint64_t)i,
		         record = rows - base + (small ? 8 : 16) * NAMES + 8 + 12 * (uint64_t)i;

		if (small) {
			add32(b, (uint32_t)start);
			add32(b, (uint32_t)record);
		} else {
			add64(b, text + start);
			add64(b, record);
		}
	}
	add64(b, small ? FUNCTION * NAMES : text + FUNCTION * NAMES);
	size_t records = b->n;
	for (int i = 0; i < NAMES; i++) {
		uint32_t name = format == GOPCLNTAB_12 ? (uint32_t)(records + 12 * NAMES + 40 * (size_t)i)
		                                       : (uint32_t)name_at[i];

		if (small)
			add32(b, (uint32_t)(FUNCTION * i));
		else
			add64(b, text + FUNCTION * (uint64_t)i);
		add32(b, name);
		if (small)
			add32(b, 0);
	}
	for (int i = 0; format == GOPCLNTAB_12 && i < NAMES; i++) {
		char padded[40] = "";

		snprintf(padded, sizeof(padded), "%s", names[i]);
		buf_add(b, padded, sizeof(padded));
	}
}

static void every_format_is_read(void **state)
{
	(void)state;
	for (enum gopclntab_format format = GOPCLNTAB_12; format <= GOPCLNTAB_120; format++) {
		struct gopclntab_function f;
		struct gopclntab t;
		struct buf b = {0};

		make(&b, format, TEXT);
		assert_true(gopclntab_init(&t, (const uint8_t *)b.p, b.n));
		assert_int_equal(t.format, format);
		assert_int_equal(t.functions, NAMES);
		for (int i = 0; i < NAMES; i++) {
			assert_true(gopclntab_function(&t, (uint64_t)i, &f));
			assert_int_equal(f.start, TEXT + FUNCTION * i);
			assert_int_equal(f.end, TEXT + FUNCTION * (i + 1));
			assert_string_equal(f.name, names[i]);
		}
		assert_false(gopclntab_function(&t, NAMES, &f));
		buf_release(&b);
	}
}

/* A copy of exactly the bytes, so that a read beyond them is noticed. */
static void a_cut_or_changed_table_is_survived(void **state)
{
	(void)state;
	for (enum gopclntab_format format = GOPCLNTAB_12; format <= GOPCLNTAB_120; format++) {
		struct buf b = {0};

		make(&b, format, TEXT);
		for (size_t cut = 0; cut <= b.n; cut++)
			for (size_t wrong = 0; wrong < 2; wrong++) {
				struct gopclntab_function f;
				struct gopclntab t;
				uint8_t *exact = malloc(cut ? cut : 1);

				memcpy(exact, b.p, cut);
				if (wrong && cut > 8)
					exact[8 + cut % (cut - 8)] ^= 0xff;
				unsigned long sum = 0;
				if (gopclntab_init(&t, exact, cut))
					for (uint64_t i = 0; i < 2 * NAMES && gopclntab_function(&t, i, &f);
					     i++)
						for (size_t k = 0; k < f.name_max; k++)
							sum += (unsigned char)f.name[k];
				assert_true(sum < 1ul << 40);
				free(exact);
			}
		buf_release(&b);
	}
}

static void what_is_no_table_is_refused(void **state)
{
	struct gopclntab t;
	struct buf b = {0};

	(void)state;
	make(&b, GOPCLNTAB_120, TEXT);
	b.p[7] = 4; /* of a 32-bit machine */
	assert_false(gopclntab_init(&t, (const uint8_t *)b.p, b.n));
	b.p[7] = 8;
	b.p[0] = 0;
	assert_false(gopclntab_init(&t, (const uint8_t *)b.p, b.n));
	b.p[0] = (char)0xf1;
	set64(&b, 8, 1ull << 61); /* functions */
	assert_false(gopclntab_init(&t, (const uint8_t *)b.p, b.n));
	buf_release(&b);
}

/* --- whole files --- */

/* cmp rsp, [r14+16]; jbe; push rbp; pop rbp; ret; ret; then the call for more stack and the jump back, and
 * filler. */
#define AMD64 "\x49\x3b\x66\x10\x76\x04\x55\x5d\xc3\xc3\x90\x90\xeb\xf2"
/* lea r12, [rsp-0x48]; cmp r12, [r14+16]; jbe (near); push rbp; pop rbp; ret; jmp back */
#define LARGE "\x4c\x8d\x64\x24\xb8\x4d\x3b\x66\x10\x0f\x86\x03\x00\x00\x00\x55\x5d\xc3\xeb\xec"
/* ldr x16, [x28, #16]; cmp sp, x16; b.ls; str x30, [sp, #-16]!; ret; b back */
#define ARM64                                                                                                \
	"\x90\x0b\x40\xf9\xff\x63\x30\xeb\x69\x00\x00\x54\xfe\x0f\x1f\xf8\xc0\x03\x5f\xd6\xfb\xff\xff\x17"

struct part {
	const char *name;
	struct buf bytes;
	uint64_t addr;
	uint32_t flags;
	size_t at;
};

static void pad(struct buf *b, size_t to)
{
	while (b->n < to)
		buf_addc(b, '\0');
}

/* An executable file of these sections; one segment for the code. */
static void make_elf(struct buf *file, uint16_t machine, struct part *parts, size_t n)
{
	Elf64_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	                 .e_type = ET_EXEC,
	                 .e_machine = machine,
	                 .e_version = EV_CURRENT,
	                 .e_phoff = sizeof(eh),
	                 .e_ehsize = sizeof(eh),
	                 .e_phentsize = sizeof(Elf64_Phdr),
	                 .e_phnum = 1,
	                 .e_shentsize = sizeof(Elf64_Shdr),
	                 .e_shnum = (uint16_t)(n + 2),
	                 .e_shstrndx = (uint16_t)(n + 1)};
	Elf64_Phdr ph = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = HERE, .p_vaddr = TEXT};
	Elf64_Shdr sh[8] = {{0}};
	struct buf strings = {0};

	buf_addc(&strings, '\0');
	pad(file, HERE);
	for (size_t i = 0; i < n; i++) {
		sh[i + 1] = (Elf64_Shdr){.sh_name = (uint32_t)strings.n,
		                         .sh_type = SHT_PROGBITS,
		                         .sh_flags = SHF_ALLOC | parts[i].flags,
		                         .sh_addr = parts[i].addr,
		                         .sh_offset = file->n,
		                         .sh_size = parts[i].bytes.n,
		                         .sh_addralign = 1};
		buf_add(&strings, parts[i].name, strlen(parts[i].name) + 1);
		if (i == 0)
			ph.p_filesz = ph.p_memsz = parts[i].bytes.n;
		buf_addslice(file, buf_slice(&parts[i].bytes));
		pad(file, (file->n + 15) & ~(size_t)15);
		buf_release(&parts[i].bytes);
	}
	sh[n + 1] = (Elf64_Shdr){.sh_name = (uint32_t)strings.n,
	                         .sh_type = SHT_STRTAB,
	                         .sh_offset = file->n,
	                         .sh_size = strings.n + 10};
	buf_add(&strings, ".shstrtab", 10);
	buf_addslice(file, buf_slice(&strings));
	pad(file, (file->n + 15) & ~(size_t)15);
	eh.e_shoff = file->n;
	buf_add(file, sh, (n + 2) * sizeof(sh[0]));
	memcpy(file->p, &eh, sizeof(eh));
	memcpy(file->p + sizeof(eh), &ph, sizeof(ph));
	buf_release(&strings);
}

/* A Go program whose functions all have this code. */
static void make_program(struct buf *file, uint16_t machine, enum gopclntab_format format, const char *code,
                         size_t n, const char *version)
{
	struct part parts[] = {{.name = ".text", .addr = TEXT, .flags = SHF_EXECINSTR},
	                       {.name = ".gopclntab", .addr = 0x500000},
	                       {.name = ".go.buildinfo", .addr = 0x600000}};

	for (int i = 0; i < NAMES; i++) {
		buf_add(&parts[0].bytes, code, n);
		while (parts[0].bytes.n < FUNCTION * (size_t)(i + 1))
			buf_addc(&parts[0].bytes, machine == EM_X86_64 ? (char)0xcc : '\0');
	}
	make(&parts[1].bytes, format, TEXT);
	buf_add(&parts[2].bytes, "\xff Go buildinf:\x08\x02", 16);
	pad(&parts[2].bytes, 32);
	buf_addc(&parts[2].bytes, (char)strlen(version));
	buf_add(&parts[2].bytes, version, strlen(version) + 1);
	make_elf(file, machine, parts, 3);
}

static void inspect(const struct buf *file, struct target *ret)
{
	int fd = memfd_create("go", MFD_CLOEXEC);

	assert_int_equal(write(fd, file->p, file->n), file->n);
	target_inspect(fd, ret);
	close(fd);
}

#define AT(function) (HERE + FUNCTION * (function))

static void entries_and_returns_are_found(void **state)
{
	static const struct {
		uint16_t machine;
		const char *code;
		size_t n, entry, behind, returns, first;
		bool slow;
	} cases[] = {
	    {EM_X86_64, AMD64, sizeof(AMD64) - 1, 4, 6, 2, 8, true},
	    {EM_X86_64, LARGE, sizeof(LARGE) - 1, 9, 15, 1, 17, true},
	    {EM_AARCH64, ARM64, sizeof(ARM64) - 1, 8, 12, 1, 16, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (enum gopclntab_format format = GOPCLNTAB_118; format <= GOPCLNTAB_120; format++) {
			struct buf file = {0};
			struct target t;

			make_program(&file, cases[i].machine, format, cases[i].code, cases[i].n, "go1.22.3");
			inspect(&file, &t);
			assert_int_equal(t.err, 0);
			assert_int_equal(t.lib, EV_LIB_GO);
			assert_string_equal(t.version, "1.22.3");
			assert_true(target_has_probes(&t));
			assert_int_equal(t.offset[TARGET_WRITE_RECORD], AT(1) + cases[i].behind);
			assert_int_equal(t.offset[TARGET_READ], AT(2) + cases[i].entry);
			assert_int_equal(t.offset[TARGET_BEGIN], AT(4) + cases[i].entry);
			assert_int_equal(t.offset[TARGET_FREE], 0);
			assert_int_equal(t.n_ret[TARGET_READ], cases[i].returns);
			assert_int_equal(t.ret_offset[TARGET_READ][0], AT(2) + cases[i].first);
			assert_int_equal(target_is_slow(&t), cases[i].slow);
			buf_release(&file);
		}
}

static void what_is_not_sure_is_refused(void **state)
{
	static const struct {
		uint16_t machine;
		enum gopclntab_format format;
		const char *code;
		size_t n;
		const char *version;
		enum target_why why;
	} cases[] = {
	    {EM_X86_64, GOPCLNTAB_12, AMD64, sizeof(AMD64) - 1, "go1.15", TARGET_WHY_STACK_ARGUMENTS},
	    {EM_X86_64, GOPCLNTAB_116, AMD64, sizeof(AMD64) - 1, "go1.16.4", TARGET_WHY_STACK_ARGUMENTS},
	    {EM_X86_64, GOPCLNTAB_116, AMD64, sizeof(AMD64) - 1, "devel", TARGET_WHY_STACK_ARGUMENTS},
	    {EM_X86_64, GOPCLNTAB_116, AMD64, sizeof(AMD64) - 1, "go1.17.2", TARGET_WHY_NONE},
	    {EM_AARCH64, GOPCLNTAB_116, ARM64, sizeof(ARM64) - 1, "go1.17.2", TARGET_WHY_STACK_ARGUMENTS},
	    {EM_X86_64, GOPCLNTAB_120, "\x55\x5d\xc3", 3, "go1.22", TARGET_WHY_NO_PROLOGUE},
	    {EM_X86_64, GOPCLNTAB_120, "\x49\x3b\x66\x10\x76\x00\x90\xeb\xfd", 9, "go1.22",
	     TARGET_WHY_NO_RETURN},
	    {EM_X86_64, GOPCLNTAB_120, "\x49\x3b\x66\x10\x76\x00\x06\xc3", 8, "go1.22", TARGET_WHY_UNDECODED},
	    {EM_X86_64, GOPCLNTAB_120, "\x49\x3b\x66\x10\x76\x01\x48\x89\xc3\xc3", 10, "go1.22",
	     TARGET_WHY_MISALIGNED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf file = {0};
		struct target t;

		make_program(&file, cases[i].machine, cases[i].format, cases[i].code, cases[i].n,
		             cases[i].version);
		inspect(&file, &t);
		assert_int_equal(t.lib, EV_LIB_GO);
		assert_int_equal(target_has_probes(&t), !cases[i].why);
		if (cases[i].why)
			assert_int_equal(t.why_public, cases[i].why);
		for (int f = 0; f < TARGET_FUNCS && cases[i].why; f++)
			assert_true(!t.offset[f] && !t.n_ret[f]);
		buf_release(&file);
	}
}

static void a_cut_program_is_survived(void **state)
{
	struct buf file = {0};

	(void)state;
	make_program(&file, EM_X86_64, GOPCLNTAB_120, AMD64, sizeof(AMD64) - 1, "go1.22");
	for (size_t cut = 0; cut < file.n; cut += 37) {
		struct buf part = {.p = file.p, .n = cut};
		struct target t;

		inspect(&part, &t);
		assert_true(t.err || !t.lib);
	}
	buf_release(&file);
}

static void versions_are_told(void **state)
{
	char version[16] = "";

	(void)state;
	assert_true(go_version("go1.22.3", 8, version));
	assert_string_equal(version, "1.22.3");
	assert_true(go_version("go1.24rc1 X:boringcrypto", 24, version));
	assert_string_equal(version, "1.24rc1");
	assert_true(go_version("go1.23.4567890123456789", 23, version));
	assert_string_equal(version, "1.23.4567890123");
	assert_false(go_version("devel go1.2", 11, version));
	assert_false(go_version("go", 2, version));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_format_is_read),
	    cmocka_unit_test(a_cut_or_changed_table_is_survived),
	    cmocka_unit_test(what_is_no_table_is_refused),
	    cmocka_unit_test(entries_and_returns_are_found),
	    cmocka_unit_test(what_is_not_sure_is_refused),
	    cmocka_unit_test(a_cut_program_is_survived),
	    cmocka_unit_test(versions_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
