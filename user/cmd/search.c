/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/table.h"
#include "sink/line.h"
#include "sink/tree.h"
#include "store/json_text.h"
#include "store/store.h"
#include "store/views.h"

#define DEFAULT_N 20

struct search_options {
	const char *store;
	enum cmd_format format;
	size_t n;
	struct buf query;
};

/* ID, when, which call, and the words around it on what is left of the line. */
static void add_human(struct buf *out, const struct store_hit *h)
{
	size_t columns = (size_t)cmd_columns() < 80 ? 80 : (size_t)cmd_columns();
	struct buf cell = {0};

	text_hex(&cell, h->trace, 4);
	table_cell(out, buf_slice(&cell), 8, false);
	buf_clear(&cell);
	table_time(&cell, h->start_wall);
	table_cell(out, buf_slice(&cell), 11, false);
	buf_clear(&cell);
	if (h->call)
		buf_addf(&cell, "#%llu", (unsigned long long)h->call);
	else
		buf_adds(&cell, span_kind_name(h->kind));
	table_cell(out, buf_slice(&cell), 5, false);
	text_line(out, h->snippet, columns - 28);
	buf_addc(out, '\n');
	buf_release(&cell);
}

static void add_tsv(struct buf *out, const struct store_hit *h)
{
	text_hex(out, h->trace, sizeof(h->trace));
	buf_addc(out, '\t');
	text_hex(out, h->span, sizeof(h->span));
	buf_addf(out, "\t%s\t", span_kind_name(h->kind));
	if (h->call)
		buf_addf(out, "%llu", (unsigned long long)h->call);
	buf_addf(out, "\t%llu\t", (unsigned long long)h->start_wall);
	text_escape(out, h->snippet);
	buf_addc(out, '\n');
}

static yyjson_mut_val *json_hit(yyjson_mut_doc *d, const struct store_hit *h)
{
	yyjson_mut_val *o = yyjson_mut_obj(d);

	yyjson_mut_obj_add_val(d, o, "trace_id", json_hex(d, h->trace, sizeof(h->trace)));
	yyjson_mut_obj_add_val(d, o, "span_id", json_hex(d, h->span, sizeof(h->span)));
	yyjson_mut_obj_add_str(d, o, "kind", span_kind_name(h->kind));
	if (h->call)
		yyjson_mut_obj_add_uint(d, o, "call", h->call);
	else
		yyjson_mut_obj_add_null(d, o, "call");
	yyjson_mut_obj_add_uint(d, o, "start_unix_ns", h->start_wall);
	yyjson_mut_obj_add_val(d, o, "snippet", json_text(d, h->snippet));
	return o;
}

static int print(const struct search_options *o, const struct store_hit *v, size_t n)
{
	struct buf out = {0};

	if (o->format == CMD_JSON) {
		yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
		yyjson_mut_val *arr = yyjson_mut_arr(d);

		for (size_t i = 0; i < n; i++)
			yyjson_mut_arr_append(arr, json_hit(d, &v[i]));
		json_write(&out, d, arr);
	} else {
		for (size_t i = 0; i < n; i++)
			(o->format == CMD_TSV ? add_tsv : add_human)(&out, &v[i]);
		if (o->format == CMD_HUMAN && !tree_locale_utf8())
			line_to_ascii(&out, 0);
	}
	int r = cmd_output(&cmd_search, &out);
	buf_release(&out);
	return r ? r : n ? CMD_OK : CMD_FAILED;
}

static int parse(int argc, char **argv, struct search_options *o)
{
	static const struct option longs[] = {
	    {"store", required_argument, NULL, 's'},
	    {"json", no_argument, NULL, 'j'},
	    {"tsv", no_argument, NULL, 't'},
	    {0},
	};
	uint64_t n;
	int c;

	*o = (struct search_options){.n = DEFAULT_N};
	while ((c = cmd_option(&cmd_search, argc, argv, "n:", longs)) != -1) {
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
			return cmd_usage_error(&cmd_search, "'%s' is no number of hits", optarg);
	}
	if (optind == argc)
		return cmd_usage_error(&cmd_search, "search for what? give words");
	for (; optind < argc; optind++) {
		/* An argument of several words is what the shell left of a quoted phrase. */
		bool phrase = strpbrk(argv[optind], " \t") && !strchr(argv[optind], '"');

		buf_addf(&o->query, phrase ? " \"%s\"" : " %s", argv[optind]);
	}
	return 0;
}

/* The conversations of the hits, each once. */
static void viewed(struct store *st, const struct store_hit *v, size_t n)
{
	uint8_t(*traces)[16] = xcalloc(n + 1, sizeof(*traces));
	size_t seen = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < seen && memcmp(traces[k], v[i].trace, sizeof(traces[k])) != 0)
			k++;
		if (k == seen && seen <= VIEW_TRACES_MAX)
			memcpy(traces[seen++], v[i].trace, sizeof(traces[k]));
	}
	cmd_viewed(&cmd_search, st, (const uint8_t(*)[16])traces, seen);
	free(traces);
}

static int run(int argc, char **argv)
{
	struct search_options o;
	struct arena a = {0};
	struct buf dir = {0};
	struct store_hit *v = NULL;
	size_t n = 0;
	int r = parse(argc, argv, &o);

	if (r)
		return r == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	struct store *st = cmd_store(&cmd_search, o.store, &dir);
	if (!st)
		r = CMD_FAILED;
	else if (store_search(st, buf_slice(&o.query), o.n, &a, &v, &n))
		r = cmd_failed(&cmd_search, "%s", store_error(st));
	else {
		viewed(st, v, n);
		r = print(&o, v, n);
	}
	store_close(st);
	buf_release(&o.query);
	buf_release(&dir);
	arena_release(&a);
	return r;
}

const struct cmd cmd_search = {
    .name = "search",
    .summary = "find the calls in which words were said",
    .usage = "usage: spantap search WORD... [-n N] [--store DIR] [--json | --tsv]\n"
             "\n"
             "Finds messages of users, assistants and tools that have all the words, newest first:\n"
             "a line for each conversation and message, with the call that had it first.  Case and\n"
             "accents do not matter; 'several words' in quotes stand next to each other.\n"
             "\n"
             "  -n N         at most N of them (default 20)\n"
             "  --store DIR  the store to read (default: spantap in the XDG state directory)\n"
             "  --json       an array of objects\n"
             "  --tsv        a line each: trace, span, kind, number of the call ('show --call'), start\n"
             "               (ns since the epoch), the words around it\n"
             "\n"
             "Not searched: system instructions and tool definitions, more than the first MiB of a\n"
             "message, what was captured without content, and what spantap wrote before it had this\n"
             "command.  Exit code: 0 found, 1 not found or it failed, 2 wrong options.\n",
    .run = run,
};
