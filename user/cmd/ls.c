/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/clock.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/figure_price.h"
#include "cmd/json.h"
#include "cmd/table.h"
#include "cmd/when.h"
#include "sink/line.h"
#include "sink/summary.h"
#include "sink/tree.h"
#include "store/store.h"

#define DEFAULT_N 20

#define HITS_MAX 10000 /* of --text that are looked at */

struct ls_options {
	const char *store;
	enum cmd_format format;
	size_t n;
	uint64_t since, until;
	const char *agent, *model, *host, *status, *text; /* NULL: any */
	double min_cost;                                  /* US dollars; NAN: any */
};

/* What is asked of a conversation while the store is read. */
struct chooser {
	const struct ls_options *o;
	struct store *st;
	struct store_hit *hits; /* of --text */
	size_t n_hits;
	struct figure_prices prices;
	bool host_found;
	double usd;
};

static const char *state(const struct store_conversation *c)
{
	return !c->ended ? "open" : !c->complete ? "part" : c->errors ? "err" : "ok";
}

static struct slice agent(const struct store_conversation *c)
{
	return c->agent.n ? c->agent : c->command.n ? c->command : SLICE("?");
}

/* Whether `word` stands in `s`, in any case. */
static bool has(struct slice s, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= s.n; i++)
		if (strncasecmp(s.p + i, word, n) == 0)
			return true;
	return false;
}

static void on_figure(void *ctx, const struct store_figure *f)
{
	struct chooser *c = ctx;
	struct price p;

	if (c->o->host && has(f->host, c->o->host))
		c->host_found = true;
	if (figure_billed(f) && figure_price(&c->prices, f, &p) == PRICE_KNOWN)
		c->usd += p.total;
}

static bool has_model(const struct store_conversation *v, const char *word)
{
	for (size_t i = 0; i < v->n_models; i++)
		if (has(v->models[i], word))
			return true;
	return false;
}

static bool is_hit(const struct chooser *c, const struct store_conversation *v)
{
	for (size_t i = 0; i < c->n_hits; i++)
		if (memcmp(c->hits[i].trace, v->trace, sizeof(v->trace)) == 0)
			return true;
	return false;
}

/* The cheap questions first. */
static bool wanted(void *ctx, const struct store_conversation *v)
{
	struct chooser *c = ctx;
	const struct ls_options *o = c->o;

	if ((o->agent && !has(agent(v), o->agent)) || (o->model && !has_model(v, o->model)) ||
	    (o->status && strcmp(o->status, state(v)) != 0) || (o->text && !is_hit(c, v)))
		return false;
	if (!o->host && isnan(o->min_cost))
		return true;
	c->host_found = !o->host;
	c->usd = 0;
	if (store_figures_of(c->st, v->trace, on_figure, c))
		return false;
	return c->host_found && !(c->usd < o->min_cost);
}

/* The table: 80 columns at least, the last one takes what is left. */
enum { COL_ID, COL_START, COL_TIME, COL_AGENT, COL_CALLS, COL_TOOLS, COL_TOKENS, COL_STATE, COLS };

static const struct column {
	const char *heading;
	size_t width;
	bool right;
} table[COLS] = {
    [COL_ID] = {"ID", 8, false},         [COL_START] = {"START", 11, false}, [COL_TIME] = {"TIME", 6, true},
    [COL_AGENT] = {"AGENT", 11, false},  [COL_CALLS] = {"LLM", 3, true},     [COL_TOOLS] = {"TOOL", 4, true},
    [COL_TOKENS] = {"TOKENS", 10, true}, [COL_STATE] = {"STAT", 4, false},
};

static void add_tokens(struct buf *b, const struct store_conversation *c)
{
	table_count(b, c->input_tokens);
	buf_addc(b, '>');
	table_count(b, c->output_tokens);
	if (c->calls_without_usage && c->input_tokens >= 0)
		buf_addc(b, '+'); /* at least: some calls did not report theirs */
}

static void add_cell(struct buf *b, int column, const struct store_conversation *c)
{
	switch (column) {
	case COL_ID:
		text_hex(b, c->trace, 4);
		break;
	case COL_START:
		table_time(b, c->start_wall);
		break;
	case COL_TIME:
		table_duration(b, c->duration);
		break;
	case COL_AGENT:
		buf_addslice(b, agent(c));
		break;
	case COL_CALLS:
		table_count(b, (int64_t)c->calls);
		break;
	case COL_TOOLS:
		table_count(b, (int64_t)c->tools);
		break;
	case COL_TOKENS:
		add_tokens(b, c);
		break;
	default:
		buf_adds(b, state(c));
	}
}

