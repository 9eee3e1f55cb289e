/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/call_ref.h"
#include "cmd/chrome.h"
#include "cmd/cmd.h"
#include "cmd/curl.h"
#include "cmd/json.h"
#include "cmd/progress.h"
#include "cmd/sent.h"
#include "sink/otlp_json.h"
#include "store/store.h"

enum format { FORMAT_OTLP, FORMAT_JSON, FORMAT_CHROME, FORMATS };

static const char *const format_names[FORMATS] = {"otlp", "json", "chrome"};

#define OTLP_SPANS_MAX 512 /* on one line, as otlp_file.c writes them */

struct export_options {
	const char *store, *id, *file;
	bool all, curl;
	uint64_t call; /* for curl; 0: not given */
	int format;    /* -1: not given */
};

struct writer {
	const struct export_options *o;
	int fd;
	uint64_t written; /* conversations */
	struct otlp_json *otlp;
	struct buf out;
	struct progress progress;
};

static int flush(struct writer *w)
{
	for (size_t done = 0; done < w->out.n;) {
		ssize_t n = write(w->fd, w->out.p + done, w->out.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return cmd_failed(&cmd_export, "cannot write: %s", strerror(n < 0 ? errno : EIO));
		done += (size_t)n;
	}
	buf_clear(&w->out);
	return 0;
}

/* What was collected, as a line; a terminal may obey characters that JSON leaves as they are. */
static void end_line(struct writer *w)
{
	size_t from = w->out.n, n = 0;

	otlp_json_write(w->otlp, &w->out);
	if (w->out.n == from || !isatty(w->fd))
		return;
	yyjson_doc *d = yyjson_read(w->out.p + from, w->out.n - from, 0);
	char *safe = yyjson_write(d, YYJSON_WRITE_ESCAPE_UNICODE, &n);
	w->out.n = from;
	buf_add(&w->out, safe ? safe : "", n);
	buf_addc(&w->out, '\n');
	free(safe);
	yyjson_doc_free(d);
}

static void add_otlp(struct writer *w, const struct span *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		otlp_json_add(w->otlp, &v[i], true, OTLP_PLAIN);
		if (otlp_json_count(w->otlp) == OTLP_SPANS_MAX)
			end_line(w);
	}
	end_line(w);
}

static void add_json(struct writer *w, const struct store_conversation *c, const struct span *v, size_t n)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(d), *spans = yyjson_mut_arr(d);

	for (size_t i = 0; i < n; i++)
		yyjson_mut_arr_append(spans, json_span(d, &v[i]));
	yyjson_mut_obj_add_val(d, root, "conversation", c ? json_conversation(d, c) : yyjson_mut_null(d));
	yyjson_mut_obj_add_val(d, root, "spans", spans);
	if (w->o->all && w->written)
		buf_adds(&w->out, ",\n");
	json_write(&w->out, d, root);
}

/* One conversation; a trace without a call has spans, but is none. */
static int add_trace(struct writer *w, struct store *st, const uint8_t trace[16])
{
	struct store_conversation conversation, *c = &conversation;
	struct arena a = {0};
	struct span *v = NULL;
	size_t n = 0;
	int r = store_conversation(st, trace, &a, c);

	if (r == -ENOENT) {
		c = NULL;
		r = 0;
	}
	if (r == 0)
		r = store_spans(st, trace, &v, &n);
	if (r) {
		r = cmd_failed(&cmd_export, "%s", store_error(st));
	} else {
		if (w->o->format == FORMAT_OTLP)
			add_otlp(w, v, n);
		else if (w->o->format == FORMAT_JSON)
			add_json(w, c, v, n);
		else
			chrome_add(&w->out, w->written + 1, c, v, n);
		w->written++;
		for (size_t i = 0; i < n; i++)
			progress_step(&w->progress);
		r = flush(w);
	}
	store_spans_free(v, n);
	arena_release(&a);
	return r;
}

