/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "cmd/figure_price.h"
#include "cmd/group.h"
#include "cmd/json.h"
#include "cmd/table.h"
#include "sink/line.h"
#include "sink/tree.h"
#include "store/json_text.h"

#define SECOND        1000000000ull
#define WINDOW_S      60
#define WINDOW_MAX_S  86400
#define LONGEST_CALL  (3600 * SECOND) /* calls that began so long before the window may end in it */
#define DELAY_S       2
#define FLIGHTS_SHOWN 8

struct top_options {
	const char *store;
	enum cmd_format format;
	uint64_t window, delay, times; /* s; times 0: until it is interrupted */
};

struct top_agent {
	struct group group;         /* spans: calls that ended in the window */
	uint64_t in_flight, oldest; /* oldest: when it began, ns since the epoch */
	uint64_t failed, priced, unpriced;
	int64_t input, output; /* LLM_NONE: no call reported any */
	uint64_t unknown;      /* calls that did not report theirs */
	double usd;
	double *first_tokens; /* ns */
	size_t n_first, cap_first;
};

struct top {
	uint64_t window, now; /* ns */
	struct groups agents; /* struct top_agent */
	struct figure_prices prices;
	struct buf name;
	yyjson_doc *status;
	pid_t writer;
	uint64_t in_flight;
};

static struct top_agent *agent_of(struct top *t, struct slice name)
{
	struct top_agent *a = groups_get(&t->agents, name);

	if (a->group.spans + a->in_flight == 0)
		a->input = a->output = LLM_NONE;
	return a;
}

static void add_tokens(int64_t *sum, int64_t n)
{
	if (n >= 0)
		*sum = (*sum < 0 ? 0 : *sum) + n;
}

static void on_figure(void *ctx, const struct store_figure *f)
{
	struct top *t = ctx;
	struct price p = {0};

	if (!figure_billed(f) || f->start_wall + f->duration < t->now - t->window)
		return;
	buf_clear(&t->name);
	group_of(&t->name, GROUP_AGENT, f);

	struct top_agent *a = agent_of(t, buf_slice(&t->name));
	a->group.spans++;
	a->failed += f->failed;
	add_tokens(&a->input, f->usage.input);
	add_tokens(&a->output, f->usage.output);
	a->unknown += f->usage.output < 0;
	if (figure_price(&t->prices, f, &p) == PRICE_KNOWN) {
		a->priced++;
		a->usd += p.total;
	} else {
		a->unpriced++;
	}
	if (isnan(f->first_token))
		return;
	xgrow(&a->first_tokens, &a->cap_first, a->n_first + 1, sizeof(double));
	a->first_tokens[a->n_first++] = f->first_token;
}

static struct slice text(yyjson_val *v)
{
	return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : (struct slice){0};
}

static yyjson_val *flights(const struct top *t)
{
	yyjson_val *decode = yyjson_obj_get(yyjson_doc_get_root(t->status), "decode");

	return t->writer ? yyjson_obj_get(decode, "flights") : NULL;
}

