/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/hash.h"
#include "base/text.h"
#include "cmd/call_ref.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/prompt.h"
#include "sink/line.h"
#include "sink/tree.h"
#include "store/json_text.h"

#define CONTEXT 24 /* columns shown before the first difference of two texts */
#define LABEL   12 /* columns */

struct diff_options {
	const char *store;
	enum cmd_format format;
	struct call_ref a, b;
	bool one; /* against the call before it */
};

/* One of the two calls. */
struct side {
	struct span *spans;
	size_t n;
	uint8_t trace[16];
	uint64_t number;
	const struct span *call;
	struct prompt prompt;
};

struct difference {
	struct side a, b;
	struct arena arena;
	struct prompt_edit *edits[PROMPT_SECTIONS];
	size_t n_edits[PROMPT_SECTIONS];
	struct prompt_prefix prefix;
};

/* Everything that the client chose besides the prompt. */
static const enum attr_key parameters[] = {
    ATTR_PROVIDER_NAME,
    ATTR_SERVER_ADDRESS,
    ATTR_CALL_API,
    ATTR_REQUEST_MODEL,
    ATTR_REQUEST_STREAM,
    ATTR_REQUEST_MAX_TOKENS,
    ATTR_REQUEST_CHOICE_COUNT,
    ATTR_REQUEST_SEED,
    ATTR_REQUEST_TEMPERATURE,
    ATTR_REQUEST_TOP_P,
    ATTR_REQUEST_TOP_K,
    ATTR_REQUEST_FREQUENCY_PENALTY,
    ATTR_REQUEST_PRESENCE_PENALTY,
    ATTR_REQUEST_STOP_SEQUENCES,
    ATTR_REQUEST_REASONING,
    ATTR_REQUEST_PREVIOUS_RESPONSE,
    ATTR_OUTPUT_TYPE,
    ATTR_OPENAI_REQUEST_SERVICE_TIER,
    ATTR_USER_AGENT,
};
#define N_PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

static void add_value(struct buf *out, const struct span *s, enum attr_key key)
{
	const struct attr *a = span_get(s, key);

	if (a)
		span_print_value(out, a);
	else
		buf_addc(out, '-');
}

/* Whether a parameter differs, and its two values as text. */
static bool parameter_differs(const struct difference *d, enum attr_key key, struct buf *a, struct buf *b)
{
	buf_clear(a);
	buf_clear(b);
	add_value(a, d->a.call, key);
	add_value(b, d->b.call, key);
	return !slice_eq(buf_slice(a), buf_slice(b));
}

static int64_t tokens(const struct span *s, enum attr_key key)
{
	const struct attr *a = span_get(s, key);

	return a ? a->i : LLM_NONE;
}

/* For people */

static void add_known(struct buf *out, int64_t n)
{
	if (n < 0)
		buf_addc(out, '?');
	else
		buf_addf(out, "%lld", (long long)n);
}

static void add_side(struct buf *out, char name, const struct side *s)
{
	buf_addf(out, "%c  ", name);
	text_hex(out, s->trace, 4);
	buf_addf(out, "#%llu  ", (unsigned long long)s->number);
	text_line(out, s->call->name, 40);
	buf_adds(out, "  ");
	add_known(out, tokens(s->call, ATTR_USAGE_INPUT_TOKENS));
	buf_adds(out, " input tokens, ");
	add_known(out, tokens(s->call, ATTR_USAGE_CACHE_READ));
	buf_adds(out, " of them from the cache\n");
}

static void add_label(struct buf *out, const char *label)
{
	buf_addf(out, "%-*s ", LABEL, label);
}

static void add_parameters(struct buf *out, const struct difference *d)
{
	struct buf a = {0}, b = {0};

	for (size_t i = 0; i < N_PARAMETERS; i++) {
		if (!parameter_differs(d, parameters[i], &a, &b))
			continue;
		buf_addf(out, "%s: ", attr_defs[parameters[i]].name);
		text_line(out, buf_slice(&a), 100);
		buf_adds(out, " -> ");
		text_line(out, buf_slice(&b), 100);
		buf_addc(out, '\n');
	}
	buf_release(&a);
	buf_release(&b);
}

