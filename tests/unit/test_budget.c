/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/budget.h"
#include "probe/procfs.h"

#define S 1000000000ull

/* `seconds` looks, one a second; the time after the last. */
static uint64_t look(struct budget *b, uint64_t now, unsigned seconds, double cpu, uint64_t memory)
{
	for (unsigned i = 0; i < seconds; i++)
		budget_judge(b, now + i * S, cpu, memory);
	return now + seconds * S;
}

static void test_steps(void **state)
{
	struct budget b = {.cpu = 0.1};
	uint64_t now = 1000 * S;
	(void)state;

	now = look(&b, now, 100, 0.09, 0);
	assert_int_equal(b.step, 0);
	now = look(&b, now, 3, 5, 0); /* a burst */
	now = look(&b, now, 10, 0.09, 0);
	assert_int_equal(b.step, 0);
	now = look(&b, now, 4, 0.2, 0);
	assert_int_equal(b.step, 1);
	now = look(&b, now, 200, 0.2, 0);
	assert_int_equal(b.step, PRESSURE_STEPS);
	now = look(&b, now, 200, 0.08, 0); /* below the limit, not below BUDGET_DOWN of it: it stays */
	assert_int_equal(b.step, PRESSURE_STEPS);
	now = look(&b, now, 31, 0.05, 0);
	assert_int_equal(b.step, PRESSURE_STEPS - 1);
	now = look(&b, now, 20, 0.05, 0);
	now = look(&b, now, 1, 0.09, 0);
	now = look(&b, now, 20, 0.05, 0);
	assert_int_equal(b.step, PRESSURE_STEPS - 1);
	now = look(&b, now, 1000, 0.05, 0);
	assert_int_equal(b.step, 0);
}

static void test_memory(void **state)
{
	struct budget b = {.memory = 1000}, both = {.cpu = 1, .memory = 1000}, none = {0};
	(void)state;

	uint64_t now = look(&b, S, 4, 100, 1001);
	assert_int_equal(b.step, 1);
	look(&b, now, 40, 100, 600);
	assert_int_equal(b.step, 0);
	now = look(&both, S, 4, 0.1, 1001);
	assert_int_equal(both.step, 1);
	now = look(&both, now, 40, 0.9, 600); /* one of the two is not well below */
	assert_int_equal(both.step, 1);
	look(&both, now, 40, -1, 600); /* not known is not well below */
	assert_int_equal(both.step, 1);
	look(&none, S, 100, 64, UINT64_MAX);
	assert_int_equal(none.step, 0);
}

/* A process that spins and one that has touched 64 MiB, as the kernel counts them. */
static void test_look(void **state)
{
	size_t size = 64 << 20;
	struct budget b = {.cpu = 0.001, .memory = 1};
	struct procfs_usage first, u;
	int ready[2];
	char c;
	(void)state;

	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(p, 1, size);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (volatile unsigned i = 0;; i++)
			;
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(procfs_usage(pid, &first), 0);
	assert_in_range(first.anon, size, size * 8); /* the sanitizer has some of its own */
	for (unsigned i = 0; i < 1000; i++) {        /* until it has been given a processor */
		usleep(10000);
		assert_int_equal(procfs_usage(pid, &u), 0);
		if (u.cpu >= first.cpu + S / 10)
			break;
	}
	assert_true(u.cpu >= first.cpu + S / 10 && u.start == first.start);
	assert_true(first.resident >= first.anon + first.shared);
	assert_false(budget_look(&b, S, &pid, 1));
	assert_true(b.cpu_used < 0); /* since when is not known */
	assert_in_range(b.memory_used, size, size * 8);
	budget_look(&b, 2 * S, &pid, 1);
	assert_true(b.cpu_used >= 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(procfs_usage(pid, &u) < 0);
	budget_look(&b, 3 * S, &pid, 1);
	assert_int_equal(b.memory_used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
