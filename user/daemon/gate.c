/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.c - the jail that answers for execve(2) of programs that wait (probe/hold.h).
 *
 * It asks probe about each file once, and answers when probe does, when the
 * time is over, and when probe is gone; never with no.  When it ends itself,
 * the kernel answers in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "jail/message.h"
#include "jail/sandbox.h"
#include "jail/spawn.h"
#include "probe/hold.h"

/* <linux/fanotify.h> of Linux 5.19, 7d5e005d9825: a mark that does not keep its inode in memory. */
#define MARK_EVICTABLE 0x200
#define EVENT_BYTES    (8 * FAN_EVENT_METADATA_LEN) /* read in one go: each brings a descriptor */
#define RESERVE        32                           /* descriptors that are not for programs that wait */

struct waiting {
	uint64_t serial; /* 0: unused */
	uint64_t until;
	int fd;
};

struct gate {
	int group;
	uint64_t serial;
	struct waiting waiting[HOLD_PENDING_MAX];
	size_t n, max;
	unsigned known; /* inodes that were marked */
	bool evictable;
	struct msg msg;
};

static void forget_known(struct gate *g)
{
	fanotify_mark(g->group, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL); /* of inodes only */
	g->known = 0;
}

/* The kernel does not ask about this inode again, until it is written to. A failure costs a question more. */
static void mark_known(struct gate *g, int fd)
{
	unsigned flags = FAN_MARK_ADD | FAN_MARK_IGNORED_MASK;

	if (g->known >= HOLD_KNOWN_MAX)
		forget_known(g);
	if (g->evictable && fanotify_mark(g->group, flags | MARK_EVICTABLE, FAN_OPEN_EXEC_PERM, fd, NULL) &&
	    errno == EINVAL)
		g->evictable = false;
	if (!g->evictable && fanotify_mark(g->group, flags, FAN_OPEN_EXEC_PERM, fd, NULL))
		return;
	g->known++;
}

static void let_go(struct gate *g, int fd, bool known)
{
	struct fanotify_response yes = {.fd = fd, .response = FAN_ALLOW};

	if (known)
		mark_known(g, fd);
	if (write(g->group, &yes, sizeof(yes)) < 0)
		log_warn("cannot let a program go on: %s", strerror(errno));
	close(fd);
}

/* False: it cannot be asked about now. */
static bool ask(struct gate *g, int fd)
{
	uint64_t now = clock_boot_ns();
	struct held held = {++g->serial, now};
	struct waiting *w = g->waiting;

	if (g->n >= g->max || msg_send(ROLE_SOCKET, MSG_HELD, slice_of(&held, sizeof(held)), &fd, 1))
		return false;
	while (w->serial)
		w++;
	*w = (struct waiting){held.serial, now + HOLD_NS, fd};
	g->n++;
	return true;
}

static void on_event(struct gate *g, const struct fanotify_event_metadata *e)
{
	struct stat st;

	if (e->fd < 0)
		return;
	bool small = fstat(e->fd, &st) || !S_ISREG(st.st_mode) || st.st_size < HOLD_SIZE_MIN;
	if (!(e->mask & FAN_OPEN_EXEC_PERM))
		close(e->fd);
	else if (small || !ask(g, e->fd))
		let_go(g, e->fd, small);
}

static void read_events(struct gate *g)
{
	_Alignas(struct fanotify_event_metadata) char bytes[EVENT_BYTES];
	ssize_t n;

	while ((n = read(g->group, bytes, sizeof(bytes))) > 0) {
		const struct fanotify_event_metadata *e = (const void *)bytes;

		for (; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n))
			on_event(g, e);
	}
}

static void free_waiting(struct gate *g, struct waiting *w, bool known)
{
	let_go(g, w->fd, known);
	w->serial = 0;
	g->n--;
}

/* False: probe is gone. */
static bool read_answer(struct gate *g)
{
	struct let_go go;

	if (msg_recv(ROLE_SOCKET, &g->msg) || g->msg.type != MSG_LET_GO || g->msg.payload.n != sizeof(go))
		return false;
	memcpy(&go, g->msg.payload.p, sizeof(go));
	if (go.serial == HOLD_FORGET)
		forget_known(g);
	for (size_t i = 0; go.serial != HOLD_FORGET && i < HOLD_PENDING_MAX; i++)
		if (g->waiting[i].serial == go.serial)
			free_waiting(g, &g->waiting[i], true);
	return true;
}

/* Lets go of those whose time is over. How long to wait for the next, in ms; -1: none waits. */
static int overdue(struct gate *g)
{
	uint64_t now = clock_boot_ns(), next = UINT64_MAX;

	for (size_t i = 0; i < HOLD_PENDING_MAX; i++) {
		struct waiting *w = &g->waiting[i];

		if (w->serial && w->until <= now)
			free_waiting(g, w, false);
		else if (w->serial && w->until < next)
			next = w->until;
	}
	return next == UINT64_MAX ? -1 : (int)((next - now) / 1000000) + 1;
}

static void work(struct gate *g)
{
	struct pollfd fds[] = {{.fd = ROLE_SOCKET, .events = POLLIN}, {.fd = g->group, .events = POLLIN}};

	for (;;) {
		poll(fds, 2, overdue(g));
		if (fds[0].revents && !read_answer(g))
			return;
		if (fds[1].revents)
			read_events(g);
	}
}

/* As many descriptors as may be: without one, the kernel would refuse an execve. */
static size_t room(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return 0;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < RESERVE)
		return 0;
	return files.rlim_cur - RESERVE < HOLD_PENDING_MAX ? files.rlim_cur - RESERVE : HOLD_PENDING_MAX;
}

int gate_main(void)
{
	static struct gate g = {.evictable = true};
	int err;

	setsid();
	setpriority(PRIO_PROCESS, 0, HURRY);
	g.max = room();
	if (msg_recv(ROLE_SOCKET, &g.msg) || g.msg.type != MSG_CONF || g.msg.n_fds != 1)
		return EXIT_SPANTAP;
	g.group = g.msg.fds[0];
	err = sandbox_identity(SANDBOX_UID, SANDBOX_UID);
	if (!err)
		err = fcntl(ROLE_SOCKET, F_SETFL, O_NONBLOCK) ? -errno : 0;
	if (!err)
		err = sandbox_enter(SANDBOX_GATE);
	if (err)
		die(EXIT_SPANTAP, "cannot give up its rights: %s", strerror(-err));
	msg_send(ROLE_SOCKET, MSG_READY, (struct slice){0}, NULL, 0);
	work(&g);
	return 0;
}
