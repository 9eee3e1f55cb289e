/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe/procfs.h"

static int open_regular(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

int procfs_open_mapping(pid_t pid, uint64_t addr, uint64_t len, const char *name)
{
	char path[PATH_MAX + 64];

	/* Needs CAP_CHECKPOINT_RESTORE; and the mapping may have been split since (relro, mprotect). */
	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)addr,
		 (unsigned long long)(addr + len));
	int fd = open_regular(path);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/root%s", pid, name);
	return open_regular(path);
}

int procfs_open_exe(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return open_regular(path);
}

static int executable(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == EACCES ? -EACCES : -ENOENT;
	return S_ISREG(st.st_mode) && st.st_mode & 0111 ? 0 : -EACCES;
}

int procfs_find_program(const char *name, char *ret, size_t size)
{
	const char *path = getenv("PATH");
	int result = -ENOENT;

	if (!*name)
		return -ENOENT;
	if (strchr(name, '/')) {
		snprintf(ret, size, "%s", name);
		return executable(name);
	}
	for (const char *p = path ? path : "/bin:/usr/bin"; p;) {
		size_t n = strcspn(p, ":");
		int err;

		snprintf(ret, size, "%.*s/%s", (int)n, p, name);
		if (n == 0)
			snprintf(ret, size, "./%s", name);
		err = executable(ret);
		if (err == 0)
			return 0;
		if (err == -EACCES)
			result = err;
		p = p[n] ? p + n + 1 : NULL;
	}
	return result;
}
