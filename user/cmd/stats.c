/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Percentiles are by nearest rank over all values, which are kept: 8 bytes a
 * value, at most 24 a span.
 */
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cmd/figure_price.h"
#include "cmd/group.h"
#include "cmd/json.h"
#include "cmd/progress.h"
#include "cmd/table.h"
#include "sink/line.h"
#include "sink/tree.h"
#include "store/json_text.h"

struct values {
	double *v; /* ns */
	size_t n, cap;
	bool sorted;
};

enum tokens {
	TOKENS_INPUT,
	TOKENS_OUTPUT,
	TOKENS_CACHED,
	TOKENS_CACHE_WRITTEN,
	TOKENS_REASONING,
	TOKENS_KINDS
};

static const char *const token_names[TOKENS_KINDS] = {"input", "output", "cache_read", "cache_creation",
                                                      "reasoning"};

enum times { TIME_CALL, TIME_FIRST_TOKEN, TIME_CHUNK_GAP, TIME_TOOL, TIMES };

static const char *const time_names[TIMES] = {"duration", "first_token", "chunk_gap", "tool_duration"};

static const int percents[] = {50, 95, 99};
#define PERCENTS (sizeof(percents) / sizeof(percents[0]))

struct stats {
	struct group group;
	uint64_t calls, failed_calls, turns, tools, failed_tools;
	struct values times[TIMES];
	struct {
		int64_t sum;
		uint64_t calls; /* that said how many */
	} tokens[TOKENS_KINDS];
	double cost;             /* US dollars by list price */
	uint64_t billed, priced; /* calls that cost something, of these with a known price */
};

/* Adding up */

