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
#include "jail/message.h"
#include "jail/spawn.h"
#include "probe/attach.h"
#include "probe/findings.h"

#define INSPECT_MS      (INSPECT_SECONDS * 1000)
#define INSPECT_LOOK_MS 20

struct attacher {
	struct loader *loader;
	struct files files;
	pid_t inspect;    /* 0: not running */
	int sock[2];
	struct attach_stats stats;
	char error[256];
	attacher_changed changed; /* NULL: nobody is told */
	void *changed_ctx;
	struct msg msg;
};

struct attacher *attacher_new(struct loader *l)
{
	struct attacher *a = xcalloc(1, sizeof(*a));

	a->loader = l;
	a->sock[0] = a->sock[1] = -1;
	return a;
}

/* It ends at end of file; one that hangs is killed, or ends by its own clock where we may not (CAP_KILL). */
static void stop_inspect(struct attacher *a)
{
	for (int i = 0; i < 2; i++) {
		if (a->sock[i] >= 0)
			close(a->sock[i]);
		a->sock[i] = -1;
	}
	if (a->inspect > 0 && kill(a->inspect, SIGKILL) == 0)
		waitpid(a->inspect, NULL, 0);
	a->inspect = 0;
}

void attacher_on_change(struct attacher *a, attacher_changed changed, void *ctx)
{
	a->changed = changed;
	a->changed_ctx = ctx;
}

