/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where functions return, against the truth: a library with the names of
 * OpenSSL's is built by the compilers that are here, a child that calls its
 * functions is stepped through instruction by instruction, and the one after
 * which each call was over must be among the places that were found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target/target.h"

#if defined(__x86_64__)

#define CALLS 8 /* of each function: tried with 0, 1, … as second argument */

static const char source[] =
    "volatile int sink;\n"
    "__attribute__((noinline, cold)) static void failed(int n) { sink += n; }\n"
    "__attribute__((noinline)) static int tail(void *s, int n) { if (n > 3) return sink + 7; sink++; return "
    "n * 3; }\n"
    "__attribute__((noinline)) static int tail2(void *s, int n) { if (n & 1) return tail(s, n); sink--; "
    "return 9; }\n"
    /* several returns, a loop, a cold path */
    "int SSL_write(void *s, int n, int x) {\n"
    "	if (n == 0) return -1;\n"
    "	if (n == 1) { failed(n); failed(n + 1); return -2; }\n"
    "	for (int i = 0; i < n; i++) { sink += i; if (sink == 1000000) return 5; }\n"
    "	if (n > 5) { char b[64]; memset(b, n, sizeof(b)); for (int i = 0; i < n; i++) sink += b[i]; return "
    "b[n]; }\n"
    "	return n;\n"
    "}\n"
    /* ends with jumps to other functions */
    "int SSL_read(void *s, int n, int x) { if (n == 2) return 0; sink = n; return n & 4 ? tail(s, n) : "
    "tail2(s, n); }\n"
    /* through the PLT to the other one: a wrapper */
    "int SSL_write_ex2(void *s, int n, int x) { if (!n) { failed(1); return 0; } sink = 3; return n + 1; }\n"
    "int SSL_write_ex(void *s, int n, int x) { return SSL_write_ex2(s, n, 0); }\n"
    /* many returns */
    "int SSL_read_ex(void *s, int n, int x) { if (n == 0) { sink++; return 1; } if (n == 1) { sink--; return "
    "tail(s, 3) + 1; } return sink; }\n"
    /* an end that cannot be told */
    "void *(*hook)(void *);\n"
    "void *SSL_new(void *c) { return hook ? hook(c) : 0; }\n"
    "void SSL_free(void *s) { sink = 0; }\n";

static char dir[] = "/tmp/spantap-test-XXXXXX";

/* Builds it; false when this compiler is not here. */
static bool build(const char *compiler, const char *flags, char *ret_path, size_t size)
{
	char command[512], from[64];

	snprintf(from, sizeof(from), "%s/lib.c", dir);
	FILE *f = fopen(from, "we");
	assert_non_null(f);
	fputs(source, f);
	assert_int_equal(fclose(f), 0);
	snprintf(ret_path, size, "%s/lib.so", dir);
	snprintf(command, sizeof(command), "command -v %s >%s/which && %s %s -w -shared -fPIC -o %s %s",
	         compiler, dir, compiler, flags, ret_path, from);
	return system(command) == 0;
}

typedef int (*function)(void *, int, int);

