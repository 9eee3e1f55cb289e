/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "span/conversation.h"

#define CANON_DEPTH_MAX  64
#define SYSTEM_BEGINNING 512

bool link_eq(struct link a, struct link b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

bool link_none(struct link a)
{
	return link_eq(a, (struct link){{0}});
}

static struct link keyed(const struct chain_key *key, const struct slice *parts, size_t n)
{
	struct keyed_hash h = hash_keyed(&key->hash, parts, n);
	struct link l;

	memcpy(l.b, h.b, sizeof(l.b));
	return l;
}

#define KEYED(key, ...)                                                                                      \
	keyed(key, (const struct slice[]){__VA_ARGS__},                                                      \
	      sizeof((const struct slice[]){__VA_ARGS__}) / sizeof(struct slice))

#define BYTES(x) slice_of(&(x), sizeof(x))

/* Objects as the sum of their members, so that the order of keys does not matter. */
static struct link json_link(const struct chain_key *key, yyjson_val *v, unsigned depth)
{
	struct link sum = {{0}};
	size_t i, n;
	yyjson_val *k, *x;

	if (depth > CANON_DEPTH_MAX)
		return sum;
	if (yyjson_is_obj(v)) {
		yyjson_obj_foreach(v, i, n, k, x)
		{
			struct link l = json_link(key, x, depth + 1);

			l = KEYED(key, slice_of(yyjson_get_str(k), yyjson_get_len(k)), BYTES(l));
			for (size_t j = 0; j < sizeof(sum.b); j++)
				sum.b[j] = (uint8_t)(sum.b[j] + l.b[j]);
		}
		return KEYED(key, SLICE("{}"), BYTES(sum));
	}
	if (yyjson_is_arr(v)) {
		yyjson_arr_foreach(v, i, n, x)
		{
			struct link l = json_link(key, x, depth + 1);

			sum = KEYED(key, SLICE("[]"), BYTES(sum), BYTES(l));
		}
		return sum;
	}
	if (yyjson_is_str(v))
		return KEYED(key, SLICE("\""), slice_of(yyjson_get_str(v), yyjson_get_len(v)));
	if (yyjson_is_num(v)) {
		double d = yyjson_get_num(v);

		return KEYED(key, SLICE("0"), BYTES(d));
	}
	return KEYED(key, yyjson_is_true(v) ? SLICE("t") : yyjson_is_false(v) ? SLICE("f") : SLICE("n"));
}

static struct link text_link(const struct chain_key *key, struct slice text, bool json)
{
	yyjson_doc *doc = json && text.n ? yyjson_read(text.p, text.n, 0) : NULL;

	if (!doc)
		return KEYED(key, slice_trim(text));

	struct link l = json_link(key, yyjson_doc_get_root(doc), 0);
	yyjson_doc_free(doc);
	return l;
}

struct link arguments_link(const struct chain_key *key, struct slice json)
{
	return text_link(key, slice_trim(json).n ? json : SLICE("{}"), true);
}

/* Without the reasoning that open models put in front of what they say. */
static struct slice said(struct slice text)
{
	const struct slice open = SLICE("<think>"), close = SLICE("</think>");
	struct slice s = slice_trim(text);
	const char *end = slice_starts(s, open) ? slice_find(s, close) : NULL;

	return end ? slice_trim(slice_from(s, (size_t)(end - s.p) + close.n)) : s;
}

static bool counts(const struct llm_part *p, bool assistant)
{
	if (p->is_server)
		return false;
	switch (p->kind) {
	case LLM_REASONING:
		return false;
	case LLM_TEXT:
		return (assistant ? said(p->text) : slice_trim(p->text)).n > 0;
	case LLM_TOOL_CALL:
	case LLM_TOOL_RESULT:
	case LLM_MEDIA:
	case LLM_OTHER:
		return true;
	}
	return false;
}

/* An answer in JSON may be echoed in another spelling. */
static struct link words_link(const struct chain_key *key, const struct llm_part *p, bool assistant)
{
	struct slice text = assistant && p->kind == LLM_TEXT ? said(p->text) : p->text;
	bool json = assistant && text.n > 1 && (text.p[0] == '{' || text.p[0] == '[');

	return text_link(key, text, p->kind == LLM_TOOL_CALL || (p->kind == LLM_TEXT && json));
}

static struct link part_link(const struct chain_key *key, struct slice role, bool assistant,
                             const struct llm_part *p)
{
	bool tool = p->kind == LLM_TOOL_CALL || p->kind == LLM_TOOL_RESULT;
	unsigned char kind = (unsigned char)p->kind;
	struct link text = words_link(key, p, assistant);
	struct slice name = p->kind == LLM_TOOL_RESULT ? SLICE("") : p->name;

	role = assistant ? SLICE("assistant") : role;
	return KEYED(key, tool ? SLICE("") : role, BYTES(kind), name, BYTES(text));
}

static void push(struct chain *c, const struct chain_key *key, struct arena *a, struct link l)
{
	struct link before = c->n ? c->v[c->n - 1] : (struct link){{0}};

	*(struct link *)arena_push(a, &c->v, &c->n, sizeof(l)) = KEYED(key, BYTES(before), BYTES(l));
}

/* Letters alone may be a name, unless a quarter and more of them are capitals and a quarter small. */
static bool is_random(size_t digits, size_t small, size_t capital)
{
	size_t n = digits + small + capital;

	return (n >= TELLING_RUN && digits && digits < n) ||
	       (n >= 2 * TELLING_RUN && small >= n / 4 && capital >= n / 4);
}

bool id_tells(struct slice id)
{
	size_t digits = 0, small = 0, capital = 0;

	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];

		if (c >= '0' && c <= '9')
			digits++;
		else if (c >= 'a' && c <= 'z')
			small++;
		else if (c >= 'A' && c <= 'Z')
			capital++;
		else
			digits = small = capital = 0;
		if (is_random(digits, small, capital))
			return true;
	}
	return false;
}

