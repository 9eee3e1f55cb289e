/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"

struct parser {
	const struct conf_events *ev;
	void *ctx;
	unsigned line, errors;
	struct buf value; /* unquoted */
};

static bool wrong(struct parser *p, const char *what)
{
	if (p->errors++ < CONF_ERRORS_MAX)
		p->ev->error(p->ctx, p->line, what);
	else if (p->errors == CONF_ERRORS_MAX + 1)
		p->ev->error(p->ctx, p->line,
		             "too many errors: is this a configuration file? The rest is not told");
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct slice skip_blanks(struct slice s)
{
	while (s.n && is_blank(s.p[0]))
		s = slice_from(s, 1);
	return s;
}

static bool is_key(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.';
}

/* Behind a quoted value. */
static bool is_over(struct parser *p, struct slice rest)
{
	rest = skip_blanks(rest);
	if (rest.n == 0 || rest.p[0] == '#')
		return true;
	return wrong(
	    p, "text behind the closing quote: quote the whole value, or put \\ before a quote within it");
}

/* `s` begins behind the opening quote. */
static bool quoted(struct parser *p, struct slice s, char quote)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == quote)
			return is_over(p, slice_from(s, i + 1));
		if (c == '\\' && quote == '"') {
			if (++i == s.n)
				break;
			c = s.p[i];
			if (c != '"' && c != '\\')
				return wrong(p, "only \\\" and \\\\ are known in double quotes: write \\\\ "
				                "for a backslash");
		}
		buf_addc(&p->value, c);
	}
	return wrong(p, "the closing quote is missing");
}

/* Up to a comment, which begins behind white space; in one pass. */
static bool plain(struct parser *p, struct slice s)
{
	size_t end = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '#' && (i == 0 || is_blank(s.p[i - 1])))
			break;
		if (!is_blank(s.p[i]))
			end = i + 1;
	}
	buf_add(&p->value, s.p, end);
	return true;
}

static bool value_of(struct parser *p, struct slice s)
{
	bool ok;

	buf_clear(&p->value);
	if (s.n > 2 * CONF_VALUE_MAX + 2) /* quoted, every character escaped */
		return wrong(p, "the line is too long");
	if (s.n && (s.p[0] == '"' || s.p[0] == '\''))
		ok = quoted(p, slice_from(s, 1), s.p[0]);
	else
		ok = plain(p, s);
	if (ok && p->value.n > CONF_VALUE_MAX)
		return wrong(p, "the value is too long");
	return ok;
}

static void line(struct parser *p, struct slice s)
{
	struct slice key, absent = {NULL, 0};

	if (s.n && s.p[s.n - 1] == '\r')
		s.n--;
	s = skip_blanks(s);
	if (s.n == 0 || s.p[0] == '#')
		return;
	if (memchr(s.p, '\0', s.n)) {
		wrong(p, "a NUL byte: this is no text");
		return;
	}
	key = slice_of(s.p, 0);
	while (key.n < s.n && is_key(s.p[key.n]))
		key.n++;
	s = skip_blanks(slice_from(s, key.n));
	if (key.n == 0 || (s.n && s.p[0] != '=' && s.p[0] != '#'))
		wrong(p, "no line of the form 'key = value'");
	else if (key.n > CONF_KEY_MAX)
		wrong(p, "the key is too long");
	else if (s.n == 0 || s.p[0] == '#')
		p->ev->entry(p->ctx, p->line, key, absent);
	else if (value_of(p, skip_blanks(slice_from(s, 1))))
		p->ev->entry(p->ctx, p->line, key, buf_slice(&p->value));
}

bool conf_parse(struct slice text, const struct conf_events *ev, void *ctx)
{
	struct parser p = {.ev = ev, .ctx = ctx};
	struct slice one;

	if (slice_starts(text, SLICE("\xef\xbb\xbf")))
		text = slice_from(text, 3);
	while (p.errors <= CONF_ERRORS_MAX && text.n && slice_cut(&text, '\n', &one)) {
		if (++p.line > CONF_LINES_MAX) {
			wrong(&p, "too many lines");
			break;
		}
		line(&p, one);
	}
	buf_release(&p.value);
	return p.errors == 0;
}

static int refuse(struct buf *ret_error, int error, const char *path, const char *why)
{
	buf_addf(ret_error, "'%s' %s", path, why);
	return -error;
}

static int check(const char *path, const struct stat *st, uid_t owner, struct buf *ret_error)
{
	if (!S_ISREG(st->st_mode))
		return refuse(ret_error, EINVAL, path, "is no regular file");
	if (st->st_size > CONF_SIZE_MAX)
		return refuse(ret_error, EFBIG, path, "is larger than 1 MiB: this is no file of ours");
	if (st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != owner)
		return refuse(ret_error, EPERM, path,
		              "belongs to another user, who could change what is captured and where it goes: "
		              "chown it to root");
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return refuse(ret_error, EPERM, path,
		              "may be written to by others, who could change what is captured and where it "
		              "goes: chmod go-w");
	return 0;
}

static int read_whole(int fd, struct buf *out)
{
	char part[4096];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && out->n + (size_t)n > CONF_SIZE_MAX)
			return -EFBIG;
		if (n > 0)
			buf_add(out, part, (size_t)n);
	}
	return 0;
}

int conf_read(const char *path, uid_t owner, struct buf *out, bool *ret_open, struct buf *ret_error)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), err;
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		err = -errno;
		buf_addf(ret_error, "cannot open '%s': %s", path, strerror(-err));
	} else {
		err = check(path, &st, owner, ret_error);
		*ret_open = st.st_mode & S_IROTH;
		if (!err) {
			err = read_whole(fd, out);
			if (err)
				buf_addf(ret_error, "cannot read '%s': %s", path, strerror(-err));
		}
	}
	if (fd >= 0)
		close(fd);
	return err;
}
