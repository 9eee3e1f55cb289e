/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pieces.h - where a request body falls into what the next request repeats.
 *
 * Agents send the whole conversation again with each request.  A piece is one
 * element of a list of messages, tools or instructions (or the instructions as
 * one string), found by the name of its key, at the top of the body or within
 * the envelopes that some APIs put around it.  Nothing is parsed: strings are
 * skipped 64 bytes at a time.
 *
 * Exact for JSON that a parser has accepted; for anything else the pieces are
 * somewhere, but in order and within the text.  Bodies that spell a key with
 * escapes, or name a list twice, have no pieces: what a parser takes for a list
 * and what is found here would differ.
 */
#ifndef SPANTAP_LLM_PIECES_H
#define SPANTAP_LLM_PIECES_H

#include "base/arena.h"
#include "base/hash.h"

#define PIECES_MAX       65536 /* of one body; what follows is part of no piece */
#define PIECES_DEPTH_MAX 3     /* envelopes within envelopes */

struct piece {
	size_t from, to;        /* body[from..to) */
	const char *list;       /* static text: the key of the list */
	struct keyed_hash hash; /* of the bytes, pieces_hash() */
};

struct pieces {
	struct piece *v; /* ascending */
	size_t n;
};

/* The pieces of a JSON object, in memory of `a`. */
struct pieces pieces_find(struct arena *a, struct slice json);
void pieces_hash(struct pieces *p, struct slice json, const struct hash_key *key);

#endif
