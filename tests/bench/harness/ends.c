/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "bench/harness/ends.h"
#include "jail/spawn.h"

#define END_FLAG "--end"

static struct ends prepared;
static pid_t owner;

void ends_dispatch(int argc, char **argv, const struct end_main *table)
{
	role_dispatch(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3 || strcmp(argv[1], END_FLAG) != 0)
		return;
	for (; table->name; table++)
		if (strcmp(table->name, argv[2]) == 0)
			exit(table->main(argc - 3, argv + 3));
	die(2, "unknown end '%s'", argv[2]);
}

const char *end_library(void)
{
	static char real[PATH_MAX];
	Dl_info info;

	if (!dladdr((void *)(uintptr_t)SSL_write, &info) || !realpath(info.dli_fname, real))
		die(1, "cannot find the libssl of this process");
	return real;
}

static void copy(const char *from, char *to, size_t size, const char *dir, const char *sub)
{
	struct stat st;
	int in = open(from, O_RDONLY | O_CLOEXEC), out;

	int n = snprintf(to, size, "%s/%s", dir, sub);
	mkdir(to, 0755);
	snprintf(to + n, size - (size_t)n, "/libssl.so.3");
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (in < 0 || out < 0 || fstat(in, &st) || sendfile(out, in, NULL, (size_t)st.st_size) != st.st_size)
		die(1, "cannot copy %s to %s: %s", from, to, strerror(errno));
	close(in);
	close(out);
}

static void remove_copy(const char *path)
{
	char dir[384];

	unlink(path);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	rmdir(dir);
}

static void remove_all(void)
{
	struct ends *e = &prepared;

	if (getpid() != owner)
		return; /* a child that failed */
	remove_copy(e->traced);
	remove_copy(e->other);
	rmdir(e->dir);
}

const struct ends *ends_prepare(void)
{
	struct ends *e = &prepared;

	if (geteuid() != 0) {
		puts("needs root");
		exit(77);
	}
	owner = getpid();
	strcpy(e->dir, "/tmp/spantap-bench.XXXXXX");
	if (!mkdtemp(e->dir))
		die(1, "cannot create a directory: %s", strerror(errno));
	atexit(remove_all);
	chmod(e->dir, 0755);
	copy(end_library(), e->traced, sizeof(e->traced), e->dir, "traced");
	copy(end_library(), e->other, sizeof(e->other), e->dir, "other");
	return e;
}

void end_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

pid_t end_fork(const char *lib, int cpu)
{
	char dir[384];
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		die(1, "cannot fork: %s", strerror(errno));
	if (pid == 0) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(lib, '/') - lib), lib);
		setenv("LD_LIBRARY_PATH", dir, 1);
		end_pin(cpu);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	return pid;
}

void end_become(const char *const *argv)
{
	const char *all[32] = {"bench", END_FLAG};

	for (size_t i = 0; argv[i] && i + 3 < sizeof(all) / sizeof(all[0]); i++)
		all[i + 2] = argv[i];
	execv("/proc/self/exe", (char *const *)(uintptr_t)all);
	_exit(127);
}

pid_t end_start(const char *lib, int cpu, const int *fds, const char *const *argv)
{
	pid_t pid = end_fork(lib, cpu);

	if (pid == 0) {
		for (; *fds >= 0; fds++)
			fcntl(*fds, F_SETFD, 0);
		end_become(argv);
	}
	return pid;
}

void end_wait(pid_t pid, const char *name)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status != 0)
		die(1, "%s failed (status %#x)", name, (unsigned)status);
}

static void ssl_die(const char *what)
{
	die(1, "%s failed", what);
}

SSL_CTX *end_client_ctx(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
	return ctx;
}

SSL_CTX *end_server_ctx(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	                           (const unsigned char *)"bench", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	if (!X509_sign(cert, key, EVP_sha256()) || SSL_CTX_use_certificate(ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, key) != 1)
		ssl_die("making a certificate");
	SSL_CTX_set_num_tickets(ctx, 0);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

SSL *end_connect(int fd)
{
	SSL *s = SSL_new(end_client_ctx());

	SSL_set_fd(s, fd);
	if (SSL_connect(s) != 1)
		ssl_die("SSL_connect");
	return s;
}

SSL *end_accept(int fd)
{
	SSL *s = SSL_new(end_server_ctx());

	SSL_set_fd(s, fd);
	if (SSL_accept(s) != 1)
		ssl_die("SSL_accept");
	return s;
}

void end_write(SSL *s, const void *p, size_t n)
{
	if (SSL_write(s, p, (int)n) != (int)n)
		ssl_die("SSL_write");
}

unsigned end_read(SSL *s, void *p, size_t n)
{
	unsigned calls = 0;

	for (size_t got = 0; got < n; calls++) {
		int k = SSL_read(s, (char *)p + got, (int)(n - got));

		if (k <= 0)
			return 0;
		got += (size_t)k;
	}
	return calls;
}

uint8_t *pattern_new(size_t n)
{
	uint8_t *p = xmalloc(n + PATTERN_PERIOD);
	uint64_t x = 88172645463325252ull;

	for (size_t i = 0; i < PATTERN_PERIOD; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		p[i] = (uint8_t)x;
	}
	for (size_t i = PATTERN_PERIOD; i < n + PATTERN_PERIOD; i++)
		p[i] = p[i - PATTERN_PERIOD];
	return p;
}

bool pattern_matches(const uint8_t *p, size_t n, uint64_t at)
{
	static uint8_t *pattern;

	if (!pattern)
		pattern = pattern_new(1 << 16);
	while (n) {
		size_t piece = n < 1 << 16 ? n : 1 << 16;

		if (memcmp(p, pattern + at % PATTERN_PERIOD, piece) != 0)
			return false;
		p += piece, at += piece, n -= piece;
	}
	return true;
}

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t cpu_ns(void)
{
	return now(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t wall_ns(void)
{
	return now(CLOCK_MONOTONIC);
}
