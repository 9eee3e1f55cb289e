/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../bpf/events.h"
#include "base/alloc.h"
#include "target/go.h"
#include "target/image.h"
#include "target/libs.h"
#include "target/locate.h"
#include "target/site.h"
#include "target/target.h"
#include "target/version.h"

/* Work that one file may cause; what is beyond is not seen. */
#define SYMBOLS_MAX 4000000 /* the largest program seen has 150,000 */
#define LIBS_MAX    16

struct found {
	struct site_func func[TARGET_FUNCS];
	unsigned marker;
};

struct symbols {
	struct found found[LIBS_MAX];
	size_t visited;
};

static void match_symbol(const char *name, const GElf_Sym *sym, struct found *found)
{
	for (size_t l = 0; tls_libs[l].name; l++) {
		const struct tls_lib *lib = &tls_libs[l];

		if (!lib->marker || strncmp(name, lib->prefix, strlen(lib->prefix)) != 0)
			continue;
		if (strcmp(name, lib->marker) == 0)
			found[l].marker = 1;
		for (int f = 0; f < TARGET_FUNCS; f++)
			if (lib->symbols[f] && strcmp(name, lib->symbols[f]) == 0)
				found[l].func[f] = (struct site_func){sym->st_value, sym->st_size};
	}
}

static void scan_symbols(Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh, struct symbols *symbols)
{
	Elf_Data *data = elf_getdata(scn, NULL);

	if (!data || sh->sh_entsize == 0)
		return;
	size_t n = data->d_size / sh->sh_entsize;
	for (size_t i = 0; i < n && symbols->visited < SYMBOLS_MAX; i++, symbols->visited++) {
		GElf_Sym sym;

		if (!gelf_getsym(data, (int)i, &sym))
			return;
		if (GELF_ST_TYPE(sym.st_info) != STT_FUNC || sym.st_shndx == SHN_UNDEF || !sym.st_value)
			continue;
		const char *name = elf_strptr(elf, sh->sh_link, sym.st_name);
		if (name)
			match_symbol(name, &sym, symbols->found);
	}
}

static bool recognised(const struct tls_lib *lib, const struct found *found)
{
	return found->marker &&
	       (lib->complete || (found->func[TARGET_WRITE].addr && found->func[TARGET_READ].addr));
}

/* The library that was recognised by what was found so far, NULL: none. */
static const struct tls_lib *library(struct symbols *s, struct found **ret_found)
{
	for (size_t l = 0; tls_libs[l].name && l < LIBS_MAX; l++)
		if (recognised(&tls_libs[l], &s->found[l])) {
			*ret_found = &s->found[l];
			return &tls_libs[l];
		}
	return NULL;
}

static void scan_tables(Elf *elf, uint32_t type, struct symbols *symbols)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;

	while ((scn = elf_nextscn(elf, scn)) && gelf_getshdr(scn, &sh))
		if (sh.sh_type == type)
			scan_symbols(elf, scn, &sh, symbols);
}

/* Addresses become file offsets; a probe outside every executable segment is none. */
static void to_offsets(const struct image *image, struct target *t)
{
	for (int f = 0; f < TARGET_FUNCS; f++) {
		t->offset[f] = image_offset(image, t->offset[f]);
		for (unsigned i = 0; i < t->n_ret[f]; i++) {
			t->ret_offset[f][i] = image_offset(image, t->ret_offset[f][i]);
			if (!t->ret_offset[f][i] || !t->offset[f]) {
				t->n_ret[f] = 0;
				t->ret_why[f] = TARGET_WHY_NO_EXTENT;
			}
		}
	}
}

static void choose(struct image *image, const struct tls_lib *lib, struct found *found, struct target *ret)
{
	if (!insn_machine(image->code.machine)) {
		ret->err = -ENOTSUP;
		return;
	}
	ret->lib = lib->lib;
	memset(ret->func_lib, (int)lib->lib, sizeof(ret->func_lib));
	if (lib->interface)
		image_interface(image, lib->interface, ret->version, &ret->interface);
	else if (lib->lib == EV_LIB_OPENSSL || lib->lib == EV_LIB_BORINGSSL)
		image_version(image, ret->version, &ret->interface);
	enum target_why why = lib->complete ? lib->complete(image, found->func) : TARGET_WHY_NONE;
	if (why) {
		ret->why_public = why;
		return;
	}
	site_choose(&image->code, found->func, lib->symbols, ret);
	to_offsets(image, ret);
}

void target_inspect(int fd, struct target *ret)
{
	struct symbols symbols = {.visited = 0};
	struct found *found;
	struct image image;

	memset(ret, 0, sizeof(*ret));
	ret->err = image_init(&image, fd);
	if (ret->err)
		return;
	ret->machine = image.code.machine;
	/* What is exported is found in 5 ms; node's full symbol table takes 100, by then it may have
	 * connected. */
	scan_tables(image.elf, SHT_DYNSYM, &symbols);
	const struct tls_lib *lib = library(&symbols, &found);
	bool go = !lib && go_inspect(&image, ret);
	if (!lib && !go) {
		scan_tables(image.elf, SHT_SYMTAB, &symbols);
		lib = library(&symbols, &found);
	}
	image_build_id(&image, ret->build_id);
	if (lib) {
		choose(&image, lib, found, ret);
	} else if (go) {
		to_offsets(&image, ret);
	} else {
		locate(&image, ret);
		to_offsets(&image, ret);
	}
	image_release(&image);
}
