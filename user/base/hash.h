/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.h - SHA-256 (libcrypto: it uses the processor's SHA instructions,
 * measured 2 GB/s where libsodium gives 0.3), and hashes that only this
 * process can make.
 */
#ifndef SPANTAP_HASH_H
#define SPANTAP_HASH_H

#include "base/slice.h"

struct hash {
	uint8_t b[32];
};

/* Loads the algorithm. Called before a jail closes: it may open configuration files. */
void hash_init(void);

struct hash hash_bytes(struct slice s);
struct hash hash_pair(struct slice a, struct slice b); /* of a ‖ b */

/* SHA-256 of what has come so far, to be gone on with. */
struct hash_state;
struct hash_state *hash_begin(void);
struct hash_state *hash_dup(const struct hash_state *h);
void hash_more(struct hash_state *h, struct slice s);
struct hash hash_end(struct hash_state *h); /* frees */
void hash_free(struct hash_state *h);       /* accepts NULL */

/* Of a list of parts, each preceded by its length, so that no two lists give the same input. */
struct hash hash_parts(const struct slice *parts, size_t n);
#define HASH(...) \
	hash_parts((const struct slice[]){__VA_ARGS__}, sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))

/*
 * 128 bits under a key that nobody is shown: they tell texts apart, and who can
 * choose the texts cannot choose two of one hash.  SipHash-2-4 over the parts and
 * their lengths, where Poly1305 (RFC 8439) stands for a long part.  Its one-time
 * key is used again here: that would show only in the tags, which never leave the
 * process, as they are behind SipHash.  Two long texts have one tag with a probability
 * of at most length / 2^107.  10 GB/s, where BLAKE2b gives 1.3.
 */
struct keyed_hash {
	uint8_t b[16];
};

struct hash_key {
	uint8_t poly[32], sip[16];
};

void hash_key_init(struct hash_key *key); /* random */
/* Out of a secret that outlives the process: the same for the same use. */
void hash_key_derive(struct hash_key *key, const uint8_t secret[32], const char *use);
struct keyed_hash hash_keyed(const struct hash_key *key, const struct slice *parts, size_t n);

#endif
