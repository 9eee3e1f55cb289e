/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "jail/message.h"
#include "jail/spawn.h"
#include "probe/attach.h"
#include "probe/uprobe.h"
#include "target/target.h"

#define INSPECT_MS      3000 /* the largest program seen (300 MB) takes a tenth of this */
#define INSPECT_LOOK_MS 20

struct file_key {
	uint64_t dev, ino;
};

struct file {
	bool attached;
	struct uprobe_links links;
};

struct attacher {
	struct loader *loader;
	struct map files; /* struct file_key -> struct file */
	pid_t inspect;    /* 0: not running */
	int sock[2];
	struct attach_stats stats;
	char error[256];
	struct msg msg;
};

struct attacher *attacher_new(struct loader *l)
{
	struct attacher *a = xcalloc(1, sizeof(*a));

	a->loader = l;
	a->sock[0] = a->sock[1] = -1;
	return a;
}

static void stop_inspect(struct attacher *a)
{
	if (a->inspect > 0) {
		kill(a->inspect, SIGKILL);
		waitpid(a->inspect, NULL, 0);
	}
	for (int i = 0; i < 2; i++) {
		if (a->sock[i] >= 0)
			close(a->sock[i]);
		a->sock[i] = -1;
	}
	a->inspect = 0;
}

void attacher_free(struct attacher *a)
{
	struct map_entry *e;

	if (!a)
		return;
	stop_inspect(a);
	struct uprobe_links all = {0};
	map_foreach(&a->files, e) {
		struct file *f = e->value;

		xgrow(&all.fds, &all.cap, all.n + f->links.n, sizeof(*all.fds));
		for (size_t i = 0; i < f->links.n; i++)
			all.fds[all.n++] = f->links.fds[i];
		free(f->links.fds);
		free(f);
	}
	uprobe_detach(&all);
	map_release(&a->files);
	free(a);
}

static int start_inspect(struct attacher *a)
{
	int err = role_socket(a->sock);

	if (err)
		return err;
	a->inspect = spawn_role("inspect", a->sock[1]);
	return a->inspect < 0 ? a->inspect : 0;
}

/* Whether the jail has answered; it may have died on this file. */
static int wait_answer(struct attacher *a)
{
	struct pollfd p = {.fd = a->sock[0], .events = POLLIN};

	for (int waited = 0; waited < INSPECT_MS; waited += INSPECT_LOOK_MS) {
		if (poll(&p, 1, INSPECT_LOOK_MS) > 0)
			return 0;
		if (waitpid(a->inspect, NULL, WNOHANG) == a->inspect) {
			a->inspect = 0;
			return -ECHILD;
		}
	}
	return -ETIMEDOUT;
}

/* Asks the jail; a jail that died or hangs on this file is replaced. */
static int inspect(struct attacher *a, int fd, struct target *ret)
{
	int err = a->inspect > 0 ? 0 : start_inspect(a);

	if (!err)
		err = msg_send(a->sock[0], MSG_INSPECT, (struct slice){0}, &fd, 1);
	if (!err)
		err = wait_answer(a);
	if (!err)
		err = msg_recv(a->sock[0], &a->msg);
	if (!err && (a->msg.type != MSG_INSPECT || a->msg.payload.n != sizeof(*ret)))
		err = -EPROTO;
	if (err) {
		stop_inspect(a);
		return err;
	}
	memcpy(ret, a->msg.payload.p, sizeof(*ret));
	return 0;
}

void attacher_inspect(struct attacher *a, const char *path, struct target *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int err = fd < 0 ? -errno : inspect(a, fd, ret);

	if (err)
		*ret = (struct target){.err = err};
	if (fd >= 0)
		close(fd);
}

/* One program on all places that it serves: with uprobe.multi that is one link. */
struct placement {
	struct loader_program program;
	bool at_return;
	uint64_t offsets[TARGET_FUNCS * TARGET_RETURNS_MAX], cookies[TARGET_FUNCS * TARGET_RETURNS_MAX];
	size_t n;
};

struct plan {
	struct placement v[2 * TARGET_FUNCS];
	size_t n;
};

