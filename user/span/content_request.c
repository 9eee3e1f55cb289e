/* SPDX-License-Identifier: Apache-2.0 */
/* A request as it was sent, with what no one may read masked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "llm/json.h"
#include "span/secrets.h"
#include "span/writer.h"

/* Stands for a piece in the text around the pieces: a number that no client sends, its digits random. */
#define MARK_MAX 32

/* ---- header fields ---- */

/* Of the connection, or said by other attributes, or of the body as it was encoded. */
static const char *const left_out[] = {
    "host", "content-length", "content-encoding", "transfer-encoding", "connection",      "keep-alive",
    "te",   "trailer",        "upgrade",          "proxy-connection",  "accept-encoding", "expect"};

static const char *const schemes[] = {"bearer", "basic", "token", "apikey"};

/* Any name that may be that of a credential: a field too many is masked rather than one too few. */
static bool is_credential(struct slice name)
{
	static const struct slice words[] = {{"auth", 4},  {"cookie", 6},     {"secret", 6},
	                                     {"token", 5}, {"passw", 5},      {"signature", 9},
	                                     {"jwt", 3},   {"credential", 10}};
	char lower[IDENT_MAX];
	size_t n = name.n < sizeof(lower) ? name.n : sizeof(lower);

	if (key_rule(name))
		return true;
	for (size_t i = 0; i < n; i++)
		lower[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] | 32) : name.p[i];
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (slice_find(slice_of(lower, n), words[i]))
			return true;
	return false;
}

/* The word before a credential that says of which kind it is, with its blank. */
static size_t scheme_length(struct slice value)
{
	const char *blank = value.n ? memchr(value.p, ' ', value.n) : NULL;
	size_t n = blank ? (size_t)(blank - value.p) : 0;

	return n && IN_WORDS(slice_of(value.p, n), schemes) ? n + 1 : 0;
}

static void add_header(struct content *c, struct buf *out, const struct http_header *h)
{
	size_t scheme = scheme_length(h->value);

	buf_addslice(out, h->name);
	buf_adds(out, ": ");
	if (scheme || is_credential(h->name)) {
		const char *label = redact_key(h->name);

		buf_add(out, h->value.p, scheme);
		buf_addf(out, "[masked:%s]", label ? label : scheme ? "authorization" : "credential");
		c->masks++;
	} else {
		c->masks += redact_text(out, h->value, REDACT_SECRETS | c->redact);
	}
}

size_t content_headers(struct content *c, struct arena *a, const struct http_headers *h, struct slice *ret)
{
	struct buf text = {0}, valid = {0};
	uint64_t masks = c->masks;
	size_t n = 0;

	for (size_t i = 0; c->level >= CONTENT_REDACTED && i < h->n; i++) {
		const struct slice name = h->v[i].name;

		if (!name.n || name.p[0] == ':' || IN_WORDS(name, left_out))
			continue;
		buf_clear(&text);
		buf_clear(&valid);
		add_header(c, &text, &h->v[i]);
		text_utf8(&valid, buf_slice(&text));
		ret[n++] = arena_dup(a, buf_slice(&valid));
	}
	c->masks = masks;
	buf_release(&text);
	buf_release(&valid);
	return n;
}

/* ---- the body ---- */

struct body {
	struct content *c;
	const struct pieces *pieces;
	struct slice raw;
	struct buf *masked; /* [pieces->n]; empty where nothing is masked */
	struct buf out;
	uint32_t *cuts;
	size_t n_cuts;
};

static void cut(struct body *b, size_t at)
{
	if (at > (b->n_cuts ? b->cuts[b->n_cuts - 1] : 0) && at <= UINT32_MAX)
		b->cuts[b->n_cuts++] = (uint32_t)at;
}

/* What stands before a piece belongs to it when it is but the comma of its list. */
static bool follows(const struct body *b, size_t i)
{
	const struct piece *p = &b->pieces->v[i];

	return i && p[-1].list == p->list && p->from - p[-1].to < 16;
}

static bool has_masks(struct content *c, yyjson_val *v, const char *credential, unsigned depth);

static bool text_has_masks(struct content *c, struct slice s, const char *credential)
{
	struct buf masked = {0}, valid = {0};
	uint64_t masks = c->masks;

	if (credential && s.n && !slice_starts(s, SLICE("[masked:")))
		return true;
	content_clean(c, s, &masked, &valid);
	buf_release(&masked);
	buf_release(&valid);
	return c->masks != masks;
}

static bool members_have_masks(struct content *c, yyjson_val *v, const char *credential, unsigned depth)
{
	size_t i, n;
	yyjson_val *k, *x;

	yyjson_obj_foreach(v, i, n, k, x)
	{
		struct slice key = json_str(k);
		const char *label = redact_key(key);

		if (text_has_masks(c, key, NULL) || has_masks(c, x, label ? label : credential, depth + 1))
			return true;
	}
	return false;
}

/* Whether writer_masked() would mask anything. */
static bool has_masks(struct content *c, yyjson_val *v, const char *credential, unsigned depth)
{
	size_t i, n;
	yyjson_val *x;

	if (depth > CONTENT_DEPTH_MAX)
		return true;
	if (yyjson_is_str(v))
		return text_has_masks(c, json_str(v), credential);
	if (yyjson_is_raw(v))
		return content_number_label(c, slice_of(yyjson_get_raw(v), yyjson_get_len(v)), credential);
	if (yyjson_is_obj(v))
		return members_have_masks(c, v, credential, depth);
	yyjson_arr_foreach(v, i, n, x) if (has_masks(c, x, credential, depth + 1)) return true;
	return false;
}

