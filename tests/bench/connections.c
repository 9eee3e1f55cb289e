/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connections.c - what spantap remembers of many connections.
 *
 * usage: connections
 * OPEN=10000 connections that stay open, then SHORT=100000 short ones (MILLION=1: a million), one
 * request and answer each; CALLS=1: each of them a chat completion, which ends up in the store.
 * SPANTAP=build/spantap
 *
 * A client under `spantap run`, a server that is not followed, TLS over a UNIX socket with session
 * resumption.  At the start, with all connections open, and at each tenth of the short ones the client
 * pauses and the memory of spantap's processes is printed in MiB: anonymous memory (what they
 * allocate); decode's journal, a fixed circle that fills once; and the BPF maps, from the descriptors
 * of probe.  Wanted is no growth after the first tenth.  The run fails when spantap
 * counted fewer connections than were made.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "bench/harness/ends.h"
#include "bench/harness/figure.h"
#include "bench/harness/product.h"

#define PAUSE_US    1500000 /* of the client while memory is read: longer than decode's tick */
#define GROWTH_MIB  4       /* what allocators may still take after the first tenth, beside a tenth */
#define TENTHS      10
#define SAMPLES_MAX (TENTHS + 2)
#define REQUEST_MAX 1024

enum who { PROBE, DECODE, SINK, JOURNAL, MAPS, WHOS };

static const char *const who_names[WHOS] = {"probe", "decode", "sink", "journal", "BPF maps"};
static double memory[SAMPLES_MAX][WHOS];

/* --- the ends --- */

static const char get[] = "GET /keep HTTP/1.1\r\nHost: bench\r\n\r\n";
static const char get_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char question[] = "{\"model\":\"bench\",\"messages\":[{\"role\":\"user\",\"content\":\"how much "
                               "memory does this take?\"}]}";
static const char answer[] = "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"bench\",\"choices\":[{"
                             "\"index\":0,\"message\":{\"role\":\"assistant\","
                             "\"content\":\"some\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_"
                             "tokens\":8,\"completion_tokens\":1,\"total_tokens\":9}}";

