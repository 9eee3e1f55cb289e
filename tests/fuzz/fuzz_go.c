/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile Go programs: a file whose table of functions and code are the input.
 * The first byte chooses the machine, the next two how much of it is code.
 */
#include <elf.h>
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../bpf/events.h"
#include "base/buf.h"
#include "target/gopclntab.h"
#include "target/target.h"

#define TEXT 0x401000
#define CODE 0x1000 /* in the file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char strings[] = "\0.text\0.gopclntab\0.shstrtab";

static void pad(struct buf *b)
{
	while (b->n % 4096)
		buf_addc(b, '\0');
}

static void make_file(struct buf *file, uint16_t machine, const uint8_t *code, size_t n_code,
                      const uint8_t *table, size_t n_table)
{
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph;
		Elf64_Shdr sh[4];
	} head = {.eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
	                 .e_type = ET_EXEC,
	                 .e_machine = machine,
	                 .e_version = EV_CURRENT,
	                 .e_phoff = sizeof(Elf64_Ehdr),
	                 .e_shoff = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
	                 .e_ehsize = sizeof(Elf64_Ehdr),
	                 .e_phentsize = sizeof(Elf64_Phdr),
	                 .e_phnum = 1,
	                 .e_shentsize = sizeof(Elf64_Shdr),
	                 .e_shnum = 4,
	                 .e_shstrndx = 3}};

	buf_add(file, &head, sizeof(head));
	buf_add(file, strings, sizeof(strings));
	pad(file);
	head.ph = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, file->n, TEXT, TEXT, n_code, n_code, 1};
	head.sh[1] =
	    (Elf64_Shdr){1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT, file->n, n_code, 0, 0, 1, 0};
	buf_add(file, code, n_code);
	pad(file);
	head.sh[2] = (Elf64_Shdr){7, SHT_PROGBITS, SHF_ALLOC, 0x800000, file->n, n_table, 0, 0, 1, 0};
	buf_add(file, table, n_table);
	head.sh[3] = (Elf64_Shdr){18, SHT_STRTAB, 0, 0, sizeof(head), sizeof(strings), 0, 0, 1, 0};
	memcpy(file->p, &head, sizeof(head));
}

static void check(const struct target *t, size_t n_code)
{
	for (int f = 0; f < TARGET_FUNCS; f++) {
		if (t->n_ret[f] > TARGET_RETURNS_MAX ||
		    (t->offset[f] && (t->offset[f] < CODE || t->offset[f] >= CODE + n_code)))
			abort();
		for (unsigned i = 0; i < t->n_ret[f]; i++)
			if (t->ret_offset[f][i] < CODE || t->ret_offset[f][i] >= CODE + n_code)
				abort();
	}
	if (t->lib && !target_has_probes(t) && !t->why_public)
		abort();
}

/* The table by itself, from bytes of exactly its size. */
static void walk(const uint8_t *table, size_t n)
{
	struct gopclntab_function f;
	struct gopclntab t;

	if (!gopclntab_init(&t, table, n))
		return;
	for (uint64_t i = 0; i < 1000 && gopclntab_function(&t, i, &f); i++)
		if ((const uint8_t *)f.name < table || (const uint8_t *)f.name + f.name_max > table + n)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf file = {0};
	struct target t;

	if (size < 3)
		return 0;
	size_t n_code = (size_t)data[1] << 8 | data[2];
	if (n_code > size - 3)
		n_code = size - 3;
	const uint8_t *table = data + 3 + n_code;
	size_t n_table = size - 3 - n_code;
	uint8_t *exact = malloc(n_table + 1);
	memcpy(exact, table, n_table);
	walk(exact, n_table);
	make_file(&file, data[0] & 1 ? EM_AARCH64 : EM_X86_64, data + 3, n_code, exact, n_table);
	free(exact);
	int fd = memfd_create("go", MFD_CLOEXEC);
	if (fd < 0 || write(fd, file.p, file.n) != (ssize_t)file.n)
		abort();
	target_inspect(fd, &t);
	close(fd);
	check(&t, n_code);
	buf_release(&file);
	return 0;
}
