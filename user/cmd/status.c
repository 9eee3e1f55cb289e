/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <yyjson.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "sink/summary.h"
#include "store/store.h"

enum { STATUS_ALARM = 3, STATUS_NONE = 4 };

static const char usage[] =
    "usage: spantap status [--store DIR] [--json | --tsv]\n"
    "\n"
    "Says what the capture that writes to the store does: which processes it follows and\n"
    "whether their TLS is seen, what was lost and why, which hosts were ignored.\n"
    "\n"
    "  --store DIR  the store (default: " CMD_STORE_DEFAULT ")\n"
    "  --json       the object that the capture wrote, with \"writer\" (the process that writes\n"
    "               the store, or null) and \"age\" (seconds since it changed)\n"
    "  --tsv        a line each: 'process', pid, name, executable, since, libraries, site,\n"
    "               late, TLS connections on the wire, with plaintext, alarm; 'host', name,\n"
    "               requests, LLM calls, bytes written and read while ignored; 'export', URL,\n"
    "               spans exported, waiting, rejected, refused, erased before they were exported,\n"
    "               why it fails now;\n"
    "               'limit', name, number: what --sample, --max-cpu and --max-memory leave out;\n"
    "               'total', name, number\n"
    "\n"
    "Exit code: 0 a capture runs and nothing is amiss; 3 it runs, and of some process TLS\n"
    "was on the wire but no plaintext was seen, or what is captured cannot be written now;\n"
    "4 none runs (the last one's status is shown); 1 there is no status, 2 wrong options.\n";

#define EXPORTS_SHOWN 16 /* endpoints that were exported to, now or earlier */

struct status {
	yyjson_doc *doc, *exports[EXPORTS_SHOWN];
	size_t n_exports;
	yyjson_val *root, *probe, *decode, *failing;
	pid_t writer;
	uint64_t age;
};

/* --- reading it; whatever is missing or of another kind counts as 0 or "" --- */

static yyjson_val *get(yyjson_val *o, const char *key)
{
	return yyjson_obj_get(o, key);
}

static uint64_t number(yyjson_val *o, const char *key)
{
	return yyjson_get_uint(get(o, key));
}

static struct slice text(yyjson_val *v)
{
	return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : SLICE("");
}

static void add_escaped(struct buf *out, yyjson_val *v)
{
	text_escape(out, text(v));
}

/* Elements of an array of strings, or one key of an array of objects. */
static void add_list(struct buf *out, yyjson_val *array, const char *key)
{
	yyjson_val *v;
	size_t i, max;

	yyjson_arr_foreach(array, i, max, v)
	{
		if (i)
			buf_adds(out, ", ");
		add_escaped(out, key ? get(v, key) : v);
	}
}

/* --- for people --- */

static void add_library(struct buf *out, yyjson_val *l)
{
	buf_adds(out, "        ");
	add_escaped(out, get(l, "library"));
	buf_addc(out, ' ');
	add_escaped(out, get(l, "version"));
	buf_adds(out, ", ");
	add_escaped(out, get(l, "site"));
	buf_adds(out, " site");
	if (text(get(l, "why")).n) {
		buf_adds(out, " (");
		add_escaped(out, get(l, "why"));
		buf_addc(out, ')');
	}
	buf_adds(out, ", ");
	add_escaped(out, get(l, "state"));
	buf_adds(out, ": ");
	add_escaped(out, get(l, "path"));
	buf_addc(out, '\n');
}

