/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/metrics_server.h"
#include "jail/message.h"
#include "jail/sandbox.h"
#include "jail/spawn.h"
#include "metrics/board.h"
#include "metrics/health.h"
#include "metrics/http_get.h"

#define IN_BYTES 4096
#define FRESH_NS 1000000000ull /* an answer may be given again for so long */

/* A text that several scrapers are being given. */
struct page {
	unsigned users;
	struct buf text;
};

struct scraper {
	int fd; /* -1: free */
	uint64_t since, until;
	struct http_get request;
	struct buf head;   /* of the answer */
	struct page *page; /* its body; NULL: none */
	size_t sent;       /* of both */
};

struct server {
	struct metrics_conf conf;
	int listener;
	struct board *board;
	struct buf notice;
	struct page *pages[METRICS_FORMATS]; /* the latest, NULL: none yet */
	uint64_t made[METRICS_FORMATS], serials[METRICS_FORMATS];
	struct scraper scrapers[SCRAPERS_MAX];
	struct msg msg;
};

void metrics_server_conf(struct buf *out, const struct listen_address *listen, uid_t uid, gid_t gid)
{
	struct metrics_conf conf;

	memset(&conf, 0, sizeof(conf)); /* padding, too: equal configurations are equal bytes */
	memcpy(&conf.listen.addr, &listen->addr, sizeof(conf.listen.addr));
	conf.listen.len = listen->len;
	conf.uid = uid;
	conf.gid = gid;
	buf_add(out, &conf, sizeof(conf));
}

/* --- pages --- */

static void drop(struct page *p)
{
	if (!p || --p->users)
		return;
	buf_release(&p->text);
	free(p);
}

static struct registry *read_board(struct server *s, struct slice parts[BOARD_PARTS])
{
	struct registry *r = NULL;

	/* It is replaced twice a second at most: a second look finds it whole. */
	for (int i = 0; i < 3; i++)
		if (board_get(s->board, &s->notice, parts) == 0)
			break;
	registry_decode(parts[BOARD_REGISTRY], &r);
	return r ? r : registry_new(0);
}

/* The one in use while it is fresh: however often it is asked for, it is made once a second. */
static struct page *page_of(struct server *s, enum metrics_format f, uint64_t now)
{
	struct slice parts[BOARD_PARTS] = {{NULL, 0}};
	uint64_t serial = board_serial(s->board);

	if (s->pages[f] && (serial == s->serials[f] || now - s->made[f] < FRESH_NS)) {
		s->pages[f]->users++;
		return s->pages[f];
	}
	drop(s->pages[f]);
	s->pages[f] = xcalloc(1, sizeof(*s->pages[f]));
	s->pages[f]->users = 2;
	s->made[f] = now;
	s->serials[f] = serial;
	struct registry *r = read_board(s, parts);
	health_add(r, parts[BOARD_STATUS], parts[BOARD_EXPORTS]);
	openmetrics_write(&s->pages[f]->text, r, f);
	registry_free(r);
	return s->pages[f];
}

/* --- scrapers --- */

static void scraper_close(struct scraper *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_release(&c->head);
	drop(c->page);
	c->page = NULL;
}

/* A free place, if need be that of who has been asking for longest; NULL: all are being answered. */
static struct scraper *place(struct server *s)
{
	struct scraper *oldest = NULL;

	for (size_t i = 0; i < SCRAPERS_MAX; i++) {
		struct scraper *c = &s->scrapers[i];

		if (c->fd < 0)
			return c;
		if (!c->request.done && (!oldest || c->since < oldest->since))
			oldest = c;
	}
	if (oldest)
		scraper_close(oldest);
	return oldest;
}

static void accept_one(struct server *s, uint64_t now)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	struct scraper *c = place(s);
	if (!c) {
		close(fd);
		return;
	}
	c->fd = fd;
	c->since = now;
	c->until = now + REQUEST_NS;
	c->sent = 0;
	http_get_init(&c->request);
}

static void begin_answer(struct server *s, struct scraper *c, uint64_t now)
{
	enum metrics_format f = http_get_format(&c->request);
	int status = c->request.status;

	c->until = now + ANSWER_NS;
	if (status == 200) {
		c->page = page_of(s, f, now);
		http_get_answer(&c->head, status, metrics_format_type(f), c->page->text.n);
	} else {
		http_get_answer(&c->head, status, "text/plain", 0);
	}
	if (http_get_is_head(&c->request)) {
		drop(c->page);
		c->page = NULL;
	}
}

