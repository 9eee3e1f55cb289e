/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/text.h"
#include "sink/line.h"
#include "sink/row.h"
#include "sink/summary.h"
#include "sink/tree.h"

#define MODELS_MAX  3    /* named in a heading */
#define SURE        0.9  /* links of less confidence are marked */
#define LEVEL_WIDTH 3    /* columns of one level of the tree */
#define CPU_SHOWN   0.01 /* s of CPU time, and more than this part of the duration, are shown */
#define CPU_SHARE   0.1

struct tree {
	struct arena arena;
	struct row *rows;
	size_t n, cap;
};

/* All rows of one trace. */
struct group {
	struct row *conversation; /* its root; NULL while it is open */
	struct row *named;        /* a row that knows the agent */
	struct row **tops;        /* what stands directly under the heading */
	size_t n_tops;
	uint64_t start, end;
	size_t calls, numbered, tools, errors, incomplete, unknown_usage;
	int64_t input, output;
	struct slice models[MODELS_MAX];
	size_t n_models;
	bool is_conversation, more_models;
};

struct printer {
	const struct tree_conf *conf;
	struct line line;
	struct buf prefix, next_prefix;
	bool *more; /* for each level: a sibling follows */
	size_t more_cap;
};

struct tree *tree_new(void)
{
	return xcalloc(1, sizeof(struct tree));
}

void tree_add(struct tree *t, const struct span *s)
{
	xgrow(&t->rows, &t->cap, t->n + 1, sizeof(*t->rows));
	row_read(&t->rows[t->n++], s, &t->arena);
}

size_t tree_count(const struct tree *t)
{
	return t->n;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	arena_release(&t->arena);
	free(t->rows);
	free(t);
}

/* Numbers in words */

static void add_duration(struct buf *b, uint64_t ns)
{
	double s = (double)ns / 1e9;

	if (s < 0.01)
		buf_addf(b, "%.1f ms", s * 1e3);
	else if (s < 1)
		buf_addf(b, "%.0f ms", s * 1e3);
	else if (s < 60)
		buf_addf(b, "%.2f s", s);
	else if (s < 3600)
		buf_addf(b, "%d min %02d s", (int)s / 60, (int)s % 60);
	else
		buf_addf(b, "%llu h %02d min", (unsigned long long)(s / 3600), (int)(s / 60) % 60);
}

static void add_known(struct buf *b, int64_t n)
{
	if (n < 0)
		buf_addc(b, '?');
	else
		summary_count(b, (uint64_t)n);
}

static void add_tokens(struct buf *b, int64_t input, int64_t output)
{
	add_known(b, input);
	buf_adds(b, "→");
	add_known(b, output);
	buf_adds(b, " tokens");
}

static void add_plural(struct buf *b, size_t n, const char *noun)
{
	summary_count(b, n);
	buf_addf(b, " %s%s", noun, n == 1 ? "" : "s");
}

/* Adds what was built in `b` as a segment and empties it. */
static void segment(struct printer *p, enum line_style style, struct buf *b)
{
	if (b->n)
		line_add(&p->line, style, buf_slice(b));
	buf_clear(b);
}

/* Text from traffic, quoted; the end quote is lost where it is cut. */
static void quote(struct printer *p, enum line_style style, struct slice text)
{
	struct buf b = {0};

	if (text.n == 0)
		return;
	buf_addf(&b, "\"%.*s\"", (int)text.n, text.p);
	line_fill(&p->line, style, buf_slice(&b));
	buf_release(&b);
}

/* Rows */

static void mark(struct printer *p, struct buf *b)
{
	line_break(&p->line);
	segment(p, LINE_YELLOW, b);
}

static void print_marks(struct printer *p, const struct row *r)
{
	struct buf b = {0};

	if (r->incomplete) {
		buf_adds(&b, "! incomplete: ");
		buf_addslice(&b, r->why.n ? r->why : SLICE("reason not known"));
	}
	if (r->lost_bytes > 0) {
		buf_adds(&b, b.n ? ", " : "! ");
		summary_bytes(&b, (uint64_t)r->lost_bytes);
		buf_adds(&b, " lost");
	}
	if (b.n)
		mark(p, &b);
	if (r->joined_late) {
		buf_adds(&b, "! the connection is older than the capture: what came before is not known");
		mark(p, &b);
	}
	buf_release(&b);
}

