/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block.h - pieces of text, each stored once.
 *
 *   num     what lists refer to (value.h)
 *   hash    keyed hash of the piece and of the version of the redaction rules: equal pieces are found by
 *           it. The key is the store's own and never leaves it, so that the hash tells nobody else whether
 *           a guessed text is there.
 *   id      SHA-256(salt ‖ piece): what an audit log may keep of it. The salt is random and dies with
 *           the block: then the id still proves what stood there, to who has the text and the salt, and
 *           lets nobody guess it.
 *   bytes   the piece as it is, compressed, or compressed against another block that resembles it
 *           (its base: similar.h). A base has no base itself, so that reading a block reads at most two.
 *
 * What a conversation refers to are rows of `used`, one for each conversation
 * and block, bases included: a block is dropped with the last of them.
 */
#ifndef SPANTAP_BLOCK_H
#define SPANTAP_BLOCK_H

#include "base/slice.h"

struct store;
struct blocks; /* what is remembered of blocks in memory */

struct blocks *blocks_new(void);
void blocks_free(struct blocks *b); /* accepts NULL */
/* Blocks written since the last commit, or others, are gone: no piece that is remembered may be used. */
void blocks_forget(struct blocks *b);

struct block_hash {
	uint8_t b[16];
};

struct block_hash block_hash(const struct store *st, struct slice piece);

struct block {
	int64_t num;
	int64_t base;    /* 0: none */
	int64_t indexed; /* rules by which its text is in the index (search.h), 0: it is not */
};

/* The block that holds the piece with this hash. 1: found, 0: there is none, or -errno. */
int block_find(struct store *st, const struct block_hash *hash, struct block *ret);
/* Makes it; indexed: the caller puts its text into the index. 0 or -errno. */
int block_add(struct store *st, struct slice piece, const struct block_hash *hash, int64_t indexed,
              struct block *ret);

/* The conversation (by its row) uses the block from this span on; 1: it did not yet. */
int block_use(struct store *st, const struct block *b, int64_t trace, int64_t span);

/* The bytes of a piece, valid until the next call of block_*(). 0 or -errno; -EBADMSG: not what was stored.
 */
int block_get(struct store *st, int64_t num, struct slice *ret);

#endif
