/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "cmd/call_ref.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/sent.h"
#include "sink/waterfall.h"
#include "store/messages.h"
#include "store/store.h"

#define INDENT 4

struct show_options {
	const char *store, *id;
	enum cmd_format format;
	uint64_t call; /* 0: the whole conversation */
	bool waterfall;
	bool raw;      /* the request of the call, as it was sent */
};

struct trace {
	struct store_conversation conversation;
	struct span *spans;
	size_t n;
	const struct span *call; /* --call */
};

static void add_tree(struct buf *out, const struct trace *t, bool waterfall)
{
	struct buf command = {0};

	buf_addslice(&command, t->conversation.command);
	struct tree_conf conf = {
	    .color = cmd_color(),
	    .ascii = !tree_locale_utf8(),
	    .columns = cmd_columns(),
	    .command = command.n ? buf_str(&command) : NULL,
	};
	(waterfall ? waterfall_print : tree_print)(out, &conf, t->spans, t->n);
	buf_release(&command);
}

static void add_tsv(struct buf *out, const struct span *s)
{
	static const char *const status[] = {"unset", "ok", "error"};
	static const uint8_t root[8];
	const struct attr *complete = span_get(s, ATTR_COMPLETE);

	text_hex(out, s->id, sizeof(s->id));
	buf_addc(out, '\t');
	if (memcmp(s->parent, root, sizeof(root)))
		text_hex(out, s->parent, sizeof(s->parent));
	buf_addf(out, "\t%s\t%llu\t%llu\t%s\t%s\t", span_kind_name(s->kind),
	         (unsigned long long)s->start_wall,
	         (unsigned long long)(s->end > s->start ? s->end - s->start : 0), status[s->status],
	         !complete     ? ""
	         : complete->b ? "true"
	                       : "false");
	text_escape(out, s->name);
	buf_addc(out, '\n');
}

static void add_json(struct buf *out, const struct trace *t)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);

	if (t->call) {
		json_write(out, d, json_span(d, t->call));
		return;
	}
	yyjson_mut_val *root = yyjson_mut_obj(d), *spans = yyjson_mut_arr(d);
	for (size_t i = 0; i < t->n; i++)
		yyjson_mut_arr_append(spans, json_span(d, &t->spans[i]));
	yyjson_mut_obj_add_val(d, root, "conversation", json_conversation(d, &t->conversation));
	yyjson_mut_obj_add_val(d, root, "spans", spans);
	json_write(out, d, root);
}

/* One call in full */

/* Each line of `text` on a line of its own, indented and escaped. */
static void add_lines(struct buf *out, size_t indent, struct slice text)
{
	struct slice rest = text, line;

	while (slice_cut(&rest, '\n', &line)) {
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		buf_addf(out, "%*s", line.n ? (int)indent : 0, "");
		text_escape(out, line);
		buf_addc(out, '\n');
	}
}

static void add_message(void *ctx, struct slice role, struct slice finish_reason)
{
	struct buf *out = ctx;

	buf_adds(out, "\n[");
	text_line(out, role.n ? role : SLICE("?"), 40);
	buf_addc(out, ']');
	if (finish_reason.n) {
		buf_adds(out, " finish: ");
		text_line(out, finish_reason, 40);
	}
	buf_addc(out, '\n');
}

static void add_part(void *ctx, struct slice type, struct slice label, struct slice content)
{
	struct buf *out = ctx;

	if (!slice_eq(type, SLICE("text"))) {
		buf_adds(out, "  ");
		text_line(out, type.n ? type : SLICE("?"), 40);
		buf_addc(out, label.n ? ' ' : ':');
		text_line(out, label, 100);
		buf_adds(out, label.n ? ":\n" : "\n");
	}
	add_lines(out, INDENT, content);
}

static void add_section(struct buf *out, const struct span *s, enum attr_key key, const char *heading)
{
	static const struct messages_events events = {add_message, add_part};
	const struct attr *a = span_get(s, key);

	if (!a)
		return;
	buf_addf(out, "\n== %s\n", heading);
	if (!messages_walk(a->str, &events, out))
		add_lines(out, INDENT, a->str);
}

static void add_value(struct buf *out, const struct attr *a)
{
	switch (attr_defs[a->key].type) {
	case ATTR_STR:
		text_line(out, a->str, 160);
		break;
	case ATTR_INT:
		buf_addf(out, "%lld", (long long)a->i);
		break;
	case ATTR_DOUBLE:
		buf_addf(out, "%g", a->d);
		break;
	case ATTR_BOOL:
		buf_adds(out, a->b ? "true" : "false");
		break;
	case ATTR_STRS:
		for (size_t i = 0; i < a->strs.n; i++) {
			buf_adds(out, i ? ", " : "");
			text_line(out, a->strs.v[i], 160);
		}
	}
}

static void add_call(struct buf *out, const struct span *s)
{
	text_line(out, s->name, 100);
	buf_addc(out, '\n');
	for (size_t i = 0; i < s->n_attrs; i++) {
		if (attr_defs[s->attrs[i].key].content)
			continue;
		buf_addf(out, "  %-40s ", attr_defs[s->attrs[i].key].name);
		add_value(out, &s->attrs[i]);
		buf_addc(out, '\n');
	}
	if (s->status_message.n) {
		buf_adds(out, "\n== error\n");
		add_lines(out, INDENT, s->status_message);
	}
	add_section(out, s, ATTR_TOOL_DEFINITIONS, "tools");
	add_section(out, s, ATTR_SYSTEM_INSTRUCTIONS, "system");
	add_section(out, s, ATTR_INPUT_MESSAGES, "messages");
	add_section(out, s, ATTR_OUTPUT_MESSAGES, "answer");
}

