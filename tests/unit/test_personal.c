/* SPDX-License-Identifier: Apache-2.0 */
/* E-mail addresses and card numbers, masked where the user asks for it and only then. The numbers are the
 * schemes' own for tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "span/content.h"
#include "span/redact.h"

static const struct {
	const char *in, *out;
} texts[] = {
    {"write to bob@example.com.", "write to [masked:email]."},
    {"Bob <bob.b-ob+tag@mail.example.co.uk>, you", "Bob <[masked:email]>, you"},
    {"mailto:o'neil@example.ie?subject=x", "mailto:[masked:email]?subject=x"},
    {"{\"to\":\"a_b@x-y.io\"}", "{\"to\":\"[masked:email]\"}"},
    {"cc\\nbob@example.com\\nthx", "cc\\n[masked:email]\\nthx"},
    {"{\\\"to\\\":\\\"bob@example.com\\\"}", "{\\\"to\\\":\\\"[masked:email]\\\"}"},
    {"bob\\u0040example.com", "[masked:email]"},
    {"https://x.example/u?mail=bob%40example.com&z=1", "https://x.example/u?mail=[masked:email]&z=1"},
    {"bob@example.com:hello", "bob@example.com:hello"}, /* as git@host:path */
    {"bob@example.com: hello", "[masked:email]: hello"},
    {"a@b.cd,e@f.gh;i@j.kl", "[masked:email],[masked:email];[masked:email]"},
    {"123456@qq.com 1@163.com", "[masked:email] [masked:email]"},
    {"git@github.com:torvalds/linux.git", "git@github.com:torvalds/linux.git"},
    {"npm i react@18.2.0 vite@5.0.0-beta.rc @types/node",
     "npm i react@18.2.0 vite@5.0.0-beta.rc @types/node"},
    {"logo@2x.png getty@tty1.service root@localhost", "logo@2x.png getty@tty1.service root@localhost"},
    {"@decorator.name x @ y.z a@b @ @. .@.", "@decorator.name x @ y.z a@b @ @. .@."},

    {"4111111111111111", "[masked:card]"},
    {"card 4111 1111 1111 1111, exp 12/30", "card [masked:card], exp 12/30"},
    {"5555-5555-5555-4444", "[masked:card]"},
    {"(378282246310005)", "([masked:card])"},
    {"3782 822463 10005", "[masked:card]"},
    {"6011111111111117 3530111333300000 30569309025904 2223003122003222",
     "[masked:card] [masked:card] [masked:card] [masked:card]"},
    {"pan=6212345678901232&x", "pan=[masked:card]&x"},
    {"\\n4111111111111111\\n", "\\n[masked:card]\\n"},
    {"{\\\"pan\\\": \\\"4111\\u00201111\"", "{\\\"pan\\\": \\\"4111\\u00201111\""},
    {"4111111111111112 411111111111111 41111111111111111111",
     "4111111111111112 411111111111111 41111111111111111111"},
    {"1700000000000 1700000000000000000 1234567890123452",
     "1700000000000 1700000000000000000 1234567890123452"},
    {"0.4111111111111111 4111111111111111.5 a4111111111111111 4111111111111111f",
     "0.4111111111111111 4111111111111111.5 a4111111111111111 4111111111111111f"},
    {"41 11 11 11 11 11 11 11", "41 11 11 11 11 11 11 11"},
    {"4111111111111111-4111111111111111", "4111111111111111-4111111111111111"},
    {"550e8400-4111-1111-1111-111111111111", "550e8400-4111-1111-1111-111111111111"},
    {"v4111-1111-1111-1111", "v4111-1111-1111-1111"},
};

static void check(const char *in, const char *want, unsigned mode)
{
	struct buf out = {0}, again = {0};

	redact_text(&out, slice_str(in), mode);
	if (strcmp(buf_str(&out), want) != 0)
		fail_msg("'%s' became '%s', wanted '%s'", in, buf_str(&out), want);
	assert_int_equal(redact_text(&again, buf_slice(&out), mode), 0);
	buf_release(&out);
	buf_release(&again);
}