static void add_value(struct values *v, double ns)
{
	if (isnan(ns))
		return;
	xgrow(&v->v, &v->cap, v->n + 1, sizeof(double));
	v->v[v->n++] = ns;
	v->sorted = false;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* NAN when there are no values. */
static double percentile(struct values *v, int percent)
{
	if (v->n == 0)
		return (double)NAN;
	if (!v->sorted)
		qsort(v->v, v->n, sizeof(double), ascending);
	v->sorted = true;
	return v->v[(v->n * (size_t)percent + 99) / 100 - 1];
}

static void add_tokens(struct stats *s, enum tokens kind, int64_t n)
{
	if (n < 0)
		return;
	if (__builtin_add_overflow(s->tokens[kind].sum, n, &s->tokens[kind].sum))
		s->tokens[kind].sum = INT64_MAX;
	s->tokens[kind].calls++;
}

static void add_call(struct stats *s, const struct store_figure *f)
{
	s->calls++;
	s->failed_calls += f->failed;
	add_value(&s->times[TIME_CALL], (double)f->duration);
	add_value(&s->times[TIME_FIRST_TOKEN], f->first_token);
	add_value(&s->times[TIME_CHUNK_GAP], f->chunk_gap);
	add_tokens(s, TOKENS_INPUT, f->usage.input);
	add_tokens(s, TOKENS_OUTPUT, f->usage.output);
	add_tokens(s, TOKENS_CACHED, f->usage.cache_read);
	add_tokens(s, TOKENS_CACHE_WRITTEN, f->usage.cache_creation);
	add_tokens(s, TOKENS_REASONING, f->usage.reasoning);
}

static void add(struct stats *s, const struct store_figure *f, const struct price *price)
{
	s->group.spans++;
	if (f->kind == SPAN_CHAT) {
		add_call(s, f);
		s->billed += figure_billed(f);
		s->priced += price != NULL;
		s->cost += price ? price->total : 0;
	} else if (f->kind == SPAN_TURN) {
		s->turns++;
	} else {
		s->tools++;
		s->failed_tools += f->failed;
		add_value(&s->times[TIME_TOOL], (double)f->duration);
	}
}

struct reader {
	enum group_by by;
	struct groups groups;
	struct stats total;
	struct figure_prices prices;
	struct buf name;
	struct progress progress;
};

static void each(void *ctx, const struct store_figure *f)
{
	struct reader *r = ctx;
	struct price p;

	progress_step(&r->progress);
	buf_clear(&r->name);
	if (!group_of(&r->name, r->by, f))
		return;
	const struct price *price =
	    figure_billed(f) && figure_price(&r->prices, f, &p) == PRICE_KNOWN ? &p : NULL;
	add(&r->total, f, price);
	if (r->by != GROUP_ALL)
		add(groups_get(&r->groups, buf_slice(&r->name)), f, price);
}

/* For people: everything in one block */

static void add_line(struct buf *out, const char *what, struct values *v)
{
	buf_addf(out, "%-14s", what);
	for (size_t i = 0; i < PERCENTS; i++) {
		struct buf b = {0};

		table_latency(&b, percentile(v, percents[i]));
		table_cell(out, buf_slice(&b), 8, true);
		buf_release(&b);
	}
	buf_addf(out, "%9zu\n", v->n);
}

static void add_token_line(struct buf *out, const struct stats *s, enum tokens kind, const char *what)
{
	uint64_t known = s->tokens[kind].calls;

	buf_addf(out, "%-14s", what);
	if (known == 0)
		buf_adds(out, "       ?");
	else
		buf_addf(out, "%8lld%s", (long long)s->tokens[kind].sum, known < s->calls ? "+" : "");
	if (known < s->calls)
		buf_addf(out, "%*s%llu of %llu calls did not say", known ? 1 : 2, "",
		         (unsigned long long)(s->calls - known), (unsigned long long)s->calls);
	buf_addc(out, '\n');
}

static void add_rate(struct buf *out, uint64_t failed, uint64_t n)
{
	if (n)
		buf_addf(out, "%.1f%%", 100.0 * (double)failed / (double)n);
	else
		buf_addc(out, '?');
}

static void add_count_line(struct buf *out, const char *what, uint64_t n, uint64_t failed)
{
	buf_addf(out, "%-14s%8llu", what, (unsigned long long)n);
	if (failed) {
		buf_addf(out, "  %llu failed (", (unsigned long long)failed);
		add_rate(out, failed, n);
		buf_addc(out, ')');
	}
	buf_addc(out, '\n');
}

/* "1.19", "0.0042+": not all of the calls have a price; "?": none has. */
static void add_cost(struct buf *b, const struct stats *s)
{
	if (!s->priced)
		buf_addc(b, s->billed || !s->calls ? '?' : '0');
	else
		buf_addf(b, s->cost < 0.01 ? "%.4f%s" : "%.2f%s", s->cost, s->priced < s->billed ? "+" : "");
}

static void add_cost_line(struct buf *out, const struct stats *s)
{
	struct buf cost = {0};

	add_cost(&cost, s);
	buf_addf(out, "%-14s%8s", "US$, list", buf_str(&cost));
	if (s->priced < s->billed)
		buf_addf(out, "  %llu of %llu calls have no price, see 'spantap cost'",
			 (unsigned long long)(s->billed - s->priced), (unsigned long long)s->billed);
	buf_addc(out, '\n');
	buf_release(&cost);
}

static void add_block(struct buf *out, struct stats *s)
{
	static const char *const times[TIMES] = {"call", "first token", "between chunks", "tool"};
	static const char *const tokens[TOKENS_KINDS] = {"input tokens", "output tokens", "  from cache",
	                                                 "  into cache", "  reasoning"};
	static const enum tokens order[] = {TOKENS_INPUT, TOKENS_CACHED, TOKENS_CACHE_WRITTEN, TOKENS_OUTPUT,
	                                    TOKENS_REASONING};

	add_count_line(out, "calls", s->calls, s->failed_calls);
	add_count_line(out, "turns", s->turns, 0);
	add_count_line(out, "tools", s->tools, s->failed_tools);
	buf_addf(out, "\n%-14s%8s %8s %8s %9s\n", "", "p50", "p95", "p99", "of");
	for (int i = 0; i < TIMES; i++)
		add_line(out, times[i], &s->times[i]);
	buf_addc(out, '\n');
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		add_token_line(out, s, order[i], tokens[order[i]]);
	add_cost_line(out, s);
}

/* For people: a line a group, 80 columns */

enum column {
	COL_GROUP,
	COL_N,
	COL_ERRORS,
	COL_P50,
	COL_P95,
	COL_P99,
	COL_FIRST,
	COL_CHUNK,
	COL_TOKENS,
	COL_COST,
	COLS
};

static const struct {
	const char *heading, *tool_heading; /* NULL: not in a table of tools */
	size_t width;
} table[COLS] = {
    [COL_GROUP] = {NULL, NULL, 20},     [COL_N] = {"CALLS", "TOOLS", 5},  [COL_ERRORS] = {"ERR", "ERR", 5},
    [COL_P50] = {"P50", "P50", 5},      [COL_P95] = {"P95", "P95", 5},    [COL_P99] = {"P99", "P99", 5},
    [COL_FIRST] = {"FIRST", NULL, 5},   [COL_CHUNK] = {"CHUNK", NULL, 5}, [COL_TOKENS] = {"TOKENS", NULL, 10},
    [COL_COST] = {"US$", NULL, 6},
};

static void add_sum(struct buf *b, const struct stats *s, enum tokens kind)
{
	table_count(b, s->tokens[kind].calls ? s->tokens[kind].sum : LLM_NONE);
}

static void add_cell(struct buf *b, int column, struct stats *s, bool tools)
{
	struct values *v = &s->times[tools ? TIME_TOOL : TIME_CALL];

	switch (column) {
	case COL_N:
		table_count(b, (int64_t)(tools ? s->tools : s->calls));
		break;
	case COL_ERRORS:
		add_rate(b, tools ? s->failed_tools : s->failed_calls, tools ? s->tools : s->calls);
		break;
	case COL_P50:
	case COL_P95:
	case COL_P99:
		table_latency(b, percentile(v, percents[column - COL_P50]));
		break;
	case COL_FIRST:
		table_latency(b, percentile(&s->times[TIME_FIRST_TOKEN], 50));
		break;
	case COL_CHUNK:
		table_latency(b, percentile(&s->times[TIME_CHUNK_GAP], 50));
		break;
	case COL_COST:
		add_cost(b, s);
		break;
	default:
		add_sum(b, s, TOKENS_INPUT);
		buf_addc(b, '>');
		add_sum(b, s, TOKENS_OUTPUT);
		if (s->tokens[TOKENS_INPUT].calls &&
		    (s->tokens[TOKENS_INPUT].calls < s->calls || s->tokens[TOKENS_OUTPUT].calls < s->calls))
			buf_addc(b, '+');
	}
}

static void add_row(struct buf *out, struct slice name, struct stats *s, bool tools)
{
	struct buf cell = {0};

	table_cell(out, name.n ? name : SLICE("?"), table[COL_GROUP].width, false);
	for (int i = COL_N; i < COLS; i++) {
		if (tools && !table[i].tool_heading)
			continue;
		buf_clear(&cell);
		add_cell(&cell, i, s, tools);
		table_cell(out, buf_slice(&cell), table[i].width, true);
	}
	out->p[out->n - 1] = '\n'; /* instead of the last blank */
	buf_release(&cell);
}

static void add_table(struct buf *out, struct reader *r)
{
	bool tools = r->by == GROUP_TOOL;
	struct buf heading = {0};

	for (const char *p = group_name(r->by); *p; p++)
		buf_addc(&heading, (char)(*p - 'a' + 'A'));
	table_cell(out, buf_slice(&heading), table[COL_GROUP].width, false);
	for (int i = COL_N; i < COLS; i++) {
		const char *s = tools ? table[i].tool_heading : table[i].heading;

		if (s)
			table_cell(out, slice_str(s), table[i].width, true);
	}
	out->p[out->n - 1] = '\n';
	for (size_t i = 0; i < r->groups.n; i++)
		add_row(out, r->groups.v[i]->name, (struct stats *)r->groups.v[i], tools);
	if (r->groups.n > 1)
		add_row(out, SLICE("total"), &r->total, tools);
	buf_release(&heading);
	if (!tree_locale_utf8())
		line_to_ascii(out, 0);
}

/* For cut(1) */

static void add_tsv(struct buf *out, enum group_by by, struct slice name, struct stats *s)
{
	buf_addf(out, "%s\t", group_name(by));
	text_escape(out, name);
	buf_addf(out, "\t%llu\t%llu\t%llu\t%llu\t%llu", (unsigned long long)s->calls,
	         (unsigned long long)s->failed_calls, (unsigned long long)s->turns,
	         (unsigned long long)s->tools, (unsigned long long)s->failed_tools);
	for (int t = 0; t < TIMES; t++) {
		buf_addf(out, "\t%zu", s->times[t].n);
		for (size_t i = 0; i < PERCENTS; i++) {
			buf_addc(out, '\t');
			if (s->times[t].n)
				buf_addf(out, "%.0f", percentile(&s->times[t], percents[i]));
		}
	}
	for (int k = 0; k < TOKENS_KINDS; k++) {
		buf_addf(out, "\t%llu\t", (unsigned long long)s->tokens[k].calls);
		if (s->tokens[k].calls)
			buf_addf(out, "%lld", (long long)s->tokens[k].sum);
	}
	buf_addf(out, "\t%llu\t%llu\t", (unsigned long long)s->billed, (unsigned long long)s->priced);
	if (s->priced)
		buf_addf(out, "%.9f", s->cost);
	buf_addc(out, '\n');
}

/* For programs */

static yyjson_mut_val *json_times(yyjson_mut_doc *d, struct values *v)
{
	yyjson_mut_val *o = yyjson_mut_obj(d);

	yyjson_mut_obj_add_uint(d, o, "n", v->n);
	for (size_t i = 0; i < PERCENTS; i++) {
		char key[8];

		snprintf(key, sizeof(key), "p%d", percents[i]);
		yyjson_mut_obj_add(o, yyjson_mut_strcpy(d, key),
		                   v->n ? yyjson_mut_uint(d, (uint64_t)llround(percentile(v, percents[i])))
		                        : yyjson_mut_null(d));
	}
	return o;
}

static yyjson_mut_val *json_stats(yyjson_mut_doc *d, struct slice name, struct stats *s)
{
	yyjson_mut_val *o = yyjson_mut_obj(d);

	yyjson_mut_obj_add_val(d, o, "group", name.n ? json_text(d, name) : yyjson_mut_null(d));
	yyjson_mut_obj_add_uint(d, o, "calls", s->calls);
	yyjson_mut_obj_add_uint(d, o, "failed_calls", s->failed_calls);
	yyjson_mut_obj_add_uint(d, o, "turns", s->turns);
	yyjson_mut_obj_add_uint(d, o, "tools", s->tools);
	yyjson_mut_obj_add_uint(d, o, "failed_tools", s->failed_tools);
	for (int t = 0; t < TIMES; t++) {
		char key[32];

		snprintf(key, sizeof(key), "%s_ns", time_names[t]);
		yyjson_mut_obj_add(o, yyjson_mut_strcpy(d, key), json_times(d, &s->times[t]));
	}
	for (int k = 0; k < TOKENS_KINDS; k++) {
		char key[48];

		snprintf(key, sizeof(key), "%s_tokens", token_names[k]);
		yyjson_mut_obj_add(o, yyjson_mut_strcpy(d, key),
		                   s->tokens[k].calls ? yyjson_mut_sint(d, s->tokens[k].sum)
		                                      : yyjson_mut_null(d));
		snprintf(key, sizeof(key), "calls_without_%s_tokens", token_names[k]);
		yyjson_mut_obj_add(o, yyjson_mut_strcpy(d, key),
		                   yyjson_mut_uint(d, s->calls - s->tokens[k].calls));
	}
	yyjson_mut_obj_add_val(d, o, "cost_usd", s->priced ? yyjson_mut_real(d, s->cost) : yyjson_mut_null(d));
	yyjson_mut_obj_add_uint(d, o, "calls_without_price", s->billed - s->priced);
	return o;
}

static void add_json(struct buf *out, struct reader *r)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(d), *v = yyjson_mut_arr(d);

	for (size_t i = 0; i < r->groups.n; i++)
		yyjson_mut_arr_append(v, json_stats(d, r->groups.v[i]->name, (struct stats *)r->groups.v[i]));
	yyjson_mut_obj_add_str(d, root, "by", group_name(r->by));
	yyjson_mut_obj_add_val(d, root, "groups", v);
	yyjson_mut_obj_add_val(d, root, "total", json_stats(d, (struct slice){0}, &r->total));
	json_write(out, d, root);
}

