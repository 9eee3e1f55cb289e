/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pair.c - CPU time that capture adds to the traced process, for one SSL_write and one SSL_read.
 *
 * usage: pair [SIZE...]     bytes of each write and of each answer; default 32 1024 16384
 * ROUNDS=11, PAIRS=0 (0: about 0.1 s of them), TCP=1 (loopback TCP instead of a socketpair)
 *
 * A client writes SIZE bytes and reads SIZE bytes back, over a socketpair, from a server in another
 * process that is never probed.  Both run on CPU 0, what reads the rings on CPU 1.  Variants, each in
 * a fresh client process, in turn within each round:
 *
 *   none          nothing is attached
 *   floor         empty programs at the fast sites: entry on write, entry and return on read
 *   ours          the capture: followed, verdict and offsets on, drained and proved byte by byte
 *   bystander     the same probes, but this client is not followed
 *   conventional  reference.bpf.c
 *
 * The columns are nanoseconds of the client's CPU time a pair over the rounds, then what the 25th
 * percentile is above that of `none`, and that as a multiple of what the floor adds.  The absolute
 * figures are this machine's; only ratios of one run mean something.  `getppid` is a system call that
 * no probe has to do with.  Behind the table: the goals, and for what is ours where the time goes
 * (BPF statistics on, which adds about 60 ns a run).
 *
 * Nothing is measured silently: the client fails when it does not map the private copy or a pair is
 * not one read; each run of `ours` must have seen every byte of every pair, delivered or counted as
 * lost, and `conventional`, which does not count what it loses, must have delivered a tenth.
 */
#include <bpf/bpf.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "bench/harness/ends.h"
#include "bench/harness/figure.h"
#include "bench/harness/ours.h"
#include "bench/harness/reference.h"
#include "probe/load.h"

#define SIZES_MAX  8
#define WARM_UP    300
#define SYSCALLS   200000
#define TRACEE_CPU 0
#define READER_CPU 1

enum variant { NONE, FLOOR, OURS, OURS_LINKS, BYSTANDER, CONVENTIONAL, VARIANTS };

static const char *const names[VARIANTS] = {"none",      "floor",       "ours", "ours, no sessions",
                                            "bystander", "conventional"};

struct plan {
	size_t n;
	unsigned long size[SIZES_MAX], pairs[SIZES_MAX];
};

static struct figure pair_ns[SIZES_MAX][VARIANTS], syscall_ns[VARIANTS];
static struct figure lost[VARIANTS]; /* per cent of the bytes */
static bool session;                 /* the floor of reads is one session link */
static const struct ends *ends;

/* --- the ends --- */

/* client FD RESULT SIZE PAIRS [SIZE PAIRS...]: writes to RESULT the CPU ns of each size, then of SYSCALLS
 * getppid. */
static int client_main(int argc, char **argv)
{
	SSL *s = end_connect(atoi(argv[0]));
	int result = atoi(argv[1]);
	uint64_t took[SIZES_MAX + 1] = {0}, at = 0, start;
	size_t n = 0;

	if (!strstr(end_library(), "/traced/"))
		die(1, "the client maps %s", end_library());
	for (int i = 2; i + 1 < argc && n < SIZES_MAX; i += 2) {
		size_t size = strtoul(argv[i], NULL, 10), pairs = strtoul(argv[i + 1], NULL, 10);
		uint8_t *out = pattern_new(size), *in = malloc(size);

		start = 0;
		for (size_t k = 0; k < pairs + WARM_UP; k++) {
			if (k == WARM_UP)
				start = cpu_ns();
			end_write(s, out + at % PATTERN_PERIOD, size);
			if (end_read(s, in, size) != 1)
				die(1, "an answer of %zu bytes was not one read", size);
			at += size;
		}
		took[n++] = cpu_ns() - start;
		if (!pattern_matches(in, size, at - size))
			die(1, "the server answered something else");
		free(out);
		free(in);
	}
	start = cpu_ns();
	for (int i = 0; i < SYSCALLS; i++)
		getppid();
	took[n++] = cpu_ns() - start;
	SSL_free(s);
	return write(result, took, n * sizeof(*took)) == (ssize_t)(n * sizeof(*took)) ? 0 : 1;
}

/* server FD SIZE PAIRS [...]: sends back what it gets. */
static int server_main(int argc, char **argv)
{
	SSL *s = end_accept(atoi(argv[0]));

	for (int i = 1; i + 1 < argc; i += 2) {
		size_t size = strtoul(argv[i], NULL, 10), pairs = strtoul(argv[i + 1], NULL, 10);
		uint8_t *p = malloc(size);

		for (size_t k = 0; k < pairs + WARM_UP; k++) {
			if (!end_read(s, p, size))
				return 1;
			end_write(s, p, size);
		}
		free(p);
	}
	return 0;
}

static const struct end_main end_table[] = {{"client", client_main}, {"server", server_main}, {NULL, NULL}};