static int unix_socket(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void one_exchange(SSL *s, const char *request, size_t n)
{
	char in[REQUEST_MAX];

	if (SSL_write(s, request, (int)n) != (int)n || SSL_read(s, in, sizeof(in)) <= 0)
		die(1, "an exchange failed");
}

static SSL *connect_to(SSL_CTX *ctx, const char *path, SSL_SESSION **session)
{
	struct sockaddr_un to;
	int fd = unix_socket(path, &to);
	SSL *s = SSL_new(ctx);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die(1, "cannot connect: %s", strerror(errno));
	if (*session)
		SSL_set_session(s, *session);
	SSL_set_fd(s, fd);
	if (SSL_connect(s) != 1)
		die(1, "SSL_connect failed");
	return s;
}

static void pause_at(unsigned long done)
{
	printf("%lu\n", done);
	fflush(stdout);
	usleep(PAUSE_US);
}

/* conns PATH OPEN SHORT CALLS: says on standard output where it is, and pauses there. */
static int client_main(int argc, char **argv)
{
	SSL_CTX *ctx = end_client_ctx();
	unsigned long open = strtoul(argv[1], NULL, 10), brief = strtoul(argv[2], NULL, 10);
	SSL_SESSION *session = NULL;
	char request[REQUEST_MAX];
	int n = snprintf(request, sizeof(request), "%s", get);

	if (argc == 4 && atoi(argv[3]))
		n = snprintf(
		    request, sizeof(request),
		    "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
		    "Content-Length: %zu\r\n\r\n%s",
		    sizeof(question) - 1, question);
	pause_at(0);
	for (unsigned long i = 0; i < open; i++) {
		SSL *s = connect_to(ctx, argv[0], &session);

		one_exchange(s, request, (size_t)n);
		if (!session)
			session = SSL_get1_session(s);
	}
	pause_at(open);
	for (unsigned long i = 1; i <= brief; i++) {
		SSL *s = connect_to(ctx, argv[0], &session);
		int fd = SSL_get_fd(s);

		one_exchange(s, request, (size_t)n);
		if (!session)
			session = SSL_get1_session(s);
		SSL_shutdown(s);
		SSL_free(s);
		close(fd);
		if (i % (brief / TENTHS) == 0)
			pause_at(open + i);
	}
	return 0;
}

/* conns-server PATH OPEN SHORT: the first OPEN connections stay open. One after the other, as the client
 * makes them. */
static int server_main(int argc, char **argv)
{
	SSL_CTX *ctx = end_server_ctx();
	unsigned long open = strtoul(argv[1], NULL, 10), all = open + strtoul(argv[2], NULL, 10);
	struct sockaddr_un at;
	int listener = unix_socket(argv[0], &at);
	char in[REQUEST_MAX], chat[REQUEST_MAX];
	int chat_len =
	    snprintf(chat, sizeof(chat),
	             "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	             sizeof(answer) - 1, answer);

	if (argc != 3 || listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(listener, 16))
		die(1, "cannot listen on %s: %s", argv[0], strerror(errno));
	SSL_CTX_set_num_tickets(ctx, 1);
	for (unsigned long i = 0; i < all; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		SSL *s = SSL_new(ctx);

		SSL_set_fd(s, fd);
		if (SSL_accept(s) != 1 || SSL_read(s, in, sizeof(in)) <= 0)
			return 1;
		if (in[0] == 'P')
			SSL_write(s, chat, chat_len);
		else
			SSL_write(s, get_answer, sizeof(get_answer) - 1);
		if (i < open)
			continue;
		while (SSL_read(s, in, sizeof(in)) > 0)
			;
		SSL_free(s);
		close(fd);
	}
	return 0;
}

static const struct end_main end_table[] = {
    {"conns", client_main}, {"conns-server", server_main}, {NULL, NULL}};

/* --- memory --- */

/* A number behind `key` in a file of lines, 0 when it is not there. */
static unsigned long number(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	unsigned long n = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			n = strtoul(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return n;
}

static double maps_mib(pid_t probe)
{
	unsigned long seen[256], bytes = 0;
	char dir[64], path[384];
	struct dirent *e;
	size_t n = 0;

	snprintf(dir, sizeof(dir), "/proc/%d/fdinfo", probe);
	DIR *d = opendir(dir);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		unsigned long id = number(path, "map_id:");
		bool known = id == 0;

		for (size_t i = 0; i < n && !known; i++)
			known = seen[i] == id;
		if (known || n == sizeof(seen) / sizeof(seen[0]))
			continue;
		seen[n++] = id;
		bytes += number(path, "memlock:");
	}
	if (d)
		closedir(d);
	return (double)bytes / 1048576;
}

static double status_mib(pid_t pid, const char *key)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return (double)number(path, key) / 1024;
}

/* The child of `parent` whose arguments name this role; 0: none. */
static pid_t role_of(pid_t parent, const char *role)
{
	char path[64], text[256], want[32];
	DIR *d = opendir("/proc");
	struct dirent *e;
	pid_t found = 0;

	snprintf(want, sizeof(want), "spantap %s", role);
	while (d && !found && (e = readdir(d))) {
		pid_t pid = atoi(e->d_name);
		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/status", pid);
		if ((pid_t)number(path, "PPid:") != parent)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		text[n > 0 ? n : 0] = '\0';
		if (strncmp(text, want, strlen(want)) == 0)
			found = pid;
	}
	if (d)
		closedir(d);
	return found;
}

static void sample(pid_t probe, unsigned long done, size_t i)
{
	pid_t decode = role_of(probe, "decode"), sink = role_of(probe, "sink");

	if (!decode || !sink)
		die(1, "spantap's processes are not there");
	memory[i][PROBE] = status_mib(probe, "RssAnon:");
	memory[i][DECODE] = status_mib(decode, "RssAnon:");
	memory[i][SINK] = status_mib(sink, "RssAnon:");
	memory[i][JOURNAL] = status_mib(decode, "RssShmem:");
	memory[i][MAPS] = maps_mib(probe);
	printf("%12lu", done);
	for (int w = 0; w < WHOS; w++)
		printf(" %10.1f", memory[i][w]);
	printf("\n");
}

/* --- the run --- */

static void judge(size_t samples)
{
	for (int w = 0; w < WHOS; w++) {
		double tenth = memory[2][w], most = 0;

		for (size_t i = 3; i < samples; i++)
			most = memory[i][w] > most ? memory[i][w] : most;
		if (w != JOURNAL)
			printf("GOAL %-9s does not grow after the first tenth: %.1f, then at most %.1f MiB: "
			       "%s\n",
			       who_names[w], tenth, most,
			       most <= tenth * 1.1 + GROWTH_MIB ? "kept" : "MISSED");
	}
}

int main(int argc, char **argv)
{
	unsigned long open = figure_parameter("OPEN", 10000), brief = figure_parameter("SHORT", 100000), done;
	char path[128], store[128], text[3][24], line[64];
	struct rlimit files = {open + 1000, open + 1000};
	size_t samples = 0;
	int out;

	ends_dispatch(argc, argv, end_table);
	if (getenv("MILLION"))
		brief = 1000000;
	const struct ends *e = ends_prepare();
	snprintf(path, sizeof(path), "%s/socket", e->dir);
	snprintf(store, sizeof(store), "%s/store", e->dir);
	snprintf(text[0], sizeof(text[0]), "%lu", open);
	snprintf(text[1], sizeof(text[1]), "%lu", brief);
	snprintf(text[2], sizeof(text[2]), "%lu", figure_parameter("CALLS", 0));
	if (setrlimit(RLIMIT_NOFILE, &files))
		die(1, "cannot have %lu files open", open);

	const char *server_argv[] = {"conns-server", path, text[0], text[1], NULL};
	int none[] = {-1};
	pid_t server = end_start(e->other, -1, none, server_argv);
	while (access(path, F_OK) && waitpid(server, NULL, WNOHANG) == 0)
		usleep(10000);
	const char *options[] = {"run", "--store", store, "-o", "/dev/null", NULL};
	const char *client_argv[] = {"conns", path, text[0], text[1], text[2], NULL};
	pid_t spantap = product_start(e, options, client_argv, &out);
	printf("%12s", "connections");
	for (int w = 0; w < WHOS; w++)
		printf(" %10s", who_names[w]);
	printf("   MiB\n");
	FILE *progress = fdopen(out, "re");
	while (samples < SAMPLES_MAX && fgets(line, sizeof(line), progress)) {
		done = strtoul(line, NULL, 10);
		usleep(PAUSE_US / 3 * 2);
		sample(spantap, done, samples++);
	}
	fclose(progress);
	unlink(path);
	product_wait(spantap);
	end_wait(server, "server");
	unsigned long long counted = product_counter(store, "tls_connections"),
	                   lost = product_counter(store, "lost_bytes");
	product_remove_store(store);
	if (samples != SAMPLES_MAX || counted < open + brief)
		die(1, "%llu connections counted instead of %lu", counted, open + brief);
	printf("GOAL every connection counted once: %lu made, %llu counted: %s; %llu bytes lost\n",
	       open + brief, counted, counted == open + brief ? "kept" : "MISSED", lost);
	judge(samples);
	return 0;
}
