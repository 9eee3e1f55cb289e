/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hash.h - SHA-256 over a list of parts (libsodium).
 *
 * Every part is preceded by its length, so that no two lists of parts give
 * the same input.
 */
#ifndef SPANTAP_HASH_H
#define SPANTAP_HASH_H

#include "base/slice.h"

struct hash {
	uint8_t b[32];
};

struct hash hash_parts(const struct slice *parts, size_t n);
#define HASH(...) \
	hash_parts((const struct slice[]){__VA_ARGS__}, sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))

#endif
