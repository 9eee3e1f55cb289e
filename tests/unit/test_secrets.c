/* SPDX-License-Identifier: Apache-2.0 */
/* The short cuts of the secret scan let nothing of the tables through. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../user/span/secrets.c" /* its tables */

static void expect_rule(const char *key)
{
	if (!key_rule(slice_str(key)))
		fail_msg("no rule for the key '%s'", key);
}

static void every_key_is_looked_at(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(key_rules) / sizeof(key_rules[0]); i++) {
		char snake[64], dashed[64], dotted[64], camel[64], upper[64];
		size_t n = 0;

		snprintf(snake, sizeof(snake), "my%s%.*s", key_rules[i].suffix.p[0] == '_' ? "" : "_",
			 (int)key_rules[i].suffix.n, key_rules[i].suffix.p);
		for (size_t k = 0; k <= strlen(snake); k++) {
			dashed[k] = snake[k] == '_' ? '-' : snake[k];
			dotted[k] = snake[k] == '_' ? '.' : snake[k];
			upper[k] = (char)toupper((unsigned char)snake[k]);
			if (snake[k] != '_')
				camel[n++] = k && snake[k - 1] == '_' ? (char)toupper((unsigned char)snake[k]) : snake[k];
		}
		expect_rule(snake);
		expect_rule(dashed);
		expect_rule(dotted);
		expect_rule(camel);
		expect_rule(upper);
	}
}

static void every_shape_and_command_begins(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++)
		for (const struct secret_shape *s = secret_shapes[c]; s && s->prefix.p; s++)
			if ((unsigned char)s->prefix.p[0] != c || s->prefix.n < 2)
				fail_msg("no text is searched for '%.*s'", (int)s->prefix.n, s->prefix.p);
	for (const struct flag_rule *r = flag_rules; r->command.p; r++)
		if (!command_begins[(unsigned char)r->command.p[0]])
			fail_msg("the command '%.*s' is not looked at", (int)r->command.n, r->command.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_key_is_looked_at),
	    cmocka_unit_test(every_shape_and_command_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
