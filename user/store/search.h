/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search.h - the words of messages, and where they were said.
 *
 * What users, assistants and tools say is indexed by its words (FTS5, table
 * `words`), a piece (block.h) at a time, once for each conversation that has
 * it however many calls repeat it.  The index holds no text and no positions:
 * phrases are looked for in the texts that have all their words.
 *
 * Searched: input and output messages of calls, arguments and results of MCP
 * requests; of one piece the first TEXT_MAX bytes.  Not searched: system
 * instructions, tool definitions, request bodies, names; and spans of stores
 * of schema version 1, which were written before there was an index.
 */
#ifndef SPANTAP_SEARCH_H
#define SPANTAP_SEARCH_H

#include "store/store.h"

struct block;

/* How texts are made of pieces. Raised with every change; what was indexed by older rules must stay erasable.
 */
#define SEARCH_RULES 1

/* Whether this text of the span is searched. */
bool search_wants(const struct span *s, enum attr_key key);

/* The text of a piece of `s` that is new in its conversation (by its row); false: there is none to be indexed. */
bool search_text(struct store *st, const struct span *s, enum attr_key key, int64_t trace, struct slice piece,
                 struct buf *out);
/* Indexes that of a block; search_mark(): one that was there before, and says now that it is. 0 or -errno. */
int search_add(struct store *st, int64_t num, struct slice text);
int search_mark(struct store *st, int64_t num);
/* Takes a block out of the index, before it is dropped. 0 or -errno. */
int search_erase(struct store *st, int64_t num);

#endif