static void hear(struct server *s, struct scraper *c, uint64_t now)
{
	char in[IN_BYTES];
	ssize_t n = recv(c->fd, in, sizeof(in), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		scraper_close(c);
	else if (http_get_feed(&c->request, slice_of(in, (size_t)n)))
		begin_answer(s, c, now);
}

/* What was not read of the request would make close(2) a reset, and the answer could be lost. */
static void finish(struct scraper *c)
{
	char rest[IN_BYTES];

	shutdown(c->fd, SHUT_WR);
	for (int i = 0; i < 16 && recv(c->fd, rest, sizeof(rest), 0) > 0; i++)
		;
	scraper_close(c);
}

static void answer(struct scraper *c)
{
	size_t body = c->page ? c->page->text.n : 0;

	while (c->sent < c->head.n + body) {
		struct slice part = c->sent < c->head.n
		                        ? slice_from(buf_slice(&c->head), c->sent)
		                        : slice_from(buf_slice(&c->page->text), c->sent - c->head.n);
		ssize_t n = send(c->fd, part.p, part.n, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			scraper_close(c);
			return;
		}
		c->sent += (size_t)n;
	}
	finish(c);
}

/* --- the loop --- */

static void serve(struct server *s, struct pollfd *fds, uint64_t now)
{
	for (size_t i = 0; i < SCRAPERS_MAX; i++) {
		struct scraper *c = &s->scrapers[i];

		if (c->fd < 0 || c->fd != fds[i].fd)
			continue;
		if (fds[i].revents && !c->request.done)
			hear(s, c, now);
		if (c->fd >= 0 && c->request.done)
			answer(c);
		if (c->fd >= 0 && now > c->until)
			scraper_close(c);
	}
}

static bool ended(struct server *s)
{
	int err;

	while ((err = msg_recv(ROLE_SOCKET, &s->msg)) == 0)
		if (s->msg.type == MSG_END)
			return true;
	return err != -EAGAIN;
}

static void run(struct server *s)
{
	struct pollfd fds[SCRAPERS_MAX + 2];

	while (true) {
		bool any = false;

		for (size_t i = 0; i < SCRAPERS_MAX; i++) {
			const struct scraper *c = &s->scrapers[i];

			fds[i] = (struct pollfd){.fd = c->fd, .events = c->request.done ? POLLOUT : POLLIN};
			any |= c->fd >= 0;
		}
		fds[SCRAPERS_MAX] = (struct pollfd){.fd = s->listener, .events = POLLIN};
		fds[SCRAPERS_MAX + 1] = (struct pollfd){.fd = ROLE_SOCKET, .events = POLLIN};
		poll(fds, SCRAPERS_MAX + 2, any ? 1000 : -1);
		uint64_t now = clock_boot_ns();
		serve(s, fds, now);
		if (fds[SCRAPERS_MAX].revents)
			accept_one(s, now);
		if (fds[SCRAPERS_MAX + 1].revents && ended(s))
			return;
	}
}

static _Noreturn void fail(const char *what, int err)
{
	struct buf text = {0};

	buf_addf(&text, "cannot %s: %s%s", what, strerror(err),
	         err == EADDRINUSE ? "; choose another port, or end who listens there" : "");
	msg_send(ROLE_SOCKET, MSG_FAIL, buf_slice(&text), NULL, 0);
	exit(EXIT_SPANTAP);
}

/* Nobody knows the port that the kernel chose unless we say it. */
static void say_port(const struct server *s)
{
	const struct sockaddr_in *in = (const void *)&s->conf.listen.addr;
	struct buf where = {0};

	/* The port lies at the same place for IPv6. */
	if (s->conf.listen.addr.ss_family == AF_UNIX || in->sin_port)
		return;
	listen_print(&where, s->listener);
	log_warn("metrics at %s" HTTP_GET_PATH, buf_str(&where));
	buf_release(&where);
}

static void set_up(struct server *s)
{
	if (msg_recv(ROLE_SOCKET, &s->msg) || s->msg.type != MSG_CONF ||
	    s->msg.payload.n != sizeof(s->conf) || s->msg.n_fds != 1)
		exit(EXIT_SPANTAP); /* probe is gone */
	memcpy(&s->conf, s->msg.payload.p, sizeof(s->conf));
	s->board = board_open(s->msg.fds[0], false);
	if (!s->board)
		fail("map the board", errno);
	/* A file of the user's must be made by the user; a port needs nobody. */
	bool is_unix = s->conf.listen.addr.ss_family == AF_UNIX;
	int err =
	    is_unix ? sandbox_identity(s->conf.uid, s->conf.gid) : sandbox_identity(SANDBOX_UID, SANDBOX_UID);
	if (err)
		fail("give up its rights", -err);
	s->listener = listen_open(&s->conf.listen);
	if (s->listener < 0)
		fail("listen for scrapers", -s->listener);
	for (size_t i = 0; i < SCRAPERS_MAX; i++)
		s->scrapers[i].fd = -1;
	say_port(s);
	if (sandbox_enter(SANDBOX_METRICS))
		fail("enter its sandbox", EPERM);
}

int metrics_server_main(void)
{
	static struct server s;

	if (sodium_init() < 0)
		die(EXIT_SPANTAP, "cannot initialise libsodium");
	fcntl(ROLE_SOCKET, F_SETFL, 0);
	set_up(&s);
	fcntl(ROLE_SOCKET, F_SETFL, O_NONBLOCK);
	if (msg_send(ROLE_SOCKET, MSG_READY, (struct slice){0}, NULL, 0))
		return EXIT_SPANTAP;
	run(&s);
	msg_send(ROLE_SOCKET, MSG_DONE, (struct slice){0}, NULL, 0);
	return 0;
}
