/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <elf.h>
#include <gelf.h>
#include <linux/types.h>
#include <stdio.h>
#include <string.h>

#include "../../bpf/events.h"
#include "target/go.h"
#include "target/gopclntab.h"
#include "target/libs.h"
#include "target/sweep.h"

#define TABLE_MAX     (256u << 20) /* bytes: the largest seen has 60 MiB (a program of 500 MiB) */
#define FUNCTIONS_MAX 4000000      /* that program has 400,000; 30 ms for each million */
#define INFO_MAX      512          /* bytes of .go.buildinfo that are looked at */
#define INFO_INLINE   2            /* its flags: the version follows the header */
#define INFO_HEADER   32
#define PAD_MAX       64

struct functions {
	struct gopclntab_function f[TARGET_FUNCS];
	bool any;
};

static Elf_Data *section(struct image *image, const char *wanted, uint64_t *ret_addr)
{
	Elf_Scn *scn = NULL;
	size_t names;
	GElf_Shdr sh;

	if (elf_getshdrstrndx(image->elf, &names))
		return NULL;
	while ((scn = elf_nextscn(image->elf, scn)) && gelf_getshdr(scn, &sh)) {
		const char *name = elf_strptr(image->elf, names, sh.sh_name);

		if (!name || strcmp(name, wanted) != 0 || sh.sh_type != SHT_PROGBITS ||
		    sh.sh_size > TABLE_MAX)
			continue;
		*ret_addr = sh.sh_addr;
		return elf_rawdata(scn, NULL);
	}
	return NULL;
}

/* --- version --- */

bool go_version(const char *p, size_t n, char ret[16])
{
	size_t len = 0;

	if (n < 3 || memcmp(p, "go", 2) != 0 || !isdigit((unsigned char)p[2]))
		return false;
	for (p += 2, n -= 2; len < n && len < 15 && (isalnum((unsigned char)p[len]) || p[len] == '.'); len++)
		ret[len] = p[len];
	ret[len] = '\0';
	return true;
}

/* Before Go 1.18 the header holds the address of a string: its address and length. */
static bool version_by_address(const struct image *image, const uint8_t *info, char ret[16])
{
	uint64_t at, string[2];
	char text[24];

	memcpy(&at, info + 16, sizeof(at));
	if (image->code.read(image->code.ctx, at, string, sizeof(string)) != sizeof(string))
		return false;
	size_t n = string[1] < sizeof(text) ? string[1] : sizeof(text);
	long got = image->code.read(image->code.ctx, string[0], text, n);
	return got > 0 && go_version(text, (size_t)got, ret);
}

/* .go.buildinfo, debug/buildinfo/buildinfo.go. */
static void read_version(struct image *image, char ret[16])
{
	uint64_t addr;
	Elf_Data *d = section(image, ".go.buildinfo", &addr);
	const uint8_t *p = d ? d->d_buf : NULL;
	size_t n = d && d->d_size < INFO_MAX ? d->d_size : INFO_MAX;

	if (!p || d->d_size <= INFO_HEADER + 1 || memcmp(p, "\xff Go buildinf:", 14) != 0 || p[14] != 8)
		return;
	if (!(p[15] & INFO_INLINE))
		version_by_address(image, p, ret);
	else if (p[INFO_HEADER] < 0x80 && p[INFO_HEADER] <= n - INFO_HEADER - 1)
		go_version((const char *)p + INFO_HEADER + 1, p[INFO_HEADER], ret);
}

/* --- the table --- */

static const struct tls_lib *row(void)
{
	const struct tls_lib *lib = tls_libs;

	while (lib->lib != EV_LIB_GO)
		lib++;
	return lib;
}

static void match(struct functions *fs, const struct tls_lib *lib, const struct gopclntab_function *f)
{
	size_t prefix = strlen(lib->prefix);

	if (f->name_max < prefix || memcmp(f->name, lib->prefix, prefix) != 0)
		return;
	for (int i = 0; i < TARGET_FUNCS; i++) {
		size_t n = lib->symbols[i] ? strlen(lib->symbols[i]) + 1 : 0;

		if (n && f->name_max >= n && memcmp(f->name, lib->symbols[i], n) == 0) {
			fs->f[i] = *f;
			fs->any = true;
		}
	}
}

