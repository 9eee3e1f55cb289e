/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "probe/mappings.h"

#define PERF_PAGES 16   /* data pages a CPU: about 600 mappings in one go */
#define ADDED_MAX  4096 /* events of processes that were added; beyond it they are refused */

struct cpu_buffer {
	int fd, cpu;
	struct perf_event_mmap_page *page; /* the data pages follow it */
};

struct mappings {
	int epoll;
	struct cpu_buffer *cpus;
	size_t n_cpus;
	int *added; /* events that write into the same buffers */
	size_t n_added, cap_added;
};

struct mmap2 {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t maj, min;
	uint64_t ino, ino_generation;
	uint32_t prot, flags;
	char filename[];
};

static size_t buffer_bytes(void)
{
	return (PERF_PAGES + 1) * (size_t)sysconf(_SC_PAGESIZE);
}

static int open_event(pid_t pid, int cpu)
{
	struct perf_event_attr attr = {
	    .type = PERF_TYPE_SOFTWARE,
	    .size = sizeof(attr),
	    .config = PERF_COUNT_SW_DUMMY,
	    .mmap = 1,
	    .mmap2 = 1,
	    .inherit = pid != MAPPINGS_ALL,
	    .sample_type = PERF_SAMPLE_TIME,
	    .sample_id_all = 1,
	    .use_clockid = 1,
	    .clockid = CLOCK_BOOTTIME,
	    .watermark = 1,
	    .wakeup_watermark = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_cpu(struct mappings *m, pid_t pid, int cpu)
{
	int fd = open_event(pid, cpu);

	if (fd < 0)
		return fd == -ENODEV ? 0 : fd; /* an offline one */
	void *page = mmap(NULL, buffer_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct epoll_event ev = {.events = EPOLLIN};
	if (page == MAP_FAILED || epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &ev)) {
		int err = -errno;

		close(fd);
		return err;
	}
	m->cpus[m->n_cpus++] = (struct cpu_buffer){fd, cpu, page};
	return 0;
}

struct mappings *mappings_open(pid_t pid)
{
	int cpus = libbpf_num_possible_cpus(), err = cpus < 0 ? cpus : 0;
	struct mappings *m = xcalloc(1, sizeof(*m));

	m->cpus = xcalloc((size_t)(cpus > 0 ? cpus : 1), sizeof(*m->cpus));
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll < 0)
		err = -errno;
	for (int cpu = 0; !err && cpu < cpus; cpu++)
		err = open_cpu(m, pid, cpu);
	if (!err)
		return m;
	mappings_close(m);
	errno = -err;
	return NULL;
}

void mappings_close(struct mappings *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_added; i++)
		close(m->added[i]);
	free(m->added);
	for (size_t i = 0; i < m->n_cpus; i++) {
		munmap(m->cpus[i].page, buffer_bytes());
		close(m->cpus[i].fd);
	}
	free(m->cpus);
	if (m->epoll >= 0)
		close(m->epoll);
	free(m);
}

int mappings_fd(const struct mappings *m)
{
	return m->epoll;
}

int mappings_add(struct mappings *m, pid_t pid)
{
	if (m->n_added + m->n_cpus > ADDED_MAX)
		return -EMFILE;
	for (size_t i = 0; i < m->n_cpus; i++) {
		int fd = open_event(pid, m->cpus[i].cpu);

		if (fd < 0)
			return fd;
		xgrow(&m->added, &m->cap_added, m->n_added + 1, sizeof(*m->added));
		m->added[m->n_added++] = fd;
		if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, m->cpus[i].fd))
			return -errno;
	}
	return 0;
}

static void take(const struct mmap2 *m, void (*fn)(void *ctx, const struct mapped *what), void *ctx)
{
	struct mapped what = {.pid = (pid_t)m->pid,
	                      .addr = m->addr,
	                      .len = m->len,
	                      .dev = (uint64_t)m->maj << 32 | m->min,
	                      .ino = m->ino,
	                      .generation = m->ino_generation,
	                      .name = m->filename};

	/* PERF_SAMPLE_TIME: the last word of the record */
	memcpy(&what.ts, (const char *)m + m->header.size - sizeof(what.ts), sizeof(what.ts));
	if (what.pid > 0 && m->ino && m->filename[0] == '/')
		fn(ctx, &what);
}

/* Takes the records out of one buffer: they may wrap. */
static bool read_cpu(struct cpu_buffer *c, void (*fn)(void *ctx, const struct mapped *what), void *ctx)
{
	const char *data = (const char *)c->page + sysconf(_SC_PAGESIZE);
	uint64_t size = buffer_bytes() - (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t head = __atomic_load_n(&c->page->data_head, __ATOMIC_ACQUIRE), tail = c->page->data_tail;
	_Alignas(8) char rec[UINT16_MAX + 1];
	bool lost = false;

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
			take((const struct mmap2 *)(const void *)rec, fn, ctx);
		lost |= h.type == PERF_RECORD_LOST;
		tail += h.size;
	}
	__atomic_store_n(&c->page->data_tail, tail, __ATOMIC_RELEASE);
	return lost;
}

bool mappings_read(struct mappings *m, void (*fn)(void *ctx, const struct mapped *what), void *ctx)
{
	bool lost = false;

	for (size_t i = 0; i < m->n_cpus; i++)
		lost |= read_cpu(&m->cpus[i], fn, ctx);
	return lost;
}