static void add_process(struct buf *out, yyjson_val *p)
{
	yyjson_val *alarm = get(p, "alarm"), *l;
	size_t i, max;

	buf_addf(out, "  %s %-7llu ", yyjson_is_obj(alarm) ? "!" : " ", (unsigned long long)number(p, "pid"));
	add_escaped(out, get(p, "comm"));
	buf_adds(out, "  ");
	add_escaped(out, get(p, "exe"));
	buf_addf(out, "\n        %llu TLS connections seen on the wire, %llu with plaintext%s\n",
	         (unsigned long long)number(p, "wire"), (unsigned long long)number(p, "plaintext"),
	         yyjson_get_bool(get(p, "late")) ? "; joined late" : "");
	yyjson_arr_foreach(get(p, "libraries"), i, max, l) add_library(out, l);
	if (yyjson_arr_size(get(p, "unsupported"))) {
		buf_adds(out, "        unsupported: ");
		add_list(out, get(p, "unsupported"), NULL);
		buf_addc(out, '\n');
	}
	if (!yyjson_is_obj(alarm))
		return;
	buf_adds(out, "        ! TLS on the wire but no plaintext seen");
	if (yyjson_arr_size(get(alarm, "peers"))) {
		buf_adds(out, ", to ");
		add_list(out, get(alarm, "peers"), NULL);
	}
	buf_adds(out, ": ");
	add_escaped(out, get(alarm, "remedy"));
	buf_addc(out, '\n');
}

static void add_host(struct buf *out, yyjson_val *h)
{
	buf_adds(out, "    ");
	add_escaped(out, get(h, "host"));
	buf_addf(out, "  %llu requests, %llu LLM calls", (unsigned long long)number(h, "requests"),
	         (unsigned long long)number(h, "llm"));
	if (number(h, "ignored_written") || number(h, "ignored_read")) {
		buf_adds(out, ", ignored ");
		summary_bytes(out, number(h, "ignored_written"));
		buf_adds(out, " written, ");
		summary_bytes(out, number(h, "ignored_read"));
		buf_adds(out, " read");
	}
	buf_addc(out, '\n');
}

/* The totals that say that something is missing. */
static void add_losses(struct buf *out, yyjson_val *totals)
{
	static const char *const names[] = {"lost_bytes",
	                                    "unreadable_bytes",
	                                    "too_long_bytes",
	                                    "life_lost",
	                                    "watch_lost",
	                                    "conn_untracked",
	                                    "call_untracked",
	                                    "call_unreturned",
	                                    "proc_untracked",
	                                    "wire_untracked",
	                                    "plain_untracked",
	                                    "plain_early",
	                                    "not_told",
	                                    "decode_crashes",
	                                    "verdicts_refused",
	                                    "processes_unreadable",
	                                    "processes_ended_unseen"};
	bool any = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t n = number(totals, names[i]);

		if (n)
			buf_addf(out, "%s%s %llu", any ? ", " : "", names[i], (unsigned long long)n);
		any |= n != 0;
	}
	if (!any)
		buf_adds(out, "nothing lost");
}

static void add_totals(struct buf *out, yyjson_val *probe)
{
	yyjson_val *t = get(probe, "totals"), *ring = get(probe, "data_ring"), *a = get(probe, "attached");

	buf_adds(out, "captured ");
	summary_bytes(out, number(t, "captured_bytes"));
	buf_adds(out, ", ignored ");
	summary_bytes(out, number(t, "ignored_bytes"));
	buf_adds(out, ", ");
	add_losses(out, t);
	buf_addf(out,
	         "\n%llu processes followed; attached to %llu libraries (%llu files inspected, %llu "
	         "released, %llu failed)\n",
	         (unsigned long long)number(t, "processes_followed"),
	         (unsigned long long)number(a, "libraries"), (unsigned long long)number(a, "inspected"),
	         (unsigned long long)number(a, "released"), (unsigned long long)number(a, "failed"));
	if (number(get(probe, "hold"), "files"))
		buf_addf(out, "%llu programs waited until they had their probes, the longest for %.0f ms\n",
		         (unsigned long long)number(get(probe, "hold"), "files"),
		         yyjson_get_num(get(get(probe, "hold"), "longest_ms")));
	uint64_t size = number(ring, "bytes");
	buf_addf(out, "data ring %llu%% full; uses ",
	         size ? (unsigned long long)(number(ring, "used") * 100 / size) : 0);
	add_list(out, get(get(probe, "capabilities"), "used"), NULL);
	if (yyjson_arr_size(get(get(probe, "capabilities"), "missing"))) {
		buf_adds(out, "; without ");
		add_list(out, get(get(probe, "capabilities"), "missing"), NULL);
	}
	buf_addc(out, '\n');
}

