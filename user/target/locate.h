/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locate.h - the functions of a TLS library that a program links without
 * symbols.
 *
 * Not by the bytes of its code, which rot with each release, but by what the
 * code must refer to: texts that are part of the library.  Each library is a
 * row in a file of its own: the texts that betray it (literal.h), and how the
 * instructions that refer to them (refs.h), and the functions that hold those
 * (bounds.h), tell the functions that data passes through.  A row that finds
 * not exactly one function of a kind refuses: a probe on another function
 * would yield garbage, or worse.
 *
 * A row looks at a file in two steps, so that all rows together cost one pass
 * over its data and one over its code.
 */
#ifndef SPANTAP_LOCATE_H
#define SPANTAP_LOCATE_H

#include "target/literal.h"
#include "target/location.h"
#include "target/refs.h"
#include "target/site.h"

#define LOCATE_TEXTS  5   /* of one row */
#define LOCATE_WANTED 256 /* addresses that one pass over the code looks for */

struct locate {
	struct image *image;
	struct decoder d;
	const struct literal *texts; /* of the row that is asked, by their index */
	uint64_t wanted[LOCATE_WANTED];
	size_t n_wanted;
	struct refs refs;
	struct locations locations; /* of rustls */
};

struct locator {
	const char *name;
	uint32_t lib;                    /* enum ev_lib */
	const char *texts[LOCATE_TEXTS]; /* fewer: NULL; it is looked at when the first is in the file */
	/* Which addresses does the code refer to that is looked for? */
	void (*want)(struct locate *l);
	/*
	 * The functions, into `funcs`, which is zero.  TARGET_WHY_NONE: those
	 * needed were found, others may be 0; or there are none: it is another
	 * library.
	 */
	enum target_why (*find)(struct locate *l, struct site_func funcs[TARGET_FUNCS]);
	const char *const *symbols; /* what the functions are called, by enum target_func */
};

extern const struct locator *const locators[]; /* ends with NULL */
extern const struct locator locate_boringssl, locate_openssl, locate_rustls;

/* The addresses of the C strings in which the text with this index was found. */
void locate_want_strings(struct locate *l, unsigned text);
void locate_want(struct locate *l, uint64_t addr);
/* Whether the C string at `at` is one of these. */
bool locate_holds(const struct locate *l, unsigned text, uint64_t at);
/* The only function that refers to the text as a C string of its own. */
enum target_why locate_only_function(struct locate *l, unsigned text, struct site_func *ret);

static inline struct site_func locate_func(uint64_t start, uint64_t end)
{
	return (struct site_func){start, end - start};
}

/* Fills all of `t` that the libraries found say; offsets are virtual addresses. */
void locate(struct image *image, struct target *t);

#endif
