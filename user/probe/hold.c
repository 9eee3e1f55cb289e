/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "jail/message.h"
#include "jail/spawn.h"
#include "probe/hold.h"

#define START_MS  5000 /* the gate has to be ready by then */
#define WORK_MAX  64   /* files in one go: they cannot keep probe from all else */
#define MOUNT_MAX 1024 /* bytes of a mount's path; longer ones are not marked */

struct hold {
	struct attacher *attacher;
	int group; /* fanotify; until the mounts are marked, then only the gate has it */
	int sock[2];
	pid_t gate;        /* 0: it is gone */
	uint64_t released; /* attach_stats.released, as the gate knows it */
	struct hold_stats stats;
	struct msg msg;
};

/* One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)). */
struct mount {
	char point[MOUNT_MAX], options[256], type[64];
	bool shared;
};

static bool starts_with(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* Undoes "\040" and the like, in place. */
static void unescape(char *s)
{
	char *to = s;
	unsigned c;

	for (; *s; *to++ = *s++)
		if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1 && strspn(s + 1, "01234567") >= 3) {
			s += 3;
			*s = (char)c;
		}
	*to = '\0';
}

static bool parse_mount(char *line, struct mount *ret)
{
	char *dash = strstr(line, " - ");

	if (!dash || sscanf(line, "%*s %*s %*s %*s %1023s %255s", ret->point, ret->options) != 2 ||
	    sscanf(dash, " - %63s", ret->type) != 1)
		return false;
	*dash = '\0';
	ret->shared = strstr(line, " shared:") != NULL;
	unescape(ret->point);
	return true;
}

/* 0 or -errno. */
static int each_mount(const char *mountinfo, void (*fn)(void *ctx, const struct mount *m), void *ctx)
{
	FILE *f = fopen(mountinfo, "re");
	char *line = NULL;
	size_t size = 0;
	struct mount m;

	if (!f)
		return -errno;
	while (getline(&line, &size, f) > 0)
		if (parse_mount(line, &m))
			fn(ctx, &m);
	free(line);
	fclose(f);
	return 0;
}

/* Where to look something up may hang, or to open it be refused to the gate. */
static bool may_fail(const struct mount *m)
{
	static const char *const types[] = {"nfs",  "cifs", "smb",    "fuse", "autofs", "9p",
	                                    "ceph", "afs",  "lustre", "gfs",  NULL};

	for (const char *const *t = types; *t; t++)
		if (starts_with(m->type, *t))
			return true;
	return false;
}

/* --- whether it can be done --- */

static void note_private(void *ctx, const struct mount *m)
{
	struct buf *out = ctx;

	/* Nobody mounts on the handle of a namespace. */
	if (!m->shared && !out->n && strcmp(m->type, "nsfs") != 0)
		text_escape(out, slice_str(m->point));
}

static int new_group(void)
{
	return fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE |
	                         FAN_UNLIMITED_MARKS,
	                     O_RDONLY | O_CLOEXEC | O_LARGEFILE);
}

bool hold_possible(struct buf *ret_why)
{
	struct buf private = {0};
	int group = new_group(), err = errno;

	if (group >= 0)
		close(group);
	if (group < 0)
		buf_addf(ret_why, "fanotify: %s%s", strerror(err),
		         err == EPERM ? " (needs CAP_SYS_ADMIN)" : "");
	else if (each_mount("/proc/self/mountinfo", note_private, &private))
		buf_adds(ret_why, "/proc/self/mountinfo cannot be read");
	else if (private.n)
		buf_addf(ret_why,
		         "mounts are not shared (%s), so CMD cannot have a mount namespace that is the same",
		         buf_str(&private));
	buf_release(&private);
	return ret_why->n == 0;
}

/* --- the gate --- */

struct hold *hold_new(struct attacher *a)
{
	struct hold *h = xcalloc(1, sizeof(*h));
	int err;

	h->attacher = a;
	h->sock[0] = h->sock[1] = -1;
	h->group = new_group();
	err = h->group < 0 ? -errno : role_socket(h->sock);
	if (!err) {
		h->gate = spawn_role("gate", h->sock[1]);
		err = h->gate < 0 ? (int)h->gate : 0;
	}
	if (!err)
		err = msg_send(h->sock[0], MSG_CONF, (struct slice){0}, &h->group, 1);
	/* Its end is its own: it must see that we are gone, and we that it is. */
	if (!err) {
		close(h->sock[1]);
		h->sock[1] = -1;
	}
	struct pollfd ready = {.fd = h->sock[0], .events = POLLIN};
	if (!err &&
	    (poll(&ready, 1, START_MS) <= 0 || msg_recv(h->sock[0], &h->msg) || h->msg.type != MSG_READY))
		err = -ECHILD;
	/* An answer that it does not take is not waited for: it lets go by itself. */
	if (!err && fcntl(h->sock[0], F_SETFL, O_NONBLOCK))
		err = -errno;
	if (!err)
		return h;
	hold_free(h);
	errno = -err;
	return NULL;
}

int hold_enter(struct hold *h)
{
	/* CMD waits for the gate too: no descriptor of ours may keep the group open meanwhile. */
	close(h->group);
	close(h->sock[0]);
	return unshare(CLONE_NEWNS) ? -errno : 0;
}