/* --- one run --- */

struct setup {
	struct ours *ours;
	struct reference *reference;
};

static struct setup set_up(enum variant v)
{
	struct setup s = {NULL, NULL};

	if (v == OURS || v == OURS_LINKS || v == BYSTANDER) {
		s.ours = ours_start(ends->traced, READER_CPU, v == OURS_LINKS ? LOADER_SESSION : 0);
	} else if (v == FLOOR) {
		s.reference = reference_floor(ends->traced);
		session = reference_has_session(s.reference);
	} else if (v == CONVENTIONAL) {
		s.reference = reference_conventional(ends->traced, READER_CPU);
	}
	return s;
}

/* A socketpair, or with TCP=1 its like on the loopback interface. */
static int connected_pair(int ret[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int one = 1, listener;

	if (!getenv("TCP"))
		return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&at, &len) ||
	    connect(ret[0], (struct sockaddr *)&at, len))
		return -1;
	ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	for (int i = 0; i < 2; i++)
		setsockopt(ret[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return ret[1] < 0 ? -1 : 0;
}

static const char *const *arguments(const struct plan *p, const char *name, const int *fds)
{
	static char text[2 * SIZES_MAX + 2][24];
	static const char *argv[2 * SIZES_MAX + 4];
	size_t n = 0;

	argv[n++] = name;
	for (int i = 0; fds[i] >= 0; i++, n++) {
		snprintf(text[n - 1], sizeof(text[0]), "%d", fds[i]);
		argv[n] = text[n - 1];
	}
	for (size_t i = 0; i < 2 * p->n; i++, n++) {
		snprintf(text[n - 1], sizeof(text[0]), "%lu", i % 2 ? p->pairs[i / 2] : p->size[i / 2]);
		argv[n] = text[n - 1];
	}
	argv[n] = NULL;
	return argv;
}

/* Runs client and server through the plan; the client's CPU ns of each size, then of the system calls. */
static void run_ends(const struct plan *p, enum variant v, const struct setup *s, uint64_t *ret_took)
{
	int pair[2], result[2];
	ssize_t want = (ssize_t)((p->n + 1) * sizeof(*ret_took));

	if (connected_pair(pair) || pipe2(result, O_CLOEXEC))
		die(1, "cannot create a socketpair");
	int server_fds[] = {pair[1], -1}, client_fds[] = {pair[0], result[1], -1};
	pid_t server = end_start(ends->other, TRACEE_CPU, server_fds, arguments(p, "server", server_fds));
	if (v == OURS || v == OURS_LINKS)
		ours_arm(s->ours);
	pid_t client = end_start(ends->traced, TRACEE_CPU, client_fds, arguments(p, "client", client_fds));
	if (v == CONVENTIONAL)
		reference_trace(s->reference, client);
	close(pair[0]);
	close(pair[1]);
	close(result[1]);
	if (read(result[0], ret_took, (size_t)want) != want)
		die(1, "the client of '%s' did not finish", names[v]);
	close(result[0]);
	end_wait(client, "client");
	end_wait(server, "server");
}

/* Every byte of every pair, in both directions. */
static uint64_t bytes_of(const struct plan *p)
{
	uint64_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += 2 * p->size[i] * (p->pairs[i] + WARM_UP);
	return n;
}

/* The report of `ours`, else NULL. */
static const struct ours_report *tear_down(const struct plan *p, enum variant v, struct setup *s)
{
	uint64_t events = 0, bytes = 0;

	if (s->ours) {
		const struct ours_report *r = ours_stop(s->ours);

		if (v != BYSTANDER && (r->produced != bytes_of(p) || !ours_exact(r)))
			die(1, "ours: %llu of %llu bytes seen, %llu lost: not what the client did",
			    (unsigned long long)r->produced, (unsigned long long)bytes_of(p),
			    (unsigned long long)ours_lost(r));
		if (v != BYSTANDER)
			figure_add(&lost[OURS], 100.0 * (double)ours_lost(r) / (double)r->produced);
		if (v == BYSTANDER && r->produced)
			die(1, "a client that is not followed was captured");
		return r;
	}
	if (!s->reference)
		return NULL;
	reference_stop(s->reference, &events, &bytes);
	if (v == CONVENTIONAL && bytes < bytes_of(p) / 10)
		die(1, "conventional: only %llu of %llu bytes", (unsigned long long)bytes,
		    (unsigned long long)bytes_of(p));
	if (v == CONVENTIONAL)
		figure_add(&lost[CONVENTIONAL], 100.0 * (double)(bytes_of(p) - bytes) / (double)bytes_of(p));
	return NULL;
}

static void measure(const struct plan *p, enum variant v)
{
	uint64_t took[SIZES_MAX + 1];
	struct setup s = set_up(v);

	run_ends(p, v, &s, took);
	tear_down(p, v, &s);
	for (size_t i = 0; i < p->n; i++)
		figure_add(&pair_ns[i][v], (double)took[i] / (double)p->pairs[i]);
	figure_add(&syscall_ns[v], (double)took[p->n] / SYSCALLS);
}

/* --- what it says --- */

static double added(size_t size, enum variant v)
{
	return figure_at(&pair_ns[size][v], 25) - figure_at(&pair_ns[size][NONE], 25);
}

static void print_size(const struct plan *p, size_t i)
{
	printf("\n%lu bytes, %lu pairs a round      min      p25   median      max    added  x floor\n",
	       p->size[i], p->pairs[i]);
	for (int v = 0; v < VARIANTS; v++) {
		printf("  %-26s", names[v]);
		figure_print_spread(&pair_ns[i][v]);
		if (v != NONE)
			printf(" %+8.0f %8.2f", added(i, v), added(i, v) / added(i, FLOOR));
		printf("\n");
	}
}

static void print_goal(const char *what, double is, double limit, double goal)
{
	printf("GOAL %-48s %6.2f  limit %.2f  goal %.2f  %s\n", what, is, limit, goal,
	       is > limit  ? "MISSED"
	       : is > goal ? "kept, goal missed"
	                   : "reached");
}

static void print_goals(const struct plan *p)
{
	printf("\n");
	for (size_t i = 0; i < p->n; i++) {
		double ours = added(i, OURS) / added(i, FLOOR);

		if (p->size[i] == 32) {
			print_goal("ours / floor, 32 bytes", ours, 1.8, 1.6);
			print_goal("ours / conventional, 32 bytes", added(i, OURS) / added(i, CONVENTIONAL),
			           0.2, 0.2);
		} else if (p->size[i] == 16384) {
			print_goal("ours / floor, 16 KiB", ours, 2.8, 2.6);
		}
		printf("     not followed / alone, %lu bytes: %.2f\n", p->size[i],
		       figure_at(&pair_ns[i][BYSTANDER], 25) / figure_at(&pair_ns[i][NONE], 25));
	}
	printf("     getppid while a capture runs / alone: %.3f (followed), %.3f (not followed)\n",
	       figure_at(&syscall_ns[OURS], 25) / figure_at(&syscall_ns[NONE], 25),
	       figure_at(&syscall_ns[BYSTANDER], 25) / figure_at(&syscall_ns[NONE], 25));
	printf("     bytes lost, at most, in a round: ours %.1f %%, conventional %.1f %%\n",
	       figure_at(&lost[OURS], 100), figure_at(&lost[CONVENTIONAL], 100));
}

/* One more run of ours, alone, with the kernel's BPF statistics. */
static void attribute(const struct plan *all, size_t i)
{
	struct plan p = {.n = 1, .size = {all->size[i]}, .pairs = {all->pairs[i]}};
	double pairs = (double)(p.pairs[0] + WARM_UP);
	uint64_t took[SIZES_MAX + 1];
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	struct setup s = set_up(OURS);

	run_ends(&p, OURS, &s, took);
	printf("\n%lu bytes: where the time of ours goes\n", p.size[0]);
	ours_print_programs(pairs);
	const struct ours_report *r = tear_down(&p, OURS, &s);
	printf("    reader: %.0f ns CPU a pair, %.3f wake-ups a pair\n", (double)r->reader_cpu_ns / pairs,
	       (double)r->wakeups / pairs);
	close(stats);
}

static void make_plan(struct plan *p, int argc, char **argv)
{
	static const unsigned long usual[] = {32, 1024, 16384};
	unsigned long pairs = figure_parameter("PAIRS", 0);

	p->n = argc > 1 ? (size_t)argc - 1 : 3;
	if (p->n > SIZES_MAX)
		die(2, "at most %d sizes", SIZES_MAX);
	for (size_t i = 0; i < p->n; i++) {
		p->size[i] = argc > 1 ? strtoul(argv[i + 1], NULL, 10) : usual[i];
		if (p->size[i] < 1 || p->size[i] > 16384)
			die(2, "sizes are 1 to 16384: a pair is one record each way");
		p->pairs[i] = pairs ? pairs : p->size[i] < 4096 ? 5000 : 2500;
	}
}

int main(int argc, char **argv)
{
	unsigned long rounds = figure_parameter("ROUNDS", 11);
	struct plan p;

	ends_dispatch(argc, argv, end_table);
	make_plan(&p, argc, argv);
	ends = ends_prepare();
	for (unsigned long r = 0; r < rounds; r++)
		for (unsigned v = 0; v < VARIANTS; v++)
			measure(&p, (enum variant)((r + v) % VARIANTS));
	printf("%lu rounds, CPU ns of the client a pair; floor: entry on write, %s on read\n", rounds,
	       session ? "one session" : "entry and return");
	for (size_t i = 0; i < p.n; i++)
		print_size(&p, i);
	print_goals(&p);
	for (size_t i = 0; i < p.n; i++)
		attribute(&p, i);
	return 0;
}
