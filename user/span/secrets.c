/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>

#include "span/redact.h"
#include "span/secrets.h"

/* SLICE() as an initialiser. */
#define S(lit)                                                                                               \
	{                                                                                                    \
		"" lit "", sizeof(lit) - 1                                                                   \
	}

static const struct key_rule key_rules[] = {
    {S("password"), "password", KEY_PASSWORD, true},
    {S("passwd"), "password", KEY_PASSWORD, true},
    {S("passphrase"), "password", KEY_PASSWORD, true},
    {S("_pwd"), "password", KEY_PASSWORD, true},
    {S("api_key"), "api_key", KEY_TOKEN, true},
    {S("apikey"), "api_key", KEY_TOKEN, true},
    {S("access_key"), "api_key", KEY_TOKEN, false},
    {S("access_key_id"), "api_key", KEY_TOKEN, false},
    {S("secret_key"), "api_key", KEY_TOKEN, false},
    {S("private_key"), "private_key", KEY_TOKEN, false},
    {S("signing_key"), "api_key", KEY_TOKEN, false},
    {S("encryption_key"), "api_key", KEY_TOKEN, false},
    {S("account_key"), "api_key", KEY_TOKEN, false},
    {S("subscription_key"), "api_key", KEY_TOKEN, false},
    {S("master_key"), "api_key", KEY_TOKEN, false},
    {S("auth_key"), "api_key", KEY_TOKEN, false},
    {S("secret"), "secret", KEY_TOKEN, false},
    {S("credential"), "credential", KEY_TOKEN, false},
    {S("credentials"), "credential", KEY_TOKEN, false},
    {S("jwt"), "token", KEY_TOKEN, false},
    {S("token"), "token", KEY_TOKEN, false},
    {S("authtoken"), "token", KEY_TOKEN, true},
    {S("accesstoken"), "token", KEY_TOKEN, true},
    {S("authorization"), "authorization", KEY_AUTH, false},
    {S("cookie"), "cookie", KEY_COOKIE, false},
    {S("key"), "key", KEY_WEAK, false}, /* only as environment variable */
};

/* A token or key of these is none. */
static const char *const harmless[] = {
    "next",      "page",  "continuation", "pagination",   "max",    "min",     "num",     "stop",
    "pad",       "eos",   "bos",          "sep",          "mask",   "cls",     "unk",     "start",
    "end",       "sync",  "count",        "cancellation", "public", "primary", "foreign", "sort",
    "partition", "cache", "host",         "first",        "last",   "special",
};

/* Secrets by shape, by their first byte. Providers and clouds, code hosts, package registries, chats,
 * databases. */