static void print_link(struct printer *p, const struct row *r)
{
	if (isnan(r->confidence) || r->confidence >= SURE)
		return;
	line_addf(&p->line, LINE_YELLOW, "~ linked by %.*s, %.0f%% sure",
	          r->evidence.n ? (int)r->evidence.n : 1, r->evidence.n ? r->evidence.p : "?",
	          r->confidence * 100);
}

static void print_duration(struct printer *p, const struct row *r)
{
	struct buf b = {0};

	if (r->end < r->start)
		buf_adds(&b, "? s");
	else
		add_duration(&b, r->end - r->start);
	if (!isnan(r->first_token) && r->first_token >= 0 && r->first_token < 1e9) {
		buf_adds(&b, ", first token ");
		add_duration(&b, (uint64_t)(r->first_token * 1e9));
	}
	segment(p, LINE_PLAIN, &b);
	buf_release(&b);
}

/* A process that works: what only waits needs no word. */
static void print_cpu(struct printer *p, const struct row *r)
{
	double wall = r->end > r->start ? (double)(r->end - r->start) / 1e9 : 0;
	struct buf b = {0};

	if (isnan(r->cpu_time) || r->cpu_time < CPU_SHOWN || r->cpu_time <= wall * CPU_SHARE ||
	    r->cpu_time > 1e9)
		return;
	add_duration(&b, (uint64_t)(r->cpu_time * 1e9));
	buf_adds(&b, " CPU");
	segment(p, LINE_DIM, &b);
	buf_release(&b);
}

static void print_error(struct printer *p, const struct row *r)
{
	struct buf b = {0};

	if (r->status == SPAN_ERROR && r->kind != SPAN_PROCESS) {
		buf_adds(&b, r->error.n ? "error: " : "error");
		buf_addslice(&b, r->error);
		line_add(&p->line, LINE_RED, buf_slice(&b));
	}
	buf_release(&b);
}

static void print_chat(struct printer *p, const struct row *r)
{
	bool is_main = !r->call_kind.n || slice_eq(r->call_kind, SLICE("main"));
	struct slice model = r->label.n ? r->label : SLICE("?");
	struct buf b = {0};

	buf_addf(&b, "#%zu ", r->call_number);
	buf_addslice(&b, r->operation.n ? r->operation : SLICE("chat"));
	buf_addc(&b, ' ');
	buf_addslice(&b, model);
	if (!is_main)
		buf_addf(&b, " (%.*s)", (int)r->call_kind.n, r->call_kind.p);
	segment(p, LINE_BOLD, &b);
	print_duration(p, r);
	if (r->speaks || r->output >= 0)
		add_tokens(&b, r->input, r->output);
	else if (r->input >= 0)
		add_plural(&b, (size_t)r->input, "token");
	if (r->cache_read > 0) {
		buf_adds(&b, " (");
		summary_count(&b, (uint64_t)r->cache_read);
		buf_adds(&b, " cached)");
	}
	segment(p, LINE_PLAIN, &b);
	if (r->finish.n)
		line_add(&p->line, LINE_DIM, r->finish);
	print_error(p, r);
	quote(p, LINE_DIM, r->text);
	print_link(p, r);
	buf_release(&b);
}

static void print_exit(struct printer *p, const struct row *r)
{
	const char *name =
	    r->exit_signal > 0 && r->exit_signal < 65 ? sigabbrev_np((int)r->exit_signal) : NULL;

	if (r->exit_signal > 0)
		line_addf(&p->line, LINE_RED, "killed by signal %lld%s%s", (long long)r->exit_signal,
		          name ? " SIG" : "", name ? name : "");
	else if (r->exit_code >= 0)
		line_addf(&p->line, r->exit_code ? LINE_RED : LINE_DIM, "exit %lld", (long long)r->exit_code);
	else if (r->kind == SPAN_PROCESS) /* the next program of the process has its own line */
		line_add(&p->line, LINE_DIM, r->incomplete ? SLICE("exit ?") : SLICE("exec"));
}

/* What was done, cut so that what became of it stays on the line. */
static void print_action(struct printer *p, enum line_style style, struct buf *b)
{
	struct buf cut = {0};

	text_line(&cut, buf_slice(b), p->line.columns / 2);
	segment(p, style, &cut);
	buf_release(&cut);
}

