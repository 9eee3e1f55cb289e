/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.h - long texts of spans, as lists of pieces.
 *
 * An agent sends its whole conversation with each call.  The text of an
 * attribute falls into pieces at its cuts (span.h); equal pieces are one block
 * (block.h), and the list of pieces says only in what it differs from the list
 * of an earlier span of the same conversation: "n pieces of it from piece k,
 * then block b, …".  So n calls take room for n messages, not n².
 *
 * Reading is exact: the same bytes with the same cuts.  Every FULL_EVERYth
 * list stands for itself, so that reading one follows at most that many.
 *
 * LOCAL attributes of several strings are such texts too: a line and a piece each.
 *
 * A list, numbers of variable length (7 bits a byte, low first), one entry
 * after the other; the two low bits of its first number say what it is:
 *   n<<2 | 0, k     pieces k to k+n-1 of the list it is based on
 *   d<<2 | 1        the block whose number is that of the block before it (0 at first) plus d, zigzag
 *   n<<2 | 2, bytes a short piece, as it is
 */
#ifndef SPANTAP_VALUE_H
#define SPANTAP_VALUE_H

#include "span/span.h"

struct store;
struct values;      /* what a writer remembers: the lists that new ones may be based on */
struct values_read; /* what a reader remembers: the lists that others were based on */

#define PIECES_MAX                                                                                           \
	65536 /* of one text; cuts behind that are not kept. A hostile body would make millions              \
	       */
#define FULL_EVERY 32

struct values *values_new(void);
void values_free(struct values *v); /* accepts NULL */
void values_forget(struct values *v);
/* The spans of this conversation (by its row) are erased. */
void values_forget_trace(struct values *v, int64_t trace);

/* Whether an attribute of `s` is kept as a value, not in the JSON of its span. */
bool value_is(const struct span *s, const struct attr *a);

/* Stores the values of `s`, whose row is `span`, in the conversation `trace`. 0 or -errno. */
int values_put(struct store *st, const struct span *s, int64_t span, int64_t trace);

void values_read_free(struct values_read *r);   /* accepts NULL */
void values_read_forget(struct values_read *r); /* accepts NULL; spans were erased */
/* Adds the values of row `span` to `s`, without those that are for the store alone (LOCAL). 0 or -errno. */
int values_get(struct store *st, int64_t span, struct span *s);
/* Adds one of them; -ENOENT: the span has none of this key. */
int value_get(struct store *st, int64_t span, enum attr_key key, struct span *s);

#endif
