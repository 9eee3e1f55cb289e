/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>

#include "span/escapes.h"
#include "span/personal.h"
#include "span/redact.h"
#include "span/secrets.h"
#include "span/skip.h"

#define LOOK_AHEAD 256   /* bytes read to decide whether a value is a secret */
#define SKIP_MIN   64    /* bytes; where less is skipped at once, the next ones are looked at word by word */
#define VALUE_MAX  65536 /* bytes of a quoted value; a longer one is taken as not quoted */

/* URL parameters that are credentials although they are no key name above. */
static const char *const query_names[] = {
    "key",           "sig", "signature", "x-amz-signature", "x-goog-signature", "x-amz-security-token",
    "code_verifier", "auth"};

static const char *const auth_schemes[] = {"bearer", "basic",     "digest",          "token",
                                           "apikey", "negotiate", "aws4-hmac-sha256"};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
	return is_blank(c) || c == '\n' || c == '\r';
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'' || c == '`';
}

static size_t run(struct slice s, size_t i, unsigned alphabet)
{
	while (i < s.n && (char_set(s.p[i]) & alphabet))
		i++;
	return i;
}

/* One pass over `in`; in[0..copied) is already in `out`. */
struct scan {
	struct buf *out;
	struct slice in;
	size_t i, copied;
	size_t dense; /* up to here there is so much to look at that skipping does not pay */
	size_t masks;
	unsigned mode;
	bool escapes;         /* JSON's were seen (escapes.h) */
	struct slice command; /* of flag_rules, in the simple command where the scan is; absent: none */
};

/* Replaces in[from..to) and goes on behind it. */
static bool mask(struct scan *s, size_t from, size_t to, const char *label)
{
	buf_add(s->out, s->in.p + s->copied, from - s->copied);
	buf_addf(s->out, "[masked:%s]", label);
	s->copied = s->i = to;
	s->masks++;
	return true;
}

static char at(const struct scan *s, size_t i)
{
	return i < s->in.n ? s->in.p[i] : '\0';
}

static bool starts_at(const struct scan *s, size_t i, struct slice prefix)
{
	return i <= s->in.n && slice_starts(slice_from(s->in, i), prefix);
}

static size_t skip_blanks(const struct scan *s, size_t i)
{
	size_t limit = i + 16;

	while (i < limit && is_blank(at(s, i)))
		i++;
	return i;
}

struct value {
	size_t from, to;
	char quote; /* 0: none */
};

static bool ends_word(char c)
{
	return is_space(c) || is_quote(c) || c == '\0' || strchr(";&|,)}]<>\\", c);
}

/* The value that begins at i: quoted (also with \" as inside JSON text), or a word. */
static struct value value_at(const struct scan *s, size_t i, size_t limit)
{
	bool escaped = at(s, i) == '\\' && is_quote(at(s, i + 1));
	char quote = at(s, i + escaped);
	size_t max = s->in.n - i < VALUE_MAX ? s->in.n : i + VALUE_MAX;

	if (is_quote(quote)) {
		size_t from = i + 1 + escaped;

		for (size_t j = from; j < max; j++) {
			if (s->in.p[j] == quote)
				return (struct value){from, j, quote};
			if (s->in.p[j] == '\\') {
				if (escaped && at(s, j + 1) == quote)
					return (struct value){from, j, quote};
				j++;
			}
		}
		i = from;
	}
	struct value v = {i, i, 0};
	while (v.to < s->in.n && v.to - v.from < limit && !ends_word(s->in.p[v.to]))
		v.to++;
	return v;
}

/* Masks a value of which value_at() saw the first LOOK_AHEAD bytes, to its end. */
static bool mask_value(struct scan *s, struct value v, const char *label)
{
	if (!v.quote)
		while (v.to < s->in.n && !ends_word(s->in.p[v.to]))
			v.to++;
	return mask(s, v.from, v.to, label);
}

/* Stands for a secret instead of being one: $TOKEN, <your key>, {{token}}, ***. */
static bool is_reference(const struct scan *s, struct value v)
{
	struct slice t = slice_of(s->in.p + v.from, v.to - v.from);

	if (t.n == 0 || slice_starts(t, SLICE("[masked:")))
		return true;
	if (t.p[0] == '<' || t.p[0] == '*' || (t.p[0] == '{' && v.quote != '\''))
		return true;
	if (t.p[0] == '$' && v.quote != '\'')
		return t.n > 1 && (isalpha((unsigned char)t.p[1]) || strchr("{(_", t.p[1]));
	return slice_eq(t, SLICE("null")) || slice_caseeq(t, SLICE("none")) ||
	       slice_caseeq(t, SLICE("true")) || slice_caseeq(t, SLICE("false"));
}

