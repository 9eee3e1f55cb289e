/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "cmd/when.h"

#define S   1000000000ull
#define NOW (1764000000 * S)

static uint64_t parsed(const char *s)
{
	uint64_t t = 1;

	if (!when_parse(s, NOW, &t))
		fail_msg("'%s' is no time", s);
	return t;
}

static void test_ages(void **state)
{
	(void)state;
	assert_true(parsed("45s") == NOW - 45 * S);
	assert_true(parsed("30m") == NOW - 1800 * S);
	assert_true(parsed("12h") == NOW - 43200 * S);
	assert_true(parsed("7d") == NOW - 7 * 86400 * S);
	assert_true(parsed("2w") == NOW - 14 * 86400 * S);
	assert_true(parsed("18446744073709551615w") == 0);
}

static void test_dates(void **state)
{
	(void)state;
	setenv("TZ", "EST5", 1);
	tzset();
	assert_true(parsed("2026-11-25Z") == 1795564800 * S);
	assert_true(parsed("2026-11-25") == 1795564800 * S + 5 * 3600 * S);
	assert_true(parsed("2026-11-25T14:30Z") == 1795564800 * S + 52200 * S);
	assert_true(parsed("2026-11-25T14:30:07Z") == 1795564800 * S + 52207 * S);
}

static void test_refused(void **state)
{
	static const char *const wrong[] = {"",
	                                    "7",
	                                    "d",
	                                    "-7d",
	                                    "7y",
	                                    "2026-02-31",
	                                    "2026-13-01",
	                                    "2026-11-25X",
	                                    "now",
	                                    "2026-11-25T",
	                                    "1960-01-01",
	                                    "7d ",
	                                    "99999999999999999999d"};
	uint64_t t = 42;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (when_parse(wrong[i], NOW, &t))
			fail_msg("'%s' is taken for a time", wrong[i]);
	assert_int_equal(t, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ages),
	    cmocka_unit_test(test_dates),
	    cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
