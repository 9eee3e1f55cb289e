/* SPDX-License-Identifier: Apache-2.0 */
/*
 * literal.h - where the constant texts of a file lie.
 *
 * A library that was linked in and stripped keeps the texts that its code
 * refers to: names of functions and of source files in its error messages.
 * They do not change from release to release as its code does.
 */
#ifndef SPANTAP_LITERAL_H
#define SPANTAP_LITERAL_H

#include "target/image.h"

#define LITERAL_PLACES 64  /* of one text; rustls names its source files in 54 */
#define LITERAL_SIZE   160 /* bytes of a string: paths of source files have up to 120 */

struct literal {
	const char *text;
	uint64_t at[LITERAL_PLACES]; /* virtual addresses of its first byte, in order */
	unsigned n;                  /* LITERAL_PLACES: perhaps there are more */
};

/* Looks for all of them in the data that is only read, as far as the image's limit allows. */
void literal_find(struct image *image, struct literal *v, size_t n);

/* The C string that holds the byte at `at`: the address of its first byte, 0: longer than LITERAL_SIZE. Before it lies
 * what is no text. */
uint64_t literal_string(const struct code *code, uint64_t at, char ret[LITERAL_SIZE]);

#endif
