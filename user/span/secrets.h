/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secrets.h - what redact.c looks for: key names, shapes, command flags.
 *
 * The tables stand in secrets.c.  A key rule names credentials by the last
 * words of their key, words joined by "_" whatever the spelling (apiKey,
 * API-KEY, x_api_key).
 */
#ifndef SPANTAP_SECRETS_H
#define SPANTAP_SECRETS_H

#include "base/slice.h"

#define IDENT_MAX 96 /* bytes of a key name, the last ones count */

/* What a value must look like to be taken for a secret: redact.c, can_be_secret(). */
enum key_class { KEY_NONE, KEY_PASSWORD, KEY_TOKEN, KEY_WEAK, KEY_AUTH, KEY_COOKIE };

struct key_rule {
	struct slice suffix;
	const char *label;
	enum key_class class;
	bool inside; /* also without a word boundary before it (PGPASSWORD) */
};

/* Whether a key that ends so can name a credential: most do not. */
bool can_end_key(struct slice key);
/* The rule for this key, NULL: it names no credential. */
const struct key_rule *key_rule(struct slice key);

/* Sets of characters. */
#define UPPER  1
#define LOWER  2
#define DIGIT  4
#define DASH   8  /* - _ */
#define BASE64 16 /* + / = */
#define DOT    32
#define ALNUM  (UPPER | LOWER | DIGIT)

extern const uint8_t char_sets[256];

static inline unsigned char_set(char c)
{
	return char_sets[(unsigned char)c];
}

/* Whether `s` is one of the words, in any case. */
bool in_words(struct slice s, const char *const *words, size_t n);
#define IN_WORDS(s, words) in_words(s, words, sizeof(words) / sizeof(words[0]))

/* Secrets by shape: prefix (at least three bytes, skip.c), the alphabet behind it, and how much of it there must be. */
struct secret_shape {
	struct slice prefix;
	unsigned alphabet;
	size_t min;
	const char *label;
};

/* Those that begin with this byte, ending with an absent prefix; NULL: none does. */
extern const struct secret_shape *const secret_shapes[256];

/* Options that carry a secret, and only with these commands. */
struct flag_rule {
	struct slice command, flag;
	bool attached, separate; /* -pX, -p X */
	char user_sep;           /* only what stands behind it: user:password */
	const char *label;
};

extern const bool command_begins[256];
extern const struct flag_rule flag_rules[]; /* ends with an absent command */

#endif
