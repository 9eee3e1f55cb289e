/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/text.h"
#include "span/span.h"

const struct attr_def attr_defs[ATTR_KEYS] = {
#define ATTR(key, name, type, content) [ATTR_##key] = {name, type, (content) != 0, (content) == LOCAL},
#include "span/attrs.def"
#undef ATTR
};

static const char *const kind_names[SPAN_KINDS] = {
    [SPAN_CONVERSATION] = "conversation", [SPAN_TURN] = "turn", [SPAN_CHAT] = "chat", [SPAN_TOOL] = "tool",
    [SPAN_PROCESS] = "process",           [SPAN_MCP] = "mcp",
    [SPAN_HTTP] = "http",
};

static const char *const level_names[] = {
    [CONTENT_NONE] = "none",
    [CONTENT_SHAPE] = "shape",
    [CONTENT_REDACTED] = "redacted",
    [CONTENT_FULL] = "full",
};

const char *span_kind_name(enum span_kind k)
{
	return (unsigned)k < SPAN_KINDS ? kind_names[k] : "unknown";
}

int content_level_parse(struct slice word)
{
	for (int i = CONTENT_NONE; i <= CONTENT_FULL; i++)
		if (slice_eq(word, slice_str(level_names[i])))
			return i;
	return -1;
}

const char *content_level_name(enum content_level level)
{
	return (unsigned)level <= CONTENT_FULL ? level_names[level] : "unknown";
}

void span_release(struct span *s)
{
	arena_release(&s->arena);
	*s = (struct span){0};
}

const struct attr *span_get(const struct span *s, enum attr_key key)
{
	for (size_t i = 0; i < s->n_attrs; i++)
		if (s->attrs[i].key == key)
			return &s->attrs[i];
	return NULL;
}

/* The attribute `key`, added when it was not set. */
static struct attr *attr_put(struct span *s, enum attr_key key)
{
	for (size_t i = 0; i < s->n_attrs; i++)
		if (s->attrs[i].key == key)
			return &s->attrs[i];

	struct attr *a = arena_push(&s->arena, &s->attrs, &s->n_attrs, sizeof(*a));
	*a = (struct attr){.key = key};
	return a;
}

void span_set_str(struct span *s, enum attr_key key, struct slice v)
{
	if (v.p)
		span_own_pieces(s, key, arena_dup(&s->arena, v), NULL, 0);
}

void span_own_str(struct span *s, enum attr_key key, struct slice v)
{
	span_own_pieces(s, key, v, NULL, 0);
}

void span_own_pieces(struct span *s, enum attr_key key, struct slice v, const uint32_t *cuts, size_t n_cuts)
{
	struct attr *a;

	if (!v.p)
		return;
	a = attr_put(s, key);
	a->str = v;
	a->cuts = cuts;
	a->n_cuts = n_cuts;
}

void span_set_int(struct span *s, enum attr_key key, int64_t v)
{
	attr_put(s, key)->i = v;
}

void span_set_double(struct span *s, enum attr_key key, double v)
{
	if (!isnan(v))
		attr_put(s, key)->d = v;
}

void span_set_bool(struct span *s, enum attr_key key, bool v)
{
	attr_put(s, key)->b = v;
}

void span_set_strs(struct span *s, enum attr_key key, const struct slice *v, size_t n)
{
	struct slice *copy = arena_alloc(&s->arena, (n ? n : 1) * sizeof(*copy));

	for (size_t i = 0; i < n; i++)
		copy[i] = v[i].p ? arena_dup(&s->arena, v[i]) : SLICE("");

	struct attr *a = attr_put(s, key);
	a->strs.v = copy;
	a->strs.n = n;
}

void span_add_link(struct span *s, const uint8_t trace[16], const uint8_t id[8], struct slice evidence,
                   double confidence)
{
	if (s->n_links == SPAN_LINKS_MAX)
		return;

	struct span_link *l = arena_push(&s->arena, &s->links, &s->n_links, sizeof(*l));
	*l = (struct span_link){.evidence = arena_dup(&s->arena, evidence), .confidence = confidence};
	memcpy(l->trace, trace, sizeof(l->trace));
	memcpy(l->id, id, sizeof(l->id));
}