static void read_flights(struct top *t)
{
	yyjson_val *decode = yyjson_obj_get(yyjson_doc_get_root(t->status), "decode"), *v;
	size_t i, max;

	t->in_flight = t->writer ? yyjson_get_uint(yyjson_obj_get(decode, "in_flight")) : 0;
	yyjson_arr_foreach(flights(t), i, max, v)
	{
		struct top_agent *a = agent_of(t, text(yyjson_obj_get(v, "agent")));
		uint64_t began = yyjson_get_uint(yyjson_obj_get(v, "began"));

		a->in_flight++;
		if (began && (!a->oldest || began < a->oldest))
			a->oldest = began;
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* NAN when none is known. */
static double median(struct top_agent *a)
{
	if (!a->n_first)
		return (double)NAN;
	qsort(a->first_tokens, a->n_first, sizeof(double), by_value);
	return a->first_tokens[(a->n_first - 1) / 2];
}

static double per_second(const struct top *t, int64_t n)
{
	return n < 0 ? (double)NAN : (double)n / ((double)t->window / 1e9);
}

/* What the window's calls would cost in an hour; NAN: of no call it is known. */
static double per_hour(const struct top *t, const struct top_agent *a)
{
	return a->priced ? a->usd * 3600 / ((double)t->window / 1e9) : (double)NAN;
}

static double age(const struct top *t, uint64_t began)
{
	return began && began < t->now ? (double)(t->now - began) : (double)NAN;
}

/* For people */

enum { COL_AGENT, COL_FLIGHT, COL_OLDEST, COL_CALLS, COL_FAILED, COL_IN, COL_OUT, COL_FIRST, COL_USD, COLS };

static const struct {
	const char *heading;
	size_t width;
} table[COLS] = {
    [COL_AGENT] = {"AGENT", 18}, [COL_FLIGHT] = {"FLIGHT", 6}, [COL_OLDEST] = {"OLDEST", 6},
    [COL_CALLS] = {"CALLS", 5},  [COL_FAILED] = {"ERR", 4},    [COL_IN] = {"IN/S", 7},
    [COL_OUT] = {"OUT/S", 7},    [COL_FIRST] = {"TTFT", 6},    [COL_USD] = {"$/H", 9},
};

static void add_rate(struct buf *b, double rate, bool at_least)
{
	if (isnan(rate))
		buf_addc(b, '?');
	else
		buf_addf(b, "%s%.*f", at_least ? "≥" : "", rate < 10 ? 1 : 0, rate);
}

static void add_cell(struct buf *b, int column, const struct top *t, struct top_agent *a)
{
	switch (column) {
	case COL_AGENT:
		buf_addslice(b, a->group.name.n ? a->group.name : SLICE("?"));
		break;
	case COL_FLIGHT:
		table_count(b, (int64_t)a->in_flight);
		break;
	case COL_OLDEST:
		if (a->in_flight)
			table_latency(b, age(t, a->oldest));
		else
			buf_addc(b, '-');
		break;
	case COL_CALLS:
		table_count(b, (int64_t)a->group.spans);
		break;
	case COL_FAILED:
		table_count(b, (int64_t)a->failed);
		break;
	case COL_IN:
		add_rate(b, per_second(t, a->input), a->unknown);
		break;
	case COL_OUT:
		add_rate(b, per_second(t, a->output), a->unknown);
		break;
	case COL_FIRST:
		table_latency(b, median(a));
		break;
	default:
		if (isnan(per_hour(t, a)))
			buf_addc(b, '?');
		else
			buf_addf(b, "%s%.2f", a->unpriced ? "≥" : "", per_hour(t, a));
	}
}

static void add_flights(struct buf *out, const struct top *t)
{
	yyjson_val *v;
	size_t i, max;

	yyjson_arr_foreach(flights(t), i, max, v)
	{
		struct slice model = text(yyjson_obj_get(v, "model")),
		             agent = text(yyjson_obj_get(v, "agent"));

		if (i >= FLIGHTS_SHOWN)
			break;
		buf_adds(out, i ? "  " : "\nin flight\n  ");
		table_latency(out, age(t, yyjson_get_uint(yyjson_obj_get(v, "began"))));
		buf_adds(out, "  ");
		text_line(out, model.n ? model : SLICE("?"), 30);
		buf_adds(out, "  ");
		text_line(out, agent.n ? agent : SLICE("?"), 24);
		buf_addf(out, " [%llu]\n", (unsigned long long)yyjson_get_uint(yyjson_obj_get(v, "pid")));
	}
	if (t->in_flight > FLIGHTS_SHOWN)
		buf_addf(out, "  and %llu more\n", (unsigned long long)(t->in_flight - FLIGHTS_SHOWN));
}

static void add_table(struct buf *out, const struct top *t, const char *dir)
{
	struct buf cell = {0};

	buf_adds(out, "spantap top: ");
	text_line(out, slice_str(dir), 40);
	if (t->writer)
		buf_addf(out, ", written by process %d", (int)t->writer);
	else
		buf_adds(out, ", no capture writes now");
	buf_addf(out, "; calls that ended in the last %llu s\n\n", (unsigned long long)(t->window / SECOND));
	for (int i = 0; i < COLS; i++)
		table_cell(out, slice_str(table[i].heading), table[i].width, i != COL_AGENT);
	out->p[out->n - 1] = '\n';
	for (size_t i = 0; i < t->agents.n; i++) {
		for (int c = 0; c < COLS; c++) {
			buf_clear(&cell);
			add_cell(&cell, c, t, (struct top_agent *)t->agents.v[i]);
			table_cell(out, buf_slice(&cell), table[c].width, c != COL_AGENT);
		}
		out->p[out->n - 1] = '\n';
	}
	add_flights(out, t);
	buf_release(&cell);
	if (!tree_locale_utf8())
		line_to_ascii(out, 0);
}

/* For cut(1) */

static void add_number(struct buf *out, double v)
{
	buf_addc(out, '\t');
	if (!isnan(v))
		buf_addf(out, "%.9g", v);
}

static void add_tsv(struct buf *out, const struct top *t)
{
	for (size_t i = 0; i < t->agents.n; i++) {
		struct top_agent *a = (struct top_agent *)t->agents.v[i];

		text_escape(out, a->group.name);
		buf_addf(out, "\t%llu", (unsigned long long)a->in_flight);
		add_number(out, age(t, a->oldest) / 1e9);
		buf_addf(out, "\t%llu\t%llu", (unsigned long long)a->group.spans,
		         (unsigned long long)a->failed);
		add_number(out, per_second(t, a->input));
		add_number(out, per_second(t, a->output));
		add_number(out, median(a) / 1e9);
		add_number(out, per_hour(t, a));
		buf_addf(out, "\t%llu\t%llu\n", (unsigned long long)a->unknown,
		         (unsigned long long)a->unpriced);
	}
}

/* For programs */

static void put_number(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, double v)
{
	yyjson_mut_obj_add_val(d, o, key, isnan(v) ? yyjson_mut_null(d) : yyjson_mut_real(d, v));
}

static yyjson_mut_val *json_agent(yyjson_mut_doc *d, const struct top *t, struct top_agent *a)
{
	yyjson_mut_val *o = yyjson_mut_obj(d);

	yyjson_mut_obj_add_val(d, o, "agent",
	                       a->group.name.n ? json_text(d, a->group.name) : yyjson_mut_null(d));
	yyjson_mut_obj_add_uint(d, o, "in_flight", a->in_flight);
	put_number(d, o, "oldest_s", age(t, a->oldest) / 1e9);
	yyjson_mut_obj_add_uint(d, o, "calls", a->group.spans);
	yyjson_mut_obj_add_uint(d, o, "failed", a->failed);
	put_number(d, o, "input_tokens_per_s", per_second(t, a->input));
	put_number(d, o, "output_tokens_per_s", per_second(t, a->output));
	yyjson_mut_obj_add_uint(d, o, "calls_without_usage", a->unknown);
	put_number(d, o, "first_token_p50_s", median(a) / 1e9);
	put_number(d, o, "usd_per_hour", per_hour(t, a));
	yyjson_mut_obj_add_uint(d, o, "unpriced_calls", a->unpriced);
	return o;
}

static void add_json(struct buf *out, const struct top *t)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(d), *agents = yyjson_mut_obj_add_arr(d, root, "agents");

	for (size_t i = 0; i < t->agents.n; i++)
		yyjson_mut_arr_append(agents, json_agent(d, t, (struct top_agent *)t->agents.v[i]));
	yyjson_mut_obj_add_uint(d, root, "in_flight", t->in_flight);
	yyjson_mut_obj_add_val(d, root, "flights",
	                       flights(t) ? yyjson_val_mut_copy(d, flights(t)) : yyjson_mut_arr(d));
	yyjson_mut_obj_add_real(d, root, "window_s", (double)t->window / 1e9);
	yyjson_mut_obj_add_val(d, root, "writer",
	                       t->writer ? yyjson_mut_int(d, t->writer) : yyjson_mut_null(d));
	json_write(out, d, root);
}

/* Frames */

static void release(struct top *t)
{
	for (size_t i = 0; i < t->agents.n; i++)
		free(((struct top_agent *)t->agents.v[i])->first_tokens);
	groups_release(&t->agents);
	figure_prices_release(&t->prices);
	buf_release(&t->name);
	yyjson_doc_free(t->status);
}

/* No status is none: a store that was copied here has no capture. */
static void read_status(struct top *t, const char *dir)
{
	struct buf file = {0}, error = {0};

	if (store_status(dir, &file, &t->writer, &error) == 0)
		t->status = yyjson_read(file.p, file.n, 0);
	buf_release(&file);
	buf_release(&error);
}

static int frame(const struct top_options *o, struct store *st, const char *dir, bool live)
{
	struct top t = {
	    .window = o->window * SECOND, .now = clock_wall_ns(), .agents.size = sizeof(struct top_agent)};
	struct buf out = {0};
	int code;

	read_status(&t, dir);
	if (store_figures(st, t.now - t.window - LONGEST_CALL, UINT64_MAX, on_figure, &t)) {
		code = cmd_failed(&cmd_top, "%s", store_error(st));
	} else {
		read_flights(&t);
		groups_sort(&t.agents, GROUP_AGENT);
		if (live)
			buf_adds(&out, "\033[H\033[2J");
		if (o->format == CMD_JSON)
			add_json(&out, &t);
		else if (o->format == CMD_TSV)
			add_tsv(&out, &t);
		else
			add_table(&out, &t, dir);
		code = cmd_output(&cmd_top, &out);
	}
	buf_release(&out);
	release(&t);
	return code;
}

static bool number_option(const char *s, uint64_t max, uint64_t *ret)
{
	return slice_u64(slice_str(s), ret) && *ret > 0 && *ret <= max;
}

static int parse(int argc, char **argv, struct top_options *o)
{
	static const struct option longs[] = {
	    {"store", required_argument, NULL, 's'},
	    {"window", required_argument, NULL, 'w'},
	    {"json", no_argument, NULL, 'j'},
	    {"tsv", no_argument, NULL, 't'},
	    {0},
	};
	int c;

	*o = (struct top_options){.window = WINDOW_S, .delay = DELAY_S};
	while ((c = cmd_option(&cmd_top, argc, argv, "d:n:", longs)) != -1) {
		if (c == CMD_OPTION_HELP || c == CMD_OPTION_WRONG)
			return c;
		if (c == 's')
			o->store = optarg;
		else if (c == 'j' || c == 't')
			o->format = c == 'j' ? CMD_JSON : CMD_TSV;
		else if (c == 'n' && !number_option(optarg, UINT32_MAX, &o->times))
			return cmd_usage_error(&cmd_top, "'%s' is no number of times", optarg);
		else if (c == 'd' && !number_option(optarg, WINDOW_MAX_S, &o->delay))
			return cmd_usage_error(&cmd_top, "'%s' is no number of seconds", optarg);
		else if (c == 'w' && !number_option(optarg, WINDOW_MAX_S, &o->window))
			return cmd_usage_error(&cmd_top, "'%s' is no number of seconds up to %d", optarg,
			                       WINDOW_MAX_S);
	}
	if (optind < argc)
		return cmd_usage_error(&cmd_top, "unexpected argument '%s'", argv[optind]);
	if (!o->times && (o->format != CMD_HUMAN || !isatty(STDOUT_FILENO)))
		o->times = 1;
	return 0;
}

static int run(int argc, char **argv)
{
	struct top_options o;
	struct buf dir = {0};
	int code = parse(argc, argv, &o);

	if (code)
		return code == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	struct store *st = cmd_store(&cmd_top, o.store, &dir);
	bool live = o.format == CMD_HUMAN && o.times != 1 && isatty(STDOUT_FILENO);
	code = st ? frame(&o, st, buf_str(&dir), live) : CMD_FAILED;
	for (uint64_t i = 1; code == CMD_OK && (o.times == 0 || i < o.times); i++) {
		poll(NULL, 0, (int)o.delay * 1000);
		code = frame(&o, st, buf_str(&dir), live);
	}
	store_close(st);
	buf_release(&dir);
	return code;
}

const struct cmd cmd_top = {
    .name = "top",
    .summary = "what the agents do now: calls in flight, tokens a second, cost, errors",
    .usage = "usage: spantap top [--window S] [-d S] [-n N] [--store DIR] [--json | --tsv]\n"
             "\n"
             "What the agents do now, agent by agent: calls in flight and the age of the oldest; of\n"
             "the calls that ended in the last minute their number, failures, tokens a second,\n"
             "median time to the first token, and what an hour like this would cost.  On a terminal\n"
             "the screen is drawn anew until it is interrupted.\n"
             "\n"
             "  --window S   ended in the last S seconds (default 60)\n"
             "  -d S         draw every S seconds (default 2)\n"
             "  -n N         draw N times (default: once where stdout is no terminal)\n"
             "  --store DIR  the store to read (default: " CMD_STORE_DEFAULT ")\n"
             "  --json       an object: agents, in_flight, flights, window_s, writer; what is not\n"
             "               known is null\n"
             "  --tsv        a line an agent: name, in flight, age of the oldest (s), calls, failed,\n"
             "               input and output tokens a second, median time to first token (s), US\n"
             "               dollars an hour, calls without usage, calls without price; what is not\n"
             "               known is empty\n"
             "\n"
             "'?' is unknown, '≥' that of some calls it is not known.\n",
    .run = run,
};
