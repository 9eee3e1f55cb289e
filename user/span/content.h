/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content.h - what was said, as attribute values of one content level.
 *
 *   none      nothing
 *   shape     roles, part types, tool names, lengths and keyed hashes
 *   redacted  text with credentials and secrets masked (redact.h), and what else is asked for
 *   full      text with credentials masked
 *
 * Messages are JSON text valid against the schemas of the OpenTelemetry GenAI
 * conventions v1.41 (gen-ai-input-messages.json, -output-messages.json,
 * -system-instructions.json, -tool-definitions.json).  Everything written is
 * valid UTF-8.  A value that would be longer than CONTENT_ATTR_MAX is given as
 * its shape.
 *
 * The hashes of `shape` tell equal texts apart from different ones within one
 * run; the key is never written, so that a guessed text cannot be tried.
 */
#ifndef SPANTAP_CONTENT_H
#define SPANTAP_CONTENT_H

#include "span/memo.h"
#include "span/redact.h"
#include "span/span.h"

#define CONTENT_ATTR_MAX  (64u << 20) /* of one attribute */
#define CONTENT_DEPTH_MAX 128         /* nesting of JSON from traffic; what is deeper becomes a mask */

/*
 * Requests repeat the ones before them, so long texts and pieces of bodies that needed no change are
 * remembered by a keyed hash (128 bits, the key never leaves the process): they
 * are not searched again.  A place for each hash; the latest text has it.
 */
#define CONTENT_KNOWN_MAX  65536 /* texts: those of many long conversations, 1 MiB */
#define CONTENT_KNOWN_TEXT 512   /* bytes; shorter ones are searched as fast as hashed */

struct content {
	enum content_level level;
	unsigned redact; /* bits of enum redact_mode, besides what the level masks */
	uint8_t key[32]; /* random, of the run */
	uint64_t masks;  /* since the caller last set it to 0 */
	struct hash_key memory_key;
	struct keyed_hash *known; /* [CONTENT_KNOWN_MAX] */
	struct memo memo;
};

void content_init(struct content *c, enum content_level level, unsigned redact);

void content_release(struct content *c);

/* A value and where it falls into elements, for span_own_pieces(). */
struct content_text {
	struct slice text;
	const uint32_t *cuts;
	size_t n_cuts;
};

/* Each returns memory of `a`, or absent when the level or the input gives nothing. */
struct content_text content_messages(struct content *c, struct arena *a, const struct llm_messages *m,
                                     bool output, bool failed);
struct content_text content_system(struct content *c, struct arena *a, const struct llm_messages *m);
struct content_text content_tools(struct content *c, struct arena *a, const struct llm_tool_def *v, size_t n);
/* What was retrieved: [{"id", "score", "content"} …], members that are not known left out. */
struct content_text content_documents(struct content *c, struct arena *a, const struct llm_document *v,
                                      size_t n);
/*
 * A request's body, in the pieces that other requests repeat: byte for byte as it was sent where nothing
 * is masked (at `full` credentials, at `redacted` secrets too); JSON around a mask is written anew.  A body
 * that is no JSON is absent at `redacted`.  May hold bytes that are no UTF-8, as the client sent them.
 * Memory of `a` or of the call.  Its masks are not counted: they are those of the messages.
 */
struct content_text content_body(struct content *c, struct arena *a, const struct llm_call *call);
/*
 * The header fields of a request that are needed to make it again, "name: value", with credentials
 * masked; ret has room for all of them. Returns how many.
 */
size_t content_headers(struct content *c, struct arena *a, const struct http_headers *h, struct slice *ret);

/* JSON arguments as they were sent, changed only where something is masked. */
struct slice content_arguments(struct content *c, struct arena *a, struct slice json);
struct slice content_result(struct content *c, struct arena *a, struct slice text);

/* Adds "length" and "hash" of a text to a JSON object, in place of the text. */
struct yyjson_mut_doc;
struct yyjson_mut_val;
void content_shape(const struct content *c, struct yyjson_mut_doc *doc, struct yyjson_mut_val *obj, struct slice text);

/* Text that is no content (names, addresses, models): credentials masked, valid UTF-8, at every level. */
struct slice content_label(struct content *c, struct arena *a, struct slice text);
/* Error messages may quote the prompt: only at redacted and full. */
struct slice content_error(struct content *c, struct arena *a, struct slice text);
/* argv: only at redacted and full; returns whether ret[n] was filled. */
bool content_argv(struct content *c, struct arena *a, const struct slice *argv, size_t n, struct slice *ret);
struct slice content_path(struct content *c, struct arena *a, struct slice path);

#endif