/* Bit 0: holds a digit, bit 1: a letter. */
static unsigned mixture(const struct scan *s, struct value v)
{
	unsigned seen = 0;

	for (size_t i = v.from; i < v.to && i - v.from < LOOK_AHEAD; i++)
		seen |= isdigit((unsigned char)s->in.p[i]) ? 1 : isalpha((unsigned char)s->in.p[i]) ? 2 : 0;
	return seen;
}

/* The end of a header's value: of its line, or of the text it is quoted in. */
static size_t header_end(const struct scan *s, size_t i, char quote)
{
	while (i < s->in.n && !strchr("\r\n\\", s->in.p[i]) &&
	       !(quote ? s->in.p[i] == quote : is_quote(s->in.p[i])))
		i++;
	return i;
}

/* Authorization: Bearer X. The scheme is kept. */
static bool mask_auth(struct scan *s, size_t i, char quote)
{
	static const char *const prose[] = {
	    "auth", "authentication", "token", "tokens", "header", "and", "or", "is"};
	size_t scheme_end = run(s->in, i, ALNUM | DASH);
	struct slice scheme = slice_of(s->in.p + i, scheme_end - i);
	size_t from = skip_blanks(s, scheme_end);

	if (from > scheme_end && IN_WORDS(scheme, auth_schemes)) {
		struct value v = value_at(s, from, LOOK_AHEAD);

		if (v.to == v.from || v.quote || is_reference(s, v) ||
		    IN_WORDS(slice_of(s->in.p + v.from, v.to - v.from), prose))
			return false;
		bool list = slice_caseeq(scheme, SLICE("digest")) || scheme.n > 10;
		return list ? mask(s, from, header_end(s, from, quote ? quote : '\''), "authorization")
		            : mask_value(s, v, "authorization");
	}

	struct value v = value_at(s, i, LOOK_AHEAD);
	if (v.to - v.from < 8 || is_reference(s, v) || !(mixture(s, v) & 1))
		return false;
	return mask_value(s, v, "authorization");
}

static bool mask_cookie(struct scan *s, size_t i, char quote)
{
	size_t name_end = run(s->in, i, ALNUM | DASH);

	if (name_end == i || at(s, name_end) != '=')
		return false;
	return mask(s, i, header_end(s, name_end, quote), "cookie");
}

enum style { STYLE_FLAG, STYLE_ENV, STYLE_QUERY, STYLE_ASSIGN, STYLE_COLON, STYLE_LOOSE };

static bool can_be_secret(const struct scan *s, const struct key_rule *r, struct slice key, struct value v,
                          enum style style)
{
	size_t n = v.to - v.from;
	unsigned mix = mixture(s, v);

	if (is_reference(s, v))
		return false;
	if (r->class == KEY_WEAK)
		return style == STYLE_ENV && (key.n == 3 || (n >= 8 && mix == 3));
	if (style == STYLE_FLAG || style == STYLE_ENV || style == STYLE_QUERY || v.quote)
		return true;
	if (style == STYLE_LOOSE || slice_eq(slice_of(s->in.p + v.from, n), key))
		return false;
	if (at(s, v.to) == '(' || memchr(s->in.p + v.from, '(', n) || memchr(s->in.p + v.from, '[', n))
		return false;
	if (style == STYLE_ASSIGN && r->class == KEY_PASSWORD)
		return true;
	return n >= 8 && mix == 3;
}

static bool all_upper(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(char_set(s.p[i]) & (UPPER | DIGIT)) && s.p[i] != '_')
			return false;
	return s.n > 0;
}

/* --name VALUE */
static bool mask_flag_argument(struct scan *s, size_t end, const struct key_rule *r)
{
	size_t from = skip_blanks(s, end);

	if (from == end || at(s, from) == '-' || r->class == KEY_WEAK)
		return false;

	struct value v = value_at(s, from, LOOK_AHEAD);
	return !is_reference(s, v) && mask_value(s, v, r->label);
}

