/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "sink/line.h"
#include "sink/row.h"
#include "sink/waterfall.h"

#define COLUMNS_MIN  60
#define COLUMNS_MAX  200
#define LABEL_MAX    48
#define TIME_COLUMNS 9
#define INDENT       2
#define INDENT_MAX   12 /* deeper levels are not indented more */

/* What a column shows; of several, the largest. */
enum cell {
	CELL_NONE,
	CELL_AGENT,
	CELL_PROCESS,
	CELL_MCP,
	CELL_WAITING,
	CELL_UNSEEN,
	CELL_TOOL,
	CELL_MODEL,
	CELLS
};

static const struct {
	const char *mark, *ascii, *color, *word;
} cells[CELLS] = {
    [CELL_NONE] = {" ", " ", "", NULL},
    [CELL_AGENT] = {"·", ".", "\033[2m", "agent"},
    [CELL_PROCESS] = {"─", "-", "\033[36m", "process"},
    [CELL_MCP] = {"═", "~", "\033[35m", "MCP, HTTP"},
    [CELL_WAITING] = {"░", ":", "\033[33m", "waiting"},
    [CELL_UNSEEN] = {"▒", "%", "\033[32m", "tool, its begin not seen"},
    [CELL_TOOL] = {"▓", "=", "\033[32m", "tool"},
    [CELL_MODEL] = {"█", "#", "\033[34m", "model"},
};

struct chart {
	struct buf *out;
	const struct tree_conf *conf;
	size_t label, width; /* columns of either */
	uint64_t start, end;
	unsigned char *line; /* enum cell of each column */
};

static void add_time(struct buf *b, double ns)
{
	if (ns < 1e9)
		buf_addf(b, "%.*f ms", ns < 1e7 ? 1 : 0, ns / 1e6);
	else if (ns < 6e10)
		buf_addf(b, "%.2f s", ns / 1e9);
	else
		buf_addf(b, "%.0f:%02d min", ns / 6e10 - 0.5 < 0 ? 0 : (double)(uint64_t)(ns / 6e10),
		         (int)((uint64_t)(ns / 1e9) % 60));
}

/* Paints [from, to) where nothing larger stands. */
static void paint(struct chart *c, uint64_t from, uint64_t to, enum cell cell)
{
	double scale = (double)c->width / (double)(c->end - c->start);
	size_t a, b;

	if (to < from || from < c->start || from > c->end)
		return;
	a = (size_t)((double)(from - c->start) * scale);
	b = (size_t)((double)((to > c->end ? c->end : to) - c->start) * scale + 0.5);
	a = a < c->width ? a : c->width - 1;
	b = b > a ? b : a + 1;
	for (size_t i = a; i < b && i < c->width; i++)
		if (c->line[i] < cell)
			c->line[i] = (unsigned char)cell;
}

static void paint_tool(struct chart *c, const struct row *r)
{
	uint64_t started = r->start;

	if (isnan(r->tool_started) || r->tool_started < 0 || r->tool_started > 1e9) {
		paint(c, r->start, r->end, CELL_UNSEEN);
		return;
	}
	started += (uint64_t)(r->tool_started * 1e9);
	if (started > r->start)
		paint(c, r->start, started, CELL_WAITING);
	paint(c, started, r->end, CELL_TOOL);
}

static void paint_row(struct chart *c, const struct row *r)
{
	switch (r->kind) {
	case SPAN_CHAT:
		paint(c, r->start, r->end, CELL_MODEL);
		break;
	case SPAN_TOOL:
		paint_tool(c, r);
		break;
	case SPAN_PROCESS:
		paint(c, r->start, r->end, CELL_PROCESS);
		break;
	case SPAN_MCP:
	case SPAN_HTTP:
		paint(c, r->start, r->end, CELL_MCP);
		break;
	default:
		paint(c, r->start, r->end, CELL_AGENT);
		for (const struct row *child = r->child; child; child = child->next)
			if (child->kind == SPAN_CHAT || child->kind == SPAN_TOOL)
				paint_row(c, child);
	}
}

static void add_line(struct chart *c)
{
	enum cell last = CELL_NONE;
	size_t n = c->width;

	while (n && c->line[n - 1] == CELL_NONE)
		n--;
	for (size_t i = 0; i < n; i++) {
		enum cell cell = (enum cell)c->line[i];

		if (c->conf->color && cell != last)
			buf_addf(c->out, "\033[0m%s", cells[cell].color);
		buf_adds(c->out, c->conf->ascii ? cells[cell].ascii : cells[cell].mark);
		last = cell;
	}
	buf_adds(c->out, c->conf->color && n ? "\033[0m\n" : "\n");
}

static void add_label(struct buf *b, const struct row *r)
{
	switch (r->kind) {
	case SPAN_CONVERSATION:
		buf_adds(b, "conversation");
		break;
	case SPAN_TURN:
		buf_addf(b, r->turn_index >= 0 ? "turn %lld" : "turn", (long long)r->turn_index);
		break;
	case SPAN_CHAT:
		buf_addf(b, "#%zu ", r->call_number);
		buf_addslice(b, r->operation.n ? r->operation : SLICE("chat"));
		buf_addc(b, ' ');
		buf_addslice(b, r->label.n ? r->label : SLICE("?"));
		break;
	case SPAN_PROCESS:
		if (r->pid >= 0)
			buf_addf(b, "[%lld] ", (long long)r->pid);
		buf_addslice(b, r->text.n ? r->text : r->label);
		break;
	case SPAN_HTTP:
		buf_addslice(b, r->label);
		buf_addc(b, ' ');
		buf_addslice(b, r->text);
		break;
	default:
		buf_adds(b, r->kind == SPAN_MCP ? "mcp " : "tool ");
		buf_addslice(b, r->label.n ? r->label : SLICE("?"));
		if (r->text.n)
			buf_addf(b, ": %.*s", (int)r->text.n, r->text.p);
	}
}