static bool open_table(struct image *image, struct gopclntab *ret)
{
	uint64_t addr;
	Elf_Data *d = section(image, ".gopclntab", &addr);

	if (!d)
		d = section(image, ".data.rel.ro.gopclntab", &addr);
	if (!d || !d->d_buf || !gopclntab_init(ret, d->d_buf, d->d_size))
		return false;
	if (ret->text_at && !ret->text && !image_addend(image, addr + ret->text_at, &ret->text))
		ret->text = image->code.text_start;
	return true;
}

static void find_functions(const struct gopclntab *table, struct functions *ret)
{
	const struct tls_lib *lib = row();
	struct gopclntab_function f;

	for (uint64_t i = 0; i < table->functions && i < FUNCTIONS_MAX && gopclntab_function(table, i, &f);
	     i++)
		match(ret, lib, &f);
}

/* Whether arguments are in registers: since Go 1.17 on amd64, since 1.18 on arm64. */
static bool register_arguments(const struct image *image, const struct gopclntab *table, const char *version)
{
	unsigned major, minor;

	if (table->format >= GOPCLNTAB_118)
		return true;
	return table->format == GOPCLNTAB_116 && image->code.machine == EM_X86_64 &&
	       sscanf(version, "%u.%u", &major, &minor) == 2 && major == 1 && minor == 17;
}

/* --- where to probe --- */

/* cmp rsp, [r14+16], or of a larger frame lea r12, [rsp-n]; cmp r12, [r14+16]; then jbe. 0: none. */
static size_t stack_check_amd64(const uint8_t *p)
{
	size_t at;

	if (memcmp(p, "\x49\x3b\x66\x10", 4) == 0)
		at = 4;
	else if (memcmp(p, "\x4c\x8d\x64\x24", 4) == 0 && memcmp(p + 5, "\x4d\x3b\x66\x10", 4) == 0)
		at = 9;
	else if (memcmp(p, "\x4c\x8d\xa4\x24", 4) == 0 && memcmp(p + 8, "\x4d\x3b\x66\x10", 4) == 0)
		at = 12;
	else
		return 0;
	return p[at] == 0x76 || (p[at] == 0x0f && p[at + 1] == 0x86) ? at : 0;
}

/* ldr x16, [x28, #16]; cmp sp, x16, or sub x17, sp, #n (mov x17, sp); cmp x17, x16; then b.ls. */
static size_t stack_check_arm64(const uint8_t *p)
{
	uint32_t i[4];
	size_t at;

	memcpy(i, p, sizeof(i));
	if (i[0] != 0xf9400b90)
		return 0;
	if (i[1] == 0xeb3063ff)
		at = 2;
	else if (((i[1] & 0xff8003ff) == 0xd10003f1 || i[1] == 0x910003f1) && i[2] == 0xeb10023f)
		at = 3;
	else
		return 0;
	return (i[at] & 0xff00001f) == 0x54000009 ? 4 * at : 0;
}

/* The jump of the stack check of the function at `start`; 0: it does not begin with one. */
static uint64_t entry(const struct code *code, uint64_t start)
{
	uint8_t bytes[16] = {0};

	if (code->read(code->ctx, start, bytes, sizeof(bytes)) != sizeof(bytes))
		return 0;
	size_t at = code->machine == EM_X86_64 ? stack_check_amd64(bytes) : stack_check_arm64(bytes);
	return at ? start + at : 0;
}

/* Without what fills up to the next function. */
static uint64_t end_of_code(const struct code *code, const struct gopclntab_function *f)
{
	uint8_t filler = code->machine == EM_X86_64 ? 0xcc : 0, b;
	uint64_t end = f->end;

	for (int i = 0; i < PAD_MAX && end > f->start + 1; i++, end--)
		if (code->read(code->ctx, end - 1, &b, 1) != 1 || b != filler)
			break;
	return code->machine == EM_X86_64 ? end : (end + 3) & ~3ull;
}