static void place(struct plan *plan, struct loader_program program, bool at_return, uint64_t offset, uint64_t cookie)
{
	struct placement *p = plan->v, *end = plan->v + plan->n;

	if (program.fd < 0)
		return;
	while (p < end && (p->program.fd != program.fd || p->at_return != at_return))
		p++;
	if (p == end) {
		plan->n++;
		p->program = program;
		p->at_return = at_return;
		p->n = 0;
	}
	for (size_t i = 0; i < p->n; i++)
		if (p->offsets[i] == offset)
			return; /* two functions may share the place where they return */
	p->offsets[p->n] = offset;
	p->cookies[p->n++] = cookie;
}

/* Where a function returns: a return probe, or without them every place at which it does. */
static int place_return(struct plan *plan, const struct loader *l, const struct target *t, int func, uint64_t cookie)
{
	struct loader_program program = loader_return(l, func);

	if (program.fd < 0)
		return 0;
	if (loader_caps(l) & LOADER_RETURN_PROBE) {
		place(plan, program, true, t->offset[func], cookie);
		return 0;
	}
	bool behind_call = t->ret_in_caller >> func & 1;
	if (!t->n_ret[func] || (behind_call && !(loader_caps(l) & LOADER_COOKIES)))
		return -EOPNOTSUPP;
	for (int i = 0; i < t->n_ret[func]; i++)
		place(plan, program, false, t->ret_offset[func][i], cookie | (behind_call ? COOKIE_BEHIND_CALL : 0));
	return 0;
}

/* A function that cannot be probed does not gate the others; only reads and writes together make sense of a stream. */
static int attach(struct attacher *a, struct file *f, int fd, const struct target *t, uint64_t attached)
{
	struct plan *plan = xcalloc(1, sizeof(*plan));
	char path[64];
	int err = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	/* The returns first: an entry without its return would be counted as a call that did not return. */
	for (int func = 0; func < TARGET_FUNCS; func++) {
		int e = t->offset[func] ? place_return(plan, a->loader, t, func, loader_cookie(func, t->lib, attached)) : 0;

		if (e && func != TARGET_NEW)
			err = e;
	}
	for (int func = 0; !err && func < TARGET_FUNCS; func++)
		if (t->offset[func])
			place(plan, loader_entry(a->loader, func), false, t->offset[func], loader_cookie(func, t->lib, attached));
	for (size_t i = 0; !err && i < plan->n; i++) {
		const struct placement *p = &plan->v[i];

		err = uprobe_attach(&(struct uprobe){.prog_fd = p->program.fd,
						     .kind = p->program.kind,
						     .at_return = p->at_return,
						     .path = path,
						     .offsets = p->offsets,
						     .cookies = loader_caps(a->loader) & LOADER_COOKIES ? p->cookies : NULL,
						     .n = p->n},
				    &f->links);
	}
	if (err)
		uprobe_detach(&f->links);
	free(plan);
	return err;
}

int attacher_file(struct attacher *a, int fd, const char *name, uint64_t since)
{
	struct target t;
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	struct file_key key = {st.st_dev, st.st_ino};
	struct file *f = map_get(&a->files, &key, sizeof(key));
	if (f)
		return f->attached;
	if (a->files.n >= ATTACH_FILES_MAX) {
		a->stats.unknown++;
		return -ENOSPC;
	}
	f = xcalloc(1, sizeof(*f));
	map_put(&a->files, &key, sizeof(key), f);

	int err = inspect(a, fd, &t);
	a->stats.files++;
	if (err) {
		a->stats.unknown++;
		return err;
	}
	if (t.err || !t.lib)
		return 0;
	uint64_t now = clock_boot_ns(), delay = since ? now - since : 0;
	bool late = delay > ATTACH_IN_TIME_NS;
	err = attach(a, f, fd, &t, late ? now : 0);
	if (err) {
		a->stats.failed++;
		snprintf(a->error, sizeof(a->error), "cannot probe %.150s: %s", name, strerror(-err));
		return err;
	}
	f->attached = true;
	a->stats.libraries++;
	if (late && !(loader_caps(a->loader) & LOADER_COOKIES))
		loader_attached_late(a->loader);
	log_info("attached to %s (%s)%s, %s site, %.1f ms after it was mapped", name, t.build_id[0] ? t.build_id : "no build id",
		 late ? " late" : "", target_is_slow(&t) ? "slow" : "fast", (double)delay / 1e6);
	return 1;
}

int attacher_path(struct attacher *a, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	int err = attacher_file(a, fd, path, 0);
	close(fd);
	return err;
}

const struct attach_stats *attacher_stats(const struct attacher *a)
{
	return &a->stats;
}

const char *attacher_error(const struct attacher *a)
{
	return a->error;
}
