/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"

/* "line:key=value|" and "line:!" */
static void on_entry(void *ctx, unsigned line, struct slice key, struct slice value)
{
	buf_addf(ctx, "%u:%.*s", line, (int)key.n, key.p);
	if (value.p)
		buf_addf(ctx, "=%.*s", (int)value.n, value.p);
	buf_addc(ctx, '|');
}

static void on_error(void *ctx, unsigned line, const char *what)
{
	assert_true(strlen(what) > 5);
	buf_addf(ctx, "%u:!|", line);
}

static const struct conf_events events = {on_entry, on_error};

static void expect(const char *text, const char *wanted)
{
	struct buf got = {0};
	bool ok = conf_parse(slice_str(text), &events, &got);

	assert_string_equal(buf_str(&got), wanted);
	assert_int_equal(ok, !strchr(wanted, '!'));
	buf_release(&got);
}

static void test_values(void **state)
{
	(void)state;
	expect("", "");
	expect("\n\n  \t\n# all\n   # of it\n", "");
	expect("a = 1\nb=2\n  c\t=\t3  \n", "1:a=1|2:b=2|3:c=3|");
	expect("a = 1\r\nb\r\n", "1:a=1|2:b|");
	expect("a\nb =\nc = \"\"\nd # none", "1:a|2:b=|3:c=|4:d|");
	expect("\xef\xbb\xbf"
	       "a = 1",
	       "1:a=1|");
	expect("a = b = c", "1:a=b = c|");
	expect("a-B_c.9 = x", "1:a-B_c.9=x|");
	expect("same = 1\nsame = 2", "1:same=1|2:same=2|");
}

static void test_comments_and_quotes(void **state)
{
	(void)state;
	expect("a = x # y", "1:a=x|");
	expect("a = http://h/#y", "1:a=http://h/#y|");
	expect("a = x#y z #", "1:a=x#y z|");
	expect("a = # none", "1:a=|");
	expect("a = \"x # y\" # z", "1:a=x # y|");
	expect("a = \"  x  \"", "1:a=  x  |");
	expect("a = \"\\\"q\\\" \\\\\"", "1:a=\"q\" \\|");
	expect("a = 'x\\\"# y'", "1:a=x\\\"# y|");
	expect("a = it's", "1:a=it's|");
}

/* An error costs its own line. */
static void test_errors(void **state)
{
	(void)state;
	expect("a b\nc = 1", "1:!|2:c=1|");
	expect("= 1\nc = 1", "1:!|2:c=1|");
	expect("a: 1\n\"a\" = 1\nc", "1:!|2:!|3:c|");
	expect("a = \"x\nb = 1", "1:!|2:b=1|");
	expect("a = 'x\nb = 1", "1:!|2:b=1|");
	expect("a = \"x\" y", "1:!|");
	expect("a = \"\\n\"", "1:!|");
	expect("a = \"x\\", "1:!|");
	expect("[section]\na", "1:!|2:a|");
}

static void test_nul(void **state)
{
	struct buf got = {0};

	(void)state;
	assert_false(conf_parse(SLICE("a = 1\0\nb = 2\n"), &events, &got));
	assert_string_equal(buf_str(&got), "1:!|2:b=2|");
	buf_release(&got);
}

static char *of(char c, size_t n, const char *before, const char *after)
{
	char *s = malloc(strlen(before) + n + strlen(after) + 1);

	assert_non_null(s);
	strcpy(s, before);
	memset(s + strlen(before), c, n);
	strcpy(s + strlen(before) + n, after);
	return s;
}

static void test_limits(void **state)
{
	struct buf got = {0};
	char *s;

	(void)state;
	s = of('v', CONF_VALUE_MAX + 1, "a = ", "\nb");
	expect(s, "1:!|2:b|");
	free(s);
	s = of('v', CONF_VALUE_MAX, "a = ", "");
	assert_true(conf_parse(slice_str(s), &events, &got));
	assert_int_equal(got.n, CONF_VALUE_MAX + 5);
	free(s);
	s = of('k', CONF_KEY_MAX + 1, "", " = 1");
	expect(s, "1:!|");
	free(s);
	s = of('\n', CONF_LINES_MAX + 1, "", "a");
	buf_clear(&got);
	assert_false(conf_parse(slice_str(s), &events, &got));
	free(s);
	/* Many errors: CONF_ERRORS_MAX are told, then that there are more, and no entry follows. */
	buf_clear(&got);
	for (int i = 0; i < 1000; i++)
		buf_adds(&got, "=\n");
	struct buf told = {0};
	assert_false(conf_parse(buf_slice(&got), &events, &told));
	size_t n = 0;
	for (size_t i = 0; i < told.n; i++)
		n += told.p[i] == '!';
	assert_int_equal(n, CONF_ERRORS_MAX + 1);
	buf_release(&told);
	buf_release(&got);
}

static int read_mode(const char *path, mode_t mode, bool *ret_open)
{
	struct buf text = {0}, error = {0};

	assert_int_equal(chmod(path, mode), 0);
	int r = conf_read(path, geteuid(), &text, ret_open, &error);
	assert_int_equal(r != 0, error.n > 0);
	assert_int_equal(r == 0, text.n == 6);
	buf_release(&text);
	buf_release(&error);
	return r;
}

static void test_file(void **state)
{
	char path[] = "/tmp/spantap-conf-XXXXXX";
	int fd = mkstemp(path);
	bool open = false;

	(void)state;
	assert_true(fd >= 0 && write(fd, "a = 1\n", 6) == 6);
	assert_int_equal(read_mode(path, 0600, &open), 0);
	assert_false(open);
	assert_int_equal(read_mode(path, 0644, &open), 0);
	assert_true(open);
	assert_int_equal(read_mode(path, 0640, &open), 0);
	assert_false(open);
	assert_true(read_mode(path, 0620, &open) < 0);
	assert_true(read_mode(path, 0602, &open) < 0);
	assert_int_equal(ftruncate(fd, CONF_SIZE_MAX + 1), 0);
	assert_true(read_mode(path, 0600, &open) < 0);
	close(fd);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(read_mode(path, 0600, &open) < 0);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values), cmocka_unit_test(test_comments_and_quotes),
	    cmocka_unit_test(test_errors), cmocka_unit_test(test_nul),
	    cmocka_unit_test(test_limits), cmocka_unit_test(test_file)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
