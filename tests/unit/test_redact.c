/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "span/redact.h"
#include "span/secrets.h"

/* Behind contextual evidence: masked at every level. `gone` must not be in the result, `kept` must. */
static const struct {
	const char *in, *gone, *label;
} credentials[] = {
    {"cmd --api-key CANARY1 --x", "CANARY1", "api_key"},
    {"Incorrect API key provided: CANARY1aBcDe. You can", "CANARY1", "api_key"},
    {"cmd --api-key=CANARY1 --x", "CANARY1", "api_key"},
    {"cmd --apiKey 'CANARY 1' --x", "CANARY", "api_key"},
    {"cmd --password CANARY1", "CANARY1", "password"},
    {"cmd -password CANARY1", "CANARY1", "password"},
    {"cmd --token=\"CANARY1\"", "CANARY1", "token"},
    {"mysql -uroot -pCANARY1 db", "CANARY1", "password"},
    {"curl -u bob:CANARY1 https://x", "CANARY1", "password"},
    {"curl -ubob:CANARY1 https://x", "CANARY1", "password"},
    {"curl --user bob:CANARY1 https://x", "CANARY1", "password"},
    {"sshpass -p CANARY1 ssh host", "CANARY1", "password"},
    {"curl -H 'Authorization: Bearer CANARY1' https://x", "CANARY1", "authorization"},
    {"curl -H \"authorization: Basic Q0FOQVJZ\"", "Q0FOQVJZ", "authorization"},
    {"curl -H 'X-Api-Key: CANARY12345' https://x", "CANARY12345", "api_key"},
    {"GET / HTTP/1.1\r\nHost: a\r\nCookie: s=CANARY1; t=CANARY2\r\nAccept: */*", "CANARY", "cookie"},
    {"Set-Cookie: sid=CANARY1; Path=/", "CANARY", "cookie"},
    {"Proxy-Authorization: Digest username=\"CANARY1\"", "CANARY", "authorization"},
    {"x-goog-api-key: AIzCANARY1234", "CANARY", "api_key"},
    {"FOO_TOKEN=CANARY1 make", "CANARY1", "token"},
    {"export OPENAI_API_KEY=CANARY1", "CANARY1", "api_key"},
    {"export KEY=CANARY1", "CANARY1", "key"},
    {"STRIPE_KEY=CANARY123456", "CANARY123456", "key"},
    {"PGPASSWORD=CANARY psql", "CANARY", "password"},
    {"AWS_SECRET_ACCESS_KEY='CANARY'", "CANARY", "api_key"},
    {"postgres://bob:CANARY@db/x", "CANARY", "url_password"},
    {"git clone https://CANARYCANARYCANARYCANARY@host/x", "CANARY", "url_password"},
    {"https://h/p?a=1&key=CANARY&b=2", "CANARY", "key"},
    {"https://h/p?access_token=CANARY", "CANARY", "token"},
    {"https://h/p?x=1&X-Amz-Signature=CANARY", "CANARY", "query"},
    {"{\"api_key\": \"CANARY\"}", "CANARY", "api_key"},
    {"{\\\"apiKey\\\": \\\"CANARY\\\", \\\"b\\\": 1}", "CANARY", "api_key"},
    {"client_secret = \"CANARY\"", "CANARY", "secret"},
    {"password=CANARY;user=x", "CANARY", "password"},
    {"db:\n  password: CANARY123\n", "CANARY", "password"},
    {"api_key: CANARY123", "CANARY", "api_key"},
};

/* Shapes: only at "redacted". */
static const struct {
	const char *in, *gone, *label;
} secrets[] = {
    {"use sk-ant-api03-CANARY1234567890abcdef ok", "CANARY", "api_key"},
    {"sk-proj-CANARY1234567890abcdef", "CANARY", "api_key"},
    {"(sk-CANARYabcdefghijklmnop1234)", "CANARY", "api_key"},
    {"AIzaCANARYabcdefghijklmnop1234567890abc", "CANARY", "api_key"},
    {"gsk_CANARYabcdefghijklmnop1234", "CANARY", "api_key"},
    {"hf_CANARYabcdefghijklmnop1234", "CANARY", "api_key"},
    {"xai-CANARYabcdefghijklmnop1234", "CANARY", "api_key"},
    {"ghp_CANARYabcdefghijklmnopqrstuvwxyz12", "CANARY", "token"},
    {"github_pat_CANARY_abcdefghijklmnopqrstuvwxyz12", "CANARY", "token"},
    {"glpat-CANARYabcdefgh1234", "CANARY", "token"},
    {"xoxb-CANARY-1234567890-abc", "CANARY", "token"},
    {"AKIACANARY0123456789", "CANARY", "api_key"},
    {"npm_CANARYabcdefghijklmnopqrstuvwxyz1234", "CANARY", "token"},
    {"eyJhbGciOiJIUzI1NiJ9.eyJDQU5BUlkiOjF9.CANARY_sig", "CANARY", "jwt"},
    {"-----BEGIN RSA PRIVATE KEY-----\nCANARY\n-----END RSA PRIVATE KEY-----\nafter", "CANARY",
     "private_key"},
    {"-----BEGIN PRIVATE KEY-----\nCANARY", "CANARY", "private_key"},
    {"say Bearer CANARYabcdefghij1234 to it", "CANARY", "token"},
};

