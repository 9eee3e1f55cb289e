/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "daemon/service.h"

struct service {
	int fd;
	struct sockaddr_un to;
	socklen_t to_len;
	uint64_t every, alive_at; /* ns; every 0: no watchdog */
	struct buf status;
};

static void send_text(const struct service *s, const struct buf *text)
{
	/* It never waits: a manager that does not read gets no more than its socket holds. */
	if (sendto(s->fd, text->p, text->n, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&s->to,
	           s->to_len) < 0)
		return;
}

static bool address(struct service *s, const char *path)
{
	size_t n = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof(s->to.sun_path))
		return false;
	s->to.sun_family = AF_UNIX;
	memcpy(s->to.sun_path, path, n);
	if (path[0] == '@')
		s->to.sun_path[0] = '\0';
	s->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return true;
}

/* A quarter of the time after which the manager gives us up. */
static uint64_t watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t v;

	if (!usec || !slice_u64(slice_str(usec), &v) || v > UINT64_MAX / 1000)
		return 0;
	uint64_t every = v * 1000 / 4;
	return !pid || (slice_u64(slice_str(pid), &v) && v == (uint64_t)getpid()) ? every : 0;
}

struct service *service_new(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct service *s = path ? xcalloc(1, sizeof(*s)) : NULL;

	if (s && address(s, path)) {
		s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		s->every = watchdog();
	}
	if (s && s->fd <= 0) {
		free(s);
		s = NULL;
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return s;
}

/* Lines would end at a line break: what they hold was escaped by who made it. */
static void keep_status(struct service *s, const char *status)
{
	buf_clear(&s->status);
	buf_adds(&s->status, status);
}

static void say(struct service *s, const char *what, const char *status)
{
	struct buf text = {0};

	if (!s)
		return;
	if (status)
		keep_status(s, status);
	buf_addf(&text, "%s", what);
	if (status)
		buf_addf(&text, "%sSTATUS=%s", *what ? "\n" : "", status);
	send_text(s, &text);
	buf_release(&text);
}

void service_ready(struct service *s, const char *status)
{
	say(s, "READY=1", status);
}

void service_reloading(struct service *s)
{
	struct timespec t;
	char what[64];

	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(what, sizeof(what), "RELOADING=1\nMONOTONIC_USEC=%llu",
	         (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000);
	say(s, what, NULL);
}

void service_stopping(struct service *s, const char *status)
{
	say(s, "STOPPING=1", status);
}

void service_status(struct service *s, const char *status)
{
	if (s && !slice_eq(slice_str(status), buf_slice(&s->status)))
		say(s, "", status);
}

void service_alive(struct service *s)
{
	uint64_t now;

	if (!s || !s->every)
		return;
	now = clock_boot_ns();
	if (s->alive_at && now - s->alive_at < s->every)
		return;
	s->alive_at = now;
	say(s, "WATCHDOG=1", NULL);
}

void service_free(struct service *s)
{
	if (!s)
		return;
	close(s->fd);
	buf_release(&s->status);
	free(s);
}
