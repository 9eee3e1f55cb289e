/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <sodium.h>

#include "base/hash.h"
#include "base/log.h"

#define LONG_PART 256 /* bytes; shorter ones are copied faster than Poly1305 is set up */

static EVP_MD *sha256;
static EVP_MD_CTX *context;
static EVP_MAC *poly1305;
static EVP_MAC_CTX *poly_context;

static void must(int ok)
{
	if (!ok)
		die(EXIT_SPANTAP, "libcrypto has no working SHA-256 or Poly1305");
}

void hash_init(void)
{
	if (sha256)
		return;
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	context = EVP_MD_CTX_new();
	poly1305 = EVP_MAC_fetch(NULL, "POLY1305", NULL);
	poly_context = EVP_MAC_CTX_new(poly1305);
	must(sha256 && context && poly1305 && poly_context);
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

static EVP_MD_CTX *context_of(const struct hash_state *h)
{
	return (EVP_MD_CTX *)(uintptr_t)h;
}

struct hash_state *hash_begin(void)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	hash_init();
	must(c && EVP_DigestInit_ex(c, sha256, NULL));
	return (struct hash_state *)c;
}

struct hash_state *hash_dup(const struct hash_state *h)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();

	must(c && EVP_MD_CTX_copy_ex(c, context_of(h)));
	return (struct hash_state *)c;
}

void hash_more(struct hash_state *h, struct slice s)
{
	must(EVP_DigestUpdate(context_of(h), s.p ? s.p : "", s.n));
}

struct hash hash_end(struct hash_state *h)
{
	struct hash digest;

	must(EVP_DigestFinal_ex(context_of(h), digest.b, NULL));
	hash_free(h);
	return digest;
}

void hash_free(struct hash_state *h)
{
	EVP_MD_CTX_free(context_of(h));
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

void hash_key_init(struct hash_key *key)
{
	randombytes_buf(key, sizeof(*key));
}

void hash_key_derive(struct hash_key *key, const uint8_t secret[32], const char *use)
{
	crypto_generichash((unsigned char *)key, sizeof(*key), (const unsigned char *)use, strlen(use), secret, 32);
}

static void put_tag(const struct hash_key *key, struct slice s, uint8_t out[16])
{
	size_t n;

	hash_init();
	must(EVP_MAC_init(poly_context, key->poly, sizeof(key->poly), NULL));
	must(EVP_MAC_update(poly_context, (const unsigned char *)s.p, s.n));
	must(EVP_MAC_final(poly_context, out, &n, 16));
}

struct keyed_hash hash_keyed(const struct hash_key *key, const struct slice *parts, size_t n)
{
	uint8_t text[8 * LONG_PART];
	struct keyed_hash h;
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t len = parts[i].n;

		if (sizeof(text) - at < sizeof(len) + LONG_PART) {
			crypto_shorthash_siphashx24(h.b, text, at, key->sip);
			memcpy(text, h.b, sizeof(h.b));
			at = sizeof(h.b);
		}
		memcpy(text + at, &len, sizeof(len));
		at += sizeof(len);
		if (len > LONG_PART) {
			put_tag(key, parts[i], text + at);
			at += 16;
		} else if (len) {
			memcpy(text + at, parts[i].p, len);
			at += len;
		}
	}
	crypto_shorthash_siphashx24(h.b, text, at, key->sip);
	return h;
}
