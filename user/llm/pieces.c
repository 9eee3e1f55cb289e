/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes16.h"
#include "llm/pieces.h"

static const struct {
	const char *key;
	bool envelope; /* an object in which the lists stand */
} keys[] = {
    {"messages", false},
    {"input", false},
    {"contents", false},
    {"system", false},
    {"tools", false},
    {"systemInstruction", false},
    {"system_instruction", false},
    {"instructions", false},
    {"functions", false},
    {"prompt", false},
    {"chat_history", false},
    {"documents", false},
    {"request", true},
    {"response", true},
    {"toolConfig", true},
};

struct scan {
	struct arena *arena;
	const char *p, *end;
	const char *text;
	struct pieces pieces;
	unsigned seen; /* a bit for each of `keys` */
	bool refused;
};

/* Of 64 bytes: quotes, and the bytes behind a backslash; *escaped: whether the first one, the next one is. */
static uint64_t quotes(const char *p, bool *escaped)
{
	uint64_t quote = 0, slash = 0, behind = *escaped;

	for (unsigned i = 0; i < 64; i += 16) {
		bytes16 v = bytes16_at(p + i);

		quote |= bytes16_bits((bytes16)(v == '"')) << i;
		slash |= bytes16_bits((bytes16)(v == '\\')) << i;
	}
	if (slash & (slash << 1 | behind)) {
		/* Several in a row: every other one escapes. */
		for (uint64_t rest = slash & ~behind; rest; rest &= ~((rest & -rest) << 1) & (rest - 1))
			behind |= (rest & -rest) << 1;
	} else {
		behind |= slash << 1;
	}
	*escaped = slash >> 63 && !(behind >> 63);
	return quote & ~behind;
}

/* `p` behind the opening quote; returns behind the closing one, or the end. */
static const char *skip_string(const char *p, const char *end)
{
	bool escaped = false;

	for (; end - p >= 64; p += 64) {
		uint64_t found = quotes(p, &escaped);

		if (found)
			return p + __builtin_ctzll(found) + 1;
	}
	for (; p < end; p++) {
		if (escaped)
			escaped = false;
		else if (*p == '"')
			return p + 1;
		else
			escaped = *p == '\\';
	}
	return end;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && is_space(*s->p))
		s->p++;
}

/* Whether the next byte is `c`, which is taken. */
static bool take(struct scan *s, char c)
{
	skip_space(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* Over one value, whatever it is; stops at what ends a list or an object around it. */
static void skip_value(struct scan *s)
{
	size_t depth = 0;

	skip_space(s);
	while (s->p < s->end) {
		switch (*s->p) {
		case '"':
			s->p = skip_string(s->p + 1, s->end);
			if (!depth)
				return;
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (!depth)
				return;
			s->p++;
			if (--depth == 0)
				return;
			continue;
		case ',':
			if (!depth)
				return;
			break;
		default:
			break;
		}
		s->p++;
	}
}

/* One value, which is a piece. */
static void piece(struct scan *s, const char *list)
{
	skip_space(s);

	const char *from = s->p;
	skip_value(s);
	const char *to = s->p;
	while (to > from && is_space(to[-1]))
		to--;
	s->refused = s->refused || to == from;
	if (to == from || s->pieces.n >= PIECES_MAX)
		return;
	struct piece *p = arena_push(s->arena, &s->pieces.v, &s->pieces.n, sizeof(*p));
	*p = (struct piece){.from = (size_t)(from - s->text), .to = (size_t)(to - s->text), .list = list};
}

static void list(struct scan *s, const char *name)
{
	if (!take(s, '[')) {
		piece(s, name);
		return;
	}
	if (take(s, ']'))
		return;
	do
		piece(s, name);
	while (take(s, ','));
	s->refused = !take(s, ']') || s->refused;
}

static void object(struct scan *s, unsigned depth);

static void member(struct scan *s, unsigned depth)
{
	if (!take(s, '"'))
		return;

	const char *from = s->p;
	s->p = skip_string(s->p, s->end);
	struct slice key = slice_of(from, (size_t)(s->p - from) - (s->p > from));
	if (key.n && memchr(key.p, '\\', key.n))
		s->refused = true;
	if (!take(s, ':'))
		return;
	skip_space(s);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (!slice_eq(key, slice_str(keys[i].key)))
			continue;
		s->refused = s->refused || s->seen >> i & 1;
		s->seen |= 1u << i;
		if (!keys[i].envelope)
			list(s, keys[i].key);
		else if (depth < PIECES_DEPTH_MAX && s->p < s->end && *s->p == '{')
			object(s, depth + 1);
		else
			break;
		return;
	}
	skip_value(s);
}

static void object(struct scan *s, unsigned depth)
{
	if (!take(s, '{') || take(s, '}'))
		return;
	do {
		skip_space(s);
		member(s, depth);
	} while (take(s, ','));
	s->refused = !take(s, '}') || s->refused;
}

struct pieces pieces_find(struct arena *a, struct slice json)
{
	struct scan s = {.arena = a, .p = json.p, .end = json.p + json.n, .text = json.p};

	if (json.n)
		object(&s, 0);
	return s.refused ? (struct pieces){NULL, 0} : s.pieces;
}

void pieces_hash(struct pieces *p, struct slice json, const struct hash_key *key)
{
	for (size_t i = 0; i < p->n; i++) {
		struct slice text = slice_of(json.p + p->v[i].from, p->v[i].to - p->v[i].from);

		p->v[i].hash = hash_keyed(key, &text, 1);
	}
}