static void print_tool(struct printer *p, const struct row *r)
{
	struct buf b = {0};

	buf_adds(&b, "tool ");
	buf_addslice(&b, r->label.n ? r->label : SLICE("?"));
	if (r->text.n) {
		buf_adds(&b, ": ");
		buf_addslice(&b, r->text);
	}
	print_action(p, LINE_BOLD, &b);
	print_duration(p, r);
	print_exit(p, r);
	print_error(p, r);
	print_link(p, r);
	buf_release(&b);
}

static void print_process(struct printer *p, const struct row *r)
{
	struct buf b = {0};

	buf_addc(&b, '[');
	if (r->pid >= 0)
		buf_addf(&b, "%lld", (long long)r->pid);
	else
		buf_addc(&b, '?');
	buf_adds(&b, "] ");
	buf_addslice(&b, r->text.n ? r->text : r->label.n ? r->label : SLICE("?"));
	print_action(p, LINE_PLAIN, &b);
	print_duration(p, r);
	print_cpu(p, r);
	print_exit(p, r);
	print_link(p, r);
	buf_release(&b);
}

static void print_mcp(struct printer *p, const struct row *r)
{
	struct buf b = {0};

	buf_adds(&b, "mcp ");
	buf_addslice(&b, r->label);
	if (r->text.n) {
		buf_adds(&b, ": ");
		buf_addslice(&b, r->text);
	}
	print_action(p, LINE_PLAIN, &b);
	print_duration(p, r);
	print_error(p, r);
	print_link(p, r);
	buf_release(&b);
}

static void print_http(struct printer *p, const struct row *r)
{
	struct buf b = {0};

	buf_addslice(&b, r->label);
	buf_addc(&b, ' ');
	buf_addslice(&b, r->text);
	print_action(p, LINE_PLAIN, &b);
	print_duration(p, r);
	if (r->http_status >= 0)
		line_addf(&p->line, r->http_status < 400 ? LINE_DIM : LINE_RED, "status %lld",
		          (long long)r->http_status);
	print_link(p, r);
	buf_release(&b);
}

/* What the user said at the beginning of a turn: the first of its calls that says it. */
static struct slice turn_text(const struct row *r)
{
	if (r->asked.n)
		return r->asked;
	for (const struct row *c = r->child; c; c = c->next)
		if (c->kind == SPAN_CHAT && c->asked.n && !slice_eq(c->call_kind, SLICE("auxiliary")))
			return c->asked;
	return (struct slice){0};
}

static void print_turn(struct printer *p, const struct row *r)
{
	if (r->turn_index >= 0)
		line_addf(&p->line, LINE_BOLD, "turn %lld", (long long)r->turn_index);
	else
		line_add(&p->line, LINE_BOLD, SLICE("turn"));
	print_duration(p, r);
	print_error(p, r);
	print_link(p, r);
	quote(p, LINE_PLAIN, turn_text(r));
}

static void print_row(struct printer *p, const struct row *r)
{
	switch (r->kind) {
	case SPAN_TURN:
		print_turn(p, r);
		break;
	case SPAN_CHAT:
		print_chat(p, r);
		break;
	case SPAN_TOOL:
		print_tool(p, r);
		break;
	case SPAN_PROCESS:
		print_process(p, r);
		break;
	case SPAN_MCP:
		print_mcp(p, r);
		break;
	case SPAN_HTTP:
		print_http(p, r);
		break;
	default:
		line_add(&p->line, LINE_BOLD, SLICE("conversation"));
		print_duration(p, r);
	}
	print_marks(p, r);
}

/* Lines of the tree */

static void begin_row(struct printer *p, size_t depth, bool more)
{
	/* Half the line is for text: levels beyond are named, not drawn. */
	size_t drawn = p->line.columns / 2 / LEVEL_WIDTH - 1;
	size_t levels = depth < drawn ? depth : drawn;

	buf_clear(&p->prefix);
	for (size_t i = 0; i < levels; i++)
		buf_adds(&p->prefix, p->more[i] ? "│  " : "   ");
	buf_clear(&p->next_prefix);
	buf_addslice(&p->next_prefix, buf_slice(&p->prefix));
	buf_adds(&p->prefix, more ? "├─ " : "└─ ");
	buf_adds(&p->next_prefix, more ? "│  " : "   ");
	line_begin(&p->line, buf_slice(&p->prefix), buf_slice(&p->next_prefix), (levels + 1) * LEVEL_WIDTH);
	if (depth > levels)
		line_addf(&p->line, LINE_DIM, "level %zu", depth);
}