static bool has_id(const struct chain *c, struct slice id)
{
	for (size_t i = c->n_ids; i > 0 && i + CHAIN_IDS_NEAR > c->n_ids; i--)
		if (slice_eq(c->ids[(i - 1) % CHAIN_IDS_MAX].id, id))
			return true;
	return false;
}

static void note_id(struct chain *c, const struct llm_part *p)
{
	bool tool = p->kind == LLM_TOOL_CALL || p->kind == LLM_TOOL_RESULT;

	if (tool && id_tells(p->id) && !has_id(c, p->id))
		c->ids[c->n_ids++ % CHAIN_IDS_MAX] = (struct chain_id){.at = c->n, .id = p->id};
}

/* The links of the message's parts that count: remembered, or made in `made`, which grows in `a`. */
static const struct link *message_links(const struct chain_key *key, struct arena *a, bool assistant,
                                        const struct llm_message *m)
{
	const struct link *known = links_get(key->links, m);
	struct link *made = NULL;
	size_t n = 0;

	if (known)
		return known;
	for (size_t k = 0; k < m->n_parts; k++)
		if (counts(&m->parts[k], assistant))
			*(struct link *)arena_push(a, &made, &n, sizeof(*made)) =
			    part_link(key, m->role, assistant, &m->parts[k]);
	links_put(key->links, m, made, n);
	return made;
}

void chain_extend(struct chain *c, const struct chain_key *key, struct arena *a, const struct llm_message *m,
                  size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool assistant =
		    slice_eq(m[i].role, SLICE("assistant")) || slice_eq(m[i].role, SLICE("model"));

		if (slice_eq(m[i].role, SLICE("system")) || slice_eq(m[i].role, SLICE("developer")))
			continue;

		const struct link *link = message_links(key, a, assistant, &m[i]);
		for (size_t k = 0; k < m[i].n_parts; k++) {
			const struct llm_part *p = &m[i].parts[k];
			bool answer = assistant || p->kind == LLM_TOOL_CALL;

			if (!counts(p, assistant)) {
				note_id(c, p);
				continue;
			}
			push(c, key, a, *link++);
			note_id(c, p);
			if (!c->answered && (answer || p->kind == LLM_TOOL_RESULT))
				c->answered = c->n;
			if (answer) {
				c->news = c->n;
				c->new_prompt = false;
			} else if (p->kind != LLM_TOOL_RESULT && slice_eq(m[i].role, SLICE("user"))) {
				c->new_prompt = true;
			}
		}
	}
}

void intervals_add(struct intervals *iv, uint64_t start, uint64_t end)
{
	if (end <= start)
		return;
	if (iv->n == INTERVALS_MAX) {
		struct interval *last = &iv->v[iv->n - 1];

		last->start = start < last->start ? start : last->start;
		last->end = end > last->end ? end : last->end;
		return;
	}
	xgrow(&iv->v, &iv->cap, iv->n + 1, sizeof(*iv->v));
	iv->v[iv->n++] = (struct interval){start, end};
}

