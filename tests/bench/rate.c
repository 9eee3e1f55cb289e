/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate.c - whether everything arrives as spans at half the rate at which `replay` decodes the same bytes.
 *
 * usage: rate
 * RATE_SECONDS=10 (60 for a proof), BODY=65536 bytes of each request, CHUNKS=200 of each streamed answer
 *
 * A client makes chat completions over one TLS connection, back to back or at a given rate; a server
 * that is not followed streams the answers, one write a chunk.
 *
 *   record   as fast as it goes, with --record: the bytes for replay
 *   replay   decodes them: MB/s of payload from start to end, the best of three
 *   half     so long at half that rate: no byte lost, every call a complete span
 *   flat out so long as fast as it goes: what is lost is counted; delivered + lost = what the client
 *            sent and got, and every call is complete or says that it is not
 *
 * The client counts calls and bytes itself; the counters and spans are those of the store.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "bench/harness/figure.h"
#include "bench/harness/product.h"

#define RECORD_CALLS 400
#define REPLAYS      3
#define HEAD_MAX     512

static const char first_chunk[] =
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"bench\",\"choices\":[{\"index\":0,"
    "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
static const char chunk[] =
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"bench\",\"choices\":[{\"index\":0,"
    "\"delta\":{\"content\":\" another piece\"},\"finish_reason\":null}]}\n\n";
static const char last_chunk[] =
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"bench\",\"choices\":[{\"index\":0,"
    "\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/* --- the ends --- */

static size_t answer_bytes(unsigned long chunks)
{
	return sizeof(first_chunk) - 1 + chunks * (sizeof(chunk) - 1) + sizeof(last_chunk) - 1;
}

/* A request whose body has `size` bytes; its length. */
static size_t make_request(char **ret, size_t size, unsigned long call)
{
	static const char before[] =
	    "{\"model\":\"bench\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"";
	static const char after[] = "\"}]}", words[] = "so many words and no end of them ";
	char *p = *ret ? *ret : (*ret = xmalloc(HEAD_MAX + size));
	int head =
	    snprintf(p, HEAD_MAX,
	             "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
	             "Content-Length: %zu\r\n\r\n",
	             size);
	char *body = p + head;
	size_t at = (size_t)snprintf(body, size, "%s%lu: ", before, call);

	while (at < size - (sizeof(after) - 1)) {
		body[at] = words[at % (sizeof(words) - 1)];
		at++;
	}
	memcpy(body + at, after, sizeof(after) - 1);
	return (size_t)head + size;
}

static int connected(const char *path, bool listening)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (!listening && connect(fd, (struct sockaddr *)&at, sizeof(at)))
		die(1, "cannot connect to %s: %s", path, strerror(errno));
	if (listening && (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 4)))
		die(1, "cannot listen on %s: %s", path, strerror(errno));
	return fd;
}

static void wait_until(uint64_t at)
{
	uint64_t now = wall_ns();

	if (now < at)
		usleep((useconds_t)((at - now) / 1000));
}

/* The head and the body of one answer; its length. Whatever comes beyond it would be an error. */
static size_t read_answer(SSL *s, size_t body)
{
	static char in[65536];
	size_t got = 0, want = 0;

	while (!want || got < want) {
		int n = SSL_read(s, in, sizeof(in));

		if (n <= 0)
			die(1, "the answer broke off");
		if (!want) { /* the head is a write of its own */
			char *end = memmem(in, (size_t)n, "\r\n\r\n", 4);
			if (!end)
				die(1, "no head");
			want = (size_t)(end - in) + 4 + body;
		}
		got += (size_t)n;
	}
	return got;
}

/* caller PATH BODY CHUNKS CALLS MILLISECONDS RATE: says "calls bytes nanoseconds". RATE in bytes a second, 0:
 * no limit. */
static int client_main(int argc, char **argv)
{
	SSL *s = end_connect(connected(argv[0], false));
	size_t body = strtoul(argv[1], NULL, 10), answer = answer_bytes(strtoul(argv[2], NULL, 10));
	unsigned long limit = strtoul(argv[3], NULL, 10), calls = 0;
	uint64_t ms = strtoul(argv[4], NULL, 10), bytes = 0, start = wall_ns();
	double rate = argc == 6 ? strtod(argv[5], NULL) : 0;
	char *request = NULL;

	while (limit ? calls < limit : wall_ns() - start < ms * 1000000) {
		size_t n = make_request(&request, body, calls);

		if (rate > 0)
			wait_until(start + (uint64_t)((double)bytes / rate * 1e9));
		end_write(s, request, n);
		bytes += n + read_answer(s, answer);
		calls++;
	}
	printf("%lu %llu %llu\n", calls, (unsigned long long)bytes, (unsigned long long)(wall_ns() - start));
	SSL_shutdown(s);
	SSL_free(s);
	return 0;
}

/* answerer PATH BODY CHUNKS: any number of connections, one after the other; ends with its parent. */
static int server_main(int argc, char **argv)
{
	size_t body = strtoul(argv[1], NULL, 10);
	unsigned long chunks = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	int listener = connected(argv[0], true);
	SSL_CTX *ctx = end_server_ctx();
	char *in = xmalloc(HEAD_MAX + body), head[HEAD_MAX], *sample = NULL;
	int head_len =
	    snprintf(head, sizeof(head),
	             "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %zu\r\n\r\n",
	             answer_bytes(chunks));
	size_t request = make_request(&sample, body, 0);

	for (;;) {
		SSL *s = SSL_new(ctx);
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		SSL_set_fd(s, fd);
		if (SSL_accept(s) != 1)
			return 1;
		while (end_read(s, in, request)) {
			end_write(s, head, (size_t)head_len);
			end_write(s, first_chunk, sizeof(first_chunk) - 1);
			for (unsigned long i = 0; i < chunks; i++)
				end_write(s, chunk, sizeof(chunk) - 1);
			end_write(s, last_chunk, sizeof(last_chunk) - 1);
		}
		SSL_free(s);
		close(fd);
	}
}