static _Noreturn void child(const char *path, const char *name)
{
	void *lib = dlopen(path, RTLD_NOW);
	function fn = lib ? (function)dlsym(lib, name) : NULL;

	if (!fn || ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(2);
	raise(SIGSTOP);
	for (int n = 0; n < CALLS; n++)
		fn(NULL, n, 0);
	_exit(0);
}

/* Where the mapping of the library's code begins in the child, less the file offset of it. */
static uint64_t base_of(pid_t pid, const char *path)
{
	unsigned long long start, offset;
	char name[64], line[512];
	uint64_t base = 0;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	FILE *maps = fopen(name, "re");
	assert_non_null(maps);
	while (!base && fgets(line, sizeof(line), maps))
		if (strstr(line, path) && sscanf(line, "%llx-%*x r-xp %llx", &start, &offset) == 2)
			base = start - offset;
	fclose(maps);
	assert_int_not_equal(base, 0);
	return base;
}

static bool is_site(const struct target *t, int f, uint64_t offset)
{
	for (unsigned i = 0; i < t->n_ret[f]; i++)
		if (t->ret_offset[f][i] == offset)
			return true;
	return false;
}

/* How many calls ended, each at a site. */
static unsigned step_through(const char *path, const struct target *t, int f)
{
	uint64_t entry_sp = 0, last = 0;
	struct user_regs_struct r;
	unsigned ended = 0;
	int status;

	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		child(path, target_func_name(t, (enum target_func)f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	uint64_t base = base_of(pid, path);
	while (ended < CALLS && ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
	       WIFSTOPPED(status)) {
		assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &r), 0);
		if (entry_sp && r.rsp > entry_sp) {
			if (!is_site(t, f, last - base))
				fail_msg("%s returned at %#llx, which was not found",
				         target_func_name(t, (enum target_func)f),
				         (unsigned long long)(last - base));
			entry_sp = 0;
			ended++;
		} else if (!entry_sp && r.rip == base + t->offset[f]) {
			entry_sp = r.rsp;
		}
		last = r.rip;
	}
	assert_true(WIFSTOPPED(status));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return ended;
}

static void every_return_is_found(void **state)
{
	static const char *const compilers[] = {"gcc", "clang"};
	static const char *const flags[] = {"-O2", "-O2 -fcf-protection=full", "-Os", "-O0",
	                                    "-O3 -fstack-protector-all"};
	unsigned built = 0;

	(void)state;
	for (size_t c = 0; c < 2; c++) {
		for (size_t k = 0; k < sizeof(flags) / sizeof(flags[0]); k++) {
			struct target t;
			char path[64];

			if (!build(compilers[c], flags[k], path, sizeof(path)))
				continue;
			built++;
			int fd = open(path, O_RDONLY | O_CLOEXEC);
			target_inspect(fd, &t);
			close(fd);
			assert_int_equal(t.err, 0);
			assert_false(t.internal);
			for (int f = TARGET_WRITE; f <= TARGET_READ_EX; f++) {
				if (!t.offset[f])
					continue;
				/* With its frame checked, the wrapper is more than a wrapper, and still ends
				 * with a jump. */
				if (f == TARGET_WRITE_EX && t.ret_why[f] == TARGET_WHY_TAIL_PLT)
					continue;
				if (!t.n_ret[f])
					fail_msg("%s %s: %s: %s", compilers[c], flags[k],
					         target_func_name(&t, (enum target_func)f),
					         target_why_text((enum target_why)t.ret_why[f]));
				assert_int_equal(step_through(path, &t, f), CALLS);
			}
			assert_int_not_equal(t.offset[TARGET_WRITE_EX2], 0);
			unlink(path);
		}
	}
	if (!built)
		skip();
}

/* Of SSL_write_ex, which only calls SSL_write_ex2, the latter alone is probed; else both are marked. */
static void one_call_is_one_hit(void **state)
{
	struct target t;
	char path[64];

	(void)state;
	if (!build("gcc", "-O2", path, sizeof(path)))
		skip();
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	target_inspect(fd, &t);
	close(fd);
	assert_int_equal(t.offset[TARGET_WRITE_EX], 0);
	assert_int_equal(t.nested, 0);

	/* Without optimisation it has a frame, and still does nothing else. */
	assert_true(build("gcc", "-O0", path, sizeof(path)));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	target_inspect(fd, &t);
	close(fd);
	assert_true(!t.offset[TARGET_WRITE_EX] || t.nested & 1u << TARGET_WRITE_EX);
	unlink(path);
}

static void an_unknown_end_is_refused(void **state)
{
	struct target t;
	char path[64];

	(void)state;
	if (!build("gcc", "-O2", path, sizeof(path)))
		skip();
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	target_inspect(fd, &t);
	close(fd);
	assert_int_not_equal(t.offset[TARGET_NEW], 0);
	assert_int_equal(t.n_ret[TARGET_NEW], 0);
	assert_int_equal(t.ret_why[TARGET_NEW], TARGET_WHY_INDIRECT);
	unlink(path);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_return_is_found),
	    cmocka_unit_test(one_call_is_one_hit),
	    cmocka_unit_test(an_unknown_end_is_refused),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

#else

int main(void)
{
	puts("SKIP steps through x86-64 only");
	return 0;
}

#endif