static void add_counts(struct buf *out, const struct difference *d, enum prompt_section s)
{
	size_t n[4] = {0};
	bool first = true;

	add_label(out, prompt_section_names[s]);
	if (!d->a.prompt.known[s] && !d->b.prompt.known[s])
		buf_adds(out, "none, or their text was not kept");
	for (size_t i = 0; i < d->n_edits[s]; i++)
		n[d->edits[s][i].change] += d->edits[s][i].n;
	for (int c = PROMPT_SAME; c <= PROMPT_REMOVED; c++) {
		if (!n[c])
			continue;
		buf_addf(out, "%s%zu %s", first ? "" : ", ", n[c], prompt_change_names[c]);
		first = false;
	}
	buf_addc(out, '\n');
}

/* The line of `text` around byte `at`. */
static void add_place(struct buf *out, char mark, struct slice text, size_t at)
{
	size_t columns = (size_t)cmd_columns(), from = at > CONTEXT ? at - CONTEXT : 0;

	while (from > 0 && (text.p[from] & 0xc0) == 0x80)
		from--;
	buf_addf(out, "    %c %s", mark, from ? "…" : "");
	text_line(out, slice_from(text, from), columns < 60 ? 50 : columns - 8);
	buf_addc(out, '\n');
}

static void add_item(struct buf *out, char mark, size_t number, const struct prompt_item *item)
{
	size_t columns = (size_t)cmd_columns();
	struct buf head = {0};

	buf_addf(&head, "%c %zu ", mark, number + 1);
	if (item->role.n)
		buf_addf(&head, "%.*s ", (int)item->role.n, item->role.p);
	buf_addf(&head, "%.*s", (int)item->what.n, item->what.p);
	buf_adds(out, "  ");
	text_line(out, buf_slice(&head), 40);
	if (mark != '~') {
		buf_adds(out, ": ");
		text_line(out, item->text, columns < 90 ? 40 : columns - 50);
	}
	buf_release(&head);
}

static void add_edit(struct buf *out, const struct difference *d, enum prompt_section s,
                     const struct prompt_edit *e)
{
	const struct prompt_item *a = d->a.prompt.items[s], *b = d->b.prompt.items[s];

	if (e->change == PROMPT_CHANGED) {
		size_t at = prompt_common(a[e->a].text, b[e->b].text);

		add_item(out, '~', e->b, &b[e->b]);
		buf_addf(out, " differs from byte %zu of %zu on\n", at, b[e->b].text.n);
		add_place(out, '-', a[e->a].text, at);
		add_place(out, '+', b[e->b].text, at);
		return;
	}
	for (size_t i = 0; i < e->n && e->change != PROMPT_SAME; i++) {
		if (e->change == PROMPT_ADDED)
			add_item(out, '+', e->b + i, &b[e->b + i]);
		else
			add_item(out, '-', e->a + i, &a[e->a + i]);
		buf_addc(out, '\n');
	}
}

static bool same_model(const struct difference *d)
{
	struct buf a = {0}, b = {0};
	bool same = !parameter_differs(d, ATTR_REQUEST_MODEL, &a, &b) &&
	            !parameter_differs(d, ATTR_SERVER_ADDRESS, &a, &b);

	buf_release(&a);
	buf_release(&b);
	return same;
}

static bool all_known(const struct prompt *p)
{
	return p->known[PROMPT_MESSAGES];
}

