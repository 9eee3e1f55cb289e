/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "probe/uprobe.h"

#define THREADS_MAX 32
#define THREADS_MIN 4 /* fewer are closed one after the other: a first thread changes signal dispositions, which CMD inherits */

/* include/uapi/linux/bpf.h; the distributions' headers are older than the running kernel may be. */
#define ATTACH_UPROBE_MULTI   48
#define ATTACH_UPROBE_SESSION 57
#define MULTI_RETURN          1 /* BPF_F_UPROBE_MULTI_RETURN */

/* union bpf_attr, link_create with uprobe_multi. */
struct link_create {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t cnt, multi_flags, pid, pad;
};

uint32_t uprobe_attach_type(enum uprobe_kind kind)
{
	return kind == UPROBE_SESSION ? ATTACH_UPROBE_SESSION : kind == UPROBE_MULTI ? ATTACH_UPROBE_MULTI : 0;
}

static int create_link(const struct uprobe *u)
{
	struct link_create attr = {
	    .prog_fd = (uint32_t)u->prog_fd,
	    .attach_type = uprobe_attach_type(u->kind),
	    .path = (uintptr_t)u->path,
	    .offsets = (uintptr_t)u->offsets,
	    .cookies = (uintptr_t)u->cookies,
	    .cnt = (uint32_t)u->n,
	    .multi_flags = u->at_return ? MULTI_RETURN : 0,
	    .pid = (uint32_t)u->pid,
	};
	int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

int uprobe_empty_program(enum uprobe_kind kind)
{
	static const struct bpf_insn insns[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)uprobe_attach_type(kind));
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "spantap_empty", "GPL", insns, 2, &opts);

	return fd < 0 ? -errno : fd;
}

/* A kernel that knows the interface complains of the directory, others of the arguments. */
bool uprobe_supported(enum uprobe_kind kind)
{
	uint64_t offset = 0;
	int fd = uprobe_empty_program(kind), err;

	if (fd < 0)
		return false;
	if (kind == UPROBE_PERF) {
		err = access("/sys/bus/event_source/devices/uprobe/type", R_OK) ? -errno : -EBADF;
	} else {
		err = create_link(&(struct uprobe){.prog_fd = fd, .kind = kind, .path = "/", .offsets = &offset, .n = 1});
		if (err >= 0)
			close(err);
	}
	close(fd);
	return err == -EBADF;
}

static int perf_type(void)
{
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type;

	if (!f)
		return -errno;
	if (fscanf(f, "%d", &type) != 1)
		type = -EINVAL;
	fclose(f);
	return type;
}

/* Which bit of the configuration makes it a return probe. */
static int return_bit(void)
{
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/format/retprobe", "re");
	int bit;

	if (!f)
		return -errno;
	if (fscanf(f, "config:%d", &bit) != 1)
		bit = -EINVAL;
	fclose(f);
	return bit;
}

static int open_perf(const struct uprobe *u, uint64_t offset)
{
	int type = perf_type(), bit = return_bit();
	struct perf_event_attr attr = {.size = sizeof(attr), .type = (uint32_t)type};

	if (type < 0 || bit < 0)
		return type < 0 ? type : bit;
	attr.config = u->at_return ? 1ull << bit : 0;
	attr.uprobe_path = (uintptr_t)u->path;
	attr.probe_offset = offset;
	int fd = (int)syscall(SYS_perf_event_open, &attr, u->pid ? u->pid : -1, u->pid ? -1 : 0, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A perf-event uprobe with the program on it; `cookie` only where the kernel has perf links. */
static int attach_perf(const struct uprobe *u, size_t i, int *ret_link)
{
	int perf = open_perf(u, u->offsets[i]);
	LIBBPF_OPTS(bpf_link_create_opts, opts);

	if (perf < 0)
		return perf;
	*ret_link = -1;
	if (u->cookies) {
		opts.perf_event.bpf_cookie = u->cookies[i];
		*ret_link = bpf_link_create(u->prog_fd, perf, BPF_PERF_EVENT, &opts);
	}
	bool on = u->cookies ? *ret_link >= 0 : ioctl(perf, PERF_EVENT_IOC_SET_BPF, u->prog_fd) == 0;
	if (on && ioctl(perf, PERF_EVENT_IOC_ENABLE, 0) == 0)
		return perf;
	int err = -errno;
	if (*ret_link >= 0)
		close(*ret_link);
	close(perf);
	return err;
}

static void add(struct uprobe_links *links, int fd)
{
	if (fd < 0)
		return;
	xgrow(&links->fds, &links->cap, links->n + 1, sizeof(*links->fds));
	links->fds[links->n++] = fd;
}

int uprobe_attach(const struct uprobe *u, struct uprobe_links *links)
{
	size_t before = links->n;

	if (u->kind != UPROBE_PERF) {
		int fd = create_link(u);

		add(links, fd);
		return fd < 0 ? fd : 0;
	}
	for (size_t i = 0; i < u->n; i++) {
		int link, perf = attach_perf(u, i, &link);

		if (perf < 0) {
			while (links->n > before)
				close(links->fds[--links->n]);
			return perf;
		}
		add(links, link);
		add(links, perf);
	}
	return 0;
}

static void *close_fd(void *fd)
{
	close(*(int *)fd);
	return NULL;
}

void uprobe_detach(struct uprobe_links *links)
{
	pthread_t threads[THREADS_MAX];

	for (size_t done = 0; done < links->n;) {
		size_t batch = links->n - done < THREADS_MAX ? links->n - done : THREADS_MAX, started = 0;

		while (links->n >= THREADS_MIN && started < batch && pthread_create(&threads[started], NULL, close_fd, &links->fds[done + started]) == 0)
			started++;
		for (size_t i = started; i < batch; i++)
			close(links->fds[done + i]);
		for (size_t i = 0; i < started; i++)
			pthread_join(threads[i], NULL);
		done += batch;
	}
	free(links->fds);
	*links = (struct uprobe_links){0};
}