static const char *const prose[] = {
    "the token count is 1200 and the password policy is strict",
    "max_tokens=100, next_token=abc123def456, page_token: abc123def456",
    "\"max_tokens\": 100, \"token_count\": 5, \"tokens\": \"many\"",
    "Keep the API key: rotate it every 90 days.",
    "password: must be at least 12 characters",
    "A cookie: small piece of data. Cookies: good",
    "Authorization: see the section below",
    "The Authorization: Bearer token header is required",
    "PWD=/home/bob OLDPWD=/tmp PUBLIC_KEY=abcdefgh1234 PRIMARY_KEY=id_of_row_1",
    "curl -H \"Authorization: Bearer $TOKEN\" https://x",
    "export TOKEN=$(cat file) KEY=${OTHER} API_KEY=<your key>",
    "foo(password=password, token=token, api_key=os.environ[\"X\"])",
    "if (token == other) return key->value; token = next();",
    "mkdir -p /tmp/x && cp -u a:b c",
    "http://localhost:8080/a@b http://a.b/c?keyword=x&monkey=y",
    "std::token::Token x; a ? key : value",
    "scikit sk-learn, sk-something-else and eyJ. -----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
    "for KEY in a b c; do echo $KEY; done",
    "secret santa; the secret: nobody knows",
    "Bearer of bad news, bearer authentication is described in RFC 6750",
};

static char *redact(const char *in, enum redact_mode mode, size_t *ret_masks)
{
	struct buf b = {0};

	*ret_masks = redact_text(&b, slice_str(in), mode);
	char *s = strdup(buf_str(&b));
	buf_release(&b);
	return s;
}

static void expect_masked(const char *in, const char *gone, const char *label, enum redact_mode mode)
{
	char want[64];
	size_t masks;
	char *got = redact(in, mode, &masks);

	snprintf(want, sizeof(want), "[masked:%s]", label);
	if (strstr(got, gone) || !strstr(got, want) || masks == 0)
		fail_msg("'%s' became '%s', wanted %s", in, got, want);

	/* What is masked stays as it is when it is masked again. */
	size_t again;
	char *twice = redact(got, mode, &again);
	if (strcmp(twice, got) != 0 || again != 0)
		fail_msg("'%s' became '%s'", got, twice);
	free(twice);
	free(got);
}

static void masks_credentials(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(credentials) / sizeof(credentials[0]); i++) {
		expect_masked(credentials[i].in, credentials[i].gone, credentials[i].label,
		              REDACT_CREDENTIALS);
		expect_masked(credentials[i].in, credentials[i].gone, credentials[i].label, REDACT_SECRETS);
	}
}

static void masks_shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		size_t masks;
		char *got = redact(secrets[i].in, REDACT_CREDENTIALS, &masks);

		assert_string_equal(got, secrets[i].in);
		free(got);
		expect_masked(secrets[i].in, secrets[i].gone, secrets[i].label, REDACT_SECRETS);
	}
}

static void leaves_prose(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(prose) / sizeof(prose[0]); i++) {
		size_t masks;
		char *got = redact(prose[i], REDACT_SECRETS, &masks);

		if (strcmp(got, prose[i]) != 0 || masks)
			fail_msg("'%s' became '%s'", prose[i], got);
		free(got);
	}
}

static void keeps_what_is_around(void **state)
{
	size_t masks;
	char *got;

	(void)state;
	got = redact("a FOO_TOKEN=x1 b https://u:p@h/?sig=q&z=1 c", REDACT_SECRETS, &masks);
	assert_string_equal(got, "a FOO_TOKEN=[masked:token] b "
	                         "https://u:[masked:url_password]@h/?sig=[masked:query]&z=1 c");
	assert_int_equal(masks, 3);
	free(got);
}