static void write_masked(struct content *c, yyjson_val *v, struct buf *out)
{
	struct writer w = {.c = c, .doc = yyjson_mut_doc_new(NULL)};
	size_t n = 0;

	yyjson_mut_doc_set_root(w.doc, writer_masked(&w, v, NULL, 0));
	char *text = yyjson_mut_write(w.doc, 0, &n);
	if (text)
		buf_add(out, text, n);
	else
		buf_adds(out, "\"[masked:unreadable]\"");
	free(text);
	yyjson_mut_doc_free(w.doc);
}

/* Appends the JSON text masked, or nothing when nothing is masked. */
static bool mask_json(struct content *c, struct slice json, struct buf *out)
{
	yyjson_doc *doc = json_read(json);
	yyjson_val *root = yyjson_doc_get_root(doc);
	bool masked = !doc || has_masks(c, root, NULL, 0);

	if (masked)
		write_masked(c, root, out);
	yyjson_doc_free(doc);
	return masked;
}

/* Whether any piece has something masked. */
static bool mask_pieces(struct body *b)
{
	bool any = false;

	for (size_t i = 0; i < b->pieces->n; i++) {
		const struct piece *p = &b->pieces->v[i];
		struct keyed_hash *known = content_known(b->c, &p->hash);

		if (memcmp(known, &p->hash, sizeof(*known)) == 0)
			continue;
		if (mask_json(b->c, slice_of(b->raw.p + p->from, p->to - p->from), &b->masked[i]))
			any = true;
		else
			*known = p->hash;
	}
	return any;
}

/* The pieces, and between them the parts of `around` between its marks (no mark: the body's own). */
static bool put_together(struct body *b, struct slice around, struct slice mark)
{
	size_t at = 0;

	for (size_t i = 0; i < b->pieces->n; i++) {
		const struct piece *p = &b->pieces->v[i];
		struct slice between = slice_of(b->raw.p + at, p->from - at);

		if (mark.n) {
			const char *next = slice_find(around, mark);

			if (!next)
				return false;
			between = slice_of(around.p, (size_t)(next - around.p));
			around = slice_from(around, between.n + mark.n);
		}
		buf_addslice(&b->out, between);
		if (!follows(b, i))
			cut(b, b->out.n);
		buf_addslice(&b->out, b->masked[i].n ? buf_slice(&b->masked[i])
		                                     : slice_of(b->raw.p + p->from, p->to - p->from));
		cut(b, b->out.n);
		at = p->to;
	}
	buf_addslice(&b->out, mark.n ? around : slice_from(b->raw, at));
	return !mark.n || !slice_find(around, mark);
}

static void cut_raw(struct body *b)
{
	for (size_t i = 0; i < b->pieces->n; i++) {
		if (!follows(b, i))
			cut(b, b->pieces->v[i].from);
		cut(b, b->pieces->v[i].to);
	}
}

static struct slice make_mark(char text[MARK_MAX])
{
	struct hash_key random;
	uint64_t digits;

	hash_key_init(&random);
	memcpy(&digits, &random, sizeof(digits));
	return slice_of(text, (size_t)snprintf(text, MARK_MAX, "-0e%020" PRIu64, digits));
}

/* False: nothing is masked, the body is as it was sent. */
static bool mask_body(struct body *b)
{
	char text[MARK_MAX];
	struct slice mark = make_mark(text), none = {NULL, 0};
	struct buf around = {0}, masked = {0};
	size_t at = 0;
	bool any = mask_pieces(b);

	for (size_t i = 0; i < b->pieces->n; at = b->pieces->v[i++].to) {
		buf_add(&around, b->raw.p + at, b->pieces->v[i].from - at);
		buf_addslice(&around, mark);
	}
	buf_addslice(&around, slice_from(b->raw, at));
	bool outside = mask_json(b->c, buf_slice(&around), &masked);
	if (outside && !put_together(b, buf_slice(&masked), mark)) {
		/* What stands around the pieces has lost some of them: the body is one piece. */
		buf_clear(&b->out);
		b->n_cuts = 0;
		mask_json(b->c, b->raw, &b->out);
	} else if (any && !outside) {
		put_together(b, none, none);
	}
	buf_release(&around);
	buf_release(&masked);
	return any || outside;
}

/* A body that is no JSON, a form or an upload: its own text, and what stands in it as in any text. */
static bool mask_text(struct body *b)
{
	return redact_changes(&b->out, b->raw, content_mode(b->c)) > 0;
}

struct content_text content_body(struct content *c, struct arena *a, const struct llm_call *call)
{
	struct body b = {.c = c, .pieces = &call->pieces, .raw = buf_slice(&call->body)};
	struct content_text t = {.text = b.raw};
	uint64_t masks = c->masks;

	if (c->level < CONTENT_REDACTED || !b.raw.n || b.raw.n > CONTENT_ATTR_MAX ||
	    (c->level == CONTENT_REDACTED && !call->body_is_json))
		return (struct content_text){.cuts = NULL};
	b.cuts = arena_take(a, (2 * call->pieces.n + 1) * sizeof(*b.cuts));
	b.masked = xcalloc(call->pieces.n, sizeof(*b.masked));
	if (call->body_is_json ? mask_body(&b) : mask_text(&b))
		t.text =
		    b.out.n <= CONTENT_ATTR_MAX ? arena_dup(a, buf_slice(&b.out)) : (struct slice){NULL, 0};
	else
		cut_raw(&b);
	t.cuts = b.cuts;
	/* Nothing falls at the end. */
	t.n_cuts = b.n_cuts && b.cuts[b.n_cuts - 1] == t.text.n ? b.n_cuts - 1 : b.n_cuts;
	c->masks = masks;
	for (size_t i = 0; i < call->pieces.n; i++)
		buf_release(&b.masked[i]);
	free(b.masked);
	buf_release(&b.out);
	return t;
}
