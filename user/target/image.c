/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "target/image.h"
#include "target/version.h"

#define SECTIONS_MAX    4096 /* programs have 30 to 60 */
#define SEGMENTS_MAX    64
#define NOTES_MAX       1024
#define RELOCATIONS_MAX 4000000             /* node has 1,000; libssl 2,500, and is asked a few times */
#define SEARCHED_MAX    (256u * 1024 * 1024) /* bytes of data: 0.15 s; node has 55 MiB of .rodata */
#define VERSIONS_MAX    256                 /* symbol versions: libssl has 8 */
#define CHUNK           (256 * 1024)
#define CHUNK_OVERLAP   64

/* --- by address --- */

static bool segment_of(Elf *elf, uint64_t addr, uint32_t flags, GElf_Phdr *ret)
{
	size_t n;

	if (elf_getphdrnum(elf, &n))
		return false;
	for (size_t i = 0; i < n && i < SEGMENTS_MAX; i++)
		if (gelf_getphdr(elf, (int)i, ret) && ret->p_type == PT_LOAD &&
		    (ret->p_flags & flags) == flags && addr >= ret->p_vaddr &&
		    addr - ret->p_vaddr < ret->p_filesz)
			return true;
	return false;
}

uint64_t image_offset(const struct image *image, uint64_t addr)
{
	GElf_Phdr ph;

	return addr && segment_of(image->elf, addr, PF_X, &ph) ? addr - ph.p_vaddr + ph.p_offset : 0;
}

static long read_addr(void *ctx, uint64_t addr, void *ret, size_t n)
{
	const struct image *image = ctx;
	GElf_Phdr ph;

	if (!segment_of(image->elf, addr, PF_R, &ph) && !segment_of(image->elf, addr, PF_X, &ph))
		return 0;
	uint64_t left = ph.p_filesz - (addr - ph.p_vaddr);
	return pread(image->fd, ret, n < left ? n : left, (off_t)(addr - ph.p_vaddr + ph.p_offset));
}

/* --- relocations --- */

/* Calls fn for each relocation with addend until it returns true. */
static const void *each_relocation(struct image *image,
                                   const void *(*fn)(struct image *, const GElf_Shdr *, const GElf_Rela *,
                                                     uint64_t),
                                   uint64_t addr)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(image->elf, scn)) && gelf_getshdr(scn, &sh)) {
		Elf_Data *data = sh.sh_type == SHT_RELA && sh.sh_entsize ? elf_getdata(scn, NULL) : NULL;
		size_t n = data ? data->d_size / sh.sh_entsize : 0;
		GElf_Rela rela;

		for (size_t i = 0; i < n && image->relocations && gelf_getrela(data, (int)i, &rela);
		     i++, image->relocations--) {
			const void *found = fn(image, &sh, &rela, addr);

			if (found)
				return found;
		}
	}
	return NULL;
}

static const void *named(struct image *image, const GElf_Shdr *sh, const GElf_Rela *rela, uint64_t addr)
{
	Elf_Scn *scn = rela->r_offset == addr ? elf_getscn(image->elf, sh->sh_link) : NULL;
	Elf_Data *data = scn ? elf_getdata(scn, NULL) : NULL;
	GElf_Shdr table;
	GElf_Sym sym;

	if (!data || !gelf_getshdr(scn, &table) || !gelf_getsym(data, (int)GELF_R_SYM(rela->r_info), &sym))
		return NULL;
	return elf_strptr(image->elf, table.sh_link, sym.st_name);
}

static const char *slot(void *ctx, uint64_t addr)
{
	return each_relocation(ctx, named, addr);
}

static const void *holds(struct image *image, const GElf_Shdr *sh, const GElf_Rela *rela, uint64_t addr)
{
	(void)sh;
	return (uint64_t)rela->r_addend == addr ? image : NULL;
}

static const void *at(struct image *image, const GElf_Shdr *sh, const GElf_Rela *rela, uint64_t addr)
{
	uint64_t type = GELF_R_TYPE(rela->r_info),
	         relative = image->code.machine == EM_X86_64 ? R_X86_64_RELATIVE : R_AARCH64_RELATIVE;

	(void)sh;
	if (rela->r_offset != addr || type != relative)
		return NULL;
	image->addend = (uint64_t)rela->r_addend;
	return image;
}

bool image_addend(struct image *image, uint64_t addr, uint64_t *ret)
{
	if (!each_relocation(image, at, addr))
		return false;
	*ret = image->addend;
	return true;
}

