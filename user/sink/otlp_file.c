/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_file.c - spans appended to a file, one OTLP JSON request a line, as the
 * Collector's file exporter writes them and its receivers read them.
 *
 * What was added since the last commit is in the file as a whole or not at all:
 * when a write or the commit fails, the file is cut back to the last commit, and
 * the caller hands the spans over again.  The file is locked, so that nobody
 * else's lines are cut.  What went into a pipe or device cannot be taken back.
 *
 * Where otlp_file_content is below the level of the spans, a copy is lowered.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "sink/otlp_json.h"
#include "sink/sink.h"
#include "span/lower.h"

#define BATCH_SPANS_MAX 512 /* on one line; a commit ends the line, too */

struct otlp_file {
	int fd;
	bool regular;
	enum content_level made; /* of the spans */
	struct content content;  /* of the file */
	struct buf copy;
	off_t committed; /* size of the file at the last commit */
	int batch_error; /* -errno of a write since then: the batch is gone */
	struct resource *resource;
	struct otlp_json *json;
	struct buf line;
};

static int refuse(const char *path, int error, const char **ret_error)
{
	struct buf b = {0};
	const char *why = strerror(error);

	if (error == ELOOP)
		why = "it is a symbolic link";
	else if (error == EWOULDBLOCK)
		why = "another process writes to it";
	buf_addf(&b, "cannot open OTLP file '%s': %s", path, why);
	*ret_error = buf_str(&b);
	return -error;
}

static int open_file(const struct sink_conf *conf, void **ret_state, const char **ret_error)
{
	int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC;
	struct stat sb;

	*ret_state = NULL;
	if (!conf->otlp_file)
		return 0;
	int fd = open(conf->otlp_file, flags, 0600);
	if (fd < 0)
		return refuse(conf->otlp_file, errno, ret_error);
	bool regular = fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode);
	if (regular && flock(fd, LOCK_EX | LOCK_NB)) {
		int error = errno;

		close(fd);
		return refuse(conf->otlp_file, error, ret_error);
	}
	struct otlp_file *f = xcalloc(1, sizeof(*f));
	f->fd = fd;
	f->regular = regular;
	f->committed = regular ? lseek(fd, 0, SEEK_END) : 0;
	f->made = conf->content;
	content_init(&f->content, conf->otlp_file_content, 0);
	f->resource = resource_new();
	f->json = otlp_json_new(f->resource);
	*ret_state = f;
	return 0;
}

/* Takes back what was written since the last commit. */
static void drop(struct otlp_file *f, int error)
{
	f->batch_error = error;
	if (f->regular && ftruncate(f->fd, f->committed))
		f->regular = false; /* from here on it cannot be undone, as in a pipe */
}

/* Ends the line and writes it. */
static int flush(struct otlp_file *f)
{
	size_t done = 0;

	buf_clear(&f->line);
	otlp_json_write(f->json, &f->line);
	while (done < f->line.n && !f->batch_error) {
		ssize_t n = write(f->fd, f->line.p + done, f->line.n - done);

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			drop(f, n == 0 ? -EIO : -errno);
	}
	return f->batch_error;
}

static int add_span(void *state, const struct span *s)
{
	struct otlp_file *f = state;

	if (!f || f->batch_error)
		return f ? f->batch_error : 0;
	if (f->content.level < f->made) {
		struct span lowered;

		buf_clear(&f->copy);
		span_encode(&f->copy, s);
		int err = span_decode(buf_slice(&f->copy), &lowered);
		if (err)
			return err;
		span_lower(&lowered, &f->content, f->made);
		otlp_json_add(f->json, &lowered, f->content.level != CONTENT_NONE, OTLP_PLAIN);
		span_release(&lowered);
	} else {
		otlp_json_add(f->json, s, f->made != CONTENT_NONE, OTLP_PLAIN);
	}
	return otlp_json_count(f->json) < BATCH_SPANS_MAX ? 0 : flush(f);
}

static int commit(void *state)
{
	struct otlp_file *f = state;

	if (!f)
		return 0;
	if (flush(f) == 0 && f->regular) {
		off_t end = lseek(f->fd, 0, SEEK_END);

		if (end != f->committed && fdatasync(f->fd))
			drop(f, -errno);
		else
			f->committed = end;
	}
	int r = f->batch_error;
	f->batch_error = 0;
	return r;
}

static int finish(void *state, const struct sink_summary *s)
{
	(void)s;
	return commit(state);
}

static void close_file(void *state)
{
	struct otlp_file *f = state;

	if (!f)
		return;
	buf_release(&f->copy);
	content_release(&f->content);
	otlp_json_free(f->json);
	resource_free(f->resource);
	buf_release(&f->line);
	close(f->fd);
	free(f);
}

const struct sink_ops sink_otlp_file = {
    .name = "otlp-file",
    .open = open_file,
    .span = add_span,
    .commit = commit,
    .finish = finish,
    .close = close_file,
};
