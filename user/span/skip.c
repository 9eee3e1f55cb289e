/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes16.h"
#include "span/redact.h"
#include "span/secrets.h"
#include "span/skip.h"

#define BLOCK  64
#define MARGIN 24 /* bytes behind a block that are looked at with it */

/* ---- beginnings and endings: three bytes each, a bit for each hash of them ---- */

static struct threes {
	uint8_t bits[1 << 13];
} begins, endings; /* endings in lower case */
static bool learnt;

static unsigned three_hash(uint32_t three)
{
	return three * UINT32_C(0x9e3779b1) >> 16;
}

static uint32_t three_at(const char *p)
{
	const unsigned char *b = (const unsigned char *)p;

	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16;
}

static void three_add(struct threes *t, uint32_t three)
{
	unsigned h = three_hash(three);

	t->bits[h >> 3] |= (uint8_t)(1u << (h & 7));
}

static bool three_has(const struct threes *t, uint32_t three)
{
	unsigned h = three_hash(three);

	return t->bits[h >> 3] >> (h & 7) & 1;
}

#define LOWER_CASE UINT32_C(0x202020)

/* In upper and lower case. */
static void add_begin_folded(const char *word)
{
	for (unsigned i = 0; i < 8; i++) {
		uint32_t upper = (i & 1) << 5 | (i & 2) << 12 | (i & 4) << 19;

		three_add(&begins, three_at(word) & ~upper);
	}
}

static void learn_endings(void)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";

	for (const char *a = letters; *a; a++)
		for (const char *b = letters; *b; b++)
			for (const char *c = letters; *c; c++) {
				const char three[] = {*a, *b, *c};

				if (can_end_key(slice_of(three, 3)))
					three_add(&endings, three_at(three) | LOWER_CASE);
			}
}

/* What redact.c knows of words by their beginning and end. */
static void learn(void)
{
	for (size_t c = 0; c < 256; c++)
		for (const struct secret_shape *sh = secret_shapes[c]; sh && sh->prefix.p; sh++)
			three_add(&begins, three_at(sh->prefix.p));
	for (size_t i = 0; flag_rules[i].command.p; i++)
		three_add(&begins, three_at(flag_rules[i].command.p));
	three_add(&begins, three_at("eyJ"));
	add_begin_folded("bearer");
	add_begin_folded("api key");
	learn_endings();
	learnt = true;
}

/* ---- blocks: a bit for each byte ---- */

struct block {
	uint64_t word; /* letters, digits, - and _ */
	uint64_t blank;
	uint64_t mark; /* separators, quotes, backslashes */
};

static struct block look(const char *p)
{
	struct block b = {.word = 0};

	for (unsigned i = 0; i < BLOCK; i += 16) {
		bytes16 v = bytes16_at(p + i), lower = v | 32;
		bytes16 word = (bytes16)(lower - 'a' < 26) | (bytes16)(v - '0' < 10) | (bytes16)(v == '-') |
		               (bytes16)(v == '_');
		bytes16 mark = (bytes16)(v == '=') | (bytes16)(v == ':') | (bytes16)(v == '"') |
		               (bytes16)(v == '\'') | (bytes16)(v == '`') | (bytes16)(v == '\\');

		b.word |= bytes16_bits(word) << i;
		b.blank |= bytes16_bits((bytes16)(v == ' ') | (bytes16)(v == '\t')) << i;
		b.mark |= bytes16_bits(mark) << i;
	}
	return b;
}

/* ---- what matters ---- */

static bool is_run(char c)
{
	return char_set(c) & (ALNUM | DASH);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'' || c == '`';
}

/* Whether a separator stands behind the name that ends at in[end], maybe after a quote and blanks. */
static bool is_separated(struct slice in, size_t end)
{
	size_t i = end, limit;

	if (in.p[i] == '\\' && is_quote(in.p[i + 1]))
		i += 2;
	else if (is_quote(in.p[i]))
		i++;
	limit = i + 16;
	while (i < limit && i < in.n && is_blank(in.p[i]))
		i++;
	return i < in.n && (in.p[i] == '=' || in.p[i] == ':');
}

/* The first word of a dotted name that ends at in[end]; `end` when there is none, or it is too long. */
static size_t name_begin(struct slice in, size_t from, size_t end)
{
	size_t limit = end - from > IDENT_MAX ? end - IDENT_MAX : from, i = end;

	while (i > limit && (char_set(in.p[i - 1]) & (ALNUM | DASH | DOT)))
		i--;
	if (i == limit && i > from)
		while (i < end && is_run(in.p[i - 1]) && is_run(in.p[i]))
			i++;
	return i;
}

