/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "base/text.h"
#include "cmd/figure_price.h"
#include "cmd/group.h"
#include "cmd/json.h"
#include "cmd/progress.h"
#include "cmd/table.h"
#include "sink/line.h"
#include "sink/tree.h"
#include "store/json_text.h"

static const char *const why_words[WHYS] = {
    [PRICE_NO_MODEL] = "of a model that is not in the price list",
    [PRICE_NO_RATE] = "of a model without a price for tokens",
    [PRICE_NO_USAGE] = "did not report tokens",
    [PRICE_BAD_USAGE] = "reported tokens that contradict each other",
    [WHY_FAILED] = "failed and did not report tokens",
    [WHY_TIER] = "in a service tier with other prices",
};

static const char *why_name(int why)
{
	return why == WHY_FAILED ? "failed" : why == WHY_TIER ? "service_tier" : price_state_name(why);
}

struct cost {
	struct group group; /* spans: calls */
	uint64_t priced;
	uint64_t at_least;       /* of these: cut off, so that they may have used more than was seen */
	uint64_t unpriced[WHYS]; /* by why; [PRICE_KNOWN] stays 0 */
	struct price usd;        /* sums of what is priced */
};

struct reader {
	enum group_by by;
	struct groups groups;
	struct cost total;
	struct figure_prices prices;
	struct buf name;
	struct progress progress;
};

static void add(struct cost *c, int why, const struct price *p, bool complete)
{
	c->group.spans++;
	if (why != PRICE_KNOWN) {
		c->unpriced[why]++;
		return;
	}
	c->priced++;
	c->at_least += !complete;
	c->usd.input += p->input;
	c->usd.cache_read += p->cache_read;
	c->usd.cache_write += p->cache_write;
	c->usd.output += p->output;
	c->usd.total += p->total;
	c->usd.hour_extra += p->hour_extra;
}

static void each(void *ctx, const struct store_figure *f)
{
	struct reader *r = ctx;
	struct price p = {0};

	progress_step(&r->progress);
	buf_clear(&r->name);
	if (!figure_billed(f) || !group_of(&r->name, r->by, f))
		return;
	int why = figure_price(&r->prices, f, &p);
	add(&r->total, why, &p, f->complete);
	if (r->by != GROUP_ALL)
		add(groups_get(&r->groups, buf_slice(&r->name)), why, &p, f->complete);
}

/* For people */

static bool is_whole(const struct cost *c)
{
	return c->priced == c->group.spans && c->at_least == 0;
}

static void add_usd(struct buf *b, const struct cost *c, double usd)
{
	if (c->priced == 0)
		buf_addc(b, '?');
	else
		buf_addf(b, usd >= 100 ? "$%.2f" : usd >= 1 ? "$%.3f" : usd == 0 ? "$%.0f" : "$%.6f", usd);
}

enum { COL_GROUP, COL_CALLS, COL_COST, COL_INPUT, COL_READ, COL_WRITE, COL_OUTPUT, COLS };

static const struct {
	const char *heading;
	size_t width;
} table[COLS] = {
    [COL_GROUP] = {"", 17},       [COL_CALLS] = {"CALLS", 5}, [COL_COST] = {"COST", 12},
    [COL_INPUT] = {"INPUT", 9},   [COL_READ] = {"CACHED", 9}, [COL_WRITE] = {"TO CACHE", 9},
    [COL_OUTPUT] = {"OUTPUT", 9},
};

static void add_cell(struct buf *b, int column, const struct cost *c)
{
	const double parts[COLS] = {[COL_INPUT] = c->usd.input,
	                            [COL_READ] = c->usd.cache_read,
	                            [COL_WRITE] = c->usd.cache_write,
	                            [COL_OUTPUT] = c->usd.output};

	if (column == COL_CALLS) {
		table_count(b, (int64_t)c->group.spans);
	} else if (column == COL_COST) {
		if (c->priced && !is_whole(c))
			buf_adds(b, "≥ ");
		add_usd(b, c, c->usd.total);
	} else {
		add_usd(b, c, parts[column]);
	}
}

static void add_row(struct buf *out, struct slice name, const struct cost *c)
{
	struct buf cell = {0};

	table_cell(out, name.n ? name : SLICE("?"), table[COL_GROUP].width, false);
	for (int i = COL_CALLS; i < COLS; i++) {
		buf_clear(&cell);
		add_cell(&cell, i, c);
		table_cell(out, buf_slice(&cell), table[i].width, true);
	}
	out->p[out->n - 1] = '\n'; /* instead of the last blank */
	buf_release(&cell);
}

