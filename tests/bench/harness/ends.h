/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ends.h - the two ends of the TLS connections that are measured.
 *
 * Probes sit on files, so each end maps a private copy of libssl: nobody
 * else's tracing disturbs ours, nor ours theirs, and probes on the tracee's
 * copy never cost its peer anything.  An end is this program executed again
 * with `--end NAME`, its library path set to the copy.
 *
 * The n-th byte of every direction of every connection is pattern_byte(n), so
 * whoever gets bytes can prove them without having seen the sender.
 */
#ifndef SPANTAP_BENCH_ENDS_H
#define SPANTAP_BENCH_ENDS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ends {
	char dir[64];
	char traced[384]; /* the copy that the tracee maps: the file to attach to */
	char other[384];  /* the copy of its peer */
};

struct end_main {
	const char *name;
	int (*main)(int argc, char **argv); /* arguments behind NAME */
};

/* Runs the role of spantap, or the end, that argv names; returns when it names none. `table` ends with name
 * NULL. */
void ends_dispatch(int argc, char **argv, const struct end_main *table);

/* Copies libssl; the copies go when the program ends. Ends the program when it cannot, with 77 when not root.
 */
const struct ends *ends_prepare(void);

/*
 * Starts an end with `lib`, one of the two copies. Descriptors in `fds` (ends with -1) stay open.
 * cpu -1: any.  The pid.
 */
pid_t end_start(const char *lib, int cpu, const int *fds, const char *const *argv);
/* The two halves of it, for an end that wants its descriptors at certain numbers. */
pid_t end_fork(const char *lib, int cpu);
_Noreturn void end_become(const char *const *argv);
void end_wait(pid_t pid, const char *name); /* ends the program when the end failed */
void end_pin(int cpu);                      /* this process; -1: nothing */

/* The libssl that this process really maps. */
const char *end_library(void);

/* A TLS connection on a connected socket; blocking, TLS 1.3 with AES-GCM, no tickets. Ends the program when
 * it fails. */
SSL *end_connect(int fd);
SSL *end_accept(int fd);
SSL_CTX *end_server_ctx(void);
SSL_CTX *end_client_ctx(void);
void end_write(SSL *s, const void *p, size_t n); /* one SSL_write */
/* One or more SSL_read until n bytes are there; how many calls it took, 0 at end of file. */
unsigned end_read(SSL *s, void *p, size_t n);

#define PATTERN_PERIOD                                                                                       \
	4093 /* prime: a byte at a wrong place shows; small: it stays in the first-level cache */

/* Memory for writes of up to n bytes: the byte for offset o of a stream is at [o % PATTERN_PERIOD]. */
uint8_t *pattern_new(size_t n);
/* Whether n bytes at offset `at` of a stream are the pattern. */
bool pattern_matches(const uint8_t *p, size_t n, uint64_t at);

uint64_t cpu_ns(void); /* CPU time of this process */
uint64_t wall_ns(void);

#endif