/* Why a cache that held A could not, or not wholly, serve B. */
static void add_cache(struct buf *out, const struct difference *d)
{
	const struct prompt_prefix *p = &d->prefix;
	int64_t input = tokens(d->b.call, ATTR_USAGE_INPUT_TOKENS),
	        read = tokens(d->b.call, ATTR_USAGE_CACHE_READ);

	add_label(out, "cache");
	if (!all_known(&d->a.prompt) || !all_known(&d->b.prompt))
		buf_adds(out, "not known: the text of the prompts was not kept");
	else if (!same_model(d))
		buf_adds(out, "broken by another model or host");
	else if (!p->broken)
		buf_adds(out, "whole: B has what A has, and what is new stands behind it");
	else
		buf_addf(out, "broken in %s, item %zu, byte %zu", prompt_section_names[p->section],
		         p->item + 1, p->at);
	if (all_known(&d->b.prompt) && p->total)
		buf_addf(out, "; %zu of %zu bytes (%.0f %%) of B are the beginning of A", p->common, p->total,
		         100.0 * (double)p->common / (double)p->total);
	buf_addc(out, '\n');
	if (input >= 0 && read >= 0) {
		add_label(out, "");
		buf_addf(out, "B read %lld of %lld input tokens from the cache\n", (long long)read,
		         (long long)input);
	}
}

static void add_report(struct buf *out, const struct difference *d)
{
	add_side(out, 'A', &d->a);
	add_side(out, 'B', &d->b);
	buf_addc(out, '\n');
	add_parameters(out, d);
	for (int s = 0; s < PROMPT_SECTIONS; s++) {
		add_counts(out, d, (enum prompt_section)s);
		for (size_t i = 0; i < d->n_edits[s]; i++)
			add_edit(out, d, (enum prompt_section)s, &d->edits[s][i]);
	}
	add_cache(out, d);
	if (!tree_locale_utf8())
		line_to_ascii(out, 0);
}

/* For cut(1) */

static void add_tsv(struct buf *out, const struct difference *d)
{
	struct buf a = {0}, b = {0};

	for (size_t i = 0; i < N_PARAMETERS; i++)
		if (parameter_differs(d, parameters[i], &a, &b))
			buf_addf(out, "parameter\tchanged\t%s\t%s\t%s\n", attr_defs[parameters[i]].name,
			         buf_str(&a), buf_str(&b));
	for (int s = 0; s < PROMPT_SECTIONS; s++)
		for (size_t i = 0; i < d->n_edits[s]; i++) {
			const struct prompt_edit *e = &d->edits[s][i];

			buf_addf(out, "%s\t%s\t%zu\t%zu\t%zu\n", prompt_section_names[s],
			         prompt_change_names[e->change], e->a + 1, e->b + 1, e->n);
		}
	if (all_known(&d->a.prompt) && all_known(&d->b.prompt))
		buf_addf(out, "cache\t%s\t%zu\t%zu\t%s\n",
		         !same_model(d)     ? "other_model"
		         : d->prefix.broken ? "broken"
		                            : "whole",
		         d->prefix.common, d->prefix.total,
		         d->prefix.broken ? prompt_section_names[d->prefix.section] : "");
	buf_release(&a);
	buf_release(&b);
}

/* For programs */

static yyjson_mut_val *json_item(yyjson_mut_doc *doc, const struct prompt_item *item)
{
	yyjson_mut_val *o = yyjson_mut_obj(doc);

	yyjson_mut_obj_add_val(doc, o, "role",
	                       item->role.n ? json_text(doc, item->role) : yyjson_mut_null(doc));
	yyjson_mut_obj_add_val(doc, o, "what", json_text(doc, item->what));
	yyjson_mut_obj_add_val(doc, o, "text", json_text(doc, item->text));
	return o;
}