static void add_remarks(struct buf *out, const struct cost *c)
{
	uint64_t unpriced = c->group.spans - c->priced;

	buf_addc(out, '\n');
	if (unpriced)
		buf_addf(out, "%llu calls unpriced, not in the sums:\n", (unsigned long long)unpriced);
	for (int i = 0; i < WHYS; i++)
		if (c->unpriced[i])
			buf_addf(out, "  %llu %s\n", (unsigned long long)c->unpriced[i], why_words[i]);
	if (c->at_least)
		buf_addf(out, "%llu calls were not seen to their end: they cost at least what is shown\n",
		         (unsigned long long)c->at_least);
	if (c->usd.hour_extra > 0)
		buf_addf(out, "$%.6f more if what was written to caches was to be kept for an hour\n",
		         c->usd.hour_extra);
	buf_addf(out, "list prices of %s %s (%s)\n", price_source.name, price_source.version,
	         price_source.date);
}

static void add_table(struct buf *out, struct reader *r)
{
	struct buf heading = {0};

	for (const char *p = r->by == GROUP_ALL ? "" : group_name(r->by); *p; p++)
		buf_addc(&heading, (char)(*p - 'a' + 'A'));
	table_cell(out, buf_slice(&heading), table[COL_GROUP].width, false);
	for (int i = COL_CALLS; i < COLS; i++)
		table_cell(out, slice_str(table[i].heading), table[i].width, true);
	out->p[out->n - 1] = '\n';
	for (size_t i = 0; i < r->groups.n; i++)
		add_row(out, r->groups.v[i]->name, (struct cost *)r->groups.v[i]);
	if (r->groups.n != 1)
		add_row(out, SLICE("total"), &r->total);
	add_remarks(out, &r->total);
	buf_release(&heading);
	if (!tree_locale_utf8())
		line_to_ascii(out, 0);
}

/* For cut(1) */

static void add_tsv(struct buf *out, enum group_by by, struct slice name, const struct cost *c)
{
	const double usd[] = {c->usd.total,       c->usd.input,  c->usd.cache_read,
	                      c->usd.cache_write, c->usd.output, c->usd.hour_extra};

	buf_addf(out, "%s\t", group_name(by));
	text_escape(out, name);
	buf_addf(out, "\t%llu\t%llu\t%llu", (unsigned long long)c->group.spans, (unsigned long long)c->priced,
	         (unsigned long long)c->at_least);
	for (size_t i = 0; i < sizeof(usd) / sizeof(usd[0]); i++) {
		buf_addc(out, '\t');
		if (c->priced)
			buf_addf(out, "%.9f", usd[i]);
	}
	for (int i = PRICE_KNOWN + 1; i < WHYS; i++)
		buf_addf(out, "\t%llu", (unsigned long long)c->unpriced[i]);
	buf_addf(out, "\t%s\n", price_source.version);
}

/* For programs */

static void add_number(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, const struct cost *c,
                       double usd)
{
	yyjson_mut_obj_add_val(d, o, key, c->priced ? yyjson_mut_real(d, usd) : yyjson_mut_null(d));
}

static yyjson_mut_val *json_cost(yyjson_mut_doc *d, struct slice name, const struct cost *c)
{
	yyjson_mut_val *o = yyjson_mut_obj(d);

	yyjson_mut_obj_add_val(d, o, "group", name.n ? json_text(d, name) : yyjson_mut_null(d));
	yyjson_mut_obj_add_uint(d, o, "calls", c->group.spans);
	yyjson_mut_obj_add_uint(d, o, "priced_calls", c->priced);
	yyjson_mut_obj_add_uint(d, o, "at_least_calls", c->at_least);
	yyjson_mut_obj_add_bool(d, o, "is_whole", is_whole(c));
	add_number(d, o, "cost_usd", c, c->usd.total);
	add_number(d, o, "input_usd", c, c->usd.input);
	add_number(d, o, "cache_read_usd", c, c->usd.cache_read);
	add_number(d, o, "cache_creation_usd", c, c->usd.cache_write);
	add_number(d, o, "output_usd", c, c->usd.output);
	add_number(d, o, "cache_hour_extra_usd", c, c->usd.hour_extra);
	yyjson_mut_val *why = yyjson_mut_obj_add_obj(d, o, "unpriced_calls");
	for (int i = PRICE_KNOWN + 1; i < WHYS; i++)
		yyjson_mut_obj_add_uint(d, why, why_name(i), c->unpriced[i]);
	return o;
}