static void masks_argv(void **state)
{
	static const char *const args[] = {
	    "/usr/bin/curl", "-u",     "bob:s3cret",    "--token", "abc",
	    "--key=v",       "-sS",    "API_KEY=a b c", "-H",      "Authorization: Bearer zzz",
	    "--password",    "$ecret", "plain text"};
	static const char *const want[] = {"/usr/bin/curl",
	                                   "-u",
	                                   "bob:[masked:password]",
	                                   "--token",
	                                   "[masked:token]",
	                                   "--key=v",
	                                   "-sS",
	                                   "API_KEY=[masked:api_key]",
	                                   "-H",
	                                   "Authorization: Bearer [masked:authorization]",
	                                   "--password",
	                                   "[masked:password]",
	                                   "plain text"};
	enum { N = sizeof(args) / sizeof(args[0]) };
	struct slice in[N], out[N];
	struct arena a = {0};

	(void)state;
	for (size_t i = 0; i < N; i++)
		in[i] = slice_str(args[i]);
	assert_int_equal(redact_argv(&a, in, N, out, REDACT_CREDENTIALS), 5);
	for (size_t i = 0; i < N; i++)
		if (!slice_eq(out[i], slice_str(want[i])))
			fail_msg("'%s' became '%.*s'", args[i], (int)out[i].n, out[i].p);
	arena_release(&a);
}

/* What is masked is the same whether words that cannot matter are skipped or not. */
static void compare(struct slice text, unsigned mode)
{
	struct buf fast = {0}, slow = {0};
	size_t n = redact_text(&fast, text, mode), m = redact_text(&slow, text, mode | REDACT_SLOWLY);

	if (n != m || !slice_eq(buf_slice(&fast), buf_slice(&slow)))
		fail_msg("mode %u, '%.*s': '%s' against '%s'", mode, (int)text.n, text.p, buf_str(&fast),
		         buf_str(&slow));
	buf_release(&fast);
	buf_release(&slow);
}

static void skipping_changes_nothing(void **state)
{
	static const char *const parts[] = {"password",
	                                    "api_key",
	                                    "token",
	                                    " ",
	                                    "  ",
	                                    "\t",
	                                    "=",
	                                    ":",
	                                    "==",
	                                    "\"",
	                                    "'",
	                                    "\\\"",
	                                    "\\",
	                                    "-",
	                                    "--",
	                                    ";",
	                                    "?",
	                                    "&",
	                                    "key",
	                                    "sig",
	                                    "https://",
	                                    "https:\\/\\/",
	                                    "me:pw1234@h/",
	                                    "curl -u me:pw1 ",
	                                    "a.b.c",
	                                    "x.",
	                                    "function",
	                                    "hello",
	                                    "Secr3tV4lue",
	                                    "PGPASSWORD=",
	                                    "client_secret__",
	                                    "next_token",
	                                    "=>",
	                                    ":=",
	                                    "AKIAABCDEFGHIJKLMNOP",
	                                    "bearer abcdefgh1234567890",
	                                    "cookie: a=b1234",
	                                    "api key: abcdef123456",
	                                    "sk-ant-api03-AbCdEfGh1234567890",
	                                    "sk\\u002dant-api03-AbCdEfGh1234567890",
	                                    "eyJhbGciOiJI.eyJzdWIiOiIx.abcdefghij",
	                                    "eyJhbGciOiJI..aaaa.bbbb.cccc",
	                                    "\xc3\xa9",
	                                    "_",
	                                    "\\n",
	                                    "\\t",
	                                    "\\r",
	                                    "\\u0041",
	                                    "\\/",
	                                    "\n",
	                                    "n",
	                                    "@",
	                                    "%40",
	                                    "bob",
	                                    "bob@example.com",
	                                    "alice%40mail.example.org",
	                                    "git@host:x",
	                                    "4111111111111111",
	                                    "4111-1111-1111-1111",
	                                    "4111 1111 1111 1111",
	                                    "378282246310005",
	                                    "41111",
	                                    ".",
	                                    ",",
	                                    "1//0",
	                                    "1//0abcdefghijABCDEFGHIJ0123456789xyz",
	                                    "fw_abcdefghij1234567890",
	                                    "pa-",
	                                    "SG.",
	                                    "SG.abcdefghijABCDEFGHIJ.0123456789abcdefghijABCDE",
	                                    "dapi0123456789abcdef0123456789abcdef",
	                                    "hooks.slack.com/services/T0123456789/B0123456789/abcdefghij",
	                                    "glc_abcdefghijABCDEFGHIJ0123456789abcdefghij0123",
	                                    "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
	                                    "\\\\",
	                                    "harmless words that follow "};

	(void)state;
	srand(1);
	for (unsigned i = 0; i < 150000; i++) {
		struct buf text = {0};
		size_t most = i % 3 ? 12 : 60;

		for (size_t k = 1 + (size_t)rand() % most; k > 0; k--)
			buf_adds(&text, parts[(size_t)rand() % (sizeof(parts) / sizeof(*parts))]);
		for (unsigned k = 0; k < 4; k++)
			buf_adds(&text, "\nharmless words that follow");
		compare(buf_slice(&text), i % 8);
		buf_release(&text);
	}
}