static const struct end_main end_table[] = {{"caller", client_main}, {"answerer", server_main}, {NULL, NULL}};

/* --- the runs --- */

static const struct ends *ends;
static char path[384], store[384], recording[384], body_text[24], chunks_text[24];

struct said {
	unsigned long calls;
	unsigned long long bytes, ns;
};

/* A run of the client under spantap. */
static struct said run_client(bool record, unsigned long calls, unsigned long ms, double rate)
{
	const char *options[] = {"run",       "--store",   store,  "-o",
	                         "/dev/null", "--content", "full", record ? "--record" : NULL,
	                         recording,   NULL};
	char text[3][32];
	const char *end[] = {"caller", path, body_text, chunks_text, text[0], text[1], text[2], NULL};
	struct said said = {0};
	char line[128] = "";
	int out;

	snprintf(text[0], sizeof(text[0]), "%lu", calls);
	snprintf(text[1], sizeof(text[1]), "%lu", ms);
	snprintf(text[2], sizeof(text[2]), "%.0f", rate);
	product_remove_store(store);
	pid_t pid = product_start(ends, options, end, &out);
	FILE *f = fdopen(out, "re");
	if (!fgets(line, sizeof(line), f) ||
	    sscanf(line, "%lu %llu %llu", &said.calls, &said.bytes, &said.ns) != 3)
		die(1, "the client said nothing");
	fclose(f);
	product_wait(pid);
	return said;
}

/* MB of payload a second, from start to end. */
static double replay(unsigned long long bytes)
{
	const char *options[] = {"replay",    "--store", store,     "-o", "/dev/null",
	                         "--content", "full",    recording, NULL};
	double best = 0;

	for (int i = 0; i < REPLAYS; i++) {
		uint64_t start = wall_ns();
		int out;

		product_remove_store(store);
		pid_t pid = product_start(ends, options, NULL, &out);
		product_wait(pid);
		close(out);
		double rate = (double)bytes / 1e6 / ((double)(wall_ns() - start) / 1e9);
		best = rate > best ? rate : best;
		if (product_query(store,
		                  "SELECT count(*) FROM span WHERE call_kind IS NOT NULL AND complete") !=
		    RECORD_CALLS)
			die(1, "replay did not find the calls");
	}
	return best;
}

/* Whether every call arrived whole; prints what did. */
static bool report(const char *what, const struct said *said)
{
	uint64_t captured = product_counter(store, "captured_bytes"),
	         lost = product_counter(store, "lost_bytes");
	uint64_t calls = product_query(store, "SELECT count(*) FROM span WHERE call_kind IS NOT NULL");
	uint64_t whole =
	    product_query(store, "SELECT count(*) FROM span WHERE call_kind IS NOT NULL AND complete");

	printf("%-9s %7.1f MB/s %7.1f s %7lu calls, %llu spans, %llu of them complete; %.1f MB, %llu bytes "
	       "lost\n",
	       what, (double)said->bytes / 1e6 / ((double)said->ns / 1e9), (double)said->ns / 1e9,
	       said->calls, (unsigned long long)calls, (unsigned long long)whole, (double)said->bytes / 1e6,
	       (unsigned long long)lost);
	if (captured != said->bytes)
		die(1, "%llu bytes counted instead of %llu", (unsigned long long)captured, said->bytes);
	if (!lost && whole != said->calls)
		printf("          %llu calls are not there although no byte was lost\n",
		       (unsigned long long)(said->calls - whole));
	return lost == 0 && whole == said->calls;
}

int main(int argc, char **argv)
{
	unsigned long ms = 1000 * figure_parameter("RATE_SECONDS", 10);
	int none[] = {-1};

	ends_dispatch(argc, argv, end_table);
	ends = ends_prepare();
	snprintf(path, sizeof(path), "%s/socket", ends->dir);
	snprintf(store, sizeof(store), "%s/store", ends->dir);
	snprintf(recording, sizeof(recording), "%s/recording", ends->dir);
	snprintf(body_text, sizeof(body_text), "%lu", figure_parameter("BODY", 65536));
	snprintf(chunks_text, sizeof(chunks_text), "%lu", figure_parameter("CHUNKS", 200));
	const char *server_argv[] = {"answerer", path, body_text, chunks_text, NULL};
	end_start(ends->other, -1, none, server_argv);
	for (int i = 0; i < 500 && access(path, F_OK); i++)
		usleep(10000);

	struct said said = run_client(true, RECORD_CALLS, 0, 0);
	report("record", &said);
	double rate = replay(said.bytes);
	printf("%-9s %7.1f MB/s\n", "replay", rate);
	said = run_client(false, 0, ms, rate / 2 * 1e6);
	double reached = (double)said.bytes / 1e6 / ((double)said.ns / 1e9);
	bool whole = report("half", &said);
	if (reached < rate / 2 * 0.9)
		printf("          the client itself reaches only %.1f MB/s\n", reached);
	printf("GOAL nothing lost down to the spans at half of replay: %s\n", whole ? "reached" : "MISSED");
	said = run_client(false, 0, ms, 0);
	report("flat out", &said);
	unlink(path);
	unlink(recording);
	product_remove_store(store);
	return 0;
}