static void begin(struct writer *w)
{
	if (w->o->format == FORMAT_CHROME)
		buf_adds(&w->out,
		         "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"producer\":\"spantap " SPANTAP_VERSION
		         "\"},\"traceEvents\":[\n");
	else if (w->o->format == FORMAT_JSON && w->o->all)
		buf_adds(&w->out, "[\n");
}

static void end(struct writer *w)
{
	/* An event of metadata that names nothing: each event before it ends with a comma. */
	if (w->o->format == FORMAT_CHROME)
		buf_adds(&w->out,
		         "{\"ph\":\"M\",\"name\":\"process_labels\",\"pid\":0,\"tid\":0,\"args\":{}}\n]}\n");
	else if (w->o->format == FORMAT_JSON && w->o->all)
		buf_adds(&w->out, "]\n");
}

static int write_all(struct writer *w, struct store *st)
{
	uint8_t one[16], (*traces)[16] = NULL;
	size_t n = 1;
	int r = w->o->all ? store_traces(st, &traces, &n) : store_find(st, slice_str(w->o->id), one);

	if (r)
		return cmd_failed(&cmd_export, "%s", store_error(st));
	cmd_viewed(&cmd_export, st, traces ? (const uint8_t (*)[16])traces : (const uint8_t (*)[16]) & one, n);
	begin(w);
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_trace(w, st, traces ? traces[i] : one);
	if (r == 0) {
		end(w);
		r = flush(w);
	}
	free(traces);
	return r;
}

/* What a call sent, and the command for it. */
static int add_command(struct writer *w, struct store *st, const struct span *call)
{
	const struct attr *sent = span_get(call, ATTR_CALL_REQUEST_BYTES);
	struct buf headers = {0}, body = {0};
	bool same = true;
	const char *why;
	int r = 0;

	store_value(st, call->id, ATTR_REQUEST_HEADERS, &headers); /* there may be none */
	if (!sent || sent->i)
		r = sent_body(st, call->id, &body, &same);
	if (r)
		r = cmd_failed(&cmd_export, "%s", store_error(st));
	if (!same) {
		fprintf(stderr, "spantap export: note: " SENT_DIFFERS "\n");
		buf_adds(&w->out, "# " SENT_DIFFERS "\n");
	}
	if (r == 0 && !curl_write(&w->out, call, buf_slice(&headers), buf_slice(&body), &why))
		r = cmd_failed(&cmd_export, "there is no command for this call: %s", why);
	buf_release(&headers);
	buf_release(&body);
	return r ? r : flush(w);
}

static int write_command(struct writer *w, struct store *st)
{
	const struct span *call;
	struct span *v = NULL;
	uint8_t trace[16];
	size_t n = 0;
	int r = store_find(st, slice_str(w->o->id), trace);

	if (r == 0)
		r = store_spans(st, trace, &v, &n);
	if (r)
		r = cmd_failed(&cmd_export, "%s", store_error(st));
	else if ((call = call_ref_find(v, n, w->o->call)))
		r = add_command(w, st, call);
	else
		r = cmd_failed(&cmd_export, "the conversation has no call %llu", (unsigned long long)w->o->call);
	store_spans_free(v, n);
	return r;
}

/* A file of ours alone, that was not there. */
static int open_file(const char *path, int *ret_fd)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return cmd_failed(&cmd_export, "cannot write '%s': %s", path, strerror(errno));
	*ret_fd = fd;
	return 0;
}

static int export(const struct export_options *o, struct store *st)
{
	struct writer w = {.o = o, .fd = STDOUT_FILENO, .progress.what = "spans written"};
	int r = o->file ? open_file(o->file, &w.fd) : 0;

	if (r)
		return r;
	struct resource *resource = resource_new();
	w.otlp = otlp_json_new(resource);
	r = o->curl ? write_command(&w, st) : write_all(&w, st);
	progress_end(&w.progress);
	if (o->file && close(w.fd) && r == 0)
		r = cmd_failed(&cmd_export, "cannot write '%s': %s", o->file, strerror(errno));
	if (o->file && r)
		unlink(o->file); /* half of it is of no use */
	otlp_json_free(w.otlp);
	resource_free(resource);
	buf_release(&w.out);
	return r;
}