static const struct secret_shape digit_1_shapes[] = {
    {S("1//0"), ALNUM | DASH, 30, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape upper_a_shapes[] = {
    {S("AIza"), ALNUM | DASH, 30, "api_key"},
    {S("AKIA"), UPPER | DIGIT, 16, "api_key"},
    {S("ASIA"), UPPER | DIGIT, 16, "api_key"},
    {S("ATATT3x"), ALNUM | DASH | BASE64, 40, "token"},
    {S("ATCTT3x"), ALNUM | DASH | BASE64, 40, "token"},
    {S("AGE-SECRET-KEY-1"), UPPER | DIGIT, 50, "private_key"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape c_shapes[] = {
    {S("csk-"), ALNUM, 30, "api_key"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape d_shapes[] = {
    {S("discord.com/api/webhooks/"), ALNUM | DASH | BASE64, 60, "token"},
    {S("dckr_pat_"), ALNUM | DASH, 20, "token"},
    {S("dop_v1_"), ALNUM, 40, "token"},
    {S("doo_v1_"), ALNUM, 40, "token"},
    {S("dapi"), ALNUM, 32, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape e_shapes[] = {
    {S("e2b_"), ALNUM, 30, "api_key"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape f_shapes[] = {
    {S("fw_"), ALNUM, 20, "api_key"},
    {S("figd_"), ALNUM | DASH, 30, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape upper_g_shapes[] = {
    {S("GOCSPX-"), ALNUM | DASH, 20, "secret"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape g_shapes[] = {
    {S("gsk_"), ALNUM, 20, "api_key"},
    {S("ghp_"), ALNUM, 30, "token"},
    {S("gho_"), ALNUM, 30, "token"},
    {S("ghu_"), ALNUM, 30, "token"},
    {S("ghs_"), ALNUM, 30, "token"},
    {S("ghr_"), ALNUM, 30, "token"},
    {S("github_pat_"), ALNUM | DASH, 30, "token"},
    {S("glpat-"), ALNUM | DASH, 16, "token"},
    {S("glrt-"), ALNUM | DASH, 16, "token"},
    {S("gldt-"), ALNUM | DASH, 16, "token"},
    {S("glsa_"), ALNUM | DASH, 32, "token"},
    {S("glc_"), ALNUM | BASE64, 40, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape upper_h_shapes[] = {
    {S("HRKU-"), ALNUM | DASH, 30, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape h_shapes[] = {
    {S("hf_"), ALNUM, 20, "api_key"},
    {S("hooks.slack.com/services/"), ALNUM | BASE64, 30, "token"},
    {S("hvs."), ALNUM | DASH, 24, "token"},
    {S("hvb."), ALNUM | DASH, 24, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape j_shapes[] = {
    {S("jina_"), ALNUM | DASH, 40, "api_key"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape upper_l_shapes[] = {
    {S("LTAI"), ALNUM, 16, "api_key"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape l_shapes[] = {
    {S("lsv2_"), ALNUM | DASH, 30, "api_key"},
    {S("lin_api_"), ALNUM, 30, "api_key"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape upper_n_shapes[] = {
    {S("NRAK-"), ALNUM, 20, "api_key"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape n_shapes[] = {
    {S("nvapi-"), ALNUM | DASH, 30, "api_key"},
    {S("npm_"), ALNUM, 30, "token"},
    {S("ntn_"), ALNUM, 40, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape o_shapes[] = {
    {S("ops_eyJ"), ALNUM | DASH, 100, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape p_shapes[] = {
    {S("pplx-"), ALNUM, 30, "api_key"},
    {S("pa-"), ALNUM | DASH, 40, "api_key"},
    {S("pcsk_"), ALNUM | DASH, 30, "api_key"},
    {S("pypi-"), ALNUM | DASH, 50, "token"},
    {S("pscale_pw_"), ALNUM | DASH | DOT, 30, "password"},
    {S("pscale_tkn_"), ALNUM | DASH | DOT, 30, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape r_shapes[] = {
    {S("rk_live_"), ALNUM, 16, "api_key"},
    {S("rk_test_"), ALNUM, 16, "api_key"},
    {S("r8_"), ALNUM, 30, "api_key"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape upper_s_shapes[] = {
    {S("SG."), ALNUM | DASH | DOT, 40, "api_key"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape s_shapes[] = {
    {S("sk-ant-"), ALNUM | DASH, 16, "api_key"},
    {S("sk-proj-"), ALNUM | DASH, 16, "api_key"},
    {S("sk-or-"), ALNUM | DASH, 16, "api_key"},
    {S("sk-"), ALNUM | DASH, 20, "api_key"},
    {S("sk_live_"), ALNUM, 16, "api_key"},
    {S("sk_test_"), ALNUM, 16, "api_key"},
    {S("sk_"), ALNUM, 40, "api_key"},
    {S("shpat_"), ALNUM, 30, "token"},
    {S("shpss_"), ALNUM, 30, "secret"},
    {S("shpca_"), ALNUM, 30, "token"},
    {S("sbp_"), ALNUM, 30, "token"},
    {S("sb_secret_"), ALNUM | DASH, 20, "secret"},
    {S("sntrys_"), ALNUM | DASH | BASE64, 40, "token"},
    {S("sntryu_"), ALNUM, 40, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape t_shapes[] = {
    {S("tgp_v1_"), ALNUM | DASH, 30, "api_key"},
    {S("tvly-"), ALNUM | DASH, 20, "api_key"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape w_shapes[] = {
    {S("whsec_"), ALNUM | BASE64, 24, "secret"},
    {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape x_shapes[] = {
    {S("xai-"), ALNUM, 20, "api_key"},       {S("xoxb-"), ALNUM | DASH, 16, "token"},
    {S("xoxp-"), ALNUM | DASH, 16, "token"}, {S("xoxa-"), ALNUM | DASH, 16, "token"},
    {S("xoxs-"), ALNUM | DASH, 16, "token"}, {S("xoxe-"), ALNUM | DASH, 16, "token"},
    {S("xapp-"), ALNUM | DASH, 16, "token"}, {{NULL, 0}, 0, 0, NULL},
};

static const struct secret_shape y_shapes[] = {
    {S("ya29."), ALNUM | DASH, 20, "token"},
    {{NULL, 0}, 0, 0, NULL},
};

const struct secret_shape *const secret_shapes[256] = {
    ['1'] = digit_1_shapes, ['A'] = upper_a_shapes, ['G'] = upper_g_shapes, ['H'] = upper_h_shapes,
    ['L'] = upper_l_shapes, ['N'] = upper_n_shapes, ['S'] = upper_s_shapes, ['c'] = c_shapes,
    ['d'] = d_shapes,       ['e'] = e_shapes,       ['f'] = f_shapes,       ['g'] = g_shapes,
    ['h'] = h_shapes,       ['j'] = j_shapes,       ['l'] = l_shapes,       ['n'] = n_shapes,
    ['o'] = o_shapes,       ['p'] = p_shapes,       ['r'] = r_shapes,       ['s'] = s_shapes,
    ['t'] = t_shapes,       ['w'] = w_shapes,       ['x'] = x_shapes,       ['y'] = y_shapes,
};

const struct flag_rule flag_rules[] = {
    {S("curl"), S("-u"), true, true, ':', "password"},
    {S("curl"), S("-U"), true, true, ':', "password"},
    {S("curl"), S("--user"), false, true, ':', "password"},
    {S("curl"), S("--proxy-user"), false, true, ':', "password"},
    {S("curl"), S("-b"), true, true, '=', "cookie"},
    {S("curl"), S("--cookie"), false, true, '=', "cookie"},
    {S("mysql"), S("-p"), true, false, 0, "password"},
    {S("mysqldump"), S("-p"), true, false, 0, "password"},
    {S("mysqladmin"), S("-p"), true, false, 0, "password"},
    {S("mariadb"), S("-p"), true, false, 0, "password"},
    {S("sshpass"), S("-p"), true, true, 0, "password"},
    {S("redis-cli"), S("-a"), false, true, 0, "password"},
    {S("mongo"), S("-p"), false, true, 0, "password"},
    {S("mongosh"), S("-p"), false, true, 0, "password"},
    {S("smbclient"), S("-U"), true, true, '%', "password"},
    {S("ldapsearch"), S("-w"), true, true, 0, "password"},
    {S("http"), S("-a"), false, true, ':', "password"},
    {{NULL, 0}, {NULL, 0}, false, false, 0, NULL},
};

const bool command_begins[256] = {
    ['c'] = true, ['h'] = true, ['l'] = true, ['m'] = true, ['r'] = true, ['s'] = true,
};

const uint8_t char_sets[256] = {
    ['A' ... 'Z'] = UPPER, ['a' ... 'z'] = LOWER, ['0' ... '9'] = DIGIT, ['-'] = DASH, ['_'] = DASH,
    ['+'] = BASE64,        ['/'] = BASE64,        ['='] = BASE64,        ['.'] = DOT,
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

/*
 * By the last letters of the key, so that most names are told apart from credentials by one look.  Every
 * suffix above ends with one of these; a "_" that normalize() adds can only stand before the last two of
 * "_id".
 */
bool can_end_key(struct slice key)
{
	while (key.n &&
	       ((char_set(key.p[key.n - 1]) & DASH) || key.p[key.n - 1] == '.' || key.p[key.n - 1] == ' '))
		key.n--;
	if (key.n < 3)
		return false;

	const unsigned char *p = (const unsigned char *)key.p + key.n - 3;
#define ENDS(a, b, c) ((a) << 16 | (b) << 8 | (c))
	switch (ENDS(p[0] | 32, p[1] | 32, p[2] | 32)) {
	case ENDS('o', 'r', 'd'): /* password */
	case ENDS('s', 'w', 'd'): /* passwd */
	case ENDS('a', 's', 'e'): /* passphrase */
	case ENDS('p', 'w', 'd'):
	case ENDS('k', 'e', 'y'):
	case ENDS('r', 'e', 't'): /* secret */
	case ENDS('i', 'a', 'l'): /* credential */
	case ENDS('a', 'l', 's'):
	case ENDS('j', 'w', 't'):
	case ENDS('k', 'e', 'n'): /* token */
	case ENDS('i', 'o', 'n'): /* authorization */
	case ENDS('k', 'i', 'e'): /* cookie */
		return true;
	default:
		return ENDS(0, p[1] | 32, p[2] | 32) == ENDS(0, 'i', 'd'); /* access_key_id */
	}
#undef ENDS
}

const struct key_rule *key_rule(struct slice key)
{
	char text[2 * IDENT_MAX];

	if (!can_end_key(key))
		return NULL;
	struct slice s = slice_of(text, normalize(key, text));

	for (size_t i = 0; i < sizeof(key_rules) / sizeof(key_rules[0]); i++) {
		const struct key_rule *r = &key_rules[i];
		if (!slice_ends(s, r->suffix))
			continue;

		struct slice before = slice_of(s.p, s.n - r->suffix.n);
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
