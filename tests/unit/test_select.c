/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of `spantap record`: what is refused, and which processes match. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "probe/select.h"

static const struct self self = {.tgid = 1000000, .dev = 1, .ino = 2};

static void refused(enum select_by by, const char *text, const char *words)
{
	struct selection s = {0};
	struct buf error = {0};

	assert_false(select_add(&s, by, text, &error));
	assert_non_null(strstr(buf_str(&error), words));
	assert_int_equal(s.n, 0);
	buf_release(&error);
	select_release(&s);
}

static void test_refused(void **state)
{
	(void)state;
	refused(SELECT_BY_PID, "0", "no process id");
	refused(SELECT_BY_PID, "12x", "no process id");
	refused(SELECT_BY_PID, "99999999999999999999", "no process id");
	refused(SELECT_BY_PID, "2147483647", "there is no process");
	refused(SELECT_BY_CGROUP, "/no/such/cgroup", "there is no cgroup");
	refused(SELECT_BY_CGROUP, "/tmp", "there is no cgroup"); /* a directory, but none of cgroups */
	refused(SELECT_BY_CONTAINER, "", "no container id");
	refused(SELECT_BY_CONTAINER, "docker", "no container id");
	refused(SELECT_BY_COMM, "", "no name");
	refused(SELECT_BY_EXE, "", "no executable");
	refused(SELECT_BY_PID, "\033[31m", "no process id: '\\x1b[31m'");
}

/* A process of this name, with these names of its cgroup's path, innermost first, each with its NUL. */
static struct process_facts *process(const char *comm, const char *cgroup, size_t n)
{
	struct process_facts *f = xcalloc(1, sizeof(*f) + n);

	memcpy(f->exec.comm, comm, strnlen(comm, sizeof(f->exec.comm) - 1));
	f->exec.proc.pid = (uint32_t)getpid();
	f->exec.cgroup_len = (uint32_t)n;
	memcpy(f->exec.data, cgroup, n);
	return f;
}

static bool matches(enum select_by by, const char *text, const struct process_facts *f)
{
	struct selection s = {0};
	struct buf error = {0};

	assert_true(select_add(&s, by, text, &error));
	bool yes = select_matches(&s, &self, f);
	select_release(&s);
	return yes;
}

static void test_comm(void **state)
{
	struct process_facts *f = process("codex", "", 0), *g = process("a-name-of-fifteen-bytes-and-more", "", 0);

	(void)state;
	assert_true(matches(SELECT_BY_COMM, "codex", f));
	assert_false(matches(SELECT_BY_COMM, "code", f));
	assert_false(matches(SELECT_BY_COMM, "codex2", f));
	assert_true(matches(SELECT_BY_COMM, "a-name-of-fifteen-bytes-and-more", g)); /* the kernel keeps as much */
	free(f);
	free(g);
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_container(void **state)
{
	static const char *const names[] = {"docker-" ID ".scope", "libpod-" ID, "cri-containerd-" ID ".scope",
	                                    "crio-" ID ".scope", ID};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct process_facts *f = process("x", names[i], strlen(names[i]) + 1);

		assert_true(matches(SELECT_BY_CONTAINER, "0123", f));
		assert_true(matches(SELECT_BY_CONTAINER, "0123456789ABCDEF", f));
		assert_true(matches(SELECT_BY_CONTAINER, ID, f));
		assert_false(matches(SELECT_BY_CONTAINER, "1234", f));
		free(f);
	}
	/* The container is above; what only looks like an id is none. */
	static const char deep[] = "init.scope\0docker-" ID ".scope\0system.slice";
	struct process_facts *f = process("x", deep, sizeof(deep));
	assert_true(matches(SELECT_BY_CONTAINER, "0123", f));
	free(f);
	static const char other[] = "0123.slice\0user-" ID "0.slice";
	f = process("x", other, sizeof(other));
	assert_false(matches(SELECT_BY_CONTAINER, "0123", f));
	free(f);
}

static void test_exe(void **state)
{
	struct process_facts *f = process("x", "", 0);
	char exe[4096], pattern[4200];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	(void)state;
	assert_true(n > 0);
	exe[n] = '\0';
	assert_true(matches(SELECT_BY_EXE, exe, f));
	assert_true(matches(SELECT_BY_EXE, "/proc/self/exe", f)); /* where a path leads */
	assert_true(matches(SELECT_BY_EXE, strrchr(exe, '/') + 1, f));
	assert_true(matches(SELECT_BY_EXE, "*/test_sel?ct", f));
	snprintf(pattern, sizeof(pattern), "%sx", exe);
	assert_false(matches(SELECT_BY_EXE, pattern, f));
	assert_false(matches(SELECT_BY_EXE, "test_sel", f));
	free(f);
}

/* No rule: everything, but never a process that executes spantap. */
static void test_all(void **state)
{
	struct process_facts *f = process("x", "", 0);
	struct selection none = {0};

	(void)state;
	assert_true(select_matches(&none, &self, f));
	f->exec.dev = self.dev;
	f->exec.ino = self.ino;
	assert_false(select_matches(&none, &self, f));
	assert_false(matches(SELECT_BY_COMM, "x", f));
	free(f);
}

/* A process id is another one's when its process has ended. */
static void test_pid_once(void **state)
{
	struct process_facts *f = process("x", "", 0);
	struct selection s = {0};
	struct buf error = {0}, words = {0};
	char pid[16];

	(void)state;
	snprintf(pid, sizeof(pid), "%d", getpid());
	assert_true(select_add(&s, SELECT_BY_PID, pid, &error));
	assert_true(select_add(&s, SELECT_BY_COMM, "y", &error));
	assert_true(select_matches(&s, &self, f));
	select_pids_done(&s);
	assert_false(select_matches(&s, &self, f));
	select_words(&s, &words);
	assert_non_null(strstr(buf_str(&words), ", comm y"));
	buf_release(&words);
	select_release(&s);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refused), cmocka_unit_test(test_comm), cmocka_unit_test(test_container),
	    cmocka_unit_test(test_exe),     cmocka_unit_test(test_all),  cmocka_unit_test(test_pid_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
