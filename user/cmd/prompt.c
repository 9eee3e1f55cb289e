/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "cmd/prompt.h"
#include "store/messages.h"

const char *const prompt_section_names[PROMPT_SECTIONS] = {"tools", "system", "messages"};
const char *const prompt_change_names[] = {"same", "changed", "added", "removed"};

/* Puts items together from the parts that a walk gives. */
struct collector {
	struct arena *arena;
	struct prompt_item *v;
	size_t n;
	struct buf what, text;
	bool in_message;
};

static void end_item(struct collector *c)
{
	if (!c->n)
		return;
	c->v[c->n - 1].what = arena_dup(c->arena, buf_slice(&c->what));
	c->v[c->n - 1].text = arena_dup(c->arena, buf_slice(&c->text));
	buf_clear(&c->what);
	buf_clear(&c->text);
}

static void begin_item(struct collector *c, struct slice role)
{
	struct prompt_item *item;

	end_item(c);
	item = arena_push(c->arena, &c->v, &c->n, sizeof(*item));
	*item = (struct prompt_item){.role = role.n ? arena_dup(c->arena, role) : (struct slice){0}};
}

static void on_message(void *ctx, struct slice role, struct slice finish_reason)
{
	struct collector *c = ctx;

	(void)finish_reason;
	c->in_message = true;
	begin_item(c, role);
}

static void on_part(void *ctx, struct slice type, struct slice label, struct slice content)
{
	struct collector *c = ctx;

	if (!c->in_message)
		begin_item(c, (struct slice){0});
	buf_adds(&c->what, c->what.n ? ", " : "");
	buf_addslice(&c->what, type);
	if (label.n)
		buf_addf(&c->what, "%s%.*s", type.n ? " " : "", (int)label.n, label.p);
	buf_adds(&c->text, c->text.n ? "\n" : "");
	buf_addslice(&c->text, content);
}

void prompt_read(struct prompt *p, const struct span *call, struct arena *a)
{
	static const enum attr_key keys[PROMPT_SECTIONS] = {ATTR_TOOL_DEFINITIONS, ATTR_SYSTEM_INSTRUCTIONS,
	                                                    ATTR_INPUT_MESSAGES};
	static const struct messages_events events = {on_message, on_part};

	*p = (struct prompt){0};
	for (int i = 0; i < PROMPT_SECTIONS; i++) {
		const struct attr *attr = span_get(call, keys[i]);
		struct collector c = {.arena = a};

		if (!attr || !messages_walk(attr->str, &events, &c))
			continue;
		end_item(&c);
		p->items[i] = c.v;
		p->n[i] = c.n;
		p->known[i] = true;
		buf_release(&c.what);
		buf_release(&c.text);
	}
}

static struct hash item_hash(const struct prompt_item *item)
{
	return HASH(item->role, item->what, item->text);
}

