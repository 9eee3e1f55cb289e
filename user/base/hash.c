/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>

#include "base/hash.h"

struct hash hash_parts(const struct slice *parts, size_t n)
{
	crypto_hash_sha256_state st;
	struct hash h;

	crypto_hash_sha256_init(&st);
	for (size_t i = 0; i < n; i++) {
		uint64_t len = parts[i].n;

		crypto_hash_sha256_update(&st, (const unsigned char *)&len, sizeof(len));
		crypto_hash_sha256_update(&st, (const unsigned char *)(parts[i].p ? parts[i].p : ""), parts[i].n);
	}
	crypto_hash_sha256_final(&st, h.b);
	return h;
}
