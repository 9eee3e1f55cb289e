/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "sink/line.h"

#define SEPARATOR       " · "
#define SEPARATOR_WIDTH 3
#define CONTINUATION    2  /* columns by which a continuation line is indented */
#define CUT_MIN         24 /* a segment is not cut to less than this */

static const char *const styles[] = {"", "\033[1m", "\033[2m", "\033[31m", "\033[33m"};

void line_init(struct line *l, struct buf *out, int columns, bool color)
{
	if (columns < LINE_COLUMNS_MIN)
		columns = LINE_COLUMNS_MIN;
	if (columns > LINE_COLUMNS_MAX)
		columns = LINE_COLUMNS_MAX;
	*l = (struct line){.out = out, .columns = (size_t)columns, .color = color};
}

void line_begin(struct line *l, struct slice prefix, struct slice next_prefix, size_t indent)
{
	buf_addslice(l->out, prefix);
	l->next_prefix = next_prefix;
	l->indent = indent;
	l->used = indent;
	l->empty = true;
}

void line_break(struct line *l)
{
	buf_addc(l->out, '\n');
	buf_addslice(l->out, l->next_prefix);
	buf_addf(l->out, "%*s", CONTINUATION, "");
	l->used = l->indent + CONTINUATION;
	l->empty = true;
}

/* One character of valid UTF-8, *ret_len bytes long. */
static uint32_t first_char(struct slice s, size_t *ret_len)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	uint32_t v = n == 1 ? c : c & (0x7fu >> n);

	if (n > s.n)
		n = s.n;
	for (size_t i = 1; i < n; i++)
		v = v << 6 | ((unsigned char)s.p[i] & 0x3f);
	*ret_len = n;
	return v;
}

size_t line_width(struct slice s)
{
	size_t width = 0, n;

	for (; s.n; s = slice_from(s, n)) {
		uint32_t c = first_char(s, &n);

		width += c >= 0x1100 && c != 0x2026 ? 2 : 1;
	}
	return width;
}

static size_t room(const struct line *l)
{
	size_t taken = l->used + (l->empty ? 0 : SEPARATOR_WIDTH);

	return l->columns > taken ? l->columns - taken : 0;
}

static void put(struct line *l, enum line_style style, struct slice text, bool may_cut)
{
	struct buf b = {0};
	/* What no line of this entry can hold is cut at once. */
	size_t full = l->columns - l->indent - CONTINUATION;

	text_line(&b, text, full);
	if (b.n == 0) {
		buf_release(&b);
		return;
	}
	if (line_width(buf_slice(&b)) > room(l)) {
		if (may_cut && room(l) >= CUT_MIN) {
			buf_clear(&b);
			text_line(&b, text, room(l));
		} else if (!l->empty) {
			line_break(l);
		}
	}
	if (!l->empty) {
		buf_adds(l->out, SEPARATOR);
		l->used += SEPARATOR_WIDTH;
	}
	if (l->color && style != LINE_PLAIN)
		buf_adds(l->out, styles[style]);
	buf_addslice(l->out, buf_slice(&b));
	if (l->color && style != LINE_PLAIN)
		buf_adds(l->out, "\033[0m");
	l->used += line_width(buf_slice(&b));
	l->empty = false;
	buf_release(&b);
}

void line_add(struct line *l, enum line_style style, struct slice text)
{
	put(l, style, text, false);
}

void line_fill(struct line *l, enum line_style style, struct slice text)
{
	put(l, style, text, true);
}

void line_addf(struct line *l, enum line_style style, const char *fmt, ...)
{
	va_list ap;
	char *s = NULL;

	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n >= 0)
		put(l, style, slice_of(s, (size_t)n), false);
	free(s);
}

void line_end(struct line *l)
{
	buf_addc(l->out, '\n');
}

static char ascii_of(uint32_t c)
{
	switch (c) {
	case 0x2500: /* ─ */
	case 0xb7:   /* · */
		return '-';
	case 0x2502: /* │ */
	case 0x251c: /* ├ */
		return '|';
	case 0x2514: /* └ */
		return '`';
	case 0x2192: /* → */
		return '>';
	case 0x2026: /* … */
		return '~';
	default:
		return c < 0x80 ? (char)c : '?';
	}
}

void line_to_ascii(struct buf *b, size_t from)
{
	size_t to = from, n;

	for (size_t i = from; i < b->n; i += n)
		b->p[to++] = ascii_of(first_char(slice_of(b->p + i, b->n - i), &n));
	b->n = to;
}