/*
 * Wire form, little endian, numbers of variable length (7 bits a byte, low
 * first):
 *   version u8, ATTR_KEYS u8, kind u8, status u8, trace[16] id[8] parent[8],
 *   start end start_wall, name, status_message, n_attrs, attributes, n_links, links
 *   attribute: key, then by the key's type: text, number of cuts, their
 *   distances | number | 8 bytes | u8 | count and texts
 *   link: trace[16] id[8] confidence (8 bytes), evidence (text)
 *   text: 0 when absent, else length + 1 and the bytes
 * ATTR_KEYS stands there because both ends must have the same attribute table.
 */
#define SPAN_VERSION 3

_Static_assert(ATTR_KEYS < 256, "ATTR_KEYS is one byte on the wire");

static void put_number(struct buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_addc(out, (char)(v | 0x80));
	buf_addc(out, (char)v);
}

static void put_text(struct buf *out, struct slice s)
{
	put_number(out, s.p ? (uint64_t)s.n + 1 : 0);
	if (s.p)
		buf_add(out, s.p, s.n);
}

static void put_cuts(struct buf *out, const struct attr *a)
{
	put_number(out, a->n_cuts);
	for (size_t i = 0; i < a->n_cuts; i++)
		put_number(out, a->cuts[i] - (i ? a->cuts[i - 1] : 0));
}

static void put_attr(struct buf *out, const struct attr *a)
{
	put_number(out, a->key);
	switch (attr_defs[a->key].type) {
	case ATTR_STR:
		put_text(out, a->str);
		put_cuts(out, a);
		break;
	case ATTR_INT:
		put_number(out, (uint64_t)a->i);
		break;
	case ATTR_DOUBLE:
		buf_add(out, &a->d, sizeof(a->d));
		break;
	case ATTR_BOOL:
		buf_addc(out, a->b);
		break;
	case ATTR_STRS:
		put_number(out, a->strs.n);
		for (size_t i = 0; i < a->strs.n; i++)
			put_text(out, a->strs.v[i]);
		break;
	}
}

void span_encode(struct buf *out, const struct span *s)
{
	buf_addc(out, SPAN_VERSION);
	buf_addc(out, (char)ATTR_KEYS);
	buf_addc(out, (char)s->kind);
	buf_addc(out, (char)s->status);
	buf_add(out, s->trace, sizeof(s->trace));
	buf_add(out, s->id, sizeof(s->id));
	buf_add(out, s->parent, sizeof(s->parent));
	put_number(out, s->start);
	put_number(out, s->end);
	put_number(out, s->start_wall);
	put_text(out, s->name);
	put_text(out, s->status_message);
	put_number(out, s->n_attrs);
	for (size_t i = 0; i < s->n_attrs; i++)
		put_attr(out, &s->attrs[i]);
	put_number(out, s->n_links);
	for (size_t i = 0; i < s->n_links; i++) {
		const struct span_link *l = &s->links[i];

		buf_add(out, l->trace, sizeof(l->trace));
		buf_add(out, l->id, sizeof(l->id));
		buf_add(out, &l->confidence, sizeof(l->confidence));
		put_text(out, l->evidence);
	}
	buf_addc(out, s->gaps != NULL);
	for (size_t i = 0; s->gaps && i < SPAN_GAPS; i++)
		put_number(out, s->gaps->counts[i]);
	if (s->gaps)
		buf_add(out, &s->gaps->sum, sizeof(s->gaps->sum));
}

/* What is left to read; `bad` is sticky. */
struct reader {
	struct slice in;
	bool bad;
};

static void get_bytes(struct reader *r, void *ret, size_t n)
{
	if (r->bad || r->in.n < n) {
		r->bad = true;
		memset(ret, 0, n);
		return;
	}
	memcpy(ret, r->in.p, n);
	r->in = slice_from(r->in, n);
}

static uint64_t get_number(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		unsigned char c;

		get_bytes(r, &c, 1);
		if (shift == 63 && c > 1)
			r->bad = true;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return r->bad ? 0 : v;
	}
	r->bad = true;
	return 0;
}