static yyjson_mut_val *json_edit(yyjson_mut_doc *doc, const struct difference *d, int s,
                                 const struct prompt_edit *e)
{
	yyjson_mut_val *o = yyjson_mut_obj(doc);

	yyjson_mut_obj_add_str(doc, o, "change", prompt_change_names[e->change]);
	yyjson_mut_obj_add_uint(doc, o, "a", e->a + 1);
	yyjson_mut_obj_add_uint(doc, o, "b", e->b + 1);
	yyjson_mut_obj_add_uint(doc, o, "n", e->n);
	if (e->change == PROMPT_CHANGED || e->change == PROMPT_REMOVED) {
		yyjson_mut_val *v = yyjson_mut_obj_add_arr(doc, o, "from");
		for (size_t i = 0; i < e->n; i++)
			yyjson_mut_arr_append(v, json_item(doc, &d->a.prompt.items[s][e->a + i]));
	}
	if (e->change == PROMPT_CHANGED || e->change == PROMPT_ADDED) {
		yyjson_mut_val *v = yyjson_mut_obj_add_arr(doc, o, "to");
		for (size_t i = 0; i < e->n; i++)
			yyjson_mut_arr_append(v, json_item(doc, &d->b.prompt.items[s][e->b + i]));
	}
	return o;
}

static yyjson_mut_val *json_cache(yyjson_mut_doc *doc, const struct difference *d)
{
	yyjson_mut_val *o = yyjson_mut_obj(doc);

	if (!all_known(&d->a.prompt) || !all_known(&d->b.prompt))
		return yyjson_mut_null(doc);
	yyjson_mut_obj_add_bool(doc, o, "same_model", same_model(d));
	yyjson_mut_obj_add_bool(doc, o, "broken", d->prefix.broken);
	yyjson_mut_obj_add_uint(doc, o, "common_bytes", d->prefix.common);
	yyjson_mut_obj_add_uint(doc, o, "total_bytes", d->prefix.total);
	if (d->prefix.broken) {
		yyjson_mut_obj_add_str(doc, o, "section", prompt_section_names[d->prefix.section]);
		yyjson_mut_obj_add_uint(doc, o, "item", d->prefix.item + 1);
		yyjson_mut_obj_add_uint(doc, o, "byte", d->prefix.at);
	}
	return o;
}

static void add_json(struct buf *out, const struct difference *d)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc), *v = yyjson_mut_arr(doc);
	struct buf a = {0}, b = {0};

	yyjson_mut_obj_add_val(doc, root, "a", json_span(doc, d->a.call));
	yyjson_mut_obj_add_val(doc, root, "b", json_span(doc, d->b.call));
	for (size_t i = 0; i < N_PARAMETERS; i++)
		if (parameter_differs(d, parameters[i], &a, &b))
			yyjson_mut_arr_add_str(doc, v, attr_defs[parameters[i]].name);
	yyjson_mut_obj_add_val(doc, root, "parameters", v);
	for (int s = 0; s < PROMPT_SECTIONS; s++) {
		v = yyjson_mut_obj_add_arr(doc, root, prompt_section_names[s]);
		for (size_t i = 0; i < d->n_edits[s]; i++)
			yyjson_mut_arr_append(v, json_edit(doc, d, s, &d->edits[s][i]));
	}
	yyjson_mut_obj_add_val(doc, root, "cache", json_cache(doc, d));
	json_write(out, doc, root);
	buf_release(&a);
	buf_release(&b);
}

/* Reading */

static int load(struct store *st, const struct call_ref *ref, struct side *s)
{
	if (store_find(st, ref->id, s->trace) || store_spans(st, s->trace, &s->spans, &s->n))
		return cmd_failed(&cmd_diff, "%s", store_error(st));
	s->number = ref->number;
	s->call = call_ref_find(s->spans, s->n, ref->number);
	if (!s->call)
		return cmd_failed(&cmd_diff, "conversation %.*s has no call %llu; see 'spantap show'",
		                  (int)ref->id.n, ref->id.p, (unsigned long long)ref->number);
	cmd_viewed(&cmd_diff, st, (const uint8_t (*)[16]) & s->trace, 1);
	return CMD_OK;
}

