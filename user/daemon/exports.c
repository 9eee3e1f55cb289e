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
#include "daemon/exports.h"
#include "jail/spawn.h"

#define HEAR_MAX 64 /* messages of an exporter in one go */

struct export
{
	struct child child;
	struct buf wire;   /* its MSG_CONF; empty: the slot is free */
	uint64_t again_at; /* when it is started again */
	uint64_t leave_by; /* it was told to end, and is killed then; 0: it belongs to the configuration */
};

struct exports {
	struct export v[EXPORTS_MAX]; /* those of the configuration, and those that leave */
	bool ending;
	struct msg msg;
};

struct exports *exports_new(void)
{
	return xcalloc(1, sizeof(struct exports));
}

static bool is_used(const struct export *e)
{
	return e->wire.n > 0;
}

static void clear(struct export *e)
{
	child_stop(&e->child);
	buf_release(&e->wire);
	*e = (struct export){.child = {.name = NULL}};
}

static void leave(struct export *e)
{
	e->leave_by = clock_boot_ns() + EXPORT_END_NS;
	if (e->child.pid > 0)
		msg_send(e->child.sock[0], MSG_END, (struct slice){0}, NULL, 0);
}

static struct export *find(struct exports *x, struct slice wire)
{
	for (struct export *e = x->v; e < x->v + EXPORTS_MAX; e++)
		if (is_used(e) && !e->leave_by && slice_eq(buf_slice(&e->wire), wire))
			return e;
	return NULL;
}

/* There is one: the configuration has EXPORT_ENDPOINTS_MAX at most, and as many may leave, see exports_set().
 */
static void add(struct exports *x, struct buf *wire)
{
	for (struct export *e = x->v; e < x->v + EXPORTS_MAX; e++) {
		if (is_used(e))
			continue;
		e->child.name = "export";
		e->wire = *wire;
		*wire = (struct buf){0};
		return;
	}
}

static void encode(struct buf *wire, const struct outputs *o, size_t i)
{
	const struct export_conf conf = {
	    .endpoint = o->endpoints[i], .store_dir = o->sink.store_dir, .uid = o->uid, .gid = o->gid};

	export_conf_encode(wire, &conf);
}

/* Those that left before and are still there are not waited for any longer. */
static void make_room(struct exports *x)
{
	for (struct export *e = x->v; e < x->v + EXPORTS_MAX; e++)
		if (e->leave_by)
			clear(e);
}

size_t exports_set(struct exports *x, const struct outputs *o)
{
	struct buf wires[EXPORT_ENDPOINTS_MAX] = {{0}};
	struct export *kept[EXPORT_ENDPOINTS_MAX] = {NULL};
	size_t changed = 0;

	make_room(x);
	for (size_t i = 0; i < o->n_endpoints; i++) {
		encode(&wires[i], o, i);
		kept[i] = find(x, buf_slice(&wires[i]));
	}
	for (struct export *e = x->v; e < x->v + EXPORTS_MAX; e++) {
		bool stays = !is_used(e);

		for (size_t i = 0; i < o->n_endpoints; i++)
			stays |= kept[i] == e;
		if (!stays)
			leave(e);
		changed += !stays;
	}
	for (size_t i = 0; i < o->n_endpoints; i++) {
		if (!kept[i])
			add(x, &wires[i]);
		changed += !kept[i];
		buf_release(&wires[i]);
	}
	return changed;
}

static int start(struct export *e)
{
	int err = e->child.sock[0] > 0 ? 0 : role_socket(e->child.sock);

	e->again_at = clock_boot_ns() + EXPORT_AGAIN_NS;
	if (err)
		return err;
	e->child.pid = spawn_role("export", e->child.sock[1]);
	if (e->child.pid < 0) {
		err = (int)e->child.pid;
		e->child.pid = 0;
		return err;
	}
	return msg_send(e->child.sock[0], MSG_CONF, buf_slice(&e->wire), NULL, 0);
}

static void nonblocking(const struct export *e)
{
	fcntl(e->child.sock[0], F_SETFL, O_NONBLOCK);
}

bool exports_start(struct exports *x)
{
	for (struct export *e = x->v; e < x->v + EXPORTS_MAX; e++) {
		if (!is_used(e))
			continue;
		int err = start(e);
		if (err)
			log_warn("cannot start an exporter: %s", strerror(-err));
		if (err || !child_wait_ready(&e->child, &x->msg))
			return false;
		nonblocking(e);
	}
	return true;
}

static void hear(struct exports *x, struct export *e)
{
	struct pollfd fd = {.fd = e->child.sock[0], .events = POLLIN};

	for (int n = 0;
	     n < HEAR_MAX && e->child.sock[0] > 0 && poll(&fd, 1, 0) > 0 && msg_recv(fd.fd, &x->msg) == 0;
	     n++) {
		if (x->msg.type == MSG_FAIL)
			log_warn("%.*s", (int)x->msg.payload.n, x->msg.payload.p);
		e->child.done |= x->msg.type == MSG_DONE;
	}
}

static void reap(const struct exports *x, struct export *e)
{
	int status;

	if (e->child.pid <= 0 || waitpid(e->child.pid, &status, WNOHANG) != e->child.pid)
		return;
	e->child.pid = 0;
	if (!e->child.done && !x->ending && !e->leave_by)
		log_warn("an exporter ended (%s %d): starting it again; nothing is lost, its spans are in "
		         "the store",
		         WIFSIGNALED(status) ? "signal" : "status",
		         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* Whether some that were told to end are still there. */
static bool bury(struct exports *x, uint64_t now)
{
	bool left = false;

	for (struct export *e = x->v; e < x->v + EXPORTS_MAX; e++) {
		if (!e->leave_by)
			continue;
		if (e->child.pid == 0 || now > e->leave_by)
			clear(e);
		left |= is_used(e);
	}
	return left;
}

void exports_turn(struct exports *x)
{
	uint64_t now = clock_boot_ns();

	for (struct export *e = x->v; e < x->v + EXPORTS_MAX; e++) {
		hear(x, e);
		reap(x, e);
	}
	if (x->ending || bury(x, now))
		return;
	for (struct export *e = x->v; e < x->v + EXPORTS_MAX; e++) {
		if (!is_used(e) || e->child.pid || e->child.done || now < e->again_at)
			continue;
		if (start(e))
			log_warn("cannot start an exporter");
		nonblocking(e);
	}
}

void exports_end(struct exports *x)
{
	x->ending = true;
	for (struct export *e = x->v; e < x->v + EXPORTS_MAX; e++)
		if (e->child.pid > 0)
			msg_send(e->child.sock[0], MSG_END, (struct slice){0}, NULL, 0);
}

size_t exports_pids(const struct exports *x, pid_t *ret)
{
	size_t n = 0;

	for (const struct export *e = x->v; e < x->v + EXPORTS_MAX; e++)
		if (e->child.pid > 0)
			ret[n++] = e->child.pid;
	return n;
}

bool exports_run(const struct exports *x)
{
	for (const struct export *e = x->v; e < x->v + EXPORTS_MAX; e++)
		if (e->child.pid > 0 && !e->child.done)
			return true;
	return false;
}

void exports_free(struct exports *x)
{
	if (!x)
		return;
	for (struct export *e = x->v; e < x->v + EXPORTS_MAX; e++)
		clear(e);
	free(x);
}