static bool hash_eq(const struct hash *a, const struct hash *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* One section of two prompts under comparison. */
struct comparison {
	struct arena *arena;
	const struct prompt_item *a, *b;
	struct hash *ha, *hb;
	struct prompt_edit *v;
	size_t n;
};

static struct hash *hashes(const struct prompt_item *v, size_t n)
{
	struct hash *h = xcalloc(n + 1, sizeof(*h));

	for (size_t i = 0; i < n; i++)
		h[i] = item_hash(&v[i]);
	return h;
}

static void edit(struct comparison *c, enum prompt_change change, size_t a, size_t b, size_t n)
{
	struct prompt_edit *last = c->n ? &c->v[c->n - 1] : NULL;

	if (n == 0)
		return;
	if (last && last->change == change && change != PROMPT_CHANGED) {
		last->n += n;
		return;
	}
	*(struct prompt_edit *)arena_push(c->arena, &c->v, &c->n, sizeof(*c->v)) =
	    (struct prompt_edit){change, a, b, n};
}

/* What stands between two equal places: pairs of one role were changed, the rest came or went. */
static void replace(struct comparison *c, size_t a, size_t a_end, size_t b, size_t b_end)
{
	while (a < a_end && b < b_end && slice_eq(c->a[a].role, c->b[b].role))
		edit(c, PROMPT_CHANGED, a++, b++, 1);
	edit(c, PROMPT_REMOVED, a, b, a_end - a);
	edit(c, PROMPT_ADDED, a_end, b, b_end - b);
}

/* The longest common subsequence of a[from..a_end) and b[from..b_end), by a table of its lengths. */
static void align(struct comparison *c, size_t from, size_t a_end, size_t b_end)
{
	size_t na = a_end - from, nb = b_end - from, row = nb + 1, i = 0, j = 0, a = from, b = from;

	if ((na + 1) * row > PROMPT_ALIGN_MAX) {
		replace(c, from, a_end, from, b_end);
		return;
	}
	uint32_t *best = xcalloc((na + 1) * row, sizeof(*best));
	for (size_t x = na; x-- > 0;)
		for (size_t y = nb; y-- > 0;) {
			uint32_t skip = best[(x + 1) * row + y], other = best[x * row + y + 1];

			best[x * row + y] = hash_eq(&c->ha[from + x], &c->hb[from + y])
			                        ? best[(x + 1) * row + y + 1] + 1
			                    : skip > other ? skip
			                                   : other;
		}
	while (i < na && j < nb) {
		if (hash_eq(&c->ha[from + i], &c->hb[from + j])) {
			replace(c, a, from + i, b, from + j);
			edit(c, PROMPT_SAME, from + i, from + j, 1);
			a = from + ++i;
			b = from + ++j;
		} else if (best[(i + 1) * row + j] >= best[i * row + j + 1]) {
			i++;
		} else {
			j++;
		}
	}
	replace(c, a, a_end, b, b_end);
	free(best);
}

size_t prompt_compare(const struct prompt *a, const struct prompt *b, enum prompt_section section,
                      struct arena *arena, struct prompt_edit **ret)
{
	size_t na = a->n[section], nb = b->n[section], head = 0, tail = 0;
	struct comparison c = {.arena = arena, .a = a->items[section], .b = b->items[section]};

	c.ha = hashes(c.a, na);
	c.hb = hashes(c.b, nb);
	while (head < na && head < nb && hash_eq(&c.ha[head], &c.hb[head]))
		head++;
	while (tail < na - head && tail < nb - head && hash_eq(&c.ha[na - tail - 1], &c.hb[nb - tail - 1]))
		tail++;
	edit(&c, PROMPT_SAME, 0, 0, head);
	align(&c, head, na - tail, nb - tail);
	edit(&c, PROMPT_SAME, na - tail, nb - tail, tail);
	free(c.ha);
	free(c.hb);
	*ret = c.v;
	return c.n;
}

size_t prompt_common(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n, i = 0;

	while (i < n && a.p[i] == b.p[i])
		i++;
	while (i > 0 && ((i < a.n && (a.p[i] & 0xc0) == 0x80) || (i < b.n && (b.p[i] & 0xc0) == 0x80)))
		i--;
	return i;
}

/* Bytes of `item` that its counterpart, NULL for none, begins with; *ret_whole: both are equal. */
static size_t common_bytes(const struct prompt_item *old, const struct prompt_item *item, bool *ret_whole)
{
	size_t n;

	*ret_whole = false;
	if (!old || !slice_eq(old->role, item->role) || !slice_eq(old->what, item->what))
		return 0;
	n = prompt_common(old->text, item->text);
	*ret_whole = n == item->text.n && n == old->text.n;
	return n;
}

struct prompt_prefix prompt_prefix(const struct prompt *a, const struct prompt *b)
{
	struct prompt_prefix p = {0};
	bool ended = false;

	for (int s = 0; s < PROMPT_SECTIONS; s++) {
		size_t i = 0, at = 0;
		bool whole = true;

		while (!ended && whole && i < b->n[s]) {
			at = common_bytes(i < a->n[s] ? &a->items[s][i] : NULL, &b->items[s][i], &whole);
			p.common += at;
			i += whole;
		}
		for (size_t j = 0; j < b->n[s]; j++)
			p.total += b->items[s][j].text.n;
		/* Other sections stand behind: there an item less breaks it too. */
		if (ended || (i == b->n[s] && (i == a->n[s] || s == PROMPT_MESSAGES)))
			continue;
		ended = true;
		p.broken = s != PROMPT_MESSAGES || i < a->n[s];
		p.section = (enum prompt_section)s;
		p.item = i;
		p.at = i < b->n[s] ? at : 0;
	}
	return p;
}