/* `top` and what is under it, without recursion: processes nest as deep as they like. */
static void print_subtree(struct printer *p, struct row *top, bool last)
{
	struct row **at = NULL;
	size_t at_cap = 0, depth = 1;

	xgrow(&at, &at_cap, 2, sizeof(*at));
	at[0] = top;
	while (depth) {
		struct row *r = at[depth - 1];

		if (!r) {
			depth--;
			continue;
		}
		at[depth - 1] = depth > 1 ? r->next : NULL;
		bool more = depth > 1 ? r->next != NULL : !last;
		xgrow(&p->more, &p->more_cap, depth + 1, sizeof(*p->more));
		begin_row(p, depth - 1, more);
		p->more[depth - 1] = more;
		print_row(p, r);
		line_end(&p->line);
		xgrow(&at, &at_cap, depth + 1, sizeof(*at));
		at[depth++] = r->child;
	}
	free(at);
}

static void add_models(struct buf *b, const struct group *g)
{
	for (size_t i = 0; i < g->n_models; i++) {
		buf_adds(b, i ? ", " : "");
		buf_addslice(b, g->models[i]);
	}
	if (g->more_models)
		buf_adds(b, ", …");
}

static void print_counts(struct printer *p, const struct group *g, struct buf *b)
{
	add_plural(b, g->calls, "call");
	buf_adds(b, ", ");
	add_plural(b, g->tools, "tool");
	segment(p, LINE_PLAIN, b);
	add_tokens(b, g->input, g->output);
	if (g->unknown_usage && g->unknown_usage < g->calls) {
		buf_adds(b, " + ? for ");
		add_plural(b, g->unknown_usage, "call");
	}
	segment(p, LINE_PLAIN, b);
	add_models(b, g);
	segment(p, LINE_PLAIN, b);
	if (g->errors) {
		add_plural(b, g->errors, "error");
		segment(p, LINE_RED, b);
	}
	if (g->incomplete) {
		summary_count(b, g->incomplete);
		buf_adds(b, " incomplete");
		segment(p, LINE_YELLOW, b);
	}
}

static void print_heading(struct printer *p, const struct group *g)
{
	const char *command = p->conf->command;
	struct slice name = g->named ? g->named->label : command ? slice_str(command) : SLICE("conversation");
	struct buf b = {0};

	line_begin(&p->line, SLICE(""), SLICE(""), 0);
	text_line(&b, name, p->line.columns / 2);
	segment(p, LINE_BOLD, &b);
	text_hex(&b, g->tops[0]->trace, 4);
	segment(p, LINE_DIM, &b);
	add_duration(&b, g->end > g->start ? g->end - g->start : 0);
	segment(p, LINE_PLAIN, &b);
	print_counts(p, g, &b);
	if (!g->conversation)
		line_add(&p->line, LINE_YELLOW, SLICE("not ended yet"));
	else
		print_marks(p, g->conversation);
	line_end(&p->line);
	buf_release(&b);
}

static void print_group(struct printer *p, const struct group *g)
{
	if (g->n_tops == 0)
		return;
	print_heading(p, g);
	for (size_t i = 0; i < g->n_tops; i++)
		if (g->tops[i] != g->conversation)
			print_subtree(p, g->tops[i], i + 1 == g->n_tops);
}

/* Groups */

static void add_usage(int64_t *sum, int64_t n)
{
	if (n >= 0 && __builtin_add_overflow(*sum < 0 ? 0 : *sum, n, sum))
		*sum = INT64_MAX;
}

static void add_model(struct group *g, struct slice model)
{
	for (size_t i = 0; i < g->n_models; i++)
		if (slice_eq(g->models[i], model))
			return;
	if (model.n && g->n_models < MODELS_MAX)
		g->models[g->n_models++] = model;
	else if (model.n)
		g->more_models = true;
}

