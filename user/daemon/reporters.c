/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/reporters.h"
#include "jail/spawn.h"

#define HEAR_MAX 64 /* messages of one in one go */

struct reporter {
	struct child child;
	struct reporter_conf conf; /* role NULL: the slot is free */
	uint64_t again_at;         /* when it is started again */
	uint64_t leave_by; /* it was told to end, and is killed then; 0: it belongs to the configuration */
};

struct reporters {
	struct reporter v[REPORTERS_RUNNING_MAX]; /* those of the configuration, and those that leave */
	bool ending;
	struct msg msg;
};

struct reporters *reporters_new(void)
{
	return xcalloc(1, sizeof(struct reporters));
}

static bool is_used(const struct reporter *r)
{
	return r->conf.role != NULL;
}

static void clear(struct reporter *r)
{
	child_stop(&r->child);
	buf_release(&r->conf.wire);
	*r = (struct reporter){.child = {.name = NULL}};
}

static void leave(struct reporter *r)
{
	r->leave_by = clock_boot_ns() + REPORT_END_NS;
	if (r->child.pid > 0)
		msg_send(r->child.sock[0], MSG_END, (struct slice){0}, NULL, 0);
}

static bool same(const struct reporter_conf *a, const struct reporter_conf *b)
{
	return strcmp(a->role, b->role) == 0 && a->fd == b->fd &&
	       slice_eq(buf_slice(&a->wire), buf_slice(&b->wire));
}

static struct reporter *find(struct reporters *x, const struct reporter_conf *conf)
{
	for (struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++)
		if (is_used(r) && !r->leave_by && same(&r->conf, conf))
			return r;
	return NULL;
}

/* There is a free slot: REPORTERS_MAX belong to the configuration, and as many may leave, see
 * reporters_set(). */
static void add(struct reporters *x, const struct reporter_conf *conf)
{
	for (struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++) {
		if (is_used(r))
			continue;
		r->child.name = conf->name;
		r->conf = *conf;
		return;
	}
}

/* Those that left before and are still there are not waited for any longer. */
static void make_room(struct reporters *x)
{
	for (struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++)
		if (r->leave_by)
			clear(r);
}

size_t reporters_set(struct reporters *x, struct reporter_conf *v, size_t n)
{
	struct reporter *kept[REPORTERS_MAX] = {NULL};
	size_t changed = 0;

	make_room(x);
	for (size_t i = 0; i < n; i++)
		kept[i] = find(x, &v[i]);
	for (struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++) {
		bool stays = !is_used(r);

		for (size_t i = 0; i < n; i++)
			stays |= kept[i] == r;
		if (!stays)
			leave(r);
		changed += !stays;
	}
	for (size_t i = 0; i < n; i++) {
		if (kept[i])
			buf_release(&v[i].wire);
		else
			add(x, &v[i]);
		changed += !kept[i];
	}
	return changed;
}

static int start(struct reporter *r)
{
	int err = r->child.sock[0] > 0 ? 0 : role_socket(r->child.sock);

	r->again_at = clock_boot_ns() + REPORT_AGAIN_NS;
	if (err)
		return err;
	r->child.pid = spawn_role(r->conf.role, r->child.sock[1]);
	if (r->child.pid < 0) {
		err = (int)r->child.pid;
		r->child.pid = 0;
		return err;
	}
	return msg_send(r->child.sock[0], MSG_CONF, buf_slice(&r->conf.wire), &r->conf.fd, r->conf.fd >= 0);
}

static void nonblocking(const struct reporter *r)
{
	fcntl(r->child.sock[0], F_SETFL, O_NONBLOCK);
}

bool reporters_start(struct reporters *x)
{
	for (struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++) {
		if (!is_used(r))
			continue;
		int err = start(r);
		if (err)
			log_warn("cannot start %s: %s", r->conf.name, strerror(-err));
		if (err || !child_wait_ready(&r->child, &x->msg))
			return false;
		nonblocking(r);
	}
	return true;
}

static void hear(struct reporters *x, struct reporter *r)
{
	struct pollfd fd = {.fd = r->child.sock[0], .events = POLLIN};

	for (int n = 0;
	     n < HEAR_MAX && r->child.sock[0] > 0 && poll(&fd, 1, 0) > 0 && msg_recv(fd.fd, &x->msg) == 0;
	     n++) {
		if (x->msg.type == MSG_FAIL)
			log_warn("%.*s", (int)x->msg.payload.n, x->msg.payload.p);
		r->child.done |= x->msg.type == MSG_DONE;
	}
}

static void reap(const struct reporters *x, struct reporter *r)
{
	int status;

	if (r->child.pid <= 0 || waitpid(r->child.pid, &status, WNOHANG) != r->child.pid)
		return;
	r->child.pid = 0;
	if (!r->child.done && !x->ending && !r->leave_by)
		log_warn("%s ended (%s %d): starting it again; nothing is lost, it reads what sink keeps",
		         r->conf.name, WIFSIGNALED(status) ? "signal" : "status",
		         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* Whether some that were told to end are still there. */
static bool bury(struct reporters *x, uint64_t now)
{
	bool left = false;

	for (struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++) {
		if (!r->leave_by)
			continue;
		if (r->child.pid == 0 || now > r->leave_by)
			clear(r);
		left |= is_used(r);
	}
	return left;
}

void reporters_turn(struct reporters *x)
{
	uint64_t now = clock_boot_ns();

	for (struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++) {
		hear(x, r);
		reap(x, r);
	}
	if (x->ending || bury(x, now))
		return;
	for (struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++) {
		if (!is_used(r) || r->child.pid || r->child.done || now < r->again_at)
			continue;
		if (start(r))
			log_warn("cannot start %s", r->conf.name);
		nonblocking(r);
	}
}

void reporters_end(struct reporters *x)
{
	x->ending = true;
	for (struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++)
		if (r->child.pid > 0)
			msg_send(r->child.sock[0], MSG_END, (struct slice){0}, NULL, 0);
}

size_t reporters_pids(const struct reporters *x, pid_t *ret)
{
	size_t n = 0;

	for (const struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++)
		if (r->child.pid > 0)
			ret[n++] = r->child.pid;
	return n;
}

void reporters_each(const struct reporters *x, void (*fn)(void *ctx, const char *role, pid_t pid), void *ctx)
{
	for (const struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++)
		if (r->child.pid > 0)
			fn(ctx, r->conf.role, r->child.pid);
}

bool reporters_run(const struct reporters *x)
{
	for (const struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++)
		if (r->child.pid > 0 && !r->child.done)
			return true;
	return false;
}

void reporters_free(struct reporters *x)
{
	if (!x)
		return;
	for (struct reporter *r = x->v; r < x->v + REPORTERS_RUNNING_MAX; r++)
		clear(r);
	free(x);
}