static void masked_when_asked_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		bool card = strstr(texts[i].out, ":card]"), email = strstr(texts[i].out, ":email]");

		check(texts[i].in, texts[i].out, REDACT_SECRETS | REDACT_EMAIL | REDACT_CARD);
		check(texts[i].in, card ? texts[i].in : texts[i].out, REDACT_SECRETS | REDACT_EMAIL);
		check(texts[i].in, email ? texts[i].in : texts[i].out, REDACT_SECRETS | REDACT_CARD);
		check(texts[i].in, texts[i].in, REDACT_SECRETS);
	}
}

static void secrets_go_first(void **state)
{
	(void)state;
	check("https://bob:s3cret@example.com/ password=x@y.zz",
	      "https://bob:[masked:url_password]@example.com/ "
	      "password=[masked:password]",
	      REDACT_SECRETS | REDACT_EMAIL | REDACT_CARD);
}

static void in_json(void **state)
{
	static const char in[] =
	    "{\"to\":[\"bob@example.com\"],\"n\":4111111111111111,\"m\":1e3,\"password\":123456,"
	    "\"bob@example.com\":1}";
	static const struct {
		enum content_level level;
		unsigned redact;
		const char *want;
	} cases[] = {
	    {CONTENT_REDACTED, REDACT_EMAIL | REDACT_CARD,
	     "{\"to\":[\"[masked:email]\"],\"n\":\"[masked:card]\",\"m\":1e3,\"password\":\"[masked:password]"
	     "\","
	     "\"[masked:email]\":1}"},
	    {CONTENT_REDACTED, 0,
	     "{\"to\":[\"bob@example.com\"],\"n\":4111111111111111,\"m\":1e3,\"password\":\"[masked:password]"
	     "\","
	     "\"bob@example.com\":1}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct content *c = malloc(sizeof(*c));
		struct arena a = {0};

		content_init(c, cases[i].level, cases[i].redact);
		struct slice got = content_arguments(c, &a, slice_str(in));
		if (!slice_eq(got, slice_str(cases[i].want)))
			fail_msg("%.*s", (int)got.n, got.p);
		arena_release(&a);
		content_release(c);
		free(c);
	}
}

static void words_of_the_option(void **state)
{
	unsigned mode = 77;
	struct slice wrong;

	(void)state;
	assert_true(redact_words(SLICE("email"), &mode, &wrong));
	assert_int_equal(mode, REDACT_EMAIL);
	assert_true(redact_words(SLICE("card,email"), &mode, &wrong));
	assert_int_equal(mode, REDACT_EMAIL | REDACT_CARD);
	assert_false(redact_words(SLICE("email,phone"), &mode, &wrong));
	assert_true(slice_eq(wrong, SLICE("phone")));
	assert_false(redact_words(SLICE(""), &mode, &wrong));
	assert_false(redact_words(SLICE("Email"), &mode, &wrong));
}

/* What begins like one again and again costs no more than other text. */
static void hostile_text(void **state)
{
	static const char *const units[] = {"@",  "a@",    "a@b.",  "a.a.a@",  "4111",
	                                    "4 ", "4111 ", "4111-", "\\u0040", "%40"};

	(void)state;
	for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
		struct buf in = {0}, out = {0};

		while (in.n < 1u << 20)
			buf_adds(&in, units[u]);
		redact_text(&out, buf_slice(&in), REDACT_SECRETS | REDACT_EMAIL | REDACT_CARD);
		buf_release(&in);
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(masked_when_asked_for),
	    cmocka_unit_test(secrets_go_first),
	    cmocka_unit_test(in_json),
	    cmocka_unit_test(words_of_the_option),
	    cmocka_unit_test(hostile_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
