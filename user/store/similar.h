/* SPDX-License-Identifier: Apache-2.0 */
/*
 * similar.h - which stored block a new piece of text resembles.
 *
 * The same message comes in several dresses: in the body as the client wrote
 * it, in our own form of it, as an answer and, a call later, as history, with
 * its cache_control moved or its id rewritten.  A rolling hash over 64 bytes
 * picks about one place in 32, its anchors, by their content alone; two texts
 * that share a run of bytes share the anchors in it.  The table keeps for an
 * anchor the block that had it last.  It is a guess: a wrong one, or
 * a block that is no longer there, costs bytes, never correctness.
 */
#ifndef SPANTAP_SIMILAR_H
#define SPANTAP_SIMILAR_H

#include "base/slice.h"

struct similar;

struct similar *similar_new(void);
void similar_free(struct similar *s); /* accepts NULL */
/* The block that has most of the anchors in `text`; 0: none has. */
int64_t similar_find(const struct similar *s, struct slice text);
void similar_add(struct similar *s, struct slice text, int64_t block);

#endif