/* The endpoints' own notes (daemon/exporter.h). */
static void add_export(struct buf *out, yyjson_val *e)
{
	buf_adds(out, yyjson_is_str(get(e, "error")) ? "  ! " : "    ");
	add_escaped(out, get(e, "url"));
	buf_addf(out, "  %llu spans exported, %llu wait", (unsigned long long)number(e, "exported"),
	         (unsigned long long)number(e, "waiting"));
	if (number(e, "rejected") + number(e, "refused"))
		buf_addf(out, ", %llu refused", (unsigned long long)(number(e, "rejected") + number(e, "refused")));
	if (number(e, "without_content"))
		buf_addf(out, ", %llu without content", (unsigned long long)number(e, "without_content"));
	if (number(e, "erased_before_export"))
		buf_addf(out, ", %llu erased before", (unsigned long long)number(e, "erased_before_export"));
	if (yyjson_is_str(get(e, "error"))) {
		buf_adds(out, "\n      ");
		add_escaped(out, get(e, "error"));
	}
	buf_addc(out, '\n');
}

/* What is left out to stay within limits, and what was (span/sample.h). */
static void add_limits(struct buf *out, yyjson_val *l)
{
	uint64_t pressure = number(l, "pressure");

	if (pressure)
		buf_adds(out, "! above --max-cpu or --max-memory: content is left out");
	if (pressure > 1)
		buf_addf(out, ", of conversations %.3g%% are kept", yyjson_get_real(get(l, "share")) * 100);
	if (pressure)
		buf_addc(out, '\n');
	if (!number(l, "conversations_left_out") && !number(l, "spans_without_content"))
		return;
	buf_adds(out, "left out ");
	summary_count(out, number(l, "conversations_left_out"));
	buf_adds(out, " conversations with ");
	summary_count(out, number(l, "calls_left_out"));
	buf_adds(out, " calls, and the content of ");
	summary_count(out, number(l, "spans_without_content"));
	buf_adds(out, " spans\n");
}

static void add_failing(struct buf *out, const struct status *s)
{
	yyjson_val *k, *v;
	size_t i, max;

	yyjson_obj_foreach(s->failing, i, max, k, v)
	{
		buf_adds(out, "! ");
		add_escaped(out, k);
		uint64_t since = number(v, "since"), now = (uint64_t)time(NULL);
		buf_addf(out, " has not been written for %llu s, spans are kept and tried again: ",
		         (unsigned long long)(now > since ? now - since : 0));
		add_escaped(out, get(v, "error"));
		buf_addc(out, '\n');
	}
}

/* What was recognised, or was not, and therefore not read. */
static void add_passed_over(struct buf *out, yyjson_val *totals)
{
	static const struct {
		const char *key, *words;
	} what[] = {{"unknown_protocol", "connections of an unknown protocol"},
		    {"grpc", "gRPC calls"},
		    {"batches", "batches"}};
	bool any = false;

	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		uint64_t n = number(totals, what[i].key);

		if (n)
			buf_addf(out, "%s%llu %s", any ? ", " : "passed over: ", (unsigned long long)n, what[i].words);
		any |= n != 0;
	}
	if (any)
		buf_addc(out, '\n');
}

static void add_human(struct buf *out, const struct status *s)
{
	yyjson_val *v;
	size_t i, max;

	buf_adds(out, s->writer ? "recording " : "no capture runs; the last one recorded ");
	add_escaped(out, get(s->probe, "selection"));
	if (s->writer)
		buf_addf(out, ", written by process %d", (int)s->writer);
	buf_addf(out, " (last change %llu s ago)\n", (unsigned long long)s->age);
	if (s->writer)
		add_failing(out, s);
	add_totals(out, s->probe);
	add_limits(out, get(s->decode, "limits"));
	yyjson_arr_foreach(get(s->probe, "processes"), i, max, v) add_process(out, v);
	if (number(s->probe, "omitted"))
		buf_addf(out, "    and %llu more\n", (unsigned long long)number(s->probe, "omitted"));
	add_passed_over(out, get(s->decode, "totals"));
	if (yyjson_arr_size(get(s->decode, "hosts")))
		buf_adds(out, "hosts\n");
	yyjson_arr_foreach(get(s->decode, "hosts"), i, max, v) add_host(out, v);
	if (s->n_exports)
		buf_adds(out, "exports\n");
	for (size_t e = 0; e < s->n_exports; e++)
		add_export(out, yyjson_doc_get_root(s->exports[e]));
}

