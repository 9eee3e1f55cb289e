/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists as attribute values.  Each element is written on its own, so that what
 * requests repeat can be taken as it was written last (memo.h), and the value
 * falls into pieces where the store finds it again.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "span/writer.h"

enum list_kind { LIST_MESSAGES, LIST_OUTPUT, LIST_PARTS, LIST_TOOLS, LIST_DOCUMENTS };

struct list {
	enum list_kind kind;
	const void *v;
	size_t n, size; /* elements, bytes of each */
	bool failed;
};

static const void *at(const struct list *l, size_t i)
{
	return (const char *)l->v + i * l->size;
}

static yyjson_mut_val *element(struct writer *w, const struct list *l, size_t i)
{
	switch (l->kind) {
	case LIST_MESSAGES:
	case LIST_OUTPUT:
		return writer_message(w, at(l, i), l->kind == LIST_OUTPUT, l->failed);
	case LIST_PARTS:
		return writer_part(w, at(l, i));
	case LIST_TOOLS:
		return writer_tool(w, at(l, i));
	case LIST_DOCUMENTS:
		return writer_document(w, at(l, i));
	}
	return NULL;
}

#define BYTES(x) slice_of(&(x), sizeof(x))

static struct keyed_hash part_hash(const struct content *c, struct keyed_hash before,
                                   const struct llm_part *p)
{
	uint8_t kind[3] = {(uint8_t)p->kind, p->is_error, p->is_server};
	/* An absent text is written otherwise than an empty one. */
	uint8_t absent[3] = {!p->id.p, !p->name.p, !p->text.p};
	const struct slice parts[] = {BYTES(before), BYTES(kind), BYTES(absent), BYTES(p->bytes),
	                              p->id,         p->name,     p->text};

	return hash_keyed(&c->memory_key, parts, sizeof(parts) / sizeof(*parts));
}

static struct keyed_hash tool_hash(const struct content *c, struct keyed_hash before,
                                   const struct llm_tool_def *t)
{
	uint8_t absent[2] = {!t->name.p, !t->description.p};
	const struct slice parts[] = {BYTES(before), BYTES(absent),  t->type,
	                              t->name,       t->description, t->parameters};

	return hash_keyed(&c->memory_key, parts, sizeof(parts) / sizeof(*parts));
}

/* Of all that an element's text depends on. */
static struct keyed_hash element_hash(const struct content *c, const struct list *l, size_t i)
{
	static const struct keyed_hash none;
	const struct llm_message *m = at(l, i);
	struct keyed_hash h = {{(uint8_t)l->kind}};

	if (l->kind == LIST_PARTS)
		return part_hash(c, h, at(l, i));
	if (l->kind == LIST_TOOLS)
		return tool_hash(c, h, at(l, i));
	if (memcmp(&m->id, &none, sizeof(none)) != 0)
		return m->id;
	h.b[1] = !m->role.p;
	const struct slice parts[] = {BYTES(h), m->role};
	h = hash_keyed(&c->memory_key, parts, 2);
	for (size_t k = 0; k < m->n_parts; k++)
		h = part_hash(c, h, &m->parts[k]);
	return h;
}

/* Answers and what was found are said once. */
static bool is_repeated(const struct list *l)
{
	return l->kind != LIST_OUTPUT && l->kind != LIST_DOCUMENTS;
}

static struct memo_text write_element(struct content *c, const struct list *l, size_t i, bool shape)
{
	struct writer w = {.c = c, .doc = yyjson_mut_doc_new(NULL), .shape = shape};
	struct memo_text t = {.masks = c->masks};

	yyjson_mut_doc_set_root(w.doc, element(&w, l, i));
	t.text = yyjson_mut_write(w.doc, 0, &t.n);
	yyjson_mut_doc_free(w.doc);
	t.masks = c->masks - t.masks;
	return t;
}

/* The element's text, owned by the memo or pushed to `own`. */
static struct slice text_of(struct content *c, const struct list *l, size_t i, bool shape, char **ret_own)
{
	bool repeated = is_repeated(l) && shape == (c->level == CONTENT_SHAPE);
	struct keyed_hash h = repeated ? element_hash(c, l, i) : (struct keyed_hash){{0}};
	const struct memo_text *known = repeated ? memo_get(&c->memo, &h) : NULL;

