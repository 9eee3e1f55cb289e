/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/text.h"
#include "span/lower.h"
#include "span/rules.h"

#define LEVELS    (CONTENT_FULL + 1)
#define KEYS_MAX  2   /* attributes that one word looks at */
#define VALUE_MAX 256 /* of an attribute; a longer one is compared up to here */

static const struct what {
	const char *name;
	enum attr_key keys[KEYS_MAX];
} whats[] = {
    {"host", {ATTR_SERVER_ADDRESS, ATTR_TLS_SERVER_NAME}},
    {"agent", {ATTR_AGENT_NAME, ATTR_AGENT_NAME}},
    {"provider", {ATTR_PROVIDER_NAME, ATTR_PROVIDER_NAME}},
    {"model", {ATTR_REQUEST_MODEL, ATTR_RESPONSE_MODEL}},
    {"container", {ATTR_CONTAINER_ID, ATTR_CONTAINER_ID}},
};

#define WHATS (sizeof(whats) / sizeof(whats[0]))

struct rule {
	const char *patterns[WHATS]; /* NULL: anything */
	enum content_level level;
};

struct rules {
	struct arena arena;
	struct rule v[RULES_MAX];
	size_t n;
	struct content *levels[LEVELS]; /* made when first needed */
	struct map lowered, before;     /* trace -> level + 1; `before` is the older half */
};

/* --- parsing --- */

static bool wrong(struct buf *ret_error, struct slice text, const char *why)
{
	buf_adds(ret_error, "rule '");
	text_line(ret_error, text, 100);
	buf_addf(ret_error, "': %s", why);
	return false;
}

static bool add_word(struct rules *r, struct rule *rule, struct slice word, bool *level,
                     struct buf *ret_error)
{
	struct slice what, pattern = word;

	slice_cut(&pattern, ':', &what);
	if (!pattern.p || !pattern.n)
		return wrong(ret_error, word, "no word of the form WHAT:PATTERN");
	if (slice_eq(what, SLICE("content"))) {
		int l = content_level_parse(pattern);

		if (l < 0 || *level)
			return wrong(ret_error, word,
			             l < 0 ? "the levels are none, shape, redacted and full"
			                   : "a second level");
		*level = true;
		rule->level = (enum content_level)l;
		return true;
	}
	for (size_t i = 0; i < WHATS; i++) {
		if (!slice_eq(what, slice_str(whats[i].name)))
			continue;
		if (rule->patterns[i])
			return wrong(ret_error, word, "given twice: make two rules of it");
		rule->patterns[i] = arena_dup(&r->arena, pattern).p;
		return true;
	}
	return wrong(ret_error, word, "the words are host, agent, provider, model, container, and content");
}

static bool add_rule(struct rules *r, struct slice text, struct buf *ret_error)
{
	struct rule rule = {.level = CONTENT_NONE};
	struct slice rest = text, word;
	bool level = false;
	size_t patterns = 0;

	if (text.n > RULE_TEXT_MAX || r->n == RULES_MAX)
		return wrong(ret_error, text,
		             r->n == RULES_MAX ? "more than 64 rules" : "longer than 512 bytes");
	while (slice_cut(&rest, ' ', &word))
		if (word.n && !add_word(r, &rule, slice_trim(word), &level, ret_error))
			return false;
	for (size_t i = 0; i < WHATS; i++)
		patterns += rule.patterns[i] != NULL;
	if (!level || !patterns)
		return wrong(ret_error, text,
		             level ? "it matches everything: use --content" : "no content:LEVEL");
	r->v[r->n++] = rule;
	return true;
}

struct rules *rules_new(struct slice lines, struct buf *ret_error)
{
	struct rules *r = xcalloc(1, sizeof(*r));
	struct slice line;

	while (lines.n && slice_cut(&lines, '\n', &line)) {
		if (slice_trim(line).n == 0 || add_rule(r, slice_trim(line), ret_error))
			continue;
		rules_free(r);
		return NULL;
	}
	return r;
}

/* --- matching --- */

static bool attr_matches(const struct span *s, enum attr_key key, const char *pattern)
{
	const struct attr *a = span_get(s, key);
	char text[VALUE_MAX];

	if (!a)
		return false;
	size_t n = a->str.n < sizeof(text) - 1 ? a->str.n : sizeof(text) - 1;
	memcpy(text, a->str.p, n);
	text[n] = '\0';
	return fnmatch(pattern, text, FNM_CASEFOLD) == 0;
}

static bool matches(const struct rule *rule, const struct span *s)
{
	for (size_t i = 0; i < WHATS; i++)
		if (rule->patterns[i] && !attr_matches(s, whats[i].keys[0], rule->patterns[i]) &&
		    !attr_matches(s, whats[i].keys[1], rule->patterns[i]))
			return false;
	return true;
}

static uintptr_t remembered(const struct rules *r, const struct span *s)
{
	uintptr_t level = (uintptr_t)map_get(&r->lowered, s->trace, sizeof(s->trace));

	return level ? level : (uintptr_t)map_get(&r->before, s->trace, sizeof(s->trace));
}

static void remember(struct rules *r, const struct span *s, enum content_level level)
{
	if (r->lowered.n >= RULES_TRACES_MAX) {
		map_release(&r->before);
		r->before = r->lowered;
		r->lowered = (struct map){0};
	}
	map_put(&r->lowered, s->trace, sizeof(s->trace), (void *)((uintptr_t)level + 1));
}

static struct content *content_of(struct rules *r, enum content_level level)
{
	if (!r->levels[level]) {
		r->levels[level] = xcalloc(1, sizeof(struct content));
		content_init(r->levels[level], level, 0);
	}
	return r->levels[level];
}

enum content_level rules_level(struct rules *r, const struct span *s, enum content_level made)
{
	enum content_level level = made;
	uintptr_t before = r->n ? remembered(r, s) : 0;

	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].level < level && matches(&r->v[i], s))
			level = r->v[i].level;
	if (before && before - 1 < level)
		level = (enum content_level)(before - 1);
	if (level < made)
		remember(r, s, level);
	return level;
}

void rules_lower(struct rules *r, struct span *s, enum content_level level, enum content_level made)
{
	span_lower(s, content_of(r, level), made);
	span_set_str(s, ATTR_CONTENT_LEVEL, slice_str(content_level_name(level)));
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < LEVELS; i++) {
		if (r->levels[i])
			content_release(r->levels[i]);
		free(r->levels[i]);
	}
	map_release(&r->lowered);
	map_release(&r->before);
	arena_release(&r->arena);
	free(r);
}