static int by_start(const void *a, const void *b)
{
	const struct interval *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

uint64_t intervals_union(struct intervals *iv)
{
	uint64_t sum = 0, until = 0;

	if (iv->n)
		qsort(iv->v, iv->n, sizeof(*iv->v), by_start);
	for (size_t i = 0; i < iv->n; i++) {
		uint64_t from = iv->v[i].start > until ? iv->v[i].start : until;

		if (iv->v[i].end > from) {
			sum += iv->v[i].end - from;
			until = iv->v[i].end;
		}
	}
	return sum;
}

void heads_init(struct heads *hs, const uint8_t *secret)
{
	*hs = (struct heads){0};
	TAILQ_INIT(&hs->lru);
	if (secret)
		hash_key_derive(&hs->key.hash, secret, "links");
	else
		hash_key_init(&hs->key.hash);
	hs->key.links = links_new();
}

struct past *past_get(struct heads *hs, struct span_id id)
{
	struct past *p = map_get(&hs->pasts, &id, sizeof(id));

	if (p)
		return past_ref(p);
	p = xcalloc(1, sizeof(*p));
	p->id = id;
	p->refs = 1;
	map_put(&hs->pasts, &id, sizeof(id), p);
	return p;
}

struct past *past_ref(struct past *p)
{
	p->refs++;
	return p;
}

void past_unref(struct heads *hs, struct past *p)
{
	if (!p || --p->refs)
		return;
	map_del(&hs->pasts, &p->id, sizeof(p->id));
	free(p);
}

static void head_free(struct heads *hs, struct head *h)
{
	TAILQ_REMOVE(&hs->lru, h, lru);
	map_del(&hs->map, &h->at, sizeof(h->at));
	for (size_t i = 0; i < h->n; i++)
		past_unref(hs, h->owners[i].past);
	free(h);
}

void heads_release(struct heads *hs)
{
	struct head *h;

	while ((h = TAILQ_FIRST(&hs->lru)))
		head_free(hs, h);
	map_release(&hs->map);
	map_release(&hs->pasts);
	links_free(hs->key.links);
}

struct link name_link(const struct heads *hs, const char *kind, struct slice name)
{
	return name.n ? KEYED(&hs->key, slice_str(kind), name) : (struct link){{0}};
}

struct link session_link(const struct heads *hs, struct slice session_key)
{
	return session_key.n ? KEYED(&hs->key, SLICE("session"), session_key) : (struct link){{0}};
}

static void longest_text(const struct llm_messages *m, bool all, struct slice *longest)
{
	for (size_t i = 0; i < m->n; i++) {
		bool system =
		    slice_eq(m->v[i].role, SLICE("system")) || slice_eq(m->v[i].role, SLICE("developer"));

		for (size_t k = 0; (all || system) && k < m->v[i].n_parts; k++)
			if (m->v[i].parts[k].text.n > longest->n)
				*longest = m->v[i].parts[k].text;
	}
}

struct link system_link(const struct heads *hs, const struct llm_messages *system,
                        const struct llm_messages *input)
{
	struct slice text = {NULL, 0};

	longest_text(system, true, &text);
	longest_text(input, false, &text);
	text.n = text.n < SYSTEM_BEGINNING ? text.n : SYSTEM_BEGINNING;
	return text.n ? KEYED(&hs->key, SLICE("system"), text) : (struct link){{0}};
}

struct head *heads_find(struct heads *hs, struct link at)
{
	struct head *h = map_get(&hs->map, &at, sizeof(at));

	if (h) {
		TAILQ_REMOVE(&hs->lru, h, lru);
		TAILQ_INSERT_TAIL(&hs->lru, h, lru);
	}
	return h;
}

struct time_split time_split(struct intervals *v, uint64_t start, uint64_t end)
{
	struct intervals all = {0};
	struct time_split ret = {0};
	uint64_t before = 0;

	for (int s = 0; s < SPENDINGS; s++) {
		for (size_t i = 0; i < v[s].n; i++) {
			uint64_t from = v[s].v[i].start, to = v[s].v[i].end;

			xgrow(&all.v, &all.cap, all.n + 1, sizeof(*all.v));
			all.v[all.n++] = (struct interval){from > start ? from : start, to < end ? to : end};
		}
		uint64_t covered = intervals_union(&all);
		ret.ns[s] = covered - before;
		before = covered;
	}
	ret.agent = end > start ? end - start - before : 0;
	free(all.v);
	return ret;
}

/* The place of this conversation, a free one, or that of the owner not used for longest. */
static struct owner *place(struct head *h, const struct owner *o)
{
	struct owner *oldest = &h->owners[0];

	for (size_t i = 0; i < h->n; i++) {
		if (h->owners[i].past == o->past && h->owners[i].asked == o->asked)
			return &h->owners[i];
		if (h->owners[i].used < oldest->used)
			oldest = &h->owners[i];
	}
	return h->n < HEAD_OWNERS_MAX ? &h->owners[h->n++] : oldest;
}

bool heads_knows(struct heads *hs, struct link at, const struct owner *o)
{
	struct head *h = heads_find(hs, at);

	for (size_t i = 0; h && i < h->n; i++)
		if (h->owners[i].past == o->past && h->owners[i].asked == o->asked)
			return true;
	return false;
}

void heads_add(struct heads *hs, struct link at, const struct owner *o)
{
	struct head *h = heads_find(hs, at);

	past_ref(o->past);
	if (!h) {
		if (hs->map.n >= HEADS_MAX)
			head_free(hs, TAILQ_FIRST(&hs->lru));
		h = xcalloc(1, sizeof(*h));
		h->at = at;
		map_put(&hs->map, &h->at, sizeof(h->at), h);
		TAILQ_INSERT_TAIL(&hs->lru, h, lru);
	}

	struct owner *slot = place(h, o);
	past_unref(hs, slot->past);
	*slot = *o;
	slot->used = ++hs->clock;
}