static unsigned get_byte(struct reader *r, unsigned limit)
{
	unsigned char c;

	get_bytes(r, &c, 1);
	if (c >= limit)
		r->bad = true;
	return r->bad ? 0 : c;
}

static struct slice get_text(struct reader *r, struct arena *a)
{
	uint64_t n = get_number(r);

	if (r->bad || n == 0)
		return (struct slice){NULL, 0};
	if (n - 1 > r->in.n) {
		r->bad = true;
		return (struct slice){NULL, 0};
	}

	struct slice s = arena_dup(a, slice_of(r->in.p, n - 1));
	r->in = slice_from(r->in, n - 1);
	return s;
}

static void get_cuts(struct reader *r, struct arena *a, struct attr *attr)
{
	uint64_t n = get_number(r), at = 0;

	if (r->bad || n == 0)
		return;
	if (n > r->in.n || n >= attr->str.n) {
		r->bad = true;
		return;
	}
	uint32_t *cuts = arena_alloc(a, n * sizeof(*cuts));
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		uint64_t step = get_number(r);

		r->bad |= step == 0 || step >= attr->str.n - at || at + step > UINT32_MAX;
		at += r->bad ? 0 : step;
		cuts[i] = (uint32_t)at;
	}
	attr->cuts = cuts;
	attr->n_cuts = n;
}

static void get_strs(struct reader *r, struct arena *a, struct attr *attr)
{
	uint64_t n = get_number(r);

	/* Each text takes at least a byte: what is announced cannot be larger than what came. */
	if (r->bad || n > r->in.n) {
		r->bad = true;
		return;
	}
	attr->strs.v = arena_alloc(a, (n ? n : 1) * sizeof(*attr->strs.v));
	attr->strs.n = n;
	for (size_t i = 0; i < n && !r->bad; i++) {
		attr->strs.v[i] = get_text(r, a);
		r->bad |= !attr->strs.v[i].p;
	}
}

static void get_attr(struct reader *r, struct span *s)
{
	uint64_t key = get_number(r);

	if (r->bad || key >= ATTR_KEYS || span_get(s, (enum attr_key)key)) {
		r->bad = true;
		return;
	}

	struct attr *a = attr_put(s, (enum attr_key)key);
	switch (attr_defs[key].type) {
	case ATTR_STR:
		a->str = get_text(r, &s->arena);
		r->bad |= !a->str.p;
		get_cuts(r, &s->arena, a);
		break;
	case ATTR_INT:
		a->i = (int64_t)get_number(r);
		break;
	case ATTR_DOUBLE:
		get_bytes(r, &a->d, sizeof(a->d));
		break;
	case ATTR_BOOL:
		a->b = get_byte(r, 2);
		break;
	case ATTR_STRS:
		get_strs(r, &s->arena, a);
		break;
	}
}

static void get_links(struct reader *r, struct span *s)
{
	uint64_t n = get_number(r);

	r->bad |= n > SPAN_LINKS_MAX;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		struct span_link l = {0};

		get_bytes(r, l.trace, sizeof(l.trace));
		get_bytes(r, l.id, sizeof(l.id));
		get_bytes(r, &l.confidence, sizeof(l.confidence));
		l.evidence = get_text(r, &s->arena);
		r->bad |= !l.evidence.p;
		if (!r->bad)
			span_add_link(s, l.trace, l.id, l.evidence, l.confidence);
	}
}

static void get_gaps(struct reader *r, struct span *s)
{
	if (!get_byte(r, 2))
		return;
	s->gaps = arena_alloc(&s->arena, sizeof(*s->gaps));
	for (size_t i = 0; i < SPAN_GAPS; i++) {
		uint64_t n = get_number(r);

		r->bad |= n > LLM_CHUNKS_MAX;
		s->gaps->counts[i] = (uint32_t)n;
	}
	get_bytes(r, &s->gaps->sum, sizeof(s->gaps->sum));
}

