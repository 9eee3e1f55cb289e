/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "sink/line.h"
#include "sink/summary.h"
#include "sink/tree.h"

#define SPANS_MAX 20000 /* kept for the tree; more than anyone reads on a terminal */

struct tree_sink {
	struct tree *tree;
	int fd;
	struct tree_conf conf;
	char *command;
	uint64_t not_shown, calls;
	bool has_store;
};

bool tree_locale_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *v = getenv(names[i]);

		if (v && v[0])
			return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
	}
	return false;
}

static void add_loss(struct line *l, const struct summary_def *def, uint64_t value)
{
	struct buf n = {0};
	const char *hole = strstr(def->words, "%s");

	if (def->form == SUMMARY_BYTES)
		summary_bytes(&n, value);
	else
		summary_count(&n, value);
	line_addf(l, LINE_YELLOW, "%.*s%s%s", (int)(hole - def->words), def->words, buf_str(&n), hole + 2);
	buf_release(&n);
}

static void add_no_call(struct line *l, const struct sink_summary *s)
{
	line_add(l, LINE_YELLOW, SLICE("no LLM call was seen"));
	if (s->no_tls)
		line_add(l, LINE_YELLOW,
		         SLICE("no process uses a TLS library that spantap knows: see spantap doctor"));
	else if (s->captured_bytes)
		line_addf(l, LINE_PLAIN, "%llu connection%s, no LLM call on any of them",
		          (unsigned long long)s->tls_connections, s->tls_connections == 1 ? "" : "s");
	else
		line_add(l, LINE_PLAIN, SLICE("a TLS library was found, but nothing went through it"));
}

static void add_passed_over(struct line *l, uint64_t n)
{
	if (n)
		line_addf(l, LINE_PLAIN, "%llu connection%s passed over: neither HTTP/1 nor HTTP/2",
		          (unsigned long long)n, n == 1 ? "" : "s");
}

void tree_summary(struct buf *out, const struct tree_conf *conf, const struct sink_summary *s, size_t calls)
{
	struct line l;
	struct buf b = {0};
	bool lost = false;
	size_t from = out->n;

	line_init(&l, out, conf->columns ? conf->columns : 80, conf->color);
	line_begin(&l, SLICE(""), SLICE(""), 0);
	if (!s) {
		line_add(&l, LINE_YELLOW,
		         SLICE("what was lost is not known: the capture ended without its counters"));
	} else {
		buf_adds(&b, "captured ");
		summary_bytes(&b, s->captured_bytes);
		line_add(&l, LINE_PLAIN, buf_slice(&b));
		if (calls == 0)
			add_no_call(&l, s);
		add_passed_over(&l, s->unknown_protocol);
		for (size_t i = 0; i < n_summary_defs; i++) {
			if (!summary_defs[i].words || !summary_value(s, i))
				continue;
			lost = lost || summary_defs[i].form != SUMMARY_NOTE;
			add_loss(&l, &summary_defs[i], summary_value(s, i));
		}
		if (!lost)
			line_add(&l, LINE_PLAIN, SLICE("nothing lost"));
	}
	line_end(&l);
	if (conf->ascii)
		line_to_ascii(out, from);
	buf_release(&b);
}

static int open_tree(const struct sink_conf *conf, void **ret_state, const char **ret_error)
{
	const char *file = conf->tree_file;
	int fd = STDERR_FILENO;

	*ret_state = NULL;
	if (file && !file[0])
		return 0;
	if (file)
		fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0) {
		int error = errno;
		struct buf b = {0};

		buf_addf(&b, "cannot open '%s' for the tree: %s", file, strerror(error));
		*ret_error = buf_str(&b);
		return -error;
	}
	struct tree_sink *ts = xcalloc(1, sizeof(*ts));
	ts->tree = tree_new();
	ts->fd = fd;
	ts->command = conf->command ? xstrdup(conf->command) : NULL;
	ts->has_store = conf->store_dir != NULL;
	ts->conf = (struct tree_conf){
	    .color = conf->color && !file,
	    .ascii = !file && !tree_locale_utf8(),
	    .columns = conf->columns,
	    .command = ts->command,
	};
	*ret_state = ts;
	return 0;
}

static int add_span(void *state, const struct span *s)
{
	struct tree_sink *ts = state;

	if (!ts)
		return 0;
	ts->calls += s->kind == SPAN_CHAT;
	if (tree_count(ts->tree) < SPANS_MAX)
		tree_add(ts->tree, s);
	else
		ts->not_shown++;
	return 0;
}

static int commit(void *state)
{
	(void)state;
	return 0; /* the tree is printed at the end */
}

static int write_all(int fd, struct slice s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			s = slice_from(s, (size_t)n);
	}
	return 0;
}

static int finish(void *state, const struct sink_summary *s)
{
	struct tree_sink *ts = state;
	struct buf out = {0};

	if (!ts)
		return 0;
	tree_write(ts->tree, &out, &ts->conf);
	if (ts->not_shown) {
		summary_count(&out, ts->not_shown);
		buf_addf(&out, " more spans are not shown here%s\n",
		         ts->has_store ? "; 'spantap show ID' shows them all" : "");
	}
	tree_summary(&out, &ts->conf, s, ts->calls);
	int r = write_all(ts->fd, buf_slice(&out));
	buf_release(&out);
	return r;
}

static void close_tree(void *state)
{
	struct tree_sink *ts = state;

	if (!ts)
		return;
	if (ts->fd != STDERR_FILENO)
		close(ts->fd);
	tree_free(ts->tree);
	free(ts->command);
	free(ts);
}

const struct sink_ops sink_tree = {
    .name = "tree",
    .open = open_tree,
    .span = add_span,
    .commit = commit,
    .finish = finish,
    .close = close_tree,
};