static void add_row(struct buf *out, const struct store_conversation *c, size_t columns)
{
	struct buf cell = {0};

	for (int i = 0; i < COLS; i++) {
		buf_clear(&cell);
		add_cell(&cell, i, c);
		table_cell(out, buf_slice(&cell), table[i].width, table[i].right);
		columns -= table[i].width + 1;
	}
	text_line(out, c->text, columns);
	buf_addc(out, '\n');
	buf_release(&cell);
}

static void add_table(struct buf *out, const struct store_conversation *v, size_t n)
{
	size_t columns = (size_t)cmd_columns();

	for (int i = 0; i < COLS; i++)
		table_cell(out, slice_str(table[i].heading), table[i].width, table[i].right);
	buf_adds(out, "FIRST WORDS\n");
	for (size_t i = 0; i < n; i++)
		add_row(out, &v[i], columns < 80 ? 80 : columns);
	if (!tree_locale_utf8())
		line_to_ascii(out, 0);
}

static void add_tsv(struct buf *out, const struct store_conversation *c)
{
	text_hex(out, c->trace, 16);
	buf_addf(out, "\t%llu\t%llu\t", (unsigned long long)c->start_wall, (unsigned long long)c->duration);
	text_escape(out, agent(c));
	buf_addf(out, "\t%llu\t%llu\t%llu\t%llu\t", (unsigned long long)c->turns,
	         (unsigned long long)c->calls, (unsigned long long)c->tools, (unsigned long long)c->errors);
	if (c->input_tokens >= 0)
		buf_addf(out, "%lld", (long long)c->input_tokens);
	buf_addc(out, '\t');
	if (c->output_tokens >= 0)
		buf_addf(out, "%lld", (long long)c->output_tokens);
	buf_addf(out, "\t%s\t", state(c));
	text_escape(out, c->text);
	buf_addc(out, '\n');
}

static bool filtered(const struct ls_options *o)
{
	return o->agent || o->model || o->host || o->status || o->text || o->since ||
	       o->until != UINT64_MAX || !isnan(o->min_cost);
}

static int print(const struct ls_options *o, const struct store_conversation *v, size_t n, const char *dir)
{
	struct buf out = {0};

	if (o->format == CMD_JSON) {
		yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
		yyjson_mut_val *arr = yyjson_mut_arr(d);

		for (size_t i = 0; i < n; i++)
			yyjson_mut_arr_append(arr, json_conversation(d, &v[i]));
		json_write(&out, d, arr);
	} else if (o->format == CMD_TSV) {
		for (size_t i = 0; i < n; i++)
			add_tsv(&out, &v[i]);
	} else if (n == 0) {
		buf_addf(&out, filtered(o) ? "no such conversation in %s\n" : "no conversations yet in %s\n",
		         dir);
	} else {
		add_table(&out, v, n);
	}
	int r = cmd_output(&cmd_ls, &out);
	buf_release(&out);
	return r;
}

static int parse_number(int c, struct ls_options *o)
{
	uint64_t n;
	char *end;

	if (c == 'n') {
		if (!slice_u64(slice_str(optarg), &n) || n == 0)
			return cmd_usage_error(&cmd_ls, "'%s' is no number of conversations", optarg);
		o->n = n;
	} else if (c == 'C') {
		o->min_cost = strtod(optarg, &end);
		if (end == optarg || *end || !(o->min_cost >= 0))
			return cmd_usage_error(&cmd_ls, "'%s' is no number of dollars", optarg);
	} else if (!when_parse(optarg, clock_wall_ns(), c == 'f' ? &o->since : &o->until)) {
		return cmd_usage_error(&cmd_ls, "'%s' is no time: 2026-11-25, 2026-11-25T14:30 or 7d",
		                       optarg);
	}
	return 0;
}