/* `text` in a field of `width` columns. */
static void add_field(struct buf *out, struct slice text, size_t width, bool right)
{
	struct buf b = {0};

	text_line(&b, text, width);
	size_t used = line_width(buf_slice(&b)), pad = used < width ? width - used : 0;
	buf_addf(out, "%*s", right ? (int)pad : 0, "");
	buf_addslice(out, buf_slice(&b));
	buf_addf(out, "%*s", right ? 0 : (int)pad, "");
	buf_release(&b);
}

static void add_row(struct chart *c, const struct row *r, size_t depth)
{
	size_t indent = depth * INDENT < INDENT_MAX ? depth * INDENT : INDENT_MAX;
	const char *color = r->status == SPAN_ERROR ? "\033[31m" : r->kind == SPAN_TURN ? "\033[1m" : "";
	struct buf b = {0};

	buf_addf(c->out, "%*s", (int)indent, "");
	add_label(&b, r);
	buf_adds(c->out, c->conf->color ? color : "");
	add_field(c->out, buf_slice(&b), c->label - indent, false);
	buf_adds(c->out, c->conf->color && *color ? "\033[0m" : "");
	buf_clear(&b);
	if (r->end < r->start)
		buf_addc(&b, '?');
	else
		add_time(&b, (double)(r->end - r->start));
	add_field(c->out, buf_slice(&b), TIME_COLUMNS, true);
	buf_adds(c->out, r->incomplete ? " !" : "  ");
	memset(c->line, CELL_NONE, c->width);
	paint_row(c, r);
	add_line(c);
	buf_release(&b);
}

/* `top` and what is under it, without recursion: processes nest as deep as they like. */
static void add_subtree(struct chart *c, const struct row *top, size_t depth)
{
	const struct row **at = NULL;
	size_t cap = 0, n = 1;

	xgrow(&at, &cap, 1, sizeof(*at));
	at[0] = top;
	while (n) {
		const struct row *r = at[n - 1];

		if (!r) {
			n--;
			continue;
		}
		at[n - 1] = n > 1 ? r->next : NULL;
		add_row(c, r, depth + n - 1);
		xgrow(&at, &cap, n + 1, sizeof(*at));
		at[n++] = r->child;
	}
	free(at);
}

static void add_scale(struct chart *c)
{
	struct buf half = {0}, whole = {0};
	size_t left = c->label + TIME_COLUMNS + 2;

	add_time(&half, (double)(c->end - c->start) / 2);
	add_time(&whole, (double)(c->end - c->start));
	buf_addf(c->out, "%*s0%*s%*s\n", (int)left, "", (int)(c->width / 2 + half.n / 2), buf_str(&half),
	         (int)(c->width - c->width / 2 - half.n / 2 - 1), buf_str(&whole));
	buf_release(&half);
	buf_release(&whole);
}

static void add_legend(struct chart *c)
{
	buf_addc(c->out, '\n');
	for (int i = CELLS - 1; i > CELL_NONE; i--)
		buf_addf(c->out, "%s%s%s %s%s", c->conf->color ? cells[i].color : "",
		         c->conf->ascii ? cells[i].ascii : cells[i].mark, c->conf->color ? "\033[0m" : "",
		         cells[i].word, i > CELL_AGENT ? "  " : "\n");
}

static size_t between(size_t v, size_t low, size_t high)
{
	return v < low ? low : v > high ? high : v;
}

void waterfall_print(struct buf *out, const struct tree_conf *conf, const struct span *v, size_t n)
{
	struct arena a = {0};
	struct row *rows = xcalloc(n + 1, sizeof(*rows)), **roots;
	size_t n_roots,
	    columns = between(conf->columns > 0 ? (size_t)conf->columns : 80, COLUMNS_MIN, COLUMNS_MAX);
	size_t calls = 0;
	struct chart c = {.out = out, .conf = conf, .start = UINT64_MAX};

	c.label = between(columns * 2 / 5, 20, LABEL_MAX);
	c.width = columns - c.label - TIME_COLUMNS - 2;
	c.line = xmalloc(c.width);
	for (size_t i = 0; i < n; i++) {
		row_read(&rows[i], &v[i], &a);
		c.start = rows[i].start < c.start ? rows[i].start : c.start;
		c.end = rows[i].end > c.end ? rows[i].end : c.end;
	}
	if (c.end <= c.start)
		c.end = c.start + 1;
	rows_link(rows, n, &a, &roots, &n_roots);
	for (size_t i = 0; i < n; i++)
		rows[i].call_number = rows[i].kind == SPAN_CHAT ? ++calls : 0;
	add_scale(&c);
	for (size_t i = 0; i < n_roots; i++) {
		if (roots[i]->kind != SPAN_CONVERSATION) {
			add_subtree(&c, roots[i], 0);
			continue;
		}
		for (const struct row *child = roots[i]->child; child; child = child->next)
			add_subtree(&c, child, 0);
	}
	add_legend(&c);
	free(c.line);
	free(rows);
	arena_release(&a);
}
