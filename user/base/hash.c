/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>

#include "base/hash.h"
#include "base/log.h"

static EVP_MD *sha256;
static EVP_MD_CTX *context;

static void must(int ok)
{
	if (!ok)
		die(EXIT_SPANTAP, "libcrypto has no working SHA-256");
}

void hash_init(void)
{
	if (sha256)
		return;
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	context = EVP_MD_CTX_new();
	must(sha256 && context);
}

struct hash hash_bytes(struct slice s)
{
	struct hash h;

	hash_init();
	must(EVP_Digest(s.p ? s.p : "", s.n, h.b, NULL, sha256, NULL));
	return h;
}

struct hash hash_pair(struct slice a, struct slice b)
{
	struct hash h;

	hash_init();
	must(EVP_DigestInit_ex(context, sha256, NULL));
	must(EVP_DigestUpdate(context, a.p ? a.p : "", a.n));
	must(EVP_DigestUpdate(context, b.p ? b.p : "", b.n));
	must(EVP_DigestFinal_ex(context, h.b, NULL));
	return h;
}

struct hash hash_parts(const struct slice *parts, size_t n)
{
	struct hash h;

	hash_init();
	must(EVP_DigestInit_ex(context, sha256, NULL));
	for (size_t i = 0; i < n; i++) {
		uint64_t len = parts[i].n;

		must(EVP_DigestUpdate(context, &len, sizeof(len)));
		must(EVP_DigestUpdate(context, parts[i].p ? parts[i].p : "", parts[i].n));
	}
	must(EVP_DigestFinal_ex(context, h.b, NULL));
	return h;
}
