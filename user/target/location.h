/* SPDX-License-Identifier: Apache-2.0 */
/*
 * location.h - the places in its source that a Rust program names when it
 * panics.
 *
 * Code that may panic hands over the address of a core::panic::Location, which
 * stripping does not touch: the name of the source file (not ended by a NUL),
 * line and column.  They lie in .data.rel.ro; the address of the name is in
 * place (RELR relocations), or in the relocation only (RELA).
 */
#ifndef SPANTAP_LOCATION_H
#define SPANTAP_LOCATION_H

#include "target/literal.h"

#define LOCATIONS_MAX     128 /* rustls' three files that are looked for have 8 */
#define LOCATION_NAME_MAX 256 /* bytes of a file's name */

struct location {
	uint64_t at;      /* virtual address */
	uint64_t text_at; /* where the text begins with which the file's name ends */
	uint32_t line, column;
	uint32_t text; /* its index */
};

struct locations {
	struct location v[LOCATIONS_MAX];
	size_t n; /* LOCATIONS_MAX: perhaps there are more */
};

/* Those in files whose names end with one of n texts, at the places where the texts were found. */
void locations_find(struct image *image, const struct literal *texts, size_t n, struct locations *ret);
const struct location *locations_at(const struct locations *all, uint64_t at); /* NULL: none */

#endif
