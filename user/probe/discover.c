/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/map.h"
#include "probe/discover.h"
#include "probe/procfs.h"

#define PERF_PAGES   16   /* data pages a CPU: about 600 mappings in one go */
#define MAPPINGS_MAX 65536 /* distinct (device, inode) remembered as seen */
#define SCRIPT_DEPTH 4    /* BINPRM_MAX_RECURSION of the kernel */

struct cpu_buffer {
	int fd;
	struct perf_event_mmap_page *page; /* the data pages follow it */
};

struct discover {
	struct attacher *attacher;
	struct loader *loader;
	struct ring_buffer *watch;
	int epoll;
	struct cpu_buffer *cpus;
	size_t n_cpus;
	struct map seen; /* struct mapping_key of files that were looked at */
	bool exits;
};

struct mapping_key {
	uint64_t dev, ino, generation;
};

/* --- before CMD starts --- */

/* Where the dynamic linker looks, by the layout of each distribution family. */
static const char *const library_places[] = {
    "/lib/*/libssl.so.[13]*",    "/usr/lib/*/libssl.so.[13]*", "/usr/lib64/libssl.so.[13]*",
    "/usr/lib/libssl.so.[13]*", "/usr/local/lib*/libssl.so.[13]*",
};

static void each_match(const char *pattern, void (*fn)(void *ctx, const char *path), void *ctx)
{
	glob_t g;

	if (glob(pattern, 0, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc; i++)
			fn(ctx, g.gl_pathv[i]);
	globfree(&g);
}

static void attach_match(void *ctx, const char *path)
{
	attacher_path(ctx, path);
}

/* The interpreter that a script names in its first line, "env" looked through; false when it is no script. */
static bool script_interpreter(const char *path, char *ret, size_t size)
{
	char line[512];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';

	char *save = NULL, *word = strtok_r(line + 2, " \t", &save);
	if (!word)
		return false;
	const char *base = strrchr(word, '/');
	if (strcmp(base ? base + 1 : word, "env") == 0) {
		do
			word = strtok_r(NULL, " \t", &save);
		while (word && (word[0] == '-' || strchr(word, '=')));
		return word && procfs_find_program(word, ret, size) == 0;
	}
	snprintf(ret, size, "%s", word);
	return true;
}

void discover_before(struct attacher *a, const char *exe)
{
	char path[PATH_MAX], next[PATH_MAX], pattern[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s", exe);
	for (int depth = 0; depth < SCRIPT_DEPTH && script_interpreter(path, next, sizeof(next)); depth++)
		memcpy(path, next, sizeof(path));
	attacher_path(a, path);

	/* A program that brings its own libraries (conda, a private prefix) has them beside its bin directory. */
	char real[PATH_MAX];
	if (realpath(path, real)) {
		char *slash = strrchr(real, '/');

		if (slash) {
			*slash = '\0';
			snprintf(pattern, sizeof(pattern), "%s/../lib/libssl.so.[13]*", real);
			each_match(pattern, attach_match, a);
		}
	}
	for (size_t i = 0; i < sizeof(library_places) / sizeof(library_places[0]); i++)
		each_match(library_places[i], attach_match, a);
}

struct report {
	void (*fn)(void *ctx, const char *path, const struct target *t);
	void *ctx;
	struct attacher *attacher;
	struct map seen; /* real paths: /lib is /usr/lib */
};

static void report_match(void *ctx, const char *path)
{
	struct report *r = ctx;
	char real[PATH_MAX];
	struct target t;

	if (!realpath(path, real) || map_get(&r->seen, real, strlen(real)))
		return;
	map_put(&r->seen, real, strlen(real), r);
	attacher_inspect(r->attacher, real, &t);
	r->fn(r->ctx, real, &t);
}

void discover_libraries(void (*report)(void *ctx, const char *path, const struct target *t), void *ctx)
{
	struct report r = {.fn = report, .ctx = ctx, .attacher = attacher_new(NULL)};

	for (size_t i = 0; i < sizeof(library_places) / sizeof(library_places[0]); i++)
		each_match(library_places[i], report_match, &r);
	map_release(&r.seen);
	attacher_free(r.attacher);
}

/* --- while it runs --- */

static bool first_sight(struct discover *d, const struct mapping_key *key)
{
	if (map_get(&d->seen, key, sizeof(*key)) || d->seen.n >= MAPPINGS_MAX)
		return false;
	map_put(&d->seen, key, sizeof(*key), d);
	return true;
}

/* `since`: when the process began to use the file. */
static void look_at(struct discover *d, int fd, const char *name, uint64_t since)
{
	if (fd < 0)
		return;
	if (attacher_file(d->attacher, fd, name, since) < 0 && attacher_error(d->attacher)[0])
		log_warn("%s", attacher_error(d->attacher));
	close(fd);
}

struct mmap2 {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t maj, min;
	uint64_t ino, ino_generation;
	uint32_t prot, flags;
	char filename[];
};

static void on_mapping(struct discover *d, const struct mmap2 *m)
{
	struct mapping_key key = {(uint64_t)m->maj << 32 | m->min, m->ino, m->ino_generation};
	uint64_t ts; /* PERF_SAMPLE_TIME: the last word of the record */

	memcpy(&ts, (const char *)m + m->header.size - sizeof(ts), sizeof(ts));
	if (m->ino && m->filename[0] == '/' && first_sight(d, &key))
		look_at(d, procfs_open_mapping((pid_t)m->pid, m->addr, m->len, m->filename), m->filename, ts);
}

/* Takes the records out of one perf buffer: a byte ring whose records may wrap. */
static void read_cpu(struct discover *d, struct cpu_buffer *c)
{
	const char *data = (const char *)c->page + sysconf(_SC_PAGESIZE);
	uint64_t size = PERF_PAGES * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t head = __atomic_load_n(&c->page->data_head, __ATOMIC_ACQUIRE), tail = c->page->data_tail;
	_Alignas(8) char rec[UINT16_MAX + 1];

	while (tail < head) {
		struct perf_event_header h;
		uint64_t at = tail % size, first;

		memcpy(&h, data + at, sizeof(h)); /* records are 8-byte aligned: the header never wraps */
		if (h.size < sizeof(h))
			break;
		first = size - at < h.size ? size - at : h.size;
		memcpy(rec, data + at, first);
		memcpy(rec + first, data, h.size - first);
		rec[h.size] = '\0';
		if (h.type == PERF_RECORD_MMAP2 && h.size > sizeof(struct mmap2) + sizeof(uint64_t))
			on_mapping(d, (const struct mmap2 *)(const void *)rec);
		tail += h.size;
	}
	__atomic_store_n(&c->page->data_tail, tail, __ATOMIC_RELEASE);
}

/* The second way, should a mapping record be lost: the program itself, and what it has mapped by now. */
static int on_watch(void *ctx, void *data, size_t size)
{
	const struct ev_watch *w = data;
	struct discover *d = ctx;

	if (size < sizeof(*w))
		return 0;
	if (w->what == EV_WATCH_EXIT)
		d->exits = true;
	if (w->what == EV_WATCH_EXEC && w->proc.pid) {
		struct mapping_key key = {w->dev, w->ino, UINT64_MAX};

		if (first_sight(d, &key))
			look_at(d, procfs_open_exe((pid_t)w->proc.pid), "program", w->head.ts);
	}
	return 0;
}

static int open_cpu(struct discover *d, pid_t pid, int cpu)
{
	struct perf_event_attr attr = {
	    .type = PERF_TYPE_SOFTWARE,
	    .size = sizeof(attr),
	    .config = PERF_COUNT_SW_DUMMY,
	    .mmap = 1,
	    .mmap2 = 1,
	    .inherit = 1,
	    .sample_type = PERF_SAMPLE_TIME,
	    .sample_id_all = 1,
	    .use_clockid = 1,
	    .clockid = CLOCK_BOOTTIME,
	    .watermark = 1,
	    .wakeup_watermark = 1,
	};
	size_t bytes = (PERF_PAGES + 1) * (size_t)sysconf(_SC_PAGESIZE);
	int fd = (int)syscall(SYS_perf_event_open, &attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return -errno;
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = d->n_cpus};
	if (page == MAP_FAILED || epoll_ctl(d->epoll, EPOLL_CTL_ADD, fd, &ev)) {
		int err = -errno;

		close(fd);
		return err;
	}
	d->cpus[d->n_cpus++] = (struct cpu_buffer){fd, page};
	return 0;
}

struct discover *discover_start(struct attacher *a, struct loader *l, pid_t pid)
{
	int cpus = libbpf_num_possible_cpus(), err = cpus < 0 ? cpus : 0;
	struct discover *d = xcalloc(1, sizeof(*d));

	d->attacher = a;
	d->loader = l;
	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	d->watch = ring_buffer__new(loader_watch_ring_fd(l), on_watch, d, NULL);
	if (!d->watch || d->epoll < 0)
		err = -errno;
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
	if (!err && epoll_ctl(d->epoll, EPOLL_CTL_ADD, loader_watch_ring_fd(l), &ev))
		err = -errno;
	d->cpus = xcalloc((size_t)(cpus > 0 ? cpus : 1), sizeof(*d->cpus));
	for (int cpu = 0; !err && cpu < cpus; cpu++) {
		err = open_cpu(d, pid, cpu);
		if (err == -ENODEV) /* offline */
			err = 0;
	}
	if (!err)
		return d;
	discover_stop(d);
	errno = -err;
	return NULL;
}

int discover_fd(const struct discover *d)
{
	return d->epoll;
}

void discover_work(struct discover *d, bool *ret_exits)
{
	ring_buffer__consume(d->watch);
	for (size_t i = 0; i < d->n_cpus; i++)
		read_cpu(d, &d->cpus[i]);
	*ret_exits = d->exits;
	d->exits = false;
}

void discover_stop(struct discover *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n_cpus; i++) {
		munmap(d->cpus[i].page, (PERF_PAGES + 1) * (size_t)sysconf(_SC_PAGESIZE));
		close(d->cpus[i].fd);
	}
	free(d->cpus);
	ring_buffer__free(d->watch);
	if (d->epoll >= 0)
		close(d->epoll);
	map_release(&d->seen);
	free(d);
}
