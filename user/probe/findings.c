/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "probe/findings.h"

/* The directory, -1: none that can be trusted. */
static int open_directory(bool create)
{
	struct stat st;

	if (geteuid() != 0)
		return -1;
	if (create)
		(void)mkdir(FINDINGS_DIR, 0700);
	int fd = open(FINDINGS_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (fstat(fd, &st) || st.st_uid != 0 || st.st_mode & 022)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int add_inode(char *name, size_t size, const struct stat *st)
{
	return snprintf(name, size, "%llx-%llx-%llx-%llx.%lx-%llx.%lx", (unsigned long long)st->st_dev,
	                (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
	                (unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec,
	                (unsigned long long)st->st_ctim.tv_sec, (unsigned long)st->st_ctim.tv_nsec);
}

static bool key(const struct stat *st, char ret[NAME_MAX + 1])
{
	struct stat self;

	if (stat("/proc/self/exe", &self))
		return false;
	int n = add_inode(ret, NAME_MAX + 1, st);
	n += snprintf(ret + n, (size_t)(NAME_MAX + 1 - n), "_");
	n += add_inode(ret + n, (size_t)(NAME_MAX + 1 - n), &self);
	return n < NAME_MAX - 4; /* ".new" */
}

bool findings_load(const struct stat *st, struct target *ret)
{
	char name[NAME_MAX + 1];
	struct target t;
	int dir = open_directory(false), fd = -1;
	bool whole = false;

	if (dir >= 0 && key(st, name))
		fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		whole = read(fd, &t, sizeof(t)) == (ssize_t)sizeof(t);
		close(fd);
	}
	if (dir >= 0)
		close(dir);
	if (whole)
		*ret = t;
	return whole;
}

/* Removes all when there are too many: those of files and of versions of spantap that are gone among them. */
static void make_room(int dir)
{
	int copy = dup(dir);
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	const struct dirent *e;
	unsigned n = 0;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while (readdir(d))
		n++;
	rewinddir(d);
	while (n >= FINDINGS_MAX && (e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(dir, e->d_name, 0);
	closedir(d);
}

void findings_store(const struct stat *st, const struct target *t)
{
	char name[NAME_MAX + 1], new[NAME_MAX + 8];
	int dir = open_directory(true), fd = -1;

	if (dir < 0)
		return;
	make_room(dir);
	if (key(st, name)) {
		snprintf(new, sizeof(new), "%s.new", name);
		unlinkat(dir, new, 0);
		fd = openat(dir, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	if (fd >= 0) {
		bool whole = write(fd, t, sizeof(*t)) == (ssize_t)sizeof(*t);

		close(fd);
		if (!whole || renameat(dir, new, dir, name))
			unlinkat(dir, new, 0);
	}
	close(dir);
}