struct marking {
	int group;
	pid_t pid;
	unsigned marked;
};

static void mark(void *ctx, const struct mount *m)
{
	struct marking *to = ctx;
	char path[MOUNT_MAX + 32];

	if (may_fail(m) || strstr(m->options, "noexec"))
		return;
	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)to->pid, m->point);
	if (fanotify_mark(to->group, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_EXEC_PERM, AT_FDCWD, path) == 0)
		to->marked++;
}

bool hold_mark(struct hold *h, pid_t pid)
{
	struct marking to = {.group = h->group, .pid = pid};
	char mountinfo[64];

	snprintf(mountinfo, sizeof(mountinfo), "/proc/%d/mountinfo", (int)pid);
	each_mount(mountinfo, mark, &to);
	close(h->group); /* from now on it ends with the gate */
	h->group = -1;
	return to.marked > 0;
}

int hold_fd(const struct hold *h)
{
	return h && h->gate ? h->sock[0] : -1;
}

/* --- the work --- */

#ifdef SPANTAP_TEST_HOOKS
/* As long as it would take to look into a larger program than any. */
static void test_delay(const char *name)
{
	const char *ms = getenv("SPANTAP_TEST_HOLD_MS"), *of = getenv("SPANTAP_TEST_HOLD_FILE");

	if (ms && of && strstr(name, of))
		usleep((useconds_t)atoi(ms) * 1000);
}
#else
static void test_delay(const char *name)
{
	(void)name;
}
#endif

static void look_into(struct hold *h, int fd, const struct held *held)
{
	char link[64], name[PATH_MAX];
	struct file *f;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, name, sizeof(name) - 1);
	name[n > 0 ? n : 0] = '\0';
	test_delay(name);
	attacher_look(h->attacher, fd, name);
	bool in_time = clock_boot_ns() < held->since + HOLD_NS - HOLD_PLACE_NS;
	uint64_t libraries = attacher_stats(h->attacher)->libraries;
	if (attacher_file(h->attacher, fd, name, in_time ? 0 : held->since, &f) < 0 || !f)
		return; /* there is nothing to wait for */
	bool placed = attacher_stats(h->attacher)->libraries != libraries;
	if (placed && in_time && clock_boot_ns() >= held->since + HOLD_NS) {
		attacher_late(h->attacher, fd, f, held->since);
		in_time = false;
	}
	h->stats.overdue += !in_time;
	h->stats.attached += placed && in_time;
	if (placed)
		f->pinned = false; /* it is released as others are: forget_released() */
}

static void count_wait(struct hold_stats *s, const struct held *held)
{
	uint64_t ns = clock_boot_ns() - held->since;

	if (ns > HOLD_NS)
		ns = HOLD_NS;
	s->held++;
	s->ns += ns;
	if (ns > s->longest_ns)
		s->longest_ns = ns;
}

static void answer(struct hold *h)
{
	struct let_go go = {0};
	struct held held;

	if (h->msg.type == MSG_HELD && h->msg.payload.n == sizeof(held) && h->msg.n_fds == 1) {
		memcpy(&held, h->msg.payload.p, sizeof(held));
		look_into(h, h->msg.fds[0], &held);
		go.serial = held.serial;
		msg_send(h->sock[0], MSG_LET_GO, slice_of(&go, sizeof(go)), NULL, 0);
		count_wait(&h->stats, &held);
	}
	for (size_t i = 0; i < h->msg.n_fds; i++)
		close(h->msg.fds[i]);
}

/* Files whose probes were taken off must be asked about again. */
static void forget_released(struct hold *h)
{
	struct let_go forget = {HOLD_FORGET};
	uint64_t released = attacher_stats(h->attacher)->released;

	if (released != h->released &&
	    msg_send(h->sock[0], MSG_LET_GO, slice_of(&forget, sizeof(forget)), NULL, 0) == 0)
		h->released = released;
}

void hold_work(struct hold *h)
{
	struct pollfd fd = {.fd = hold_fd(h), .events = POLLIN};

	if (fd.fd >= 0)
		forget_released(h);
	for (int n = 0; fd.fd >= 0 && n < WORK_MAX && poll(&fd, 1, 0) > 0 && msg_recv(fd.fd, &h->msg) == 0;
	     n++)
		answer(h);
}

bool hold_reap(struct hold *h)
{
	int status;

	if (!h || h->gate <= 0 || waitpid(h->gate, &status, WNOHANG | WUNTRACED) != h->gate)
		return false;
	if (WIFSTOPPED(status)) {
		kill(h->gate, SIGKILL); /* CAP_KILL */
		return false;
	}
	h->gate = 0;
	return true;
}

void hold_free(struct hold *h)
{
	if (!h)
		return;
	for (int i = 0; i < 2; i++)
		if (h->sock[i] >= 0)
			close(h->sock[i]);
	if (h->group >= 0)
		close(h->group);
	/* It ends at end of file. Where we may not end it (CAP_KILL), nobody waits for it. */
	if (h->gate > 0 && kill(h->gate, SIGKILL) == 0)
		waitpid(h->gate, NULL, 0);
	free(h);
}

const struct hold_stats *hold_stats(const struct hold *h)
{
	return &h->stats;
}