int span_decode(struct slice in, struct span *ret)
{
	struct reader r = {.in = in};
	struct span s = {0};

	if (get_byte(&r, 256) != SPAN_VERSION || get_byte(&r, 256) != ATTR_KEYS)
		return -EBADMSG;
	s.kind = (enum span_kind)get_byte(&r, SPAN_KINDS);
	s.status = (enum span_status)get_byte(&r, SPAN_ERROR + 1);
	get_bytes(&r, s.trace, sizeof(s.trace));
	get_bytes(&r, s.id, sizeof(s.id));
	get_bytes(&r, s.parent, sizeof(s.parent));
	s.start = get_number(&r);
	s.end = get_number(&r);
	s.start_wall = get_number(&r);
	s.name = get_text(&r, &s.arena);
	s.status_message = get_text(&r, &s.arena);

	uint64_t n = get_number(&r);
	r.bad |= n > ATTR_KEYS;
	for (uint64_t i = 0; i < n && !r.bad; i++)
		get_attr(&r, &s);
	get_links(&r, &s);
	get_gaps(&r, &s);
	if (r.bad || r.in.n) {
		span_release(&s);
		return -EBADMSG;
	}
	*ret = s;
	return 0;
}

static void print_time(struct buf *out, uint64_t ts, uint64_t zero)
{
	double ms = ts >= zero ? (double)(ts - zero) / 1e6 : -((double)(zero - ts) / 1e6);

	buf_addf(out, "%.3fms", ms);
}

void span_print_value(struct buf *out, const struct attr *a)
{
	switch (attr_defs[a->key].type) {
	case ATTR_STR:
		text_escape(out, a->str);
		break;
	case ATTR_INT:
		buf_addf(out, "%" PRId64, a->i);
		break;
	case ATTR_DOUBLE:
		buf_addf(out, "%.9g", a->d);
		break;
	case ATTR_BOOL:
		buf_adds(out, a->b ? "true" : "false");
		break;
	case ATTR_STRS:
		buf_addc(out, '[');
		for (size_t i = 0; i < a->strs.n; i++) {
			buf_adds(out, i ? ", \"" : "\"");
			text_escape(out, a->strs.v[i]);
			buf_addc(out, '"');
		}
		buf_addc(out, ']');
		break;
	}
}

/* In the order of the table, so that the order in which they were set does not show. */
static void print_attrs(struct buf *out, const struct span *s)
{
	for (int key = 0; key < ATTR_KEYS; key++) {
		const struct attr *a = span_get(s, (enum attr_key)key);

		if (!a)
			continue;
		buf_addf(out, "  %s: ", attr_defs[key].name);
		span_print_value(out, a);
		buf_addc(out, '\n');
	}
}

void span_print(struct buf *out, const struct span *s, uint64_t zero)
{
	static const uint8_t none[8];
	static const char *const status_names[] = {"unset", "ok", "error"};

	buf_addf(out, "%s \"", span_kind_name(s->kind));
	text_escape(out, s->name);
	buf_adds(out, "\" id=");
	text_hex(out, s->id, sizeof(s->id));
	buf_adds(out, " parent=");
	if (memcmp(s->parent, none, sizeof(none)) == 0)
		buf_adds(out, "none");
	else
		text_hex(out, s->parent, sizeof(s->parent));
	buf_adds(out, " trace=");
	text_hex(out, s->trace, sizeof(s->trace));
	buf_addc(out, ' ');
	print_time(out, s->start, zero);
	buf_adds(out, "..");
	print_time(out, s->end, zero);
	buf_addf(out, " %s", status_names[s->status]);
	if (s->status_message.p) {
		buf_adds(out, ": ");
		text_escape(out, s->status_message);
	}
	buf_addc(out, '\n');
	print_attrs(out, s);
	for (size_t i = 0; i < s->n_links; i++) {
		buf_adds(out, "  link trace=");
		text_hex(out, s->links[i].trace, sizeof(s->links[i].trace));
		buf_adds(out, " id=");
		text_hex(out, s->links[i].id, sizeof(s->links[i].id));
		buf_adds(out, " ");
		text_escape(out, s->links[i].evidence);
		buf_addf(out, " %.9g\n", s->links[i].confidence);
	}
}
