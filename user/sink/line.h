/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line.h - lines of segments that never grow wider than the terminal.
 *
 *   │  ├─ chat some-model · 2.10 s · 1,200→80 tokens
 *   │  │    stop · "the rest goes to a continuation line"
 *
 * Segments are joined by " · "; one that does not fit goes to a continuation
 * line, or is cut.  Every segment passes through text_line(): nothing that
 * came from traffic can reach the terminal unescaped.  Width counts characters
 * from U+1100 on as two columns, which is never too little.
 */
#ifndef SPANTAP_LINE_H
#define SPANTAP_LINE_H

#include "base/buf.h"

#define LINE_COLUMNS_MIN 40
#define LINE_COLUMNS_MAX 200

enum line_style { LINE_PLAIN, LINE_BOLD, LINE_DIM, LINE_RED, LINE_YELLOW };

struct line {
	struct buf *out;
	size_t columns;
	bool color;
	/* of the current line */
	struct slice next_prefix; /* borrowed until line_end() */
	size_t indent;            /* columns of either prefix */
	size_t used;
	bool empty; /* no segment on it yet */
};

/* `columns` is brought into the bounds above. */
void line_init(struct line *l, struct buf *out, int columns, bool color);
/* `prefix` and `next_prefix` (of continuation lines) are `indent` columns wide and our own text. */
void line_begin(struct line *l, struct slice prefix, struct slice next_prefix, size_t indent);
/* A segment that is moved whole to a continuation line when it does not fit. */
void line_add(struct line *l, enum line_style style, struct slice text);
void line_addf(struct line *l, enum line_style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A segment that is rather cut than moved, as long as a good part of it is seen. */
void line_fill(struct line *l, enum line_style style, struct slice text);
void line_break(struct line *l); /* the next segment begins a continuation line */
void line_end(struct line *l);

/* Columns that valid UTF-8 takes on a terminal. */
size_t line_width(struct slice s);

/* Replaces what is not ASCII from offset `from` on: box lines by |-`, the rest by ?. */
void line_to_ascii(struct buf *b, size_t from);

#endif