static void count_row(struct group *g, struct row *r)
{
	if (r->start < g->start)
		g->start = r->start;
	if (r->end > g->end)
		g->end = r->end;
	g->is_conversation |= r->kind <= SPAN_CHAT;
	if (r->kind <= SPAN_TURN && r->label.n && !g->named)
		g->named = r;
	g->tools += r->kind == SPAN_TOOL;
	g->errors += r->status == SPAN_ERROR && (r->kind == SPAN_CHAT || r->kind == SPAN_TOOL);
	g->incomplete += r->incomplete && r->kind != SPAN_CONVERSATION;
	if (r->kind != SPAN_CHAT)
		return;
	r->call_number = ++g->numbered;
	if (slice_eq(r->call_kind, SLICE("relay")))
		return; /* it is its parent, seen at the server */
	g->calls++;
	g->unknown_usage += r->speaks && (r->input < 0 || r->output < 0);
	add_usage(&g->input, r->input);
	add_usage(&g->output, r->output);
	add_model(g, r->label);
}

static struct group *group_of(struct map *by_trace, const struct row *r, struct arena *a,
                              struct group ***order, size_t *n)
{
	struct group *g = map_get(by_trace, r->trace, sizeof(r->trace));

	if (g)
		return g;
	g = arena_alloc(a, sizeof(*g));
	*g = (struct group){.start = UINT64_MAX, .input = LLM_NONE, .output = LLM_NONE};
	map_put(by_trace, r->trace, sizeof(r->trace), g);
	*(struct group **)arena_push(a, order, n, sizeof(g)) = g;
	return g;
}

static void add_top(struct group *g, struct row *r, struct arena *a)
{
	*(struct row **)arena_push(a, &g->tops, &g->n_tops, sizeof(r)) = r;
}

static int tops_by_start(const void *a, const void *b)
{
	const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;

	return x->start != y->start ? (x->start < y->start ? -1 : 1) : memcmp(x->id, y->id, sizeof(x->id));
}

/* The conversation's span itself is the heading; what hangs under it and what else has no parent stands
 * below. */
static void place_root(struct group *g, struct row *r, struct arena *a)
{
	if (r->kind != SPAN_CONVERSATION || g->conversation) {
		add_top(g, r, a);
		return;
	}
	g->conversation = r;
	for (struct row *c = r->child; c; c = c->next)
		add_top(g, c, a);
	if (!r->child)
		add_top(g, r, a);
}

static void print_others(struct printer *p, struct group **order, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (order[i]->is_conversation)
			continue;
		if (!any) {
			line_begin(&p->line, SLICE(""), SLICE(""), 0);
			line_add(&p->line, LINE_BOLD, SLICE("outside of any conversation"));
			line_end(&p->line);
		}
		any = true;
		for (size_t k = 0; k < order[i]->n_tops; k++)
			print_subtree(p, order[i]->tops[k], k + 1 == order[i]->n_tops);
	}
}

void tree_write(struct tree *t, struct buf *out, const struct tree_conf *conf)
{
	struct arena a = {0};
	struct map by_trace = {0};
	struct printer p = {.conf = conf};
	struct group **order = NULL;
	struct row **roots;
	size_t n = 0, n_roots, from = out->n;

	line_init(&p.line, out, conf->columns ? conf->columns : 80, conf->color);
	rows_link(t->rows, t->n, &a, &roots, &n_roots);
	for (size_t i = 0; i < t->n; i++)
		count_row(group_of(&by_trace, &t->rows[i], &a, &order, &n), &t->rows[i]);
	for (size_t i = 0; i < n_roots; i++)
		place_root(group_of(&by_trace, roots[i], &a, &order, &n), roots[i], &a);
	for (size_t i = 0; i < n; i++) {
		if (order[i]->n_tops)
			qsort(order[i]->tops, order[i]->n_tops, sizeof(struct row *), tops_by_start);
		if (order[i]->is_conversation)
			print_group(&p, order[i]);
	}
	print_others(&p, order, n);
	if (conf->ascii)
		line_to_ascii(out, from);
	free(p.more);
	buf_release(&p.prefix);
	buf_release(&p.next_prefix);
	map_release(&by_trace);
	arena_release(&a);
}

void tree_print(struct buf *out, const struct tree_conf *conf, const struct span *v, size_t n)
{
	struct tree *t = tree_new();

	for (size_t i = 0; i < n; i++)
		tree_add(t, &v[i]);
	tree_write(t, out, conf);
	tree_free(t);
}
