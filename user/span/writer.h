/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.h - messages, tools and documents as JSON values of a content level.
 *
 * Private to the content_*.c files: a writer builds one JSON text, with secrets
 * masked (or everything replaced by lengths and hashes, `shape`).
 */
#ifndef SPANTAP_WRITER_H
#define SPANTAP_WRITER_H

#include <yyjson.h>

#include "span/content.h"

struct writer {
	struct content *c;
	yyjson_mut_doc *doc;
	bool shape;
};

/* The strings must live until the document is written. */
yyjson_mut_val *writer_message(struct writer *w, const struct llm_message *m, bool output, bool failed);
yyjson_mut_val *writer_part(struct writer *w, const struct llm_part *p);
yyjson_mut_val *writer_tool(struct writer *w, const struct llm_tool_def *t);
yyjson_mut_val *writer_document(struct writer *w, const struct llm_document *d);
/* A text, or JSON if it is some. */
yyjson_mut_val *writer_value(struct writer *w, struct slice text, bool json);
/* A copy of JSON from traffic: strings under credential-like keys masked, all others cleaned. */
yyjson_mut_val *writer_masked(struct writer *w, yyjson_val *v, const char *credential, unsigned depth);

/* What a number in JSON, as it was written, is masked as: a password is one too, and so is a card's; NULL:
 * nothing. */
const char *content_number_label(const struct content *c, struct slice digits, const char *credential);
unsigned content_mode(const struct content *c); /* bits of enum redact_mode */

/* Where it is remembered that a text needs no change: by the hash of it. */
struct keyed_hash *content_known(struct content *c, const struct keyed_hash *h);
yyjson_doc *content_parse(struct slice text); /* numbers as they stand; NULL: no JSON */
bool content_looks_like_json(struct slice text);
/* `text` masked and valid UTF-8: itself when it is so already, else made of `masked` and `valid`. */
struct slice content_clean(struct content *c, struct slice text, struct buf *masked, struct buf *valid);

#endif
