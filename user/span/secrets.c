/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>

#include "span/redact.h"
#include "span/secrets.h"

static const struct key_rule key_rules[] = {
    {"password", "password", KEY_PASSWORD, true},
    {"passwd", "password", KEY_PASSWORD, true},
    {"passphrase", "password", KEY_PASSWORD, true},
    {"_pwd", "password", KEY_PASSWORD, true},
    {"api_key", "api_key", KEY_TOKEN, true},
    {"apikey", "api_key", KEY_TOKEN, true},
    {"access_key", "api_key", KEY_TOKEN, false},
    {"access_key_id", "api_key", KEY_TOKEN, false},
    {"secret_key", "api_key", KEY_TOKEN, false},
    {"private_key", "private_key", KEY_TOKEN, false},
    {"signing_key", "api_key", KEY_TOKEN, false},
    {"encryption_key", "api_key", KEY_TOKEN, false},
    {"account_key", "api_key", KEY_TOKEN, false},
    {"subscription_key", "api_key", KEY_TOKEN, false},
    {"master_key", "api_key", KEY_TOKEN, false},
    {"auth_key", "api_key", KEY_TOKEN, false},
    {"secret", "secret", KEY_TOKEN, false},
    {"credential", "credential", KEY_TOKEN, false},
    {"credentials", "credential", KEY_TOKEN, false},
    {"jwt", "token", KEY_TOKEN, false},
    {"token", "token", KEY_TOKEN, false},
    {"authtoken", "token", KEY_TOKEN, true},
    {"accesstoken", "token", KEY_TOKEN, true},
    {"authorization", "authorization", KEY_AUTH, false},
    {"cookie", "cookie", KEY_COOKIE, false},
    {"key", "key", KEY_WEAK, false}, /* only as environment variable */
};

/* A token or key of these is none. */
static const char *const harmless[] = {
    "next",      "page",  "continuation", "pagination",   "max",    "min",     "num",     "stop",
    "pad",       "eos",   "bos",          "sep",          "mask",   "cls",     "unk",     "start",
    "end",       "sync",  "count",        "cancellation", "public", "primary", "foreign", "sort",
    "partition", "cache", "host",         "first",        "last",   "special",
};

const struct secret_shape secret_shapes[] = {
    {"sk-ant-", ALNUM | DASH, 16, "api_key"},
    {"sk-proj-", ALNUM | DASH, 16, "api_key"},
    {"sk-or-", ALNUM | DASH, 16, "api_key"},
    {"sk-", ALNUM | DASH, 20, "api_key"},
    {"sk_live_", ALNUM, 16, "api_key"},
    {"sk_test_", ALNUM, 16, "api_key"},
    {"rk_live_", ALNUM, 16, "api_key"},
    {"AIza", ALNUM | DASH, 30, "api_key"},
    {"gsk_", ALNUM, 20, "api_key"},
    {"hf_", ALNUM, 20, "api_key"},
    {"xai-", ALNUM, 20, "api_key"},
    {"r8_", ALNUM, 30, "api_key"},
    {"pplx-", ALNUM, 30, "api_key"},
    {"ghp_", ALNUM, 30, "token"},
    {"gho_", ALNUM, 30, "token"},
    {"ghu_", ALNUM, 30, "token"},
    {"ghs_", ALNUM, 30, "token"},
    {"ghr_", ALNUM, 30, "token"},
    {"github_pat_", ALNUM | DASH, 30, "token"},
    {"glpat-", ALNUM | DASH, 16, "token"},
    {"xoxb-", ALNUM | DASH, 16, "token"},
    {"xoxp-", ALNUM | DASH, 16, "token"},
    {"xoxa-", ALNUM | DASH, 16, "token"},
    {"xoxs-", ALNUM | DASH, 16, "token"},
    {"xapp-", ALNUM | DASH, 16, "token"},
    {"npm_", ALNUM, 30, "token"},
    {"pypi-", ALNUM | DASH, 50, "token"},
    {"AKIA", UPPER | DIGIT, 16, "api_key"},
    {"ASIA", UPPER | DIGIT, 16, "api_key"},
    {"ya29.", ALNUM | DASH, 20, "token"},
    {NULL, 0, 0, NULL},
};

const struct flag_rule flag_rules[] = {
    {"curl", "-u", true, true, ':', "password"},      {"curl", "-U", true, true, ':', "password"},
    {"curl", "--user", false, true, ':', "password"}, {"curl", "--proxy-user", false, true, ':', "password"},
    {"curl", "-b", true, true, '=', "cookie"},        {"curl", "--cookie", false, true, '=', "cookie"},
    {"mysql", "-p", true, false, 0, "password"},      {"mysqldump", "-p", true, false, 0, "password"},
    {"mysqladmin", "-p", true, false, 0, "password"}, {"mariadb", "-p", true, false, 0, "password"},
    {"sshpass", "-p", true, true, 0, "password"},     {"redis-cli", "-a", false, true, 0, "password"},
    {"mongo", "-p", false, true, 0, "password"},      {"mongosh", "-p", false, true, 0, "password"},
    {"smbclient", "-U", true, true, '%', "password"}, {"ldapsearch", "-w", true, true, 0, "password"},
    {"http", "-a", false, true, ':', "password"},     {NULL, NULL, false, false, 0, NULL},
};

bool in_words(struct slice s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_caseeq(s, slice_str(words[i])))
			return true;
	return false;
}

/* "apiKey", "API-Key", "api.key" → "api_key". */
static size_t normalize(struct slice key, char out[2 * IDENT_MAX])
{
	size_t n = 0;

	if (key.n > IDENT_MAX)
		key = slice_from(key, key.n - IDENT_MAX);
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];

		if (i && char_set(c) == UPPER && char_set(key.p[i - 1]) == LOWER)
			out[n++] = '_';
		out[n++] = c == '-' || c == '.' || c == ' ' ? '_' : (char)tolower((unsigned char)c);
	}
	while (n && out[n - 1] == '_')
		n--;
	return n;
}

static struct slice last_word(struct slice s)
{
	const char *p = s.n ? memrchr(s.p, '_', s.n) : NULL;

	return p ? slice_of(p + 1, (size_t)(s.p + s.n - p - 1)) : s;
}

const struct key_rule *key_rule(struct slice key)
{
	char text[2 * IDENT_MAX];
	struct slice s = slice_of(text, normalize(key, text));

	for (size_t i = 0; i < sizeof(key_rules) / sizeof(key_rules[0]); i++) {
		const struct key_rule *r = &key_rules[i];
		struct slice suffix = slice_str(r->suffix);

		if (!slice_ends(s, suffix))
			continue;

		struct slice before = slice_of(s.p, s.n - suffix.n);
		if (before.n && before.p[before.n - 1] == '_')
			before.n--;
		else if (before.n && !r->inside)
			continue;
		if (before.n && IN_WORDS(last_word(before), harmless))
			return NULL;
		return r;
	}
	return NULL;
}

const char *redact_key(struct slice key)
{
	const struct key_rule *r = key_rule(key);

	return r && r->class != KEY_WEAK ? r->label : NULL;
}