static int set(struct export_options *o, int c)
{
	if (c == 's') {
		o->store = optarg;
	} else if (c == 'a') {
		o->all = true;
	} else if (c == 'o') {
		o->file = optarg;
	} else if (c == 'c') {
		o->curl = true;
	} else if (c == 'n') {
		if (!slice_u64(slice_str(optarg), &o->call) || o->call == 0)
			return cmd_usage_error(&cmd_export, "'%s' is no number of a call", optarg);
	} else {
		for (o->format = 0; o->format < FORMATS; o->format++)
			if (strcmp(optarg, format_names[o->format]) == 0)
				return 0;
		return cmd_usage_error(&cmd_export, "'%s' is no format: otlp, json or chrome", optarg);
	}
	return 0;
}

static int parse(int argc, char **argv, struct export_options *o)
{
	static const struct option longs[] = {
	    {"store", required_argument, NULL, 's'},
	    {"all", no_argument, NULL, 'a'},
	    {"format", required_argument, NULL, 'f'},
	    {"call", required_argument, NULL, 'n'},
	    {"curl", no_argument, NULL, 'c'},
	    {0},
	};
	int c, r = 0;

	*o = (struct export_options){.format = -1};
	while (r == 0 && (c = cmd_option(&cmd_export, argc, argv, "o:", longs)) != -1)
		r = c == CMD_OPTION_HELP || c == CMD_OPTION_WRONG ? c : set(o, c);
	if (r)
		return r;
	if (o->curl != (o->call > 0) || (o->curl && (o->all || o->format >= 0)))
		return cmd_usage_error(&cmd_export, "--call N and --curl go together, without --all and --format");
	if (o->format < 0 && !o->curl)
		return cmd_usage_error(&cmd_export, "which format? --format otlp, json or chrome");
	if (argc - optind != !o->all)
		return cmd_usage_error(&cmd_export, "give the id of one conversation, or --all");
	o->id = argv[optind];
	return 0;
}

static int run(int argc, char **argv)
{
	struct export_options o;
	struct buf dir = {0};
	int r = parse(argc, argv, &o);

	if (r)
		return r == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	struct store *st = cmd_store(&cmd_export, o.store, &dir);
	r = st ? export(&o, st) : CMD_FAILED;
	store_close(st);
	buf_release(&dir);
	return r;
}

const struct cmd cmd_export = {
    .name = "export",
    .summary = "conversations for other programs: OTLP, JSON, Perfetto, curl",
    .usage = "usage: spantap export ID | --all --format otlp|json|chrome [-o FILE] [--store DIR]\n"
             "       spantap export ID --call N --curl [-o FILE] [--store DIR]\n"
             "\n"
             "Writes one conversation, or all of the store, for other programs.  What the store holds\n"
             "is written, prompts and answers included, as it was captured.  ID is the beginning of\n"
             "an id that 'spantap ls' prints, or of the agent's own conversation id.\n"
             "\n"
             "  --format otlp    OTLP JSON lines, as --otlp-file of 'spantap run'\n"
             "  --format json    as 'show --json'; with --all an array of these\n"
             "  --format chrome  events for Perfetto (ui.perfetto.dev) and chrome://tracing: a process\n"
             "                   a conversation; turns, model calls, tools and processes as its rows\n"
             "  --call N --curl  the request of call #N as a shell command that sends it again; each\n"
             "                   credential is left out and a variable, SPANTAP_AUTHORIZATION for that\n"
             "                   field, which is to be set\n"
             "  --all            all conversations, oldest first\n"
             "  -o FILE          instead of stdout; mode 0600, and FILE may not exist yet\n"
             "  --store DIR      the store to read (default: " CMD_STORE_DEFAULT ")\n",
    .run = run,
};
