/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "bench/harness/sending.h"

#define READ_BYTES  (1 << 20)
#define FD_FIRST    10 /* descriptors of the connections in the ends: this and the following */
#define FD_RESULT   9
#define CLOCK_EVERY 64 /* writes between two looks at the clock, for small ones */

/* --- the ends --- */

static void parse(char **argv, struct sending *s)
{
	s->streams = strtoul(argv[0], NULL, 10);
	s->size = strtoul(argv[1], NULL, 10);
	s->milliseconds = strtoul(argv[2], NULL, 10);
	s->writes = strtoul(argv[3], NULL, 10);
	s->flat_out = atoi(argv[4]);
}

static void send_all(const struct sending *s, SSL **ssl, struct sent *ret)
{
	uint8_t *out = pattern_new(s->size);
	uint64_t start = wall_ns(), cpu = cpu_ns(), until = start + s->milliseconds * 1000000ull;
	unsigned every = s->size < 65536 ? CLOCK_EVERY : 1;

	while (s->writes ? ret->writes < s->writes : ret->writes % every || wall_ns() < until) {
		struct sent_stream *to = &ret->stream[ret->writes % s->streams];

		end_write(ssl[ret->writes % s->streams], out + to->sent % PATTERN_PERIOD, s->size);
		to->sent += s->size;
		ret->writes++;
	}
	ret->wall_ns = wall_ns() - start;
	ret->cpu_ns = cpu_ns() - cpu;
	free(out);
}

int sending_client_main(int argc, char **argv)
{
	static struct sent sent;
	SSL *ssl[SENDING_STREAMS_MAX];
	struct sending s;

	if (argc != 5 || !strstr(end_library(), "/traced/"))
		die(1, "the sender maps %s", end_library());
	parse(argv, &s);
	for (size_t i = 0; i < s.streams; i++) {
		ssl[i] = end_connect(FD_FIRST + (int)i);
		sent.stream[i].tls = (uint64_t)(uintptr_t)ssl[i];
		if (s.flat_out)
			SSL_set0_wbio(ssl[i], BIO_new(BIO_s_null()));
	}
	send_all(&s, ssl, &sent);
	for (size_t i = 0; i < s.streams; i++) {
		SSL_shutdown(ssl[i]);
		close(FD_FIRST + (int)i);
	}
	return write(FD_RESULT, &sent, sizeof(sent)) == sizeof(sent) ? 0 : 1;
}

/* True at the end of the stream. */
static bool receive(SSL *ssl, uint8_t *in, struct sent_stream *st)
{
	do {
		int n = SSL_read(ssl, in, READ_BYTES);

		if (n <= 0)
			return true;
		if (!pattern_matches(in, (size_t)n, st->received))
			die(1, "the receiver got something else");
		st->received += (uint64_t)n;
	} while (SSL_pending(ssl));
	return false;
}

int sending_server_main(int argc, char **argv)
{
	static struct sent got;
	struct pollfd fds[SENDING_STREAMS_MAX];
	SSL *ssl[SENDING_STREAMS_MAX];
	uint8_t *in = malloc(READ_BYTES);
	struct sending s;
	size_t open;

	if (argc != 5)
		return 1;
	parse(argv, &s);
	for (size_t i = 0; i < s.streams; i++) {
		ssl[i] = end_accept(FD_FIRST + (int)i);
		fds[i] = (struct pollfd){.fd = FD_FIRST + (int)i, .events = POLLIN};
	}
	for (open = s.streams; open && poll(fds, s.streams, -1) >= 0;)
		for (size_t i = 0; i < s.streams; i++)
			if (fds[i].revents && receive(ssl[i], in, &got.stream[i])) {
				fds[i].fd = -1;
				open--;
			}
	return write(FD_RESULT, &got, sizeof(got)) == sizeof(got) ? 0 : 1;
}

/* --- the run --- */

/* Starts an end with `fds` as FD_FIRST and on, and the writing end of a pipe as FD_RESULT; the reading end.
 */