/* --- for programs --- */

static void add_tsv_process(struct buf *out, yyjson_val *p)
{
	yyjson_val *alarm = get(p, "alarm");

	buf_addf(out, "process\t%llu\t", (unsigned long long)number(p, "pid"));
	add_escaped(out, get(p, "comm"));
	buf_addc(out, '\t');
	add_escaped(out, get(p, "exe"));
	buf_addf(out, "\t%llu\t", (unsigned long long)number(p, "since"));
	add_list(out, get(p, "libraries"), "path");
	buf_addc(out, '\t');
	add_list(out, get(p, "libraries"), "site");
	buf_addf(out, "\t%s\t%llu\t%llu\t", yyjson_get_bool(get(p, "late")) ? "late" : "",
	         (unsigned long long)number(p, "wire"), (unsigned long long)number(p, "plaintext"));
	if (yyjson_is_obj(alarm))
		add_escaped(out, get(alarm, "remedy"));
	buf_addc(out, '\n');
}

static void add_tsv_export(struct buf *out, yyjson_val *e)
{
	buf_adds(out, "export\t");
	add_escaped(out, get(e, "url"));
	buf_addf(out, "\t%llu\t%llu\t%llu\t%llu\t%llu\t", (unsigned long long)number(e, "exported"),
	         (unsigned long long)number(e, "waiting"), (unsigned long long)number(e, "rejected"),
	         (unsigned long long)number(e, "refused"), (unsigned long long)number(e, "erased_before_export"));
	add_escaped(out, get(e, "error"));
	buf_addc(out, '\n');
}

static void add_tsv_totals(struct buf *out, yyjson_val *totals)
{
	yyjson_val *v, *k;
	size_t i, max;

	yyjson_obj_foreach(totals, i, max, k, v)
	{
		buf_adds(out, "total\t");
		add_escaped(out, k);
		buf_addf(out, "\t%llu\n", (unsigned long long)yyjson_get_uint(v));
	}
}

static void add_tsv(struct buf *out, const struct status *s)
{
	yyjson_val *v, *k;
	size_t i, max;

	yyjson_arr_foreach(get(s->probe, "processes"), i, max, v) add_tsv_process(out, v);
	yyjson_arr_foreach(get(s->decode, "hosts"), i, max, v)
	{
		buf_adds(out, "host\t");
		add_escaped(out, get(v, "host"));
		buf_addf(out, "\t%llu\t%llu\t%llu\t%llu\n", (unsigned long long)number(v, "requests"),
		         (unsigned long long)number(v, "llm"),
		         (unsigned long long)number(v, "ignored_written"),
		         (unsigned long long)number(v, "ignored_read"));
	}
	for (size_t e = 0; e < s->n_exports; e++)
		add_tsv_export(out, yyjson_doc_get_root(s->exports[e]));
	yyjson_obj_foreach(get(s->decode, "limits"), i, max, k, v)
	{
		buf_adds(out, "limit\t");
		add_escaped(out, k);
		buf_addf(out, "\t%g\n", yyjson_get_num(v));
	}
	add_tsv_totals(out, get(s->probe, "totals"));
	add_tsv_totals(out, get(s->decode, "totals"));
}

static void add_json(struct buf *out, const struct status *s)
{
	yyjson_mut_doc *d = yyjson_doc_mut_copy(s->doc, NULL);
	yyjson_mut_val *root = yyjson_mut_doc_get_root(d);

	if (s->writer)
		yyjson_mut_obj_add_int(d, root, "writer", s->writer);
	else
		yyjson_mut_obj_add_null(d, root, "writer");
	yyjson_mut_obj_add_uint(d, root, "age", s->age);
	yyjson_mut_val *exports = yyjson_mut_obj_add_arr(d, root, "exports");
	for (size_t i = 0; i < s->n_exports; i++)
		yyjson_mut_arr_append(exports, yyjson_val_mut_copy(d, yyjson_doc_get_root(s->exports[i])));
	json_write(out, d, root);
}