/* Where the name that ends at in[end] begins, if it can be that of a credential; else in.n. */
static size_t key_before(struct slice in, size_t from, size_t end)
{
	if (!is_separated(in, end))
		return in.n;

	size_t begin = name_begin(in, from, end);
	bool query = begin && (in.p[begin - 1] == '?' || in.p[begin - 1] == '&');

	if (begin == end || (!query && !can_end_key(slice_of(in.p + begin, end - begin))))
		return in.n;
	return begin;
}

/* The letter of \n, \t, \r: no part of the word that it stands before. */
static bool is_escape_letter(struct slice in, size_t from, size_t i)
{
	return i > from && in.p[i - 1] == '\\' && (in.p[i] == 'n' || in.p[i] == 't' || in.p[i] == 'r');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Of words that begin as something known, flags, and five dashes: what begins with a dash and is none alone.
 */
static inline bool begins_known(const char *p, unsigned mode)
{
	if (*p == '-')
		return is_run(p[1]);
	return three_has(&begins, three_at(p)) ||
	       ((mode & REDACT_CARD) && is_digit(p[0]) && is_digit(p[1]) && is_digit(p[2]) && is_digit(p[3]));
}

static size_t first_begin(struct slice in, size_t from, size_t at, uint64_t starts, unsigned mode)
{
	for (; starts; starts &= starts - 1) {
		size_t i = at + (size_t)__builtin_ctzll(starts);

		if (begins_known(in.p + i, mode) ||
		    (is_escape_letter(in, from, i) && begins_known(in.p + i + 1, mode)))
			return i;
	}
	return in.n;
}

static size_t first_key(struct slice in, size_t from, size_t at, uint64_t ends)
{
	for (; ends; ends &= ends - 1) {
		size_t end = at + (size_t)__builtin_ctzll(ends);

		/* A name in a query may have any end, and what joins words does not count at the end of one.
		 */
		if (end >= 3 && in.p[end] != '=' && !(char_set(in.p[end - 1]) & DASH) &&
		    !three_has(&endings, three_at(in.p + end - 3) | LOWER_CASE))
			continue;
		size_t i = key_before(in, from, end);
		if (i < in.n)
			return i;
	}
	return in.n;
}

/* A URL's authority, or an escape that hides what stands there. */
static size_t first_authority(struct slice in, size_t at, uint64_t marks)
{
	for (; marks; marks &= marks - 1) {
		size_t i = at + (size_t)__builtin_ctzll(marks);

		if (in.p[i] == ':' && in.p[i + 1] == '/' && in.p[i + 2] == '/')
			return i;
		if (in.p[i] == '\\' && (in.p[i + 1] == 'u' || in.p[i + 1] == '/'))
			return i;
	}
	return in.n;
}

static size_t first_address(struct slice in, size_t at)
{
	uint64_t ats = 0;

	for (unsigned i = 0; i < BLOCK; i += 16) {
		bytes16 v = bytes16_at(in.p + at + i);

		ats |= bytes16_bits((bytes16)(v == '@') | (bytes16)(v == '%')) << i;
	}
	for (; ats; ats &= ats - 1) {
		size_t i = at + (size_t)__builtin_ctzll(ats);

		if (in.p[i] == '@' || (in.p[i + 1] == '4' && in.p[i + 2] == '0'))
			return i;
	}
	return in.n;
}

/* Where the longer name begins that in[i] may be part of, or the escape before it. */
static size_t scan_from(struct slice in, size_t from, size_t i)
{
	i = name_begin(in, from, i);
	return i > from && in.p[i - 1] == '\\' ? i - 1 : i;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t skip_harmless(struct slice in, size_t from, unsigned mode)
{
	const uint64_t last = UINT64_C(1) << 63;
	uint64_t before = 0; /* the byte in front of the block is one of a word */
	size_t at = from;

	if (!learnt)
		learn();
	if (from && from < in.n && in.p[from - 1] == '-' && is_run(in.p[from]))
		return from;
	for (; in.n - at >= BLOCK + MARGIN; at += BLOCK) {
		struct block b = look(in.p + at);
		uint64_t starts = b.word & ~(b.word << 1 | before);
		uint64_t ends = ~b.word & (b.word << 1 | before);
		uint64_t open = b.blank & ((b.blank | b.mark) >> 1 | last);
		size_t found;

		found = least(first_begin(in, from, at, starts, mode),
		              first_key(in, from, at, ends & (b.mark | open)));
		found = least(found, first_authority(in, at, b.mark));
		if (mode & REDACT_EMAIL)
			found = least(found, first_address(in, at));
		if (found < in.n)
			return scan_from(in, from, found);
		before = b.word >> 63;
	}
	/* What is left is looked at word by word, from the beginning of a word on. */
	while (before && at > from && is_run(in.p[at - 1]))
		at--;
	return scan_from(in, from, at);
}