void attacher_free(struct attacher *a)
{
	if (!a)
		return;
	stop_inspect(a);
	files_release(&a->files);
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

/* Whether the return of a function is seen by a return probe. Those of Go would break it. */
static bool by_return_probe(const struct loader *l, uint32_t lib)
{
	return loader_caps(l) & LOADER_RETURN_PROBE && lib != EV_LIB_GO;
}

/* Whether it can be told where a function returns, if anything sits there. */
static bool tells_return(const struct loader *l, const struct target *t, int func)
{
	uint32_t lib = t->func_lib[func];
	bool behind_call = t->ret_in_caller >> func & 1;

	return loader_return(l, lib, func).fd < 0 || by_return_probe(l, lib) ||
	       (t->n_ret[func] && (!behind_call || loader_caps(l) & LOADER_COOKIES));
}

/* Where a function returns: a return probe, or without them every place at which it does. */
static void place_return(struct plan *plan, const struct loader *l, const struct target *t, int func, uint64_t cookie)
{
	struct loader_program program = loader_return(l, t->func_lib[func], func);
	bool behind_call = t->ret_in_caller >> func & 1;

	if (by_return_probe(l, t->func_lib[func])) {
		place(plan, program, true, t->offset[func], cookie);
		return;
	}
	for (int i = 0; i < t->n_ret[func]; i++)
		place(plan, program, false, t->ret_offset[func][i], cookie | (behind_call ? COOKIE_BEHIND_CALL : 0));
}

/*
 * The probes of one library. A function that cannot be probed does not gate
 * the others; only reads and writes together make sense of a stream.
 */
static int plan_library(struct plan *plan, const struct loader *l, const struct target *t, uint32_t lib, uint64_t attached)
{
	bool planned[TARGET_FUNCS];

	for (int func = 0; func < TARGET_FUNCS; func++) {
		planned[func] = t->offset[func] && t->func_lib[func] == lib;
		if (!planned[func])
			continue;
		if (loader_entry(l, lib, func).fd < 0 && loader_return(l, lib, func).fd < 0)
			return -ENOSYS;
		planned[func] = tells_return(l, t, func);
		if (!planned[func] && func <= TARGET_FLUSH)
			return -EOPNOTSUPP;
	}
	/* The returns first: an entry without its return would be counted as a call that did not return. */
	for (int func = 0; func < TARGET_FUNCS; func++)
		if (planned[func])
			place_return(plan, l, t, func, loader_cookie(func, lib, attached));
	for (int func = 0; func < TARGET_FUNCS; func++)
		if (planned[func])
			place(plan, loader_entry(l, lib, func), false, t->offset[func], loader_cookie(func, lib, attached));
	return 0;
}

/* The probes of all libraries: one that cannot be probed does not gate another one of the same file. */
static int plan_all(struct plan *plan, const struct loader *l, const struct target *t, uint64_t attached)
{
	uint64_t planned[4] = {0}; /* bit: enum ev_lib */
	int err = 0;

	if (!target_has_probes(t))
		return -EOPNOTSUPP;
	for (int func = 0; func < TARGET_FUNCS; func++) {
		uint32_t lib = t->func_lib[func];

		if (!t->offset[func] || planned[lib / 64] >> lib % 64 & 1)
			continue;
		planned[lib / 64] |= 1ull << lib % 64;
		err = plan_library(plan, l, t, lib, attached) ?: err;
	}
	return plan->n ? 0 : err;
}

static int attach(struct attacher *a, struct file *f, int fd, const struct target *t, uint64_t attached)
{
	struct plan *plan = xcalloc(1, sizeof(*plan));
	int err = plan_all(plan, a->loader, t, attached);
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
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

const char *file_reason(const struct file *f)
{
	if (f->err == -ENOSYS)
		return "this kernel is too old for its library (bpf_loop, Linux 5.17)";
	if (f->err != -EOPNOTSUPP || !f->target)
		return strerror(-f->err);
	return target_has_probes(f->target) ? "it cannot be told where its functions return"
	                                    : target_why_text((enum target_why)f->target->why_public);
}

/* Asks what is in it, once in the life of the file. 0, or -errno: it is not known. */
static int look_into(struct attacher *a, struct file *f, int fd, const struct stat *st)
{
	struct target t;
	uint64_t begun = clock_boot_ns();
	bool known = st->st_size >= FINDINGS_SIZE && findings_load(st, &t);
	int err = known ? 0 : inspect(a, fd, &t);

	a->stats.files++;
	if (!known && !err && clock_boot_ns() - begun >= FINDINGS_WORTH_NS && st->st_size >= FINDINGS_SIZE)
		findings_store(st, &t);
	if (err) {
		a->stats.unknown++;
		return err;
	}
	f->refused = target_refused_name(&t);
	f->why_refused = t.why_refused;
	if (!t.err && t.lib) {
		f->target = xmalloc(sizeof(t));
		*f->target = t;
	}
	return 0;
}

/* Whether a connection's beginning is seen before its first byte. */
static bool sees_beginnings(const struct target *t)
{
	return t->offset[TARGET_NEW] || t->offset[TARGET_INIT] || t->offset[TARGET_BEGIN] ||
	       t->offset[TARGET_HANDSHAKE];
}

/* Places the probes on a file that has a TLS library. */
static int turn_on(struct attacher *a, struct file *f, int fd, uint64_t since)
{
	uint64_t now = clock_boot_ns(), delay = since ? now - since : 0;
	const struct target *t = f->target;

	/* Placing takes time too, on a busy host much: where SSL_new is seen, a connection proves by it that it is whole. */
	f->attached = delay > ATTACH_IN_TIME_NS || (since && sees_beginnings(t)) ? now : 0;
	if (t->lib == EV_LIB_GO)
		loader_attached_go(a->loader);
	f->err = attach(a, f, fd, t, f->attached);
	if (f->err) {
		a->stats.failed++;
		snprintf(a->error, sizeof(a->error), "cannot probe %.150s: %s", f->name, file_reason(f));
		return f->err;
	}
	f->on = true;
	f->mapped = now;
	f->pinned = !since;
	a->stats.libraries++;
	if (a->changed)
		a->changed(a->changed_ctx, f, NULL);
	if (f->attached && !(loader_caps(a->loader) & LOADER_COOKIES))
		loader_attached_late(a->loader);
	log_info("attached to %s (%s)%s, %s site, %.1f ms after it was mapped, within %.1f ms", f->name,
		 t->build_id[0] ? t->build_id : "no build id", f->attached ? " late" : "", target_is_slow(t) ? "slow" : "fast",
		 (double)delay / 1e6, (double)(clock_boot_ns() - now) / 1e6);
	return 1;
}

static void turn_off(struct attacher *a, struct file *f, const char *why)
{
	if (a->changed)
		a->changed(a->changed_ctx, f, why);
	uprobe_detach(&f->links);
	f->on = f->pinned = false;
	a->stats.libraries--;
}

int attacher_file(struct attacher *a, int fd, const char *name, uint64_t since, struct file **ret)
{
	struct stat st;

	*ret = NULL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	struct file *f = files_find(&a->files, &st);
	if (f && file_is_changed(f, &st)) {
		/* Another content: the probes would sit on other instructions. */
		if (f->on)
			turn_off(a, f, "the file has changed");
		files_forget(&a->files, f);
		f = NULL;
	}
	bool known = f != NULL;
	if (!f)
		f = files_add(&a->files, &st, name);
	if (!f) {
		a->stats.unknown++;
		return -ENOSPC;
	}
	*ret = f;
	if (!known)
		f->err = look_into(a, f, fd, &st);
	if (!f->target || f->on || f->err)
		return f->err ? f->err : f->on;
	return turn_on(a, f, fd, since);
}

void attacher_look(struct attacher *a, int fd, const char *name)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || files_find(&a->files, &st))
		return;
	struct file *f = files_add(&a->files, &st, name);
	if (f)
		f->err = look_into(a, f, fd, &st);
}

void attacher_warm(struct attacher *a, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return;
	attacher_look(a, fd, path);
	close(fd);
}

int attacher_late(struct attacher *a, int fd, struct file *f, uint64_t since)
{
	turn_off(a, f, "its probes came late: placed anew");
	return turn_on(a, f, fd, since);
}

int attacher_path(struct attacher *a, const char *path, uint64_t since)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct file *f;

	if (fd < 0)
		return -errno;
	int err = attacher_file(a, fd, path, since, &f);
	close(fd);
	return err;
}

void attacher_retire(struct attacher *a, uint64_t before)
{
	struct map_entry *e;

	map_foreach(&a->files.by_inode, e) {
		struct file *f = e->value;

		if (!f->on || f->pinned || f->mapped >= before)
			continue;
		turn_off(a, f, "no followed process maps it any more");
		a->stats.released++;
		log_info("released %s: no followed process maps it any more", f->name);
	}
}

struct files *attacher_files(struct attacher *a)
{
	return &a->files;
}

const struct attach_stats *attacher_stats(const struct attacher *a)
{
	return &a->stats;
}

const char *attacher_error(const struct attacher *a)
{
	return a->error;
}
