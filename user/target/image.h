/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - an ELF file as what it will be in memory.
 *
 * The file is hostile: every walk over it has a limit, and what lies beyond is
 * not seen (a probe is then not placed, or on a symbol, never on a guess).
 */
#ifndef SPANTAP_IMAGE_H
#define SPANTAP_IMAGE_H

#include <libelf.h>

#include "target/code.h"

struct image {
	int fd; /* borrowed */
	Elf *elf;
	struct code code;   /* reads from this image; text_start == text_end: no .text */
	size_t relocations; /* still to be looked at */
	size_t notes;
	uint64_t bytes;  /* of data, still to be searched */
	uint64_t addend; /* of the relocation found last */
};

/* 0, -ENOEXEC: no 64-bit ELF file, -E2BIG: more sections than a program has. The image must not move. */
int image_init(struct image *image, int fd);
void image_release(struct image *image);

/* Data that is only read: where constants lie. */
struct image_range {
	uint64_t addr, size;
};

#define IMAGE_RANGES_MAX 16

size_t image_constants(const struct image *image, struct image_range ret[IMAGE_RANGES_MAX]);
/* Data that pointers lie in: read only once they have been filled in (.data.rel.ro). */
size_t image_pointers(const struct image *image, struct image_range ret[IMAGE_RANGES_MAX]);
/* Calls fn for each place that gets an address of the file itself by a relocation that says it (RELA). */
void image_each_relative(struct image *image, void (*fn)(void *ctx, uint64_t at, uint64_t to), void *ctx);
/* Takes n bytes off the limit of what may be searched; false: it is reached. */
bool image_take(struct image *image, uint64_t n);

/* File offset of an address in an executable segment, 0 when there is none. */
uint64_t image_offset(const struct image *image, uint64_t addr);
/* What the loader adds to the load address, and writes to `addr`; false: no relocation does. */
bool image_addend(struct image *image, uint64_t addr, uint64_t *ret);
/* "" when it has none. */
void image_build_id(struct image *image, char ret[41]);
/* Of the latest symbol version that begins with `prefix`. */
void image_interface(struct image *image, const char *prefix, char ret[16], uint32_t *ret_interface);
/* Of OpenSSL; "" when it cannot be told; *ret_interface: it is that of the interface. */
void image_version(struct image *image, char ret[16], uint32_t *ret_interface);

#endif
