/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prompt.h - what a call gave its model, item by item, and how two calls
 * differ in that.
 *
 * The sections stand in the order in which providers keep prompts in their
 * caches: a cache serves the longest beginning that both calls share, byte for
 * byte, so the first difference in this order is where it broke.
 */
#ifndef SPANTAP_PROMPT_H
#define SPANTAP_PROMPT_H

#include "base/arena.h"
#include "span/span.h"

enum prompt_section { PROMPT_TOOLS, PROMPT_SYSTEM, PROMPT_MESSAGES, PROMPT_SECTIONS };

extern const char *const prompt_section_names[PROMPT_SECTIONS]; /* tools system messages */

struct prompt_item {
	struct slice role; /* of a message; else absent */
	struct slice what; /* types and names of its parts: "text", "tool_call read_file" */
	struct slice text; /* all that the span holds of it */
};

struct prompt {
	struct prompt_item *items[PROMPT_SECTIONS];
	size_t n[PROMPT_SECTIONS];
	bool known[PROMPT_SECTIONS]; /* false: the span holds nothing of this section */
};

/* Everything lives in `a`. */
void prompt_read(struct prompt *p, const struct span *call, struct arena *a);

enum prompt_change { PROMPT_SAME, PROMPT_CHANGED, PROMPT_ADDED, PROMPT_REMOVED };

extern const char *const prompt_change_names[]; /* same changed added removed */

/* `n` items from `a` in the one prompt and `b` in the other: counted from 0; of PROMPT_CHANGED one pair. */
struct prompt_edit {
	enum prompt_change change;
	size_t a, b, n;
};

#define PROMPT_ALIGN_MAX 4000000 /* pairs of items that are compared; beyond, place by place */

/* The edits of one section in order; memory of `arena`. */
size_t prompt_compare(const struct prompt *a, const struct prompt *b, enum prompt_section section, struct arena *arena,
		      struct prompt_edit **ret);

/* Where two texts part: bytes that are equal at their beginning, not inside a UTF-8 character. */
size_t prompt_common(struct slice a, struct slice b);

/* How much of the prompt `b` is the beginning of `a`. */
struct prompt_prefix {
	size_t common, total;        /* bytes of the text of `b` */
	bool broken;                 /* false: `b` is `a`, continues it with more messages, or is its beginning */
	enum prompt_section section; /* where it ends */
	size_t item;                 /* there, from 0 */
	size_t at;                   /* bytes into that item */
};

struct prompt_prefix prompt_prefix(const struct prompt *a, const struct prompt *b);

#endif