static int print(const struct diff_options *o, struct difference *d)
{
	struct buf out = {0};

	prompt_read(&d->a.prompt, d->a.call, &d->arena);
	prompt_read(&d->b.prompt, d->b.call, &d->arena);
	for (int s = 0; s < PROMPT_SECTIONS; s++)
		d->n_edits[s] = prompt_compare(&d->a.prompt, &d->b.prompt, (enum prompt_section)s, &d->arena,
		                               &d->edits[s]);
	d->prefix = prompt_prefix(&d->a.prompt, &d->b.prompt);
	if (o->format == CMD_JSON)
		add_json(&out, d);
	else if (o->format == CMD_TSV)
		add_tsv(&out, d);
	else
		add_report(&out, d);
	int code = cmd_output(&cmd_diff, &out);
	buf_release(&out);
	return code;
}

static int parse(int argc, char **argv, struct diff_options *o)
{
	static const struct option longs[] = {
	    {"store", required_argument, NULL, 's'},
	    {"json", no_argument, NULL, 'j'},
	    {"tsv", no_argument, NULL, 't'},
	    {0},
	};
	int c;

	*o = (struct diff_options){0};
	while ((c = cmd_option(&cmd_diff, argc, argv, "", longs)) != -1) {
		if (c == CMD_OPTION_HELP || c == CMD_OPTION_WRONG)
			return c;
		if (c == 's')
			o->store = optarg;
		else
			o->format = c == 'j' ? CMD_JSON : CMD_TSV;
	}
	if (argc - optind < 1 || argc - optind > 2)
		return cmd_usage_error(&cmd_diff, "give one call or two, as ID#N");
	for (int i = optind; i < argc; i++) {
		struct call_ref *ref = i == optind ? &o->a : &o->b;

		if (!call_ref_parse(argv[i], ref) || ref->number == 0)
			return cmd_usage_error(&cmd_diff, "'%s' names no call: give ID#N", argv[i]);
	}
	o->one = argc - optind == 1;
	if (o->one && o->a.number < 2)
		return cmd_usage_error(&cmd_diff, "'%s' has no call before it: give two calls", argv[optind]);
	if (o->one) {
		o->b = o->a;
		o->a.number--;
	}
	return 0;
}

static int run(int argc, char **argv)
{
	struct diff_options o;
	struct difference d = {0};
	struct buf dir = {0};
	int r = parse(argc, argv, &o);

	if (r)
		return r == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	hash_init();
	struct store *st = cmd_store(&cmd_diff, o.store, &dir);
	r = st ? load(st, &o.a, &d.a) : CMD_FAILED;
	if (r == CMD_OK)
		r = load(st, &o.b, &d.b);
	if (r == CMD_OK)
		r = print(&o, &d);
	store_spans_free(d.a.spans, d.a.n);
	store_spans_free(d.b.spans, d.b.n);
	arena_release(&d.arena);
	store_close(st);
	buf_release(&dir);
	return r;
}

const struct cmd cmd_diff = {
    .name = "diff",
    .summary = "what changed between the prompts of two calls, and where the cache broke",
    .usage = "usage: spantap diff [A] B [--store DIR] [--json | --tsv]\n"
             "\n"
             "What changed between the prompts of two calls, and where and why the provider's prompt\n"
             "cache broke.  A call is named ID#N: call N of the tree that 'spantap show ID' prints.\n"
             "One call alone is compared with the call before it.\n"
             "\n"
             "Parameters, tools, system instructions and messages are compared item by item: + is new\n"
             "in B, - is gone, ~ is not the same.  Caches serve the longest beginning that two prompts\n"
             "share, in the order tools, system, messages: the first difference in it is shown, with\n"
             "what B reports to have read from the cache.\n"
             "\n"
             "  --store DIR  the store to read (default: " CMD_STORE_DEFAULT ")\n"
             "  --json       an object: a and b (spans), parameters (names of those that differ),\n"
             "               tools, system, messages (edits: change, a, b, n, from, to), cache\n"
             "  --tsv        a line for each parameter that differs (parameter, changed, name, A, B),\n"
             "               each edit (tools, system or messages; same, changed, added or removed;\n"
             "               first item in A, in B, number of items), and one for the cache (whole,\n"
             "               broken or other_model; bytes that both begin with; bytes of B; section)\n",
    .run = run,
};
