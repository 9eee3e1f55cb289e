/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "target/libs.h"
#include "target/site.h"
#include "target/target.h"

#define SYMBOLS_MAX 4000000 /* of one table: the largest program seen has 40,000 */

struct found {
	uint64_t value[TARGET_FUNCS]; /* virtual addresses */
	unsigned marker;
};

/* File offset of a virtual address, 0 when no segment holds it. */
static uint64_t file_offset(Elf *elf, uint64_t vaddr)
{
	size_t n;

	if (elf_getphdrnum(elf, &n))
		return 0;
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD || !(ph.p_flags & PF_X))
			continue;
		if (vaddr >= ph.p_vaddr && vaddr - ph.p_vaddr < ph.p_filesz)
			return vaddr - ph.p_vaddr + ph.p_offset;
	}
	return 0;
}

static void match_symbol(const char *name, const GElf_Sym *sym, struct found *found)
{
	for (size_t l = 0; tls_libs[l].name; l++) {
		const struct tls_lib *lib = &tls_libs[l];

		if (strcmp(name, lib->marker) == 0)
			found[l].marker = 1;
		for (int f = 0; f < TARGET_FUNCS; f++)
			if (lib->symbols[f] && strcmp(name, lib->symbols[f]) == 0)
				found[l].value[f] = sym->st_value;
	}
}

static void scan_symbols(Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh, struct found *found)
{
	Elf_Data *data = elf_getdata(scn, NULL);

	if (!data || sh->sh_entsize == 0)
		return;
	size_t n = data->d_size / sh->sh_entsize;
	for (size_t i = 0; i < n && i < SYMBOLS_MAX; i++) {
		GElf_Sym sym;

		if (!gelf_getsym(data, (int)i, &sym))
			return;
		if (GELF_ST_TYPE(sym.st_info) != STT_FUNC || sym.st_shndx == SHN_UNDEF || !sym.st_value)
			continue;
		const char *name = elf_strptr(elf, sh->sh_link, sym.st_name);
		if (name && name[0] == 'S') /* every name of the table begins so */
			match_symbol(name, &sym, found);
	}
}

static void read_build_id(Elf_Scn *scn, struct target *ret)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t at = 0, name, desc;
	GElf_Nhdr note;

	while (data && (at = gelf_getnote(data, at, &note, &name, &desc)) > 0) {
		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || note.n_descsz > 20)
			continue;
		const unsigned char *id = (const unsigned char *)data->d_buf + desc;
		for (size_t i = 0; i < note.n_descsz; i++)
			snprintf(ret->build_id + 2 * i, 3, "%02x", id[i]);
		return;
	}
}

/* Fills code->text_*: the bounds of .text; false when there is none. */
static bool find_text(Elf *elf, struct site_code *code)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr sh;
		const char *name = gelf_getshdr(scn, &sh) ? elf_strptr(elf, names, sh.sh_name) : NULL;

		if (!name || strcmp(name, ".text") != 0 || sh.sh_type != SHT_PROGBITS)
			continue;
		code->text_start = sh.sh_offset;
		code->text_end = sh.sh_offset + sh.sh_size;
		return true;
	}
	return false;
}

static long read_code(void *ctx, uint64_t offset, void *ret, size_t n)
{
	return pread(*(const int *)ctx, ret, n, (off_t)offset);
}

/* Calls within one segment keep their distance in file offsets, so file offsets serve as addresses. */
static void place(Elf *elf, int fd, struct target *ret)
{
	struct site_code code = {.read = read_code, .ctx = &fd};

	if (find_text(elf, &code))
		site_choose(&code, ret);
	else
		ret->slow = ~0u;
}

static void choose(Elf *elf, int fd, const struct found *found, struct target *ret)
{
	for (size_t l = 0; tls_libs[l].name; l++) {
		if (!found[l].marker || !found[l].value[TARGET_WRITE] || !found[l].value[TARGET_READ])
			continue;
		ret->lib = tls_libs[l].lib;
		for (int f = 0; f < TARGET_FUNCS; f++)
			ret->offset[f] = found[l].value[f] ? file_offset(elf, found[l].value[f]) : 0;
		place(elf, fd, ret);
		return;
	}
}

/* Whether a library was recognised by what was found so far. */
static bool recognised(const struct found *found)
{
	for (size_t l = 0; tls_libs[l].name; l++)
		if (found[l].marker && found[l].value[TARGET_WRITE] && found[l].value[TARGET_READ])
			return true;
	return false;
}

static void scan_tables(Elf *elf, uint32_t type, struct found *found)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &sh))
		if (sh.sh_type == type)
			scan_symbols(elf, scn, &sh, found);
}

void target_inspect(int fd, struct target *ret)
{
	struct found found[8] = {0};
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	Elf *elf;

	memset(ret, 0, sizeof(*ret));
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf || elf_kind(elf) != ELF_K_ELF) {
		ret->err = -ENOEXEC;
		elf_end(elf);
		return;
	}
	/* What is exported is found in 5 ms; node's full symbol table takes 100, by then it may have connected. */
	scan_tables(elf, SHT_DYNSYM, found);
	if (!recognised(found))
		scan_tables(elf, SHT_SYMTAB, found);
	while ((scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &sh) && !ret->build_id[0])
		if (sh.sh_type == SHT_NOTE)
			read_build_id(scn, ret);
	choose(elf, fd, found, ret);
	elf_end(elf);
}
