/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree.h - spans as a tree on a terminal:
 *
 *   claude-code · 3f2a9c1e · 12.30 s · 2 calls, 1 tool · 5,120→812 tokens · claude-x
 *   └─ turn 1 · 8.20 s · "fix the failing test"
 *      ├─ #1 chat claude-x · 2.10 s, first token 420 ms · 1,200→80 tokens · tool_use
 *      ├─ tool bash: pytest -x · 1.20 s
 *      │  └─ [1234] pytest -x · 1.10 s · exit 1
 *      └─ #2 chat claude-x · …
 *
 * Of each span a row of bounded size is kept, so that many spans with long
 * texts can be shown.  What is unknown is shown as "?"; every span from which
 * something is missing says so on a line of its own that begins with "!".
 */
#ifndef SPANTAP_TREE_H
#define SPANTAP_TREE_H

#include "sink/sink.h"

struct tree_conf {
	bool color;
	bool ascii;          /* the terminal does not show UTF-8 */
	int columns;         /* 0: 80 */
	const char *command; /* names a conversation whose agent is not known; NULL: nothing does */
};

struct tree;

struct tree *tree_new(void);
void tree_add(struct tree *t, const struct span *s);
size_t tree_count(const struct tree *t);
/* Appends the conversations in order of their start, then what belongs to none. */
void tree_write(struct tree *t, struct buf *out, const struct tree_conf *conf);
void tree_free(struct tree *t); /* accepts NULL */

/* The three steps in one. */
void tree_print(struct buf *out, const struct tree_conf *conf, const struct span *v, size_t n);

/*
 * The line under the trees: what was captured, what was lost and why, and what
 * was seen when there was no LLM call.
 */
void tree_summary(struct buf *out, const struct tree_conf *conf, const struct sink_summary *s, size_t calls);

/* Whether the environment (LC_ALL, LC_CTYPE, LANG) says that the terminal shows UTF-8. */
bool tree_locale_utf8(void);

#endif
