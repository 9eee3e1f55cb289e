/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain.c - what the tracepoints for sockets without TLS and for pipes cost, also other processes.
 *
 * usage: plain
 * ROUNDS=7, CALLS=100000
 *
 * One process does CALLS times: a system call that nothing looks into; 64 bytes through a pipe, a pair
 * of UNIX sockets, and loopback TCP, a write and a read each.  In each round a fresh process, in turn:
 *
 *   none       nothing is loaded
 *   loaded     spantap's programs are there, the process is not followed: the state of a host while a
 *              capture runs that needs no system call
 *   syscalls   the same with the tracepoint at the end of system calls, as while a followed process
 *              has an MCP session over pipes (before Linux 6.3: also a local connection)
 *   captured   without that tracepoint, the process is followed, and what passes through its sockets
 *              is the body of an HTTP request: every byte is taken
 *
 * The columns are nanoseconds of CPU time for one (write and read: for both), the 25th percentile and
 * its spread over the rounds.  The goal: what is not needed costs nothing: `loaded` adds nothing to a
 * system call and to a pipe.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "bench/harness/figure.h"
#include "probe/load.h"

#define SIZE 64

enum state { NONE, LOADED, SYSCALLS, CAPTURED, STATES };
enum what { SYSCALL, PIPE, UNIX, TCP, WHATS };

static const char *const state_names[STATES] = {"none", "loaded", "syscalls", "captured"};
static const char *const what_names[WHATS] = {"getppid", "pipe", "UNIX sockets", "loopback TCP"};
static struct figure ns[WHATS][STATES];

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void connect_tcp(int fd[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(at);
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (struct sockaddr *)&at, n) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&at, &n))
		die(1, "cannot listen: %s", strerror(errno));
	fd[1] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd[1], (struct sockaddr *)&at, n) || (fd[0] = accept(listener, NULL, NULL)) < 0)
		die(1, "cannot connect: %s", strerror(errno));
	setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(listener);
}

/* fd[1] is written into, fd[0] read from. */
static double pass(const int fd[2], unsigned long calls)
{
	char data[SIZE];
	double start = 0;

	memset(data, 'x', sizeof(data));
	memcpy(data, "POST /x HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 49);
	for (unsigned long i = 0; i <= calls; i++) {
		if (i == 1)
			start = cpu_ns();
		if (write(fd[1], data, SIZE) != SIZE || read(fd[0], data, SIZE) != SIZE)
			die(1, "a write or read failed");
	}
	return (cpu_ns() - start) / (double)calls;
}

static _Noreturn void process(int go, int result, unsigned long calls)
{
	double took[WHATS], start;
	int fd[2];
	char c;

	if (read(go, &c, 1) != 1)
		_exit(1);
	start = cpu_ns();
	for (unsigned long i = 0; i < calls; i++)
		getppid();
	took[SYSCALL] = (cpu_ns() - start) / (double)calls;
	if (pipe(fd))
		_exit(1);
	took[PIPE] = pass(fd, calls);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd))
		_exit(1);
	took[UNIX] = pass(fd, calls);
	connect_tcp(fd);
	took[TCP] = pass(fd, calls);
	_exit(write(result, took, sizeof(took)) == sizeof(took) ? 0 : 1);
}

static void measure(enum state s, struct loader *l, unsigned long calls)
{
	double took[WHATS];
	int go[2], result[2], status;
	uint64_t before = l ? loader_count(l, EV_COUNT_DATA_BYTES) : 0;

	if (pipe(go) || pipe(result))
		die(1, "pipe: %s", strerror(errno));
	if (l && loader_syscalls(
	             l, s == SYSCALLS)) /* before the fork: a process that inherits the link keeps it alive */
		die(1, "cannot attach to system calls");
	if (s == CAPTURED)
		loader_arm(l);
	pid_t pid = fork();
	if (pid == 0)
		process(go[0], result[1], calls);
	if (write(go[1], "", 1) != 1 || read(result[0], took, sizeof(took)) != sizeof(took) ||
	    waitpid(pid, &status, 0) != pid)
		die(1, "the process failed");
	for (int w = 0; w < WHATS; w++)
		figure_add(&ns[w][s], took[w]);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(result[i]);
	}
	if (!l)
		return;
	uint64_t seen = loader_count(l, EV_COUNT_DATA_BYTES) - before,
	         wanted = s == CAPTURED ? 4ull * SIZE * (calls + 1) : 0;
	if (seen != wanted && loader_caps(l) & LOADER_SOCKETS)
		die(1, "%s: %llu bytes were captured instead of %llu", state_names[s],
		    (unsigned long long)seen, (unsigned long long)wanted);
	if (loader_count(l, EV_COUNT_DATA_LOST))
		die(1, "the ring was full: fewer CALLS");
}

static void print(void)
{
	for (int w = 0; w < WHATS; w++) {
		double none = figure_at(&ns[w][NONE], 25);

		for (int s = 0; s < STATES; s++) {
			printf("%-14s %-10s ", s ? "" : what_names[w], state_names[s]);
			figure_print_spread(&ns[w][s]);
			if (s)
				printf("  %+.0f ns, %.2f times", figure_at(&ns[w][s], 25) - none,
				       figure_at(&ns[w][s], 25) / none);
			printf("\n");
		}
	}
	for (int w = SYSCALL; w <= PIPE; w++) {
		double added = figure_at(&ns[w][LOADED], 25) / figure_at(&ns[w][NONE], 25) - 1;

		printf("goal: %s when nothing needs it, within 5 %%: %.1f %%%s\n", what_names[w], added * 100,
		       added < 0.05 ? "" : "  MISSED");
	}
}

int main(void)
{
	unsigned long rounds = figure_parameter("ROUNDS", 7), calls = figure_parameter("CALLS", 100000);
	struct buf error = {0};

	if (geteuid())
		return 77;
	for (unsigned long r = 0; r < rounds; r++) {
		measure(NONE, NULL, calls);
		struct loader *l = loader_new(NULL, &error);
		if (!l)
			die(1, "%s", buf_str(&error));
		for (enum state s = LOADED; s < STATES; s++)
			measure(s, l, calls);
		loader_free(l);
	}
	print();
	return 0;
}