static int parse_one(int c, struct ls_options *o)
{
	static const char *const states[] = {"ok", "err", "part", "open"};

	switch (c) {
	case 's':
		o->store = optarg;
		break;
	case 'j':
		o->format = CMD_JSON;
		break;
	case 't':
		o->format = CMD_TSV;
		break;
	case 'a':
		o->agent = optarg;
		break;
	case 'm':
		o->model = optarg;
		break;
	case 'H':
		o->host = optarg;
		break;
	case 'T':
		o->text = optarg;
		break;
	case 'S':
		o->status = optarg;
		for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
			if (strcmp(optarg, states[i]) == 0)
				return 0;
		return cmd_usage_error(&cmd_ls, "'%s' is no status: ok, err, part or open", optarg);
	default:
		return parse_number(c, o);
	}
	return 0;
}

static int parse(int argc, char **argv, struct ls_options *o)
{
	static const struct option longs[] = {
	    {"store", required_argument, NULL, 's'},
	    {"json", no_argument, NULL, 'j'},
	    {"tsv", no_argument, NULL, 't'},
	    {"agent", required_argument, NULL, 'a'},
	    {"model", required_argument, NULL, 'm'},
	    {"host", required_argument, NULL, 'H'},
	    {"status", required_argument, NULL, 'S'},
	    {"text", required_argument, NULL, 'T'},
	    {"since", required_argument, NULL, 'f'},
	    {"until", required_argument, NULL, 'u'},
	    {"min-cost", required_argument, NULL, 'C'},
	    {0},
	};
	int c, r = 0;

	*o = (struct ls_options){.n = DEFAULT_N, .until = UINT64_MAX, .min_cost = (double)NAN};
	while ((c = cmd_option(&cmd_ls, argc, argv, "n:", longs)) != -1) {
		if (c == CMD_OPTION_HELP || c == CMD_OPTION_WRONG)
			return c;
		r = parse_one(c, o);
		if (r)
			return r;
	}
	if (o->since >= o->until)
		return cmd_usage_error(&cmd_ls, "--since is not before --until");
	if (optind < argc)
		return cmd_usage_error(&cmd_ls, "unexpected argument '%s'", argv[optind]);
	return 0;
}

static int read_store(const struct ls_options *o, struct store *st, const char *dir)
{
	struct chooser c = {.o = o, .st = st};
	struct store_choice choice = {o->since, o->until, wanted, &c};
	struct store_conversation *v = NULL;
	struct arena a = {0};
	size_t n = 0;
	int r = 0;

	if (o->text)
		r = store_search(st, slice_str(o->text), HITS_MAX, &a, &c.hits, &c.n_hits);
	if (r == 0)
		r = store_conversations(st, &choice, o->n, &a, &v, &n);
	r = r ? cmd_failed(&cmd_ls, "%s", store_error(st)) : print(o, v, n, dir);
	figure_prices_release(&c.prices);
	arena_release(&a);
	return r;
}

static int run(int argc, char **argv)
{
	struct ls_options o;
	struct buf dir = {0};
	int r = parse(argc, argv, &o);

	if (r)
		return r == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	struct store *st = cmd_store(&cmd_ls, o.store, &dir);
	r = st ? read_store(&o, st, buf_str(&dir)) : CMD_FAILED;
	store_close(st);
	buf_release(&dir);
	return r;
}

const struct cmd cmd_ls = {
    .name = "ls",
    .summary = "list the captured conversations, newest first",
    .usage = "usage: spantap ls [-n N] [filters] [--store DIR] [--json | --tsv]\n"
             "\n"
             "Lists the captured conversations, newest first.\n"
             "\n"
             "  -n N         at most N conversations (default 20)\n"
             "  --agent A, --model M, --host H\n"
             "               whose agent, one of whose models or hosts has this in its name\n"
             "  --since T, --until T\n"
             "               that began at T or later, before T: 2026-11-25, 2026-11-25T14:30, 7d\n"
             "  --status S   ok, err, part or open, see STAT below\n"
             "  --min-cost D whose calls cost D US dollars or more, as far as their price is known\n"
             "  --text WORDS in which all of these were said, as 'spantap search' finds them\n"
             "  --store DIR  the store to read (default: " CMD_STORE_DEFAULT ")\n"
             "  --json       an array of objects\n"
             "  --tsv        a line each: id, start (ns since the epoch), duration (ns), agent,\n"
             "               turns, calls, tools, errors, input tokens, output tokens, state,\n"
             "               first words; what is not known is empty\n"
             "\n"
             "TOKENS are input>output; '?' is unknown, '+' means that some calls did not report\n"
             "theirs.  STAT: ok, err (a call or tool failed), part (something is missing), open\n"
             "(not ended, or the capture was killed).\n",
    .run = run,
};