void image_each_relative(struct image *image, void (*fn)(void *ctx, uint64_t at, uint64_t to), void *ctx)
{
	uint32_t relative = image->code.machine == EM_AARCH64 ? R_AARCH64_RELATIVE : R_X86_64_RELATIVE;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(image->elf, scn)) && gelf_getshdr(scn, &sh)) {
		Elf_Data *data = sh.sh_type == SHT_RELA && sh.sh_entsize ? elf_getdata(scn, NULL) : NULL;
		size_t n = data ? data->d_size / sh.sh_entsize : 0;
		GElf_Rela rela;

		for (size_t i = 0; i < n && image->relocations && gelf_getrela(data, (int)i, &rela);
		     i++, image->relocations--)
			if (GELF_R_TYPE(rela.r_info) == relative)
				fn(ctx, rela.r_offset, (uint64_t)rela.r_addend);
	}
}

/* --- data --- */

bool image_take(struct image *image, uint64_t n)
{
	if (n > image->bytes) {
		image->bytes = 0;
		return false;
	}
	image->bytes -= n;
	return true;
}

/* Whether 8 aligned bytes of a section that is written to when it is loaded are `addr`. */
static bool section_holds(struct image *image, const GElf_Shdr *sh, uint64_t addr)
{
	uint64_t words[512];

	for (uint64_t at = 0; at < sh->sh_size; at += sizeof(words)) {
		size_t want = sh->sh_size - at < sizeof(words) ? sh->sh_size - at : sizeof(words);
		long n = pread(image->fd, words, want, (off_t)(sh->sh_offset + at));

		for (long i = 0; i < n / 8; i++)
			if (words[i] == addr)
				return true;
		if (n < (long)want)
			break;
	}
	return false;
}

/* Also when the limits do not allow to look: unsure is yes. */
static bool in_data(void *ctx, uint64_t addr)
{
	struct image *image = ctx;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	if (each_relocation(image, holds, addr) || !image->relocations)
		return true;
	while ((scn = elf_nextscn(image->elf, scn)) && gelf_getshdr(scn, &sh)) {
		if (!(sh.sh_flags & SHF_ALLOC) || !(sh.sh_flags & SHF_WRITE) || sh.sh_type == SHT_NOBITS ||
		    sh.sh_type == SHT_DYNAMIC)
			continue;
		if (!image_take(image, sh.sh_size) || section_holds(image, &sh, addr))
			return true;
	}
	return false;
}

static size_t ranges(const struct image *image, bool (*is)(const GElf_Shdr *, const char *),
                     struct image_range ret[IMAGE_RANGES_MAX])
{
	Elf_Scn *scn = NULL;
	size_t names, n = 0;
	GElf_Shdr sh;

	if (elf_getshdrstrndx(image->elf, &names))
		return 0;
	while (n < IMAGE_RANGES_MAX && (scn = elf_nextscn(image->elf, scn)) && gelf_getshdr(scn, &sh)) {
		const char *name = elf_strptr(image->elf, names, sh.sh_name);

		if (name && sh.sh_type == SHT_PROGBITS && sh.sh_flags & SHF_ALLOC && is(&sh, name))
			ret[n++] = (struct image_range){sh.sh_addr, sh.sh_size};
	}
	return n;
}

static bool is_constant(const GElf_Shdr *sh, const char *name)
{
	return !(sh->sh_flags & (SHF_WRITE | SHF_EXECINSTR)) && strncmp(name, ".eh_frame", 9) != 0 &&
	       strcmp(name, ".gcc_except_table") != 0;
}

static bool is_pointers(const GElf_Shdr *sh, const char *name)
{
	return sh->sh_flags & SHF_WRITE && strncmp(name, ".data.rel.ro", 12) == 0;
}

size_t image_constants(const struct image *image, struct image_range ret[IMAGE_RANGES_MAX])
{
	return ranges(image, is_constant, ret);
}

size_t image_pointers(const struct image *image, struct image_range ret[IMAGE_RANGES_MAX])
{
	return ranges(image, is_pointers, ret);
}

/* --- version --- */

static void interface_version(struct image *image, const char *prefix, char io[16])
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(image->elf, scn)) && gelf_getshdr(scn, &sh)) {
		Elf_Data *data = sh.sh_type == SHT_GNU_verdef ? elf_getdata(scn, NULL) : NULL;
		GElf_Verdef def;
		size_t at = 0;

		for (int i = 0; data && i < VERSIONS_MAX && gelf_getverdef(data, (int)at, &def); i++) {
			GElf_Verdaux aux;
			const char *name = gelf_getverdaux(data, (int)(at + def.vd_aux), &aux)
			                       ? elf_strptr(image->elf, sh.sh_link, aux.vda_name)
			                       : NULL;

			if (name)
				version_of_interface(prefix, name, io);
			if (!def.vd_next)
				break;
			at += def.vd_next;
		}
	}
}

