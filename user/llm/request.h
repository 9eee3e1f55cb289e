/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request.h - what a call keeps of its request as it was sent: head, body, digest.
 *
 * A body that begins as one before it did needs its SHA-256 only from there on:
 * its states behind the last messages are kept, found by a keyed hash of all
 * that lies before.  Private to llm.c and socket.c.
 */
#ifndef SPANTAP_LLM_REQUEST_H
#define SPANTAP_LLM_REQUEST_H

#include "llm/llm.h"

#define REQUEST_STATES    1024        /* a place for each hash; 0.5 MiB with what libcrypto allocates */
#define REQUEST_STATE_MIN (16u << 10) /* bytes of a body; a shorter one is hashed sooner than looked up */

struct request_memory {
	struct hash_key key;
	struct request_state {
		struct keyed_hash at;
		struct hash_state *state; /* NULL: the place is free */
	} states[REQUEST_STATES];
};

void request_memory_init(struct request_memory *m); /* zero-filled before */
void request_memory_release(struct request_memory *m);

/* `target`: that of `x` without scheme and authority. */
void request_head(struct llm_call *call, const struct exchange *x, struct slice target);
/* Before request_body(): the pieces of the text, which need not be JSON. */
void request_pieces(struct request_memory *m, struct llm_call *call, struct slice body);
/* Takes the bytes of `body`, whole and decoded. */
void request_body(struct request_memory *m, struct llm_call *call, struct buf *body, bool json);

#endif