/* What stands behind the key in[from..end). */
static bool mask_keyed(struct scan *s, size_t from, size_t end)
{
	struct slice key = slice_of(s->in.p + from, end - from);
	char before = from ? s->in.p[from - 1] : ' ';
	bool flag = before == '-' && (from == 1 || s->in.p[from - 2] == '-' || is_space(s->in.p[from - 2]) ||
	                              is_quote(s->in.p[from - 2]));
	bool query = (before == '?' || before == '&') && at(s, end) == '=';

	if (query) {
		const struct key_rule *q = key_rule(key);

		if (q || IN_WORDS(key, query_names)) {
			struct value v = value_at(s, end + 1, LOOK_AHEAD);

			return !is_reference(s, v) && mask_value(s, v, q ? q->label : "query");
		}
	}

	size_t i = end;
	if (at(s, i) == '\\' && is_quote(at(s, i + 1)))
		i += 2;
	else if (is_quote(at(s, i)))
		i++;
	size_t sep = skip_blanks(s, i);
	char c = at(s, sep);
	bool separated = c == '=' || c == ':';
	const struct key_rule *r = separated || (flag && i == end) ? key_rule(key) : NULL;

	if (!r)
		return false;
	if (!separated)
		return mask_flag_argument(s, end, r);

	size_t value = sep + 1;
	if ((c == ':' && at(s, value) == '=') || (c == '=' && at(s, value) == '>'))
		value++;
	else if (at(s, value) == c)
		return false; /* == or :: */
	size_t open = skip_blanks(s, value);
	char quote = is_quote(at(s, open)) ? at(s, open) : 0;

	if (r->class == KEY_AUTH && mask_auth(s, open + !!quote, quote))
		return true;
	if (r->class == KEY_COOKIE && mask_cookie(s, open + !!quote, quote))
		return true;
	if ((r->class == KEY_AUTH || r->class == KEY_COOKIE) && !flag)
		return false;

	enum style style = c == ':' ? STYLE_COLON : open > value || sep > end ? STYLE_LOOSE : STYLE_ASSIGN;
	if (style == STYLE_ASSIGN)
		style = flag ? STYLE_FLAG : all_upper(key) ? STYLE_ENV : STYLE_ASSIGN;
	struct value v = value_at(s, open, LOOK_AHEAD);
	if (!can_be_secret(s, r, key, v, style))
		return false;
	return mask_value(s, v, r->label);
}

/* -pSECRET, -u user:SECRET of the commands in flag_rules. */
static bool mask_command_flag(struct scan *s)
{
	for (size_t k = 0; flag_rules[k].command.p; k++) {
		const struct flag_rule *r = &flag_rules[k];
		struct slice flag = r->flag;

		if (!slice_eq(r->command, s->command) || !starts_at(s, s->i, flag))
			continue;

		size_t end = s->i + flag.n, from = skip_blanks(s, end);
		if (from == end && at(s, from) == '=' && flag.n > 2)
			from++;
		else if (from > end ? !r->separate : !r->attached)
			continue;
		struct value v = value_at(s, from, LOOK_AHEAD);
		if (r->user_sep) {
			const char *p = memchr(s->in.p + v.from, r->user_sep, v.to - v.from);

			if (!p)
				continue;
			v.from = (size_t)(p + 1 - s->in.p);
		}
		if (v.to > v.from && !is_reference(s, v))
			return mask_value(s, v, r->label);
	}
	return false;
}

/* scheme://user:SECRET@host; s->i is at "://". */
static bool mask_userinfo(struct scan *s)
{
	size_t from = s->i + 3, colon = 0, last_at = 0;

	for (size_t i = from; i < s->in.n && i - from < LOOK_AHEAD; i++) {
		char c = s->in.p[i];

		if (is_space(c) || is_quote(c) || strchr("/?#<>\\", c))
			break;
		if (c == ':' && !colon)
			colon = i;
		if (c == '@')
			last_at = i;
	}
	if (!last_at || starts_at(s, from, SLICE("[masked:")))
		return false;
	if (colon && colon < last_at)
		from = colon + 1;
	else if (last_at - from < 20)
		return false;
	struct value v = {from, last_at, 0};
	return !is_reference(s, v) && mask(s, from, last_at, "url_password");
}

/* header.payload.signature, both first of JSON (RFC 7519), or five parts when encrypted (RFC 7516). */
static bool mask_jwt(struct scan *s)
{
	size_t end = run(s->in, s->i, ALNUM | DASH), parts = 1;
	bool is_signed = starts_at(s, end, SLICE(".eyJ"));

	if (end - s->i < 10)
		return false;
	while (parts < 5 && at(s, end) == '.') {
		end = run(s->in, end + 1, ALNUM | DASH);
		parts++;
	}
	if (is_signed ? parts < 3 : parts < 5)
		return false;
	return mask(s, s->i, end, "jwt");
}