static int print(const struct group_options *o, struct reader *r, const char *dir)
{
	struct buf out = {0};

	if (o->format == CMD_JSON) {
		add_json(&out, r);
	} else if (o->format == CMD_TSV) {
		for (size_t i = 0; i < r->groups.n; i++)
			add_tsv(&out, r->by, r->groups.v[i]->name, (struct stats *)r->groups.v[i]);
		add_tsv(&out, GROUP_ALL, (struct slice){0}, &r->total);
	} else if (r->total.group.spans == 0) {
		buf_addf(&out, "nothing to count in %s\n", dir);
	} else if (o->by == GROUP_ALL) {
		add_block(&out, &r->total);
	} else {
		add_table(&out, r);
	}
	int code = cmd_output(&cmd_stats, &out);
	buf_release(&out);
	return code;
}

static void release(struct stats *s)
{
	for (int i = 0; i < TIMES; i++)
		free(s->times[i].v);
}

static int run(int argc, char **argv)
{
	struct group_options o;
	struct buf dir = {0};
	int code = group_parse(&cmd_stats, argc, argv, true, &o);

	if (code)
		return code == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	struct reader r = {.by = o.by, .groups.size = sizeof(struct stats), .progress.what = "spans read"};
	struct store *st = cmd_store(&cmd_stats, o.store, &dir);
	int error = st ? store_figures(st, o.since, o.until, each, &r) : 0;
	progress_end(&r.progress);
	groups_sort(&r.groups, r.by);
	if (!st)
		code = CMD_FAILED;
	else
		code = error ? cmd_failed(&cmd_stats, "%s", store_error(st)) : print(&o, &r, buf_str(&dir));
	for (size_t i = 0; i < r.groups.n; i++)
		release((struct stats *)r.groups.v[i]);
	release(&r.total);
	groups_release(&r.groups);
	figure_prices_release(&r.prices);
	buf_release(&r.name);
	buf_release(&dir);
	store_close(st);
	return code;
}