	*ret_own = NULL;
	if (known) {
		c->masks += known->masks;
		return slice_of(known->text, known->n);
	}
	struct memo_text t = write_element(c, l, i, shape);
	if (repeated && t.text)
		memo_put(&c->memo, &h, t);
	else
		*ret_own = t.text;
	return slice_of(t.text, t.n);
}

static struct content_text join(struct arena *a, const struct slice *v, size_t n, size_t total)
{
	struct content_text t = {.cuts = NULL};
	char *p = arena_take(a, total + 1);
	uint32_t *cuts = arena_take(a, (n + 1) * sizeof(*cuts));
	size_t used = 0;

	t.text = slice_of(p, total);
	t.cuts = cuts;
	p[used++] = '[';
	for (size_t i = 0; i < n; i++) {
		cuts[t.n_cuts++] = (uint32_t)used;
		if (i)
			p[used++] = ',';
		memcpy(p + used, v[i].p, v[i].n);
		used += v[i].n;
	}
	cuts[t.n_cuts++] = (uint32_t)used;
	memcpy(p + used, "]", 2);
	return t;
}

static struct content_text write_list(struct content *c, struct arena *a, const struct list *l, bool shape)
{
	struct slice *v = xcalloc(l->n, sizeof(*v));
	char **own = xcalloc(l->n, sizeof(*own));
	struct content_text t = {.cuts = NULL};
	uint64_t masks = c->masks;
	size_t total = 2 + l->n - 1;
	bool whole = true;

	for (size_t i = 0; i < l->n; i++) {
		v[i] = text_of(c, l, i, shape, &own[i]);
		whole = whole && v[i].p;
		total += v[i].n;
	}
	if (whole && total <= CONTENT_ATTR_MAX)
		t = join(a, v, l->n, total);
	for (size_t i = 0; i < l->n; i++)
		free(own[i]);
	free(own);
	free(v);
	memo_trim(&c->memo);
	if (whole && total > CONTENT_ATTR_MAX && !shape) {
		c->masks = masks;
		t = write_list(c, a, l, true);
	}
	return t;
}

static struct content_text list_at_level(struct content *c, struct arena *a, const struct list *l)
{
	if (c->level == CONTENT_NONE || l->n == 0)
		return (struct content_text){.cuts = NULL};
	return write_list(c, a, l, c->level == CONTENT_SHAPE);
}

struct content_text content_messages(struct content *c, struct arena *a, const struct llm_messages *m,
                                     bool output, bool failed)
{
	return list_at_level(
	    c, a, &(struct list){output ? LIST_OUTPUT : LIST_MESSAGES, m->v, m->n, sizeof(*m->v), failed});
}

struct content_text content_system(struct content *c, struct arena *a, const struct llm_messages *m)
{
	struct list l = {.kind = LIST_PARTS, .size = sizeof(struct llm_part)};
	struct llm_part *parts;
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		l.n += m->v[i].n_parts;
	if (l.n == 0)
		return (struct content_text){
		    .text = m->n && c->level != CONTENT_NONE ? SLICE("[]") : (struct slice){NULL, 0}};
	l.v = parts = xcalloc(l.n, sizeof(*parts));
	for (size_t i = 0; i < m->n; i++)
		for (size_t k = 0; k < m->v[i].n_parts; k++)
			parts[n++] = m->v[i].parts[k];

	struct content_text t = list_at_level(c, a, &l);
	free(parts);
	return t;
}

struct content_text content_tools(struct content *c, struct arena *a, const struct llm_tool_def *v, size_t n)
{
	return list_at_level(c, a, &(struct list){.kind = LIST_TOOLS, .v = v, .n = n, .size = sizeof(*v)});
}

struct content_text content_documents(struct content *c, struct arena *a, const struct llm_document *v,
                                      size_t n)
{
	return list_at_level(c, a,
	                     &(struct list){.kind = LIST_DOCUMENTS, .v = v, .n = n, .size = sizeof(*v)});
}