static bool mask_pem(struct scan *s)
{
	struct slice rest = slice_from(s->in, s->i);
	struct slice head = slice_of(rest.p, rest.n < 80 ? rest.n : 80);
	const char *name_end = slice_find(head, SLICE("PRIVATE KEY"));

	if (!name_end)
		return false;

	struct slice body = slice_of(name_end, (size_t)(rest.p + rest.n - name_end));
	const char *end = slice_find(body, SLICE("-----END"));
	size_t to = s->in.n;
	if (end) {
		struct slice tail = slice_of(end + 8, (size_t)(s->in.p + s->in.n - end - 8));
		const char *close = slice_find(slice_of(tail.p, tail.n < 80 ? tail.n : 80), SLICE("-----"));

		to = (size_t)((close ? close + 5 : end + 8) - s->in.p);
	}
	return mask(s, s->i, to, "private_key");
}

static bool mask_shape(struct scan *s)
{
	const struct secret_shape *sh = secret_shapes[(unsigned char)s->in.p[s->i]];

	if (starts_at(s, s->i, SLICE("eyJ")) && mask_jwt(s))
		return true;
	for (; sh && sh->prefix.p; sh++) {
		if (sh->prefix.p[1] != at(s, s->i + 1) || !starts_at(s, s->i, sh->prefix))
			continue;

		size_t from = s->i + sh->prefix.n, to = run(s->in, from, sh->alphabet);
		while (to > from && s->in.p[to - 1] == '.')
			to--; /* of the sentence */
		struct value v = {from, to, 0};
		bool mixed = (mixture(s, v) & 1) || to - from > 2 * sh->min;
		if (to - from >= sh->min && mixed && !(char_set(at(s, to)) & ALNUM))
			return mask(s, s->i, to, sh->label);
	}
	if ((s->in.p[s->i] | 32) == 'b' && s->in.n - s->i > 22 &&
	    strncasecmp(s->in.p + s->i, "bearer ", 7) == 0) {
		struct value v = {s->i + 7, s->i + 7, 0};

		while (v.to < s->in.n &&
		       ((char_set(s->in.p[v.to]) & (ALNUM | DASH | BASE64)) || s->in.p[v.to] == '.'))
			v.to++;
		if (v.to - v.from >= 16 && (mixture(s, v) & 1))
			return mask(s, v.from, v.to, "token");
	}
	return false;
}

/* What providers say of a wrong key: "Incorrect API key provided: X". */
static bool mask_reported(struct scan *s)
{
	static const char *const phrases[] = {"api key provided: ", "api key: "};

	if ((s->in.p[s->i] | 32) != 'a' || (at(s, s->i + 1) | 32) != 'p')
		return false;
	for (size_t k = 0; k < sizeof(phrases) / sizeof(phrases[0]); k++) {
		size_t n = strlen(phrases[k]);

		if (s->in.n - s->i <= n || strncasecmp(s->in.p + s->i, phrases[k], n) != 0)
			continue;
		struct value v = value_at(s, s->i + n, LOOK_AHEAD);
		if (v.to - v.from >= 12 && mixture(s, v) == 3 && !is_reference(s, v))
			return mask_value(s, v, "api_key");
	}
	return false;
}

/* An address around the "@", or "%40", at s->i; its first part was passed over already. */
static bool mask_email(struct scan *s)
{
	size_t from, end = personal_email(s->in, s->i, s->copied, &from);

	return end && mask(s, from, end, "email");
}

static bool mask_card(struct scan *s)
{
	size_t end = char_set(s->in.p[s->i]) & DIGIT ? personal_card(s->in, s->i) : 0;

	return end && mask(s, s->i, end, "card");
}

static void note_command(struct scan *s, size_t from, size_t end)
{
	struct slice word = slice_of(s->in.p + from, end - from);

	if (!word.n || !command_begins[(unsigned char)word.p[0]])
		return;
	for (size_t k = 0; flag_rules[k].command.p; k++)
		if (slice_eq(word, flag_rules[k].command))
			s->command = flag_rules[k].command;
}

static bool in_name(char c)
{
	return char_set(c) & (ALNUM | DASH | DOT);
}

/* Names end with a separator, or a blank before one; only what follows a flag may stand behind a blank alone.
 */
