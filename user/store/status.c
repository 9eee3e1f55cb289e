/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "store/db.h"

#define STATUS_MAX (256 * 1024) /* two messages and their frame are half of it */

/*
 * Who holds the lock.  Looked up in /proc/locks: to try it would for a moment
 * refuse a writer that begins just now.
 */
static pid_t lock_holder(const char *dir)
{
	struct buf path = {0};
	struct stat st;
	char line[256];
	pid_t holder = 0;

	buf_addf(&path, "%s/lock", dir);
	FILE *locks = stat(buf_str(&path), &st) == 0 ? fopen("/proc/locks", "re") : NULL;
	while (locks && !holder && fgets(line, sizeof(line), locks)) {
		unsigned maj, min;
		unsigned long long ino;
		int pid;

		if (sscanf(line, "%*d: FLOCK %*s WRITE %d %x:%x:%llu", &pid, &maj, &min, &ino) == 4 &&
		    ino == st.st_ino && makedev(maj, min) == st.st_dev)
			holder = pid;
	}
	if (locks)
		fclose(locks);
	buf_release(&path);
	return holder;
}

/*
 * Some file systems keep such locks elsewhere (FUSE, NFS).  Then the lock is
 * tried, but only when the process that wrote its id into it lives.
 */
static pid_t remote_holder(const char *dir)
{
	struct buf path = {0};
	char text[16] = "", process[32];
	pid_t holder = 0;

	buf_addf(&path, "%s/lock", dir);
	int fd = open(buf_str(&path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
		holder = (pid_t)atoi(text);
	snprintf(process, sizeof(process), "/proc/%d", holder);
	if (holder > 0 && (access(process, F_OK) || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK))
		holder = 0;
	if (fd >= 0)
		close(fd);
	buf_release(&path);
	return holder > 0 ? holder : 0;
}

static int read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	buf_reserve(out, STATUS_MAX);
	while (n > 0 && out->n < STATUS_MAX) {
		n = read(fd, out->p + out->n, STATUS_MAX - out->n);
		out->n += n > 0 ? (size_t)n : 0;
	}
	int err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}

int store_status(const char *dir, struct buf *out, pid_t *ret_writer, struct buf *ret_error)
{
	struct buf path = {0};

	buf_addf(&path, "%s/" STORE_STATUS, dir);
	int err = read_file(buf_str(&path), out);
	if (err == -ENOENT)
		buf_addf(ret_error, "no capture has written to '%s' yet", dir);
	else if (err)
		buf_addf(ret_error, "cannot read '%s': %s", buf_str(&path), strerror(-err));
	else if ((*ret_writer = lock_holder(dir)) == 0)
		*ret_writer = remote_holder(dir);
	buf_release(&path);
	return err;
}
