/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "span/personal.h"
#include "span/secrets.h"

static bool is_digit(char c)
{
	return char_set(c) & DIGIT;
}

static bool is_letter(char c)
{
	return char_set(c) & (UPPER | LOWER);
}

static char at_or_nul(struct slice s, size_t i)
{
	return i < s.n ? s.p[i] : '\0';
}

/* \n and the like, of JSON within text. */
static bool is_escape(struct slice text, size_t i)
{
	return text.p[i] == '\\' && i + 1 < text.n && memchr("ntr", text.p[i + 1], 3);
}

/* ---- addresses ---- */

/* RFC 5322 3.2.3, without what delimits in URLs, shells and JSON. */
static bool in_local(char c)
{
	return (char_set(c) & (ALNUM | DASH)) || c == '.' || c == '+' || c == '\'';
}

static size_t local_begin(struct slice text, size_t at, size_t floor)
{
	size_t from = at;

	while (from > floor && at - from < PERSONAL_LOCAL_MAX && in_local(text.p[from - 1]))
		from--;
	if (from > floor && from < at && is_escape(text, from - 1))
		from++;
	while (from < at && !(char_set(text.p[from]) & ALNUM) && text.p[from] != '_')
		from++;
	return from;
}

/* Behind the last label; *ret_last begins it. 0: no dot in it, or the top level is no name. */
static size_t domain_end(struct slice text, size_t from, size_t *ret_last)
{
	size_t i = from, label = from, end = 0;

	while (i < text.n && i - from < PERSONAL_DOMAIN_MAX) {
		while ((char_set(at_or_nul(text, i)) & ALNUM) || at_or_nul(text, i) == '-')
			i++;
		if (i == label)
			break;
		if (label > from && is_letter(text.p[label]) && i - label >= 2) {
			*ret_last = label;
			end = i;
		}
		if (at_or_nul(text, i) != '.')
			break;
		label = ++i;
	}
	while (end && text.p[end - 1] == '-')
		end--;
	return end;
}

/* Names of files and of units look like addresses. */
static bool is_suffix(struct slice last)
{
	static const char *const suffixes[] = {"png",    "jpg",   "jpeg",  "gif",     "webp",   "svg",
	                                       "js",     "mjs",   "css",   "json",    "html",   "lock",
	                                       "yaml",   "yml",   "toml",  "service", "socket", "timer",
	                                       "target", "mount", "slice", "scope"};

	return IN_WORDS(last, suffixes);
}

/* 1.2 …: a version, as in package@1.2.3-rc. */
static bool is_version(struct slice text, size_t from)
{
	size_t i = from;

	while (is_digit(at_or_nul(text, i)))
		i++;
	return i > from && at_or_nul(text, i) == '.' && is_digit(at_or_nul(text, i + 1));
}

size_t personal_email(struct slice text, size_t at, size_t floor, size_t *ret_from)
{
	size_t domain = at + (text.p[at] == '%' ? 3 : 1), last = 0;
	size_t from = local_begin(text, at, floor), end;

	if (from == at || is_version(text, domain))
		return 0;
	end = domain_end(text, domain, &last);
	if (!end || is_suffix(slice_of(text.p + last, end - last)))
		return 0;
	/* git@host:path; behind a text's own colon stands a blank. */
	if (at_or_nul(text, end) == ':' &&
	    (char_set(at_or_nul(text, end + 1)) & ALNUM || at_or_nul(text, end + 1) == '/'))
		return 0;
	*ret_from = from;
	return end;
}

/* ---- cards ---- */

/* By the first four digits, and how long such numbers are. */
static const struct {
	unsigned low, high;
	size_t shortest, longest;
} schemes[] = {
    {4000, 4999, 13, 19},                       /* Visa */
    {5100, 5599, 16, 16},                       /* Mastercard */
    {2221, 2720, 16, 16}, {3400, 3499, 15, 15}, /* American Express */
    {3700, 3799, 15, 15}, {6011, 6011, 16, 19}, /* Discover */
    {6440, 6599, 16, 19}, {6200, 6299, 16, 19}, /* UnionPay */
    {3528, 3589, 16, 19},                       /* JCB */
    {3000, 3059, 14, 19},                       /* Diners */
    {3600, 3699, 14, 19}, {3800, 3999, 14, 19},
};

#define CARD_MAX 19

static bool is_issued(const char *digits, size_t n)
{
	unsigned head = 0;

	for (size_t i = 0; i < 4; i++)
		head = head * 10 + (unsigned)(digits[i] - '0');
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (head >= schemes[i].low && head <= schemes[i].high && n >= schemes[i].shortest &&
		    n <= schemes[i].longest)
			return true;
	return false;
}

/* ISO/IEC 7812-1 annex B. */
static bool luhn(const char *digits, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned d = (unsigned)(digits[n - 1 - i] - '0');

		d = i % 2 ? 2 * d : d;
		sum += d > 9 ? d - 9 : d;
	}
	return sum % 10 == 0;
}

/* Part of something longer: of a word, of a decimal fraction, of more groups. */
static bool is_part(struct slice text, size_t from, size_t end)
{
	char before = from ? text.p[from - 1] : ' ', behind = at_or_nul(text, end);

	if (from > 1 && is_escape(text, from - 2))
		before = ' ';
	if ((char_set(before) & (ALNUM | DASH)) || (char_set(behind) & (ALNUM | DASH)))
		return true;
	if (before == '.' || before == ',')
		return from > 1 && is_digit(text.p[from - 2]);
	return (behind == '.' || behind == ',') && is_digit(at_or_nul(text, end + 1));
}

size_t personal_card(struct slice text, size_t from)
{
	char digits[CARD_MAX];
	char separator = 0;
	size_t n = 0, i = from, group = 0;

	for (; i < text.n; i++) {
		char c = text.p[i];

		if (is_digit(c)) {
			if (n == CARD_MAX)
				return 0;
			digits[n++] = c;
			group++;
			continue;
		}
		/* Groups are of four digits or more, by one separator throughout. */
		if ((c != ' ' && c != '-') || (separator && c != separator) || group < 4 ||
		    !is_digit(at_or_nul(text, i + 1)))
			break;
		if (n >= 13 && c == ' ')
			break;
		separator = c;
		group = 0;
	}
	if (n < 13 || is_part(text, from, i) || !is_issued(digits, n) || !luhn(digits, n))
		return 0;
	return i;
}