const struct cmd cmd_stats = {
    .name = "stats",
    .summary = "how long calls and tools take, how many fail, tokens, cost",
    .usage = "usage: spantap stats [--by WHAT] [--since T] [--until T] [--store DIR] [--json | --tsv]\n"
             "\n"
             "How long calls and tools take (percentiles), how many fail, how many tokens they used\n"
             "and what that costs by list price, in all or by day, model, agent, host, conversation or tool.\n"
             "\n"
             "  --by WHAT    day, model, agent, host, conversation or tool\n" GROUP_USAGE
             "  --json       an object: by, groups (array), total; what is not known is null\n"
             "  --tsv        a line for each group and one for all: day, model, … or total; its\n"
             "               name; calls, failed calls, turns, tools, failed tools; of call\n"
             "               duration, first token, chunk gap and tool duration each: how many are\n"
             "               known, p50, p95, p99 (ns); of input, output, cached input, input\n"
             "               written to the cache and reasoning each: how many calls said, tokens;\n"
             "               calls that are paid for, of these with a known price, US dollars;\n"
             "               what is not known is empty\n"
             "\n"
             "FIRST (median) is the time from the request to the first chunk of a streamed answer;\n"
             "CHUNK (median) the time between two chunks, on average of a call: most providers send\n"
             "a token in each.  TOKENS are input>output; input includes what came from the cache,\n"
             "output includes reasoning.  '?' is unknown; '+' means that some calls did not say.\n",
    .run = run,
};
