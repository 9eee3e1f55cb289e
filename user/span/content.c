/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "span/writer.h"

void content_init(struct content *c, enum content_level level, unsigned redact)
{
	*c = (struct content){.level = level, .redact = redact};
	randombytes_buf(c->key, sizeof(c->key));
	c->known = xcalloc(CONTENT_KNOWN_MAX, sizeof(*c->known));
	hash_key_init(&c->memory_key);
	memo_init(&c->memo);
}

void content_release(struct content *c)
{
	free(c->known);
	memo_release(&c->memo);
}

unsigned content_mode(const struct content *c)
{
	return c->level == CONTENT_FULL ? REDACT_CREDENTIALS : REDACT_SECRETS | c->redact;
}

struct keyed_hash *content_known(struct content *c, const struct keyed_hash *h)
{
	size_t at;

	memcpy(&at, h, sizeof(at));
	return &c->known[at % CONTENT_KNOWN_MAX];
}

/* The text's place and its hash; NULL: too short to be remembered. */
static struct keyed_hash *known_place(struct content *c, struct slice text, struct keyed_hash *h)
{
	if (text.n < CONTENT_KNOWN_TEXT)
		return NULL;
	*h = hash_keyed(&c->memory_key, &text, 1);
	return content_known(c, h);
}

struct slice content_clean(struct content *c, struct slice text, struct buf *masked, struct buf *valid)
{
	struct keyed_hash h, *known = known_place(c, text, &h);

	if (known && memcmp(known, &h, sizeof(h)) == 0)
		return text;

	size_t masks = redact_changes(masked, text, content_mode(c));
	c->masks += masks;
	if (masks)
		text = buf_slice(masked);
	if (text_valid(text) < text.n) {
		text_utf8(valid, text);
		text = buf_slice(valid);
	} else if (known && !masks) {
		*known = h;
	}
	return text;
}

static struct slice clean_dup(struct content *c, struct arena *a, struct slice text)
{
	struct buf masked = {0}, valid = {0};

	if (!text.p)
		return text;
	text = arena_dup(a, content_clean(c, text, &masked, &valid));
	buf_release(&masked);
	buf_release(&valid);
	return text;
}

/* A value, and whether it is `shape` that is to be written. */
static struct slice write_value(struct content *c, struct arena *a, struct slice text, bool json, bool shape)
{
	struct writer w = {.c = c, .doc = yyjson_mut_doc_new(NULL), .shape = shape};
	struct slice s = {NULL, 0};
	uint64_t masks = c->masks;
	size_t n = 0;

	yyjson_mut_doc_set_root(w.doc, writer_value(&w, text, json));
	char *written = yyjson_mut_write(w.doc, 0, &n);
	yyjson_mut_doc_free(w.doc);
	if (written && n <= CONTENT_ATTR_MAX) {
		s = arena_dup(a, slice_of(written, n));
	} else if (written && !shape) {
		c->masks = masks;
		s = write_value(c, a, text, json, true);
	}
	free(written);
	return s;
}

struct slice content_arguments(struct content *c, struct arena *a, struct slice json)
{
	uint64_t masks = c->masks;

	if (!json.p || c->level == CONTENT_NONE)
		return (struct slice){NULL, 0};

	struct slice s = write_value(c, a, json, true, c->level == CONTENT_SHAPE);
	if (c->level == CONTENT_SHAPE || c->masks != masks || json.n > CONTENT_ATTR_MAX)
		return s;
	yyjson_doc *doc = content_parse(json);
	bool valid = doc != NULL;
	yyjson_doc_free(doc);
	if (valid)
		return arena_dup(a, json); /* valid JSON is valid UTF-8 */
	return clean_dup(c, a, json);
}

struct slice content_result(struct content *c, struct arena *a, struct slice text)
{
	if (!text.p || c->level == CONTENT_NONE)
		return (struct slice){NULL, 0};
	if (c->level == CONTENT_SHAPE || text.n > CONTENT_ATTR_MAX)
		return write_value(c, a, text, false, true);
	if (content_looks_like_json(text)) {
		uint64_t masks = c->masks;
		struct slice s = write_value(c, a, text, true, false);

		if (c->masks != masks)
			return s;
	}
	return clean_dup(c, a, text);
}

struct slice content_label(struct content *c, struct arena *a, struct slice text)
{
	return clean_dup(c, a, text);
}

struct slice content_error(struct content *c, struct arena *a, struct slice text)
{
	return c->level < CONTENT_REDACTED ? (struct slice){NULL, 0} : clean_dup(c, a, text);
}

bool content_argv(struct content *c, struct arena *a, const struct slice *argv, size_t n, struct slice *ret)
{
	if (c->level < CONTENT_REDACTED)
		return false;

	c->masks += redact_argv(a, argv, n, ret, content_mode(c));
	for (size_t i = 0; i < n; i++) {
		struct buf b = {0};

		text_utf8(&b, ret[i]);
		ret[i] = arena_dup(a, buf_slice(&b));
		buf_release(&b);
	}
	return true;
}

struct slice content_path(struct content *c, struct arena *a, struct slice path)
{
	return c->level < CONTENT_REDACTED ? (struct slice){NULL, 0} : clean_dup(c, a, path);
}