static bool may_be_key(const struct scan *s, size_t from, size_t end)
{
	char c = at(s, end);

	if (is_blank(c)) {
		char d = at(s, end + 1);

		return is_blank(d) || d == '=' || d == ':' || (from && s->in.p[from - 1] == '-');
	}
	return c == '=' || c == ':' || c == '\\' || is_quote(c);
}

/* A word begins at s->i. */
static void scan_word(struct scan *s)
{
	size_t from = s->i, limit = s->in.n - from < IDENT_MAX ? s->in.n : from + IDENT_MAX;

	if (((s->mode & REDACT_SECRETS) && mask_shape(s)) || mask_reported(s) ||
	    ((s->mode & REDACT_CARD) && mask_card(s)))
		return;

	size_t word = from;
	while (word < limit && (char_set(s->in.p[word]) & (ALNUM | DASH)))
		word++;
	size_t end = word;
	while (end < limit && in_name(s->in.p[end]))
		end++;
	note_command(s, from, end);
	while (end > from && (s->in.p[end - 1] == '.' || s->in.p[end - 1] == '-'))
		end--;
	if (!may_be_key(s, from, end) || !mask_keyed(s, from, end))
		s->i = run(s->in, word, ALNUM | DASH);
}

/* Bytes outside of words at which scan() looks. */
static const bool looked_at[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['_'] = true,
    ['\n'] = true,        [';'] = true,         ['|'] = true,         [':'] = true,
    ['-'] = true,         ['\\'] = true,        ['@'] = true,         ['%'] = true,
};

static void skip(struct scan *s)
{
	size_t from = s->i;

	s->i = skip_harmless(s->in, from, s->mode);
	if (s->i - from < SKIP_MIN)
		s->dense = s->i + 2 * SKIP_MIN;
}

static void scan(struct scan *s)
{
	while (s->i < s->in.n) {
		if (!s->command.p && s->i >= s->dense && !(s->mode & REDACT_SLOWLY))
			skip(s);
		if (s->i == s->in.n)
			break;
		char c = s->in.p[s->i];

		if (!looked_at[(unsigned char)c]) {
			s->i++;
			continue;
		}
		if (char_set(c) & ALNUM || c == '_') {
			scan_word(s);
			continue;
		}
		if (c == '\n' || c == ';' || c == '|')
			s->command = (struct slice){NULL, 0};
		if (c == ':' && starts_at(s, s->i, SLICE("://")) && mask_userinfo(s))
			continue;
		if ((s->mode & REDACT_EMAIL) && (c == '@' || starts_at(s, s->i, SLICE("%40"))) &&
		    mask_email(s))
			continue;
		if (c == '\\') {
			char e = at(s, s->i + 1);

			s->escapes = s->escapes || e == 'u' || e == '/';
			s->i += e == 'n' || e == 't' || e == 'r' ? 2 : 1; /* the word begins behind it */
			continue;
		}
		if (c == '-') {
			bool first = s->i == 0 || is_space(s->in.p[s->i - 1]);

			if (first && s->command.p && mask_command_flag(s))
				continue;
			if ((s->mode & REDACT_SECRETS) && starts_at(s, s->i, SLICE("-----BEGIN ")) &&
			    mask_pem(s))
				continue;
		}
		s->i++;
	}
	if (s->masks)
		buf_add(s->out, s->in.p + s->copied, s->in.n - s->copied);
}

size_t redact_changes(struct buf *out, struct slice in, unsigned mode)
{
	struct buf plain = {0};
	size_t begun = out->n;
	struct scan s = {.out = out, .in = in, .mode = mode};

	if (in.n)
		scan(&s);
	if (s.escapes && escapes_undo(&plain, in)) { /* seldom: then it is searched again, as what it means */
		out->n = begun;
		s = (struct scan){.out = out, .in = buf_slice(&plain), .mode = mode};
		scan(&s);
	}
	buf_release(&plain);
	return s.masks;
}

size_t redact_text(struct buf *out, struct slice in, unsigned mode)
{
	size_t masks = redact_changes(out, in, mode);

	if (!masks)
		buf_addslice(out, in);
	return masks;
}

static struct slice base_name(struct slice path)
{
	const char *p = path.n ? memrchr(path.p, '/', path.n) : NULL;

	return p ? slice_from(path, (size_t)(p + 1 - path.p)) : path;
}

