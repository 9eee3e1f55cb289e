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

int procfs_each_mapping(pid_t pid, void (*fn)(void *ctx, pid_t pid, const struct procfs_mapping *m), void *ctx)
{
	char path[64], *line = NULL;
	size_t cap = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;
	errno = 0;
	while (getline(&line, &cap, f) > 0) {
		struct procfs_mapping m;
		unsigned long long start, end, ino;
		char x;
		int name = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%llx-%llx %*c%*c%c%*c %*x %x:%x %llu %n", &start, &end, &x, &m.maj, &m.min, &ino, &name) < 6 ||
		    x != 'x' || !ino || !name || line[name] != '/')
			continue;
		m.start = start;
		m.end = end;
		m.ino = ino;
		m.name = line + name;
		fn(ctx, pid, &m);
	}
	int err = ferror(f) ? -errno : 0;
	free(line);
	fclose(f);
	return err;
}

/* Up to `max` bytes of a file under /proc/PID. 0; 1: there are more; -errno. */
static int read_text(pid_t pid, const char *name, size_t max, struct buf *out)
{
	char path[64], c;
	size_t before = out->n;
	ssize_t n = 1;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	buf_reserve(out, max);
	while (n > 0 && out->n - before < max) {
		n = read(fd, out->p + out->n, max - (out->n - before));
		if (n > 0)
			out->n += (size_t)n;
	}
	int err = n < 0 ? -errno : n > 0 && read(fd, &c, 1) == 1;
	close(fd);
	return err;
}

/* The number behind `key` in /proc/PID/status, the `nth` of its line. -1: not there. */
static long status_number(pid_t pid, const char *key, int nth)
{
	struct buf text = {0};
	long value = -1;

	if (read_text(pid, "status", PROCFS_TEXT_MAX, &text) >= 0) {
		const char *at = strstr(buf_str(&text), key);
		char *end = NULL;

		at = at ? at + strlen(key) : NULL;
		for (int i = 0; at && i <= nth; i++) {
			value = strtol(at, &end, 10);
			at = end;
		}
	}
	buf_release(&text);
	return value;
}

pid_t procfs_leader(pid_t tid)
{
	long tgid = status_number(tid, "\nTgid:", 0);

	return tgid > 0 ? (pid_t)tgid : -ESRCH;
}

int procfs_exe(pid_t pid, char *ret, size_t size)
{
	static const char deleted[] = " (deleted)";
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	ssize_t n = readlink(path, ret, size - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	size_t cut = sizeof(deleted) - 1;
	if ((size_t)n > cut && strcmp(ret + n - cut, deleted) == 0)
		ret[(size_t)n - cut] = '\0';
	return 0;
}

int procfs_comm(pid_t pid, struct buf *out)
{
	int err = read_text(pid, "comm", 64, out);

	if (err >= 0 && out->n && out->p[out->n - 1] == '\n')
		out->n--;
	return err < 0 ? err : 0;
}

int procfs_arguments(pid_t pid, size_t max, struct buf *out)
{
	return read_text(pid, "cmdline", max, out);
}

int procfs_cgroups(pid_t pid, struct buf *out)
{
	int err = read_text(pid, "cgroup", PROCFS_TEXT_MAX, out);

	return err < 0 ? err : 0;
}

bool procfs_events_lost(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (stat(path, &st))
		return false;
	long real = status_number(pid, "\nUid:", 0), effective = status_number(pid, "\nUid:", 1);
	/* The directory belongs to root when the process may not be dumped, else to its effective user. */
	return real != effective || (effective > 0 && st.st_uid == 0);
}

/* proc(5): the name, field 2 of stat, may hold anything but ends at the last ')'; then from field 3 on. */
static bool read_times(const char *stat, struct procfs_usage *ret)
{
	const char *end = strrchr(stat, ')');
	uint64_t tick = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);
	unsigned long long user, system, start;

	if (!end ||
	    sscanf(end,
	           ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu %*s %*s %*s %*s %*s %*s %llu",
	           &user, &system, &start) != 3)
		return false;
	ret->cpu = (user + system) * tick;
	ret->start = start * tick;
	return true;
}

static void read_memory(struct slice status, struct procfs_usage *ret)
{
	struct slice line;

	while (status.n && slice_cut(&status, '\n', &line)) {
		const struct {
			struct slice key;
			uint64_t *to;
		} rows[] = {{SLICE("VmRSS:"), &ret->resident},
		            {SLICE("RssAnon:"), &ret->anon},
		            {SLICE("RssShmem:"), &ret->shared}};

		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (slice_starts(line, rows[i].key)) /* a number in KiB; the text ends in NUL */
				*rows[i].to = strtoull(line.p + rows[i].key.n, NULL, 10) << 10;
	}
}

int procfs_usage(pid_t pid, struct procfs_usage *ret)
{
	struct procfs_usage u = {0};
	struct buf text = {0};
	int err = read_text(pid, "stat", 1024, &text);

	if (err >= 0)
		err = read_times(buf_str(&text), &u) ? 0 : -EBADMSG;
	buf_clear(&text);
	if (err >= 0)
		err = read_text(pid, "status", PROCFS_TEXT_MAX, &text);
	if (err >= 0) {
		buf_str(&text);
		read_memory(buf_slice(&text), &u);
		*ret = u;
	}
	buf_release(&text);
	return err < 0 ? err : 0;
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
