/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gopclntab.h - the functions of a Go program, by its own table of them.
 *
 * The runtime unwinds by it, so it is in every Go program, stripped or not
 * (section .gopclntab).  Four formats: of Go 1.2, 1.16, 1.18 and 1.20
 * (golang.org/s/go12symtab; debug/gosym/pclntab.go).  The bytes are hostile:
 * every offset in them is checked where it is used.
 */
#ifndef SPANTAP_GOPCLNTAB_H
#define SPANTAP_GOPCLNTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gopclntab_format { GOPCLNTAB_12, GOPCLNTAB_116, GOPCLNTAB_118, GOPCLNTAB_120 };

struct gopclntab {
	const uint8_t *p; /* borrowed */
	size_t n;
	enum gopclntab_format format;
	size_t text_at;        /* where in the table the address of the first function stands; 0: nowhere */
	uint64_t text;         /* that address, as the file has it: 0 where it is relocated when loaded */
	uint64_t functions;    /* how many */
	uint64_t names, table; /* offsets: of the names, of the table of functions */
};

/* False when it is none, or not one of a 64-bit little-endian machine. */
bool gopclntab_init(struct gopclntab *ret, const uint8_t *p, size_t n);

struct gopclntab_function {
	uint64_t start, end; /* addresses; padding may lie before `end` */
	const char *name;    /* borrowed, without NUL at its end when the table ends first */
	size_t name_max;     /* bytes that may be read of it */
};

/* The i-th; false when the table is damaged there. */
bool gopclntab_function(const struct gopclntab *t, uint64_t i, struct gopclntab_function *ret);

#endif