/* Every `ret`: jumps through memory stay within the function (tables of switches), Go makes no tail calls. */
static enum target_why place_returns(struct target *t, int func, const struct code *code, struct decoder *d,
                                     const struct gopclntab_function *f)
{
	struct sweep s;
	enum target_why why = sweep_init(&s, d, code, f->start, end_of_code(code, f));
	unsigned n = 0;

	for (size_t i = 0; i < s.n && !why; i++) {
		if (s.insns[i].kind != INSN_RET)
			continue;
		if (n == TARGET_RETURNS_MAX)
			why = TARGET_WHY_TOO_MANY;
		else
			t->ret_offset[func][n++] = s.insns[i].at;
		if (!s.insns[i].simulated)
			t->slow |= 1u << func;
	}
	sweep_release(&s);
	if (!why && n == 0)
		why = TARGET_WHY_NO_RETURN;
	t->n_ret[func] = why ? 0 : (uint8_t)n;
	t->ret_why[func] = (uint8_t)why;
	return why;
}

/* The instruction behind the jump, which is passed once a call: the jump is passed again on a larger stack.
 */
static bool behind_check(struct target *t, int func, const struct code *code, struct decoder *d,
                         uint64_t jump)
{
	struct insn i;
	struct walk w;

	walk_init(&w, d, code, jump);
	if (!walk_next(&w, &i) || i.kind != INSN_BRANCH || !walk_next(&w, &i) || i.kind != INSN_OTHER)
		return false;
	t->offset[func] = i.at;
	memcpy(t->insn[func], i.name, sizeof(i.name));
	if (!i.simulated)
		t->slow |= 1u << func;
	return true;
}

static enum target_why place_function(struct target *t, int func, const struct code *code, struct decoder *d,
                                      const struct gopclntab_function *f)
{
	uint64_t at = f->start ? entry(code, f->start) : 0;

	if (!at || f->end <= f->start || at >= f->end)
		return TARGET_WHY_NO_PROLOGUE;
	if (func == TARGET_WRITE_RECORD)
		return behind_check(t, func, code, d, at) ? TARGET_WHY_NONE : TARGET_WHY_NO_PROLOGUE;
	t->offset[func] = at;
	snprintf(t->insn[func], sizeof(t->insn[func]), "%s", code->machine == EM_X86_64 ? "jbe" : "b.ls");
	return target_returns((enum target_func)func) ? place_returns(t, func, code, d, f) : TARGET_WHY_NONE;
}

static enum target_why place_all(struct target *t, const struct code *code, const struct functions *fs)
{
	enum target_why why = TARGET_WHY_NONE;
	struct decoder d;

	if (!decoder_init(&d, code->machine))
		return TARGET_WHY_MACHINE;
	for (int func = 0; func < TARGET_FUNCS; func++) {
		bool wanted = func == TARGET_WRITE_RECORD || func == TARGET_READ;
		enum target_why w = fs->f[func].start || wanted
		                        ? place_function(t, func, code, &d, &fs->f[func])
		                        : TARGET_WHY_NONE;

		if (w && wanted)
			why = w;
	}
	decoder_release(&d);
	return why;
}

bool go_inspect(struct image *image, struct target *t)
{
	struct functions fs = {.any = false};
	struct gopclntab table;
	enum target_why why;

	if (!insn_machine(image->code.machine) || !open_table(image, &table))
		return false;
	find_functions(&table, &fs);
	if (!fs.any)
		return false;
	t->lib = EV_LIB_GO;
	memset(t->func_lib, EV_LIB_GO, sizeof(t->func_lib));
	read_version(image, t->version);
	why = register_arguments(image, &table, t->version) ? place_all(t, &image->code, &fs)
	                                                    : TARGET_WHY_STACK_ARGUMENTS;
	if (why) {
		memset(t->offset, 0, sizeof(t->offset));
		memset(t->n_ret, 0, sizeof(t->n_ret));
	}
	t->why_public = why                           ? why
	                : t->slow & 1u << TARGET_READ ? TARGET_WHY_RET_STEPPED
	                                              : TARGET_WHY_ONE_FORM;
	return true;
}