static int print(const struct show_options *o, const struct trace *t)
{
	struct buf out = {0};

	if (o->format == CMD_JSON)
		add_json(&out, t);
	else if (o->format == CMD_TSV)
		for (size_t i = 0; i < t->n; i++) {
			if (!t->call || t->call == &t->spans[i])
				add_tsv(&out, &t->spans[i]);
		}
	else if (t->call)
		add_call(&out, t->call);
	else
		add_tree(&out, t, o->waterfall);
	int r = cmd_output(&cmd_show, &out);
	buf_release(&out);
	return r;
}

/* The body of a request. A terminal would obey what an agent or a tool put into it. */
static int show_raw(const struct show_options *o, struct store *st)
{
	uint8_t trace[16], span[8];
	struct buf body = {0}, out = {0};
	bool same = true;
	int r = store_find(st, slice_str(o->id), trace);

	if (r == 0)
		r = store_call(st, trace, o->call, span);
	if (r == 0)
		r = sent_body(st, span, &body, &same);
	if (r == 0)
		cmd_viewed(&cmd_show, st, &trace, 1);
	if (r)
		r = cmd_failed(&cmd_show, "%s", store_error(st));
	else if (isatty(STDOUT_FILENO)) {
		add_lines(&out, 0, buf_slice(&body));
		r = cmd_output(&cmd_show, &out);
	} else {
		r = cmd_output(&cmd_show, &body);
	}
	if (!same)
		fprintf(stderr, "spantap show: note: " SENT_DIFFERS "\n");
	buf_release(&body);
	buf_release(&out);
	return r;
}

static int show(const struct show_options *o, struct store *st)
{
	struct trace t = {0};
	struct arena a = {0};
	uint8_t trace[16];
	int r = store_find(st, slice_str(o->id), trace);

	if (r == 0)
		r = store_conversation(st, trace, &a, &t.conversation);
	if (r == 0)
		r = store_spans(st, trace, &t.spans, &t.n);
	if (r)
		r = cmd_failed(&cmd_show, "%s", store_error(st));
	else if (o->call && !(t.call = call_ref_find(t.spans, t.n, o->call)))
		r = cmd_failed(&cmd_show, "the conversation has no call %llu: it has %llu",
		               (unsigned long long)o->call, (unsigned long long)t.conversation.calls);
	else {
		cmd_viewed(&cmd_show, st, &trace, 1);
		r = print(o, &t);
	}
	store_spans_free(t.spans, t.n);
	arena_release(&a);
	return r;
}

static int parse(int argc, char **argv, struct show_options *o)
{
	static const struct option longs[] = {
	    {"store", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
	    {"tsv", no_argument, NULL, 't'},         {"call", required_argument, NULL, 'c'},
	    {"waterfall", no_argument, NULL, 'w'},   {"raw", no_argument, NULL, 'r'},
	    {0},
	};
	int c;

	*o = (struct show_options){0};
	while ((c = cmd_option(&cmd_show, argc, argv, "", longs)) != -1) {
		if (c == CMD_OPTION_HELP || c == CMD_OPTION_WRONG)
			return c;
		if (c == 's')
			o->store = optarg;
		else if (c == 'j')
			o->format = CMD_JSON;
		else if (c == 't')
			o->format = CMD_TSV;
		else if (c == 'w')
			o->waterfall = true;
		else if (c == 'r')
			o->raw = true;
		else if (!slice_u64(slice_str(optarg), &o->call) || o->call == 0)
			return cmd_usage_error(&cmd_show, "'%s' is no number of a call", optarg);
	}
	if (o->raw && (!o->call || o->format != CMD_HUMAN))
		return cmd_usage_error(&cmd_show, "--raw goes with --call N, without --json and --tsv");
	if (optind == argc)
		return cmd_usage_error(&cmd_show, "which conversation? give its id");
	if (optind + 1 < argc)
		return cmd_usage_error(&cmd_show, "unexpected argument '%s'", argv[optind + 1]);
	o->id = argv[optind];
	return 0;
}

static int run(int argc, char **argv)
{
	struct show_options o;
	struct buf dir = {0};
	int r = parse(argc, argv, &o);

	if (r)
		return r == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	struct store *st = cmd_store(&cmd_show, o.store, &dir);
	r = !st ? CMD_FAILED : o.raw ? show_raw(&o, st) : show(&o, st);
	store_close(st);
	buf_release(&dir);
	return r;
}

const struct cmd cmd_show = {
    .name = "show",
    .summary = "show one conversation as a tree, or one of its calls in full",
    .usage =
        "usage: spantap show ID [--call N [--raw] | --waterfall] [--store DIR] [--json | --tsv]\n"
        "\n"
        "Shows one conversation as a tree or along time, or one of its calls in full.  ID is the beginning\n"
        "of an id that 'spantap ls' prints, or of the agent's own conversation id.\n"
        "\n"
        "  --call N     call #N of the tree in full: parameters, tools, system, messages, answer\n"
        "  --raw        the body of its request, byte by byte as it was sent; a note says when\n"
        "               something is masked in it. Escaped if stdout is a terminal\n"
        "  --waterfall  along time: where a turn went, to the model, to tools, to waiting for\n"
        "               them to begin, or to the agent itself\n"
        "  --store DIR  the store to read (default: " CMD_STORE_DEFAULT ")\n"
        "  --json       an object: the conversation as in 'ls --json', and its spans\n"
        "  --tsv        a line for each span: id, parent, kind, start (ns since the epoch),\n"
        "               duration (ns), status, complete, name\n",
    .run = run,
};