static bool section_version(struct image *image, const GElf_Shdr *sh, char ret[16])
{
	char *chunk = xmalloc(CHUNK);
	bool found = false;

	for (uint64_t at = 0; at < sh->sh_size && !found; at += CHUNK - CHUNK_OVERLAP) {
		size_t want = sh->sh_size - at < CHUNK ? sh->sh_size - at : CHUNK;
		long n = pread(image->fd, chunk, want, (off_t)(sh->sh_offset + at));

		if (n <= 0 || !image_take(image, (uint64_t)n))
			break;
		found = version_in_text(chunk, (size_t)n, ret);
	}
	free(chunk);
	return found;
}

static bool exact_version(struct image *image, char ret[16])
{
	Elf_Scn *scn = NULL;
	size_t names;
	GElf_Shdr sh;

	if (elf_getshdrstrndx(image->elf, &names))
		return false;
	while ((scn = elf_nextscn(image->elf, scn)) && gelf_getshdr(scn, &sh)) {
		const char *name = elf_strptr(image->elf, names, sh.sh_name);

		if (name && strcmp(name, ".rodata") == 0 && sh.sh_type == SHT_PROGBITS &&
		    section_version(image, &sh, ret))
			return true;
	}
	return false;
}

void image_interface(struct image *image, const char *prefix, char ret[16], uint32_t *ret_interface)
{
	interface_version(image, prefix, ret);
	*ret_interface = ret[0] != '\0';
}

void image_version(struct image *image, char ret[16], uint32_t *ret_interface)
{
	char interface[16] = "", exact[16] = "";

	interface_version(image, "OPENSSL_", interface);
	if (!exact_version(image, exact)) {
		memcpy(ret, interface, sizeof(interface));
		*ret_interface = interface[0] != '\0';
	} else if (!interface[0] || version_compare(exact, interface) >= 0) {
		memcpy(ret, exact, sizeof(exact));
	} /* else they contradict each other: unknown */
}

/* --- the rest --- */

static void read_build_id(struct image *image, Elf_Scn *scn, char ret[41])
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t at = 0, name, desc;
	GElf_Nhdr note;

	while (data && image->notes && (at = gelf_getnote(data, at, &note, &name, &desc)) > 0) {
		image->notes--;
		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 || note.n_descsz > 20)
			continue;
		const unsigned char *id = (const unsigned char *)data->d_buf + desc;
		for (size_t i = 0; i < note.n_descsz; i++)
			snprintf(ret + 2 * i, 3, "%02x", id[i]);
		return;
	}
}

void image_build_id(struct image *image, char ret[41])
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	ret[0] = '\0';
	while ((scn = elf_nextscn(image->elf, scn)) && gelf_getshdr(scn, &sh) && !ret[0])
		if (sh.sh_type == SHT_NOTE)
			read_build_id(image, scn, ret);
}

static void find_text(struct image *image)
{
	Elf_Scn *scn = NULL;
	size_t names;
	GElf_Shdr sh;

	if (elf_getshdrstrndx(image->elf, &names))
		return;
	while ((scn = elf_nextscn(image->elf, scn)) && gelf_getshdr(scn, &sh)) {
		const char *name = elf_strptr(image->elf, names, sh.sh_name);

		if (!name || strcmp(name, ".text") != 0 || sh.sh_type != SHT_PROGBITS ||
		    sh.sh_addr + sh.sh_size < sh.sh_addr)
			continue;
		image->code.text_start = sh.sh_addr;
		image->code.text_end = sh.sh_addr + sh.sh_size;
		return;
	}
}

static void find_eh_frame(struct image *image)
{
	GElf_Phdr ph;
	size_t n;

	if (elf_getphdrnum(image->elf, &n))
		return;
	for (size_t i = 0; i < n && i < SEGMENTS_MAX; i++)
		if (gelf_getphdr(image->elf, (int)i, &ph) && ph.p_type == PT_GNU_EH_FRAME)
			image->code.eh_hdr = ph.p_vaddr;
}

int image_init(struct image *image, int fd)
{
	GElf_Ehdr eh;
	size_t n;

	*image = (struct image){
	    .fd = fd,
	    .code = {.read = read_addr, .slot = slot, .in_data = in_data, .ctx = image},
	    .relocations = RELOCATIONS_MAX,
	    .notes = NOTES_MAX,
	    .bytes = SEARCHED_MAX,
	};
	elf_version(EV_CURRENT);
	image->elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!image->elf || elf_kind(image->elf) != ELF_K_ELF || !gelf_getehdr(image->elf, &eh)) {
		image_release(image);
		return -ENOEXEC;
	}
	if (elf_getshdrnum(image->elf, &n) || n > SECTIONS_MAX) {
		image_release(image);
		return -E2BIG;
	}
	image->code.machine = gelf_getclass(image->elf) == ELFCLASS64 && eh.e_ident[EI_DATA] == ELFDATA2LSB
	                          ? eh.e_machine
	                          : EM_NONE;
	find_text(image);
	find_eh_frame(image);
	return 0;
}

void image_release(struct image *image)
{
	elf_end(image->elf);
	image->elf = NULL;
}