static void add_json(struct buf *out, struct reader *r)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(d), *v = yyjson_mut_arr(d);

	for (size_t i = 0; i < r->groups.n; i++)
		yyjson_mut_arr_append(v, json_cost(d, r->groups.v[i]->name, (struct cost *)r->groups.v[i]));
	yyjson_mut_val *prices = yyjson_mut_obj_add_obj(d, root, "prices");
	yyjson_mut_obj_add_str(d, prices, "source", price_source.name);
	yyjson_mut_obj_add_str(d, prices, "version", price_source.version);
	yyjson_mut_obj_add_str(d, prices, "date", price_source.date);
	yyjson_mut_obj_add_str(d, root, "by", group_name(r->by));
	yyjson_mut_obj_add_val(d, root, "groups", v);
	yyjson_mut_obj_add_val(d, root, "total", json_cost(d, (struct slice){0}, &r->total));
	json_write(out, d, root);
}

static int print(const struct group_options *o, struct reader *r, const char *dir)
{
	struct buf out = {0};

	if (o->format == CMD_JSON) {
		add_json(&out, r);
	} else if (o->format == CMD_TSV) {
		for (size_t i = 0; i < r->groups.n; i++)
			add_tsv(&out, r->by, r->groups.v[i]->name, (struct cost *)r->groups.v[i]);
		add_tsv(&out, GROUP_ALL, (struct slice){0}, &r->total);
	} else if (r->total.group.spans == 0) {
		buf_addf(&out, "no calls to price in %s\n", dir);
	} else {
		add_table(&out, r);
	}
	int code = cmd_output(&cmd_cost, &out);
	buf_release(&out);
	return code;
}

static int run(int argc, char **argv)
{
	struct group_options o;
	struct buf dir = {0};
	int code = group_parse(&cmd_cost, argc, argv, false, &o);

	if (code)
		return code == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	struct reader r = {.by = o.by, .groups.size = sizeof(struct cost), .progress.what = "spans read"};
	struct store *st = cmd_store(&cmd_cost, o.store, &dir);
	int error = st ? store_figures(st, o.since, o.until, each, &r) : 0;
	progress_end(&r.progress);
	groups_sort(&r.groups, r.by);
	if (!st)
		code = CMD_FAILED;
	else
		code = error ? cmd_failed(&cmd_cost, "%s", store_error(st)) : print(&o, &r, buf_str(&dir));
	groups_release(&r.groups);
	figure_prices_release(&r.prices);
	buf_release(&r.name);
	buf_release(&dir);
	store_close(st);
	return code;
}

const struct cmd cmd_cost = {
    .name = "cost",
    .summary = "what the calls cost by their providers' list prices",
    .usage = "usage: spantap cost [--by WHAT] [--since T] [--until T] [--store DIR] [--json | --tsv]\n"
             "\n"
             "What the calls cost by their providers' list prices, in US dollars, in all or by day,\n"
             "model, agent, host or conversation.  Input from a cache is priced at the cache's rate\n"
             "and only there; reasoning is part of the output.  A call without a price (model not in\n"
             "the list, tokens not reported) is counted beside the sum, which then reads '≥'; a sum\n"
             "of no call is '?'.  Discounts, subscriptions, and fees for searches and other tools\n"
             "that the provider runs are not known.\n"
             "\n"
             "  --by WHAT    day, model, agent, host or conversation\n" GROUP_USAGE
             "  --json       an object: prices (source, version, date), by, groups (array), total;\n"
             "               what is not known is null\n"
             "  --tsv        a line for each group and one for all: day, model, … or total; its\n"
             "               name; calls, calls with a price, of these seen in part only; US\n"
             "               dollars in all, for input, input from the cache, input written to it,\n"
             "               output, and what writing for an hour would cost more (empty when no\n"
             "               call has a price); calls without one because the model is not listed,\n"
             "               it has no price for tokens, usage was not reported, it contradicts\n"
             "               itself, the call failed, the service tier has other prices; version\n"
             "               of the price list\n",
    .run = run,
};