static int start(const char *lib, const struct sending *s, const char *name, const int *fds, pid_t *ret_pid)
{
	char text[5][24];
	const char *argv[] = {name, text[0], text[1], text[2], text[3], text[4], NULL};
	int keep[SENDING_STREAMS_MAX + 2], result[2];
	size_t n = 0;

	snprintf(text[0], sizeof(text[0]), "%lu", s->streams);
	snprintf(text[1], sizeof(text[1]), "%lu", s->size);
	snprintf(text[2], sizeof(text[2]), "%lu", s->milliseconds);
	snprintf(text[3], sizeof(text[3]), "%lu", s->writes);
	snprintf(text[4], sizeof(text[4]), "%d", s->flat_out);
	if (pipe2(result, O_CLOEXEC))
		die(1, "cannot create a pipe");
	*ret_pid = end_fork(lib, s->cpu);
	if (*ret_pid == 0) {
		/* Up and out of the way first: the numbers wanted may be in use. */
		for (size_t i = 0; i < s->streams; i++)
			keep[n++] = fcntl(fds[i], F_DUPFD, 100);
		keep[n] = fcntl(result[1], F_DUPFD, 100);
		for (size_t i = 0; i < s->streams; i++)
			dup2(keep[i], FD_FIRST + (int)i);
		dup2(keep[n], FD_RESULT);
		close_range(100, ~0u, 0);
		end_become(argv);
	}
	close(result[1]);
	return result[0];
}

static void collect(int fd, struct sent *ret, pid_t pid, const char *name)
{
	char *p = (char *)ret;
	size_t got = 0;
	ssize_t n = 1;

	for (; got < sizeof(*ret) && n > 0; got += n > 0 ? (size_t)n : 0)
		n = read(fd, p + got, sizeof(*ret) - got);
	end_wait(pid, name);
	if (got != sizeof(*ret))
		die(1, "the %s said nothing", name);
	close(fd);
}

static const struct ours_stream *captured(const struct ours_report *r, uint64_t tls)
{
	for (size_t i = 0; i < r->n_streams; i++)
		if (r->stream[i].tls == tls)
			return &r->stream[i];
	return NULL;
}

static void check(const struct ours_report *r, const struct sending *s, const struct sent *sent)
{
	if (!ours_exact(r))
		die(1,
		    "the account does not close: %llu seen, %llu delivered, %llu lost, the kernel lost %llu",
		    (unsigned long long)r->produced, (unsigned long long)ours_delivered(r),
		    (unsigned long long)ours_lost(r), (unsigned long long)(r->ring_lost + r->other_lost));
	for (size_t i = 0; i < s->streams; i++) {
		const struct sent_stream *st = &sent->stream[i];
		const struct ours_stream *c = captured(r, st->tls);

		if (!c || c->bytes[EV_DIR_WRITE] + c->lost[EV_DIR_WRITE] != st->sent || !st->sent ||
		    (!s->flat_out && st->received != st->sent))
			die(1, "stream %zu: sent %llu, received %llu, delivered %llu, lost %llu", i,
			    (unsigned long long)st->sent, (unsigned long long)st->received,
			    c ? (unsigned long long)c->bytes[EV_DIR_WRITE] : 0,
			    c ? (unsigned long long)c->lost[EV_DIR_WRITE] : 0);
	}
}

const struct ours_report *sending_run(const struct ends *e, const struct sending *s, struct sent *ret)
{
	static struct sent got;
	int ours[SENDING_STREAMS_MAX], theirs[SENDING_STREAMS_MAX];
	struct ours *o =
	    ours_start(e->traced, s->cpu, 0); /* before the sockets: its reader must not hold them open */
	pid_t sender, receiver;

	for (size_t i = 0; i < s->streams; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			die(1, "cannot create a socketpair");
		ours[i] = pair[0];
		theirs[i] = pair[1];
	}
	int from_receiver = start(e->other, s, "receiver", theirs, &receiver);
	ours_arm(o);
	int from_sender = start(e->traced, s, "sender", ours, &sender);
	for (size_t i = 0; i < s->streams; i++) {
		close(ours[i]);
		close(theirs[i]);
	}
	collect(from_sender, ret, sender, "sender");
	collect(from_receiver, &got, receiver, "receiver");
	for (size_t i = 0; i < s->streams; i++)
		ret->stream[i].received = got.stream[i].received;
	const struct ours_report *r = ours_stop(o);
	check(r, s, ret);
	return r;
}
