/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_file.c - spans appended to a file, one OTLP JSON request a line, as the
 * Collector's file exporter writes them and its receivers read them.
 *
 * A line is one write(2): after a failed or short write the file is cut back to
 * its last whole line, so that readers never meet half a request.  The batch is
 * kept and written by the next commit.
 *
 * Content is all or nothing here: what a span carries cannot be reduced
 * afterwards.  Attributes with content, and the status text, are written when
 * the spans were made at a level that otlp_file_content allows, else dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "sink/otlp_json.h"
#include "sink/sink.h"

#define BATCH_SPANS_MAX 512 /* then a line is written before the next commit */
#define PENDING_MAX                                                                                          \
	(64 << 20) /* bytes that wait for a file that takes no more, then the batch is refused               \
	            */

struct otlp_file {
	int fd;
	bool content, regular;
	struct otlp_json *json;
	struct buf pending; /* whole lines that are not in the file yet */
};

static const char *error_text(const char *path, int error)
{
	struct buf b = {0};

	buf_addf(&b, "cannot open OTLP file '%s': %s", path,
	         error == ELOOP ? "it is a symbolic link" : strerror(error));
	return buf_str(&b);
}

static int open_file(const struct sink_conf *conf, void **ret_state, const char **ret_error)
{
	char host[HOST_NAME_MAX + 1] = "";
	struct stat sb;

	*ret_state = NULL;
	if (!conf->otlp_file)
		return 0;
	int fd =
	    open(conf->otlp_file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
	if (fd < 0) {
		int error = errno;

		*ret_error = error_text(conf->otlp_file, error);
		return -error;
	}
	struct otlp_file *f = xcalloc(1, sizeof(*f));
	f->fd = fd;
	f->regular = fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode);
	f->content = conf->content != CONTENT_NONE && conf->otlp_file_content >= conf->content;
	f->json = otlp_json_new(gethostname(host, sizeof(host) - 1) == 0 && host[0] ? host : NULL);
	*ret_state = f;
	return 0;
}

/* Writes what is pending, all of it or nothing. */
static int flush(struct otlp_file *f)
{
	off_t whole = f->regular ? lseek(f->fd, 0, SEEK_END) : 0;
	size_t done = 0;

	while (done < f->pending.n) {
		ssize_t n = write(f->fd, f->pending.p + done, f->pending.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	if (done == f->pending.n) {
		buf_clear(&f->pending);
		return 0;
	}
	int error = errno;
	if (f->regular && done && ftruncate(f->fd, whole))
		buf_clear(&f->pending); /* half a line stays: written again it would be there twice */
	return -error;
}

static int add_span(void *state, const struct span *s)
{
	struct otlp_file *f = state;

	if (!f)
		return 0;
	if (f->pending.n > PENDING_MAX)
		return -ENOBUFS;
	otlp_json_add(f->json, s, f->content);
	if (otlp_json_count(f->json) < BATCH_SPANS_MAX)
		return 0;
	otlp_json_write(f->json, &f->pending);
	return flush(f);
}

static int commit(void *state)
{
	struct otlp_file *f = state;

	if (!f)
		return 0;
	otlp_json_write(f->json, &f->pending);
	if (f->pending.n == 0)
		return 0;
	int r = flush(f);
	if (r == 0 && f->regular && fdatasync(f->fd))
		r = -errno;
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
	otlp_json_free(f->json);
	buf_release(&f->pending);
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