/* --- the command --- */

struct status_options {
	const char *store;
	enum cmd_format format;
};

static int parse(int argc, char **argv, struct status_options *o)
{
	static const struct option longs[] = {{"store", required_argument, NULL, 's'},
	                                      {"json", no_argument, NULL, 'j'},
	                                      {"tsv", no_argument, NULL, 't'},
	                                      {0}};
	int c;

	while ((c = cmd_option(&cmd_status, argc, argv, "", longs)) != -1) {
		if (c == CMD_OPTION_HELP || c == CMD_OPTION_WRONG)
			return c;
		if (c == 's')
			o->store = optarg;
		else
			o->format = c == 'j' ? CMD_JSON : CMD_TSV;
	}
	if (optind < argc)
		return cmd_usage_error(&cmd_status, "unexpected argument '%s'", argv[optind]);
	return 0;
}

static void read_exports(const char *dir, struct status *ret)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	struct buf path = {0};

	while (d && (entry = readdir(d)) && ret->n_exports < EXPORTS_SHOWN) {
		struct slice name = slice_str(entry->d_name);

		if (!slice_starts(name, SLICE("otlp-")) || !slice_ends(name, SLICE(".json")))
			continue;
		buf_clear(&path);
		buf_addf(&path, "%s/%s", dir, entry->d_name);
		yyjson_doc *doc = yyjson_read_file(buf_str(&path), 0, NULL, NULL);
		if (doc)
			ret->exports[ret->n_exports++] = doc;
	}
	if (d)
		closedir(d);
	buf_release(&path);
}

static int read_status(const char *dir, struct status *ret)
{
	struct buf file = {0}, error = {0};
	int code = 0;

	if (store_status(dir, &file, &ret->writer, &error)) {
		code = cmd_failed(&cmd_status, "%s", buf_str(&error));
	} else {
		ret->doc = yyjson_read(file.p, file.n, 0);
		ret->root = yyjson_doc_get_root(ret->doc);
		if (!yyjson_is_obj(ret->root))
			code = cmd_failed(&cmd_status, "'%s/" STORE_STATUS "' is not a status", dir);
	}
	uint64_t written = number(ret->root, "written"), now = (uint64_t)time(NULL);
	ret->age = now > written ? now - written : 0;
	ret->probe = get(ret->root, "probe");
	ret->decode = get(ret->root, "decode");
	read_exports(dir, ret);
	ret->failing = get(ret->root, "failing");
	buf_release(&file);
	buf_release(&error);
	return code;
}

static int print(const struct status_options *o, const struct status *s)
{
	struct buf out = {0};

	if (o->format == CMD_JSON)
		add_json(&out, s);
	else if (o->format == CMD_TSV)
		add_tsv(&out, s);
	else
		add_human(&out, s);
	int code = cmd_output(&cmd_status, &out);
	buf_release(&out);
	if (code)
		return code;
	if (!s->writer)
		return STATUS_NONE;
	return number(s->probe, "alarms") || yyjson_obj_size(s->failing) ? STATUS_ALARM : CMD_OK;
}

static int run(int argc, char **argv)
{
	struct status_options o = {0};
	struct status s = {0};
	struct buf dir = {0};
	int code = parse(argc, argv, &o);

	if (code)
		return code == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	code = cmd_store_dir(&cmd_status, o.store, &dir);
	if (!code)
		code = read_status(buf_str(&dir), &s);
	if (!code)
		code = print(&o, &s);
	for (size_t i = 0; i < s.n_exports; i++)
		yyjson_doc_free(s.exports[i]);
	yyjson_doc_free(s.doc);
	buf_release(&dir);
	return code;
}

const struct cmd cmd_status = {"status", "what is recorded now, what is not seen, what was lost", usage, run};
