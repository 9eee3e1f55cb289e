/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memo.h - what was written of messages, tools and instructions, for the next request.
 *
 * Requests repeat the ones before them.  A text is found by the keyed hash of
 * what it was written of (hash.h: equal hashes are equal sources), wherever it
 * stands in the request and in whichever conversation.  The texts not used for
 * longest are forgotten.
 */
#ifndef SPANTAP_MEMO_H
#define SPANTAP_MEMO_H

#include <sys/queue.h>

#include "base/hash.h"
#include "base/map.h"

#define MEMO_BYTES_MAX (64u << 20) /* a hundred conversations, as their requests have them in common */

struct memo_text {
	char *text; /* from malloc() */
	size_t n;
	uint64_t masks; /* in it */
};

struct memo_entry;

struct memo {
	struct map map;
	TAILQ_HEAD(memo_list, memo_entry) lru;
	size_t bytes;
};

void memo_init(struct memo *m);
void memo_release(struct memo *m);
const struct memo_text *memo_get(struct memo *m, const struct keyed_hash *at); /* NULL: not there */
/* `t` becomes the memo's; nothing is forgotten before memo_trim(). */
void memo_put(struct memo *m, const struct keyed_hash *at, struct memo_text t);
void memo_trim(struct memo *m);

#endif