/* A whole argument as the value of the option before it; a user name is kept. */
static struct slice mask_argument(struct arena *a, struct slice arg, char user_sep, const char *label)
{
	struct buf b = {0};
	const char *p = user_sep && arg.n ? memchr(arg.p, user_sep, arg.n) : NULL;

	if (p)
		buf_add(&b, arg.p, (size_t)(p + 1 - arg.p));
	buf_addf(&b, "[masked:%s]", label);

	struct slice s = arena_dup(a, buf_slice(&b));
	buf_release(&b);
	return s;
}

/* The label when `option` says that the next argument is a secret. */
static const char *option_label(struct slice option, struct slice command, char *ret_user_sep)
{
	*ret_user_sep = 0;
	if (option.n < 2 || option.p[0] != '-' || memchr(option.p, '=', option.n))
		return NULL;
	for (size_t k = 0; command.p && flag_rules[k].command.p; k++) {
		const struct flag_rule *r = &flag_rules[k];

		if (r->separate && slice_eq(r->command, command) && slice_eq(option, r->flag)) {
			*ret_user_sep = r->user_sep;
			return r->label;
		}
	}
	if (option.n < 4)
		return NULL;
	return redact_key(slice_from(option, option.p[1] == '-' ? 2 : 1));
}

/* NAME=VALUE or --name=VALUE where the value is everything up to the end. */
static bool mask_assignment(struct arena *a, struct slice arg, struct slice *ret)
{
	const char *eq = arg.n ? memchr(arg.p, '=', arg.n) : NULL;
	size_t n = eq ? (size_t)(eq - arg.p) : 0, dashes = 0;

	while (dashes < 2 && dashes < n && arg.p[dashes] == '-')
		dashes++;
	if (n == dashes || n + 1 == arg.n || n - dashes > IDENT_MAX)
		return false;
	for (size_t i = dashes; i < n; i++)
		if (!in_name(arg.p[i]))
			return false;

	struct slice key = slice_of(arg.p + dashes, n - dashes);
	const struct key_rule *r = key_rule(key);
	if (!r || (r->class == KEY_WEAK && (dashes || !all_upper(key) || arg.n - n < 9)))
		return false;
	if (slice_starts(slice_from(arg, n + 1), SLICE("[masked:")))
		return false;

	struct buf b = {0};
	buf_add(&b, arg.p, n + 1);
	buf_addf(&b, "[masked:%s]", r->label);
	*ret = arena_dup(a, buf_slice(&b));
	buf_release(&b);
	return true;
}

size_t redact_argv(struct arena *a, const struct slice *argv, size_t n, struct slice *ret, unsigned mode)
{
	struct buf b = {0};
	size_t masks = 0;
	struct slice command = {NULL, 0};
	const char *next = NULL;
	char user_sep = 0;

	for (size_t i = 0; i < n; i++) {
		struct scan s = {.out = &b, .in = argv[i], .mode = mode, .command = command};

		buf_clear(&b);
		ret[i] = argv[i];
		if (next && argv[i].n && !(argv[i].p[0] == '-' && argv[i].n < 8) &&
		    (!user_sep || memchr(argv[i].p, user_sep, argv[i].n))) {
			ret[i] = mask_argument(a, argv[i], user_sep, next);
			masks++;
			next = NULL;
			continue;
		}
		next = option_label(argv[i], command, &user_sep);
		if (mask_assignment(a, argv[i], &ret[i])) {
			masks++;
			continue;
		}
		scan(&s);
		if (s.masks)
			ret[i] = arena_dup(a, buf_slice(&b));
		masks += s.masks;
		if (argv[i].n < IDENT_MAX && !memchr(argv[i].p ? argv[i].p : "", ' ', argv[i].n)) {
			struct slice word = base_name(argv[i]);
			struct scan w = {.in = word, .command = command};

			note_command(&w, 0, word.n);
			command = w.command;
		}
	}
	buf_release(&b);
	return masks;
}

bool redact_words(struct slice list, unsigned *ret, struct slice *ret_wrong)
{
	static const struct {
		const char *word;
		unsigned mode;
	} words[] = {{"email", REDACT_EMAIL}, {"card", REDACT_CARD}};
	unsigned mode = 0;

	while (slice_cut(&list, ',', ret_wrong)) {
		unsigned found = 0;

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			found |= slice_eq(*ret_wrong, slice_str(words[i].word)) ? words[i].mode : 0;
		if (!found)
			return false;
		mode |= found;
	}
	*ret = mode;
	return mode != 0;
}
