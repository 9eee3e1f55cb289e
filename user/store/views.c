/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <yyjson.h>

#include "base/clock.h"
#include "store/db.h"
#include "store/json_text.h"
#include "store/views.h"

#define STEP_MS 5 /* between two attempts to have the file */

static int open_file(struct store *st, int flags)
{
	struct buf path = {0};

	buf_addf(&path, "%s/" STORE_VIEWS, st->dir);
	int fd = open(buf_str(&path), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	buf_release(&path);
	return fd < 0 ? -errno : fd;
}

/* A file of the store's owner, also where root is the first to look. */
static int check(struct store *st, int fd, struct stat *ret)
{
	struct stat dir;

	if (fstat(fd, ret) || stat(st->dir, &dir))
		return -errno;
	if (!S_ISREG(ret->st_mode))
		return -EINVAL;
	if (ret->st_uid == dir.st_uid)
		return 0;
	return geteuid() == 0 && ret->st_size == 0 && fchown(fd, dir.st_uid, dir.st_gid) == 0 ? 0 : -EPERM;
}

static int hold(int fd, int wait_ms)
{
	const struct timespec step = {.tv_nsec = STEP_MS * 1000000};

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK || wait_ms <= 0)
			return -errno;
		nanosleep(&step, NULL);
		wait_ms -= STEP_MS;
	}
	return 0;
}

static void compose(struct buf *out, const char *command, uid_t uid, const uint8_t (*traces)[16], size_t n)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(d), *list;
	uint8_t id[8];

	randombytes_buf(id, sizeof(id));
	yyjson_mut_doc_set_root(d, o);
	yyjson_mut_obj_add_uint(d, o, "wall_ns", clock_wall_ns());
	yyjson_mut_obj_add_val(d, o, "id", json_hex(d, id, sizeof(id)));
	yyjson_mut_obj_add_str(d, o, "command", command);
	yyjson_mut_obj_add_uint(d, o, "uid", uid);
	list = yyjson_mut_obj_add_arr(d, o, "conversations");
	for (size_t i = 0; i < n && i < VIEW_TRACES_MAX; i++)
		yyjson_mut_arr_append(list, json_hex(d, traces[i], sizeof(traces[i])));
	yyjson_mut_obj_add_uint(d, o, "more", n > VIEW_TRACES_MAX ? n - VIEW_TRACES_MAX : 0);
	char *json = yyjson_mut_write(d, 0, NULL);
	if (json)
		buf_addf(out, "%s\n", json);
	free(json);
	yyjson_mut_doc_free(d);
}

int store_view(struct store *st, const char *command, uid_t uid, const uint8_t (*traces)[16], size_t n)
{
	int fd = open_file(st, O_WRONLY | O_APPEND | O_CREAT), r = fd < 0 ? fd : hold(fd, VIEWS_WAIT_MS);
	struct buf line = {0};
	struct stat sb;

	if (r == 0)
		r = check(st, fd, &sb);
	if (r == 0 && sb.st_size >= VIEWS_MAX)
		r = -EFBIG;
	compose(&line, command, uid, traces, n);
	if (r == 0 && write(fd, line.p, line.n) != (ssize_t)line.n)
		r = errno ? -errno : -EIO;
	if (fd >= 0)
		close(fd);
	buf_release(&line);
	return r ? db_fail(st, r, "cannot note in '%s/" STORE_VIEWS "' who looks: %s", st->dir, strerror(-r))
	         : 0;
}

/* A line that cannot be read was seen as well. */
static int take_line(struct store *st, struct slice line)
{
	yyjson_doc *d = yyjson_read(line.p, line.n, 0);
	yyjson_val *o = yyjson_doc_get_root(d), *at = yyjson_obj_get(o, "wall_ns");
	uint64_t now = clock_wall_ns(), wall = yyjson_is_uint(at) ? yyjson_get_uint(at) : now;

	int r = store_audit(st, wall < now ? wall : now, "view",
	                    yyjson_is_obj(o) ? line : SLICE("{\"unreadable\":true}"));
	yyjson_doc_free(d);
	return r;
}

static int take_lines(struct store *st, struct slice rest)
{
	struct slice line;
	int r = 0;

	while (r == 0 && slice_cut(&rest, '\n', &line))
		r = line.n ? take_line(st, line) : 0;
	int committed = store_commit(st);
	return r ? r : committed;
}

int store_take_views(struct store *st)
{
	int fd = open_file(st, O_RDWR), r = 0;
	struct buf text = {0};
	struct stat sb;
	ssize_t n = 0;

	/* One who is at it has not finished the line: there is a next time. */
	if (fd < 0 || st->in_batch || hold(fd, 0) || check(st, fd, &sb) || !sb.st_size)
		goto out;
	buf_reserve(&text, (size_t)(sb.st_size < VIEWS_MAX ? sb.st_size : VIEWS_MAX) + VIEW_TRACES_MAX * 64);
	while ((n = pread(fd, text.p + text.n, text.cap - text.n, (off_t)text.n)) > 0)
		text.n += (size_t)n;
	r = n < 0 ? -errno : take_lines(st, buf_slice(&text));
	if (r == 0 && ftruncate(fd, 0))
		r = -errno;
out:
	if (fd >= 0)
		close(fd);
	buf_release(&text);
	return r;
}