/* A secret of each shape, at each place of a block, behind what may stand before a word. */
static void skipping_knows_every_shape(void **state)
{
	static const char *const before[] = {" ", "\"", "\\n", "\\r", "\\t", "\\/", "(", "\n", ".", "x."};
	static const char body[] = "Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcD4fGh7jKl0nOp3rSt6vWx9zAb3dEf6h";
	static const char upper[] = "AB3DEF6HIJ9LMN2PQR5TUV8XYZ1BCD4FGH7JKL0NOP3RST6VWX9ZAB3DEF6H";

	(void)state;
	for (size_t c = 0; c < 256; c++)
		for (const struct secret_shape *sh = secret_shapes[c]; sh && sh->prefix.p; sh++)
			for (size_t k = 0; k < sizeof(before) / sizeof(*before); k++)
				for (size_t at = 0; at < 130; at++) {
					struct buf text = {0}, masked = {0};

					for (size_t i = 0; i < at; i++)
						buf_addc(&text, i % 7 == 6 ? ' ' : 'h');
					buf_adds(&text, before[k]);
					buf_addslice(&text, sh->prefix);
					size_t all = sh->min > 60 ? 2 : 1;
					for (size_t i = 0; i < all; i++)
						buf_adds(&text, sh->alphabet & LOWER ? body : upper);
					buf_adds(&text,
					         " and then words that are of no harm at all, until the "
					         "block ends, and "
					         "the next one, too, with what is looked at behind it");
					compare(buf_slice(&text), REDACT_SECRETS);
					if (!redact_text(&masked, buf_slice(&text), REDACT_SECRETS))
						fail_msg("'%s' is not masked", buf_str(&text));
					buf_release(&text);
					buf_release(&masked);
				}
}

static int compare_file(const char *path, const struct stat *sb, int kind, struct FTW *at)
{
	(void)at;
	if (kind != FTW_F || sb->st_size > (8 << 20))
		return 0;
	FILE *f = fopen(path, "r");
	struct buf text = {0};
	char part[65536];

	assert_non_null(f);
	for (size_t n; (n = fread(part, 1, sizeof(part), f));)
		buf_add(&text, part, n);
	fclose(f);
	compare(buf_slice(&text), REDACT_CREDENTIALS);
	compare(buf_slice(&text), REDACT_SECRETS | REDACT_EMAIL | REDACT_CARD);
	buf_release(&text);
	return 0;
}

static void skipping_changes_nothing_of_the_corpus(void **state)
{
	(void)state;
	if (!getenv("SPANTAP_CORPUS"))
		skip();
	assert_int_equal(nftw(getenv("SPANTAP_CORPUS"), compare_file, 32, FTW_PHYS), 0);
}

/* Text made to be read again and again: the time grows with its size, not with its square. */
static void hostile_text_is_linear(void **state)
{
	static const char *const units[] = {"token=",
	                                    "a.",
	                                    "eyJ",
	                                    "eyJaaaaaaaaaa.",
	                                    "?key=$a",
	                                    "A_KEY=\"",
	                                    "x://",
	                                    "-----BEGIN ",
	                                    "-----BEGIN PRIVATE KEY",
	                                    "Bearer ",
	                                    "sk-",
	                                    "cookie:a=",
	                                    "authorization: bearer ",
	                                    "token=\\\"",
	                                    "curl -u $",
	                                    "--token ",
	                                    "\"",
	                                    "_",
	                                    "password=("};

	(void)state;
	for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
		struct buf in = {0}, out = {0};

		while (in.n < 1u << 20)
			buf_adds(&in, units[u]);
		uint64_t before = clock_boot_ns();
		redact_text(&out, buf_slice(&in), REDACT_SECRETS);
		uint64_t ms = (clock_boot_ns() - before) / 1000000;
		if (ms > 3000)
			fail_msg("1 MiB of '%s' took %u ms", units[u], (unsigned)ms);
		buf_release(&in);
		buf_release(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(masks_credentials),
	    cmocka_unit_test(masks_shapes),
	    cmocka_unit_test(leaves_prose),
	    cmocka_unit_test(keeps_what_is_around),
	    cmocka_unit_test(masks_argv),
	    cmocka_unit_test(skipping_changes_nothing),
	    cmocka_unit_test(skipping_knows_every_shape),
	    cmocka_unit_test(skipping_changes_nothing_of_the_corpus),
	    cmocka_unit_test(hostile_text_is_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
