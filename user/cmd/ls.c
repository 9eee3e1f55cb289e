/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <yyjson.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/table.h"
#include "sink/line.h"
#include "sink/summary.h"
#include "sink/tree.h"
#include "store/store.h"

#define DEFAULT_N 20

struct ls_options {
	const char *store;
	enum cmd_format format;
	size_t n;
};

static void add_time(struct buf *b, uint64_t wall_ns)
{
	time_t t = (time_t)(wall_ns / 1000000000);
	struct tm tm;
	char s[32];

	if (wall_ns && localtime_r(&t, &tm) && strftime(s, sizeof(s), "%m-%d %H:%M", &tm))
		buf_adds(b, s);
	else
		buf_addc(b, '?');
}

static const char *state(const struct store_conversation *c)
{
	return !c->ended ? "open" : !c->complete ? "part" : c->errors ? "err" : "ok";
}

static struct slice agent(const struct store_conversation *c)
{
	return c->agent.n ? c->agent : c->command.n ? c->command : SLICE("?");
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
		add_time(b, c->start_wall);
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
		buf_addf(&out, "no conversations yet in %s\n", dir);
	} else {
		add_table(&out, v, n);
	}
	int r = cmd_output(&cmd_ls, &out);
	buf_release(&out);
	return r;
}

static int parse(int argc, char **argv, struct ls_options *o)
{
	static const struct option longs[] = {
	    {"store", required_argument, NULL, 's'},
	    {"json", no_argument, NULL, 'j'},
	    {"tsv", no_argument, NULL, 't'},
	    {0},
	};
	uint64_t n;
	int c;

	*o = (struct ls_options){.n = DEFAULT_N};
	while ((c = cmd_option(&cmd_ls, argc, argv, "n:", longs)) != -1) {
		if (c == CMD_OPTION_HELP || c == CMD_OPTION_WRONG)
			return c;
		if (c == 's')
			o->store = optarg;
		else if (c == 'j')
			o->format = CMD_JSON;
		else if (c == 't')
			o->format = CMD_TSV;
		else if (slice_u64(slice_str(optarg), &n) && n > 0)
			o->n = n;
		else
			return cmd_usage_error(&cmd_ls, "'%s' is no number of conversations", optarg);
	}
	if (optind < argc)
		return cmd_usage_error(&cmd_ls, "unexpected argument '%s'", argv[optind]);
	return 0;
}

static int run(int argc, char **argv)
{
	struct ls_options o;
	struct arena a = {0};
	struct buf dir = {0};
	struct store_conversation *v = NULL;
	size_t n = 0;
	int r = parse(argc, argv, &o);

	if (r)
		return r == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	struct store *st = cmd_store(&cmd_ls, o.store, &dir);
	if (!st)
		r = CMD_FAILED;
	else if (store_conversations(st, o.n, &a, &v, &n))
		r = cmd_failed(&cmd_ls, "%s", store_error(st));
	else
		r = print(&o, v, n, buf_str(&dir));
	store_close(st);
	buf_release(&dir);
	arena_release(&a);
	return r;
}

const struct cmd cmd_ls = {
    .name = "ls",
    .summary = "list the captured conversations, newest first",
    .usage = "usage: spantap ls [-n N] [--store DIR] [--json | --tsv]\n"
             "\n"
             "Lists the captured conversations, newest first.\n"
             "\n"
             "  -n N         at most N conversations (default 20)\n"
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
