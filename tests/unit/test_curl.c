/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/curl.h"

static struct span call_to(const char *method, const char *host, const char *path, const char *query)
{
	struct span s = {.kind = SPAN_CHAT};

	span_set_str(&s, ATTR_HTTP_METHOD, slice_str(method));
	span_set_str(&s, ATTR_URL_SCHEME, SLICE("https"));
	span_set_str(&s, ATTR_SERVER_ADDRESS, slice_str(host));
	span_set_int(&s, ATTR_SERVER_PORT, 8443);
	span_set_str(&s, ATTR_URL_PATH, slice_str(path));
	if (query)
		span_set_str(&s, ATTR_URL_QUERY, slice_str(query));
	return s;
}

/* What a shell gives to curl: its arguments, a line each, then its input. */
static void run(const char *shell, const char *before, struct slice command, struct buf *ret)
{
	char path[] = "/tmp/test_curl.XXXXXX", words[128], part[4096];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	assert_non_null(f);
	fprintf(f, "%s\ncurl() { printf '<%%s>\\n' \"$@\"; cat; }\n%.*s", before, (int)command.n, command.p);
	fclose(f);
	snprintf(words, sizeof(words), "%s %s 2>/dev/null </dev/null", shell, path);
	f = popen(words, "r");
	assert_non_null(f);
	buf_clear(ret);
	for (size_t n; (n = fread(part, 1, sizeof(part), f));)
		buf_add(ret, part, n);
	pclose(f);
	unlink(path);
}

static void check(const struct span *s, const char *headers, struct slice body, const char *args)
{
	static const char *const shells[] = {"dash", "bash"};
	struct buf command = {0}, got = {0}, wanted = {0};
	const char *why;

	assert_true(curl_write(&command, s, slice_str(headers), body, &why));
	buf_adds(&wanted, args);
	buf_addslice(&wanted, body);
	for (size_t i = 0; i < 2; i++) {
		run(shells[i], "SPANTAP_AUTHORIZATION=key SPANTAP_URL=one SPANTAP_URL_2=two",
		    buf_slice(&command), &got);
		if (!slice_eq(buf_slice(&got), buf_slice(&wanted)))
			fail_msg("%s: '%s' gives '%s' instead of '%s'", shells[i], buf_str(&command),
			         buf_str(&got), buf_str(&wanted));
		run(shells[i], "HOME=/", buf_slice(&command), &got); /* not all is set */
		if (slice_find(buf_slice(&command), SLICE("SPANTAP_")))
			assert_int_equal(got.n, 0);
	}
	buf_release(&command);
	buf_release(&got);
	buf_release(&wanted);
}

#define BEFORE "<-sS>\n<-N>\n<--globoff>\n<--path-as-is>\n<-X>\n<POST>\n"
#define BEHIND "<--data-binary>\n<@->\n"

static void what_curl_gets(void **state)
{
	struct span s =
	    call_to("POST", "api.example.com", "/v1/it's", "key=[masked:key]&b=$(id)&c=[masked:token]");

	(void)state;
	check(&s,
	      "content-type: application/json\nauthorization: Bearer [masked:authorization]\nx-a: 'q' `id` "
	      "$HOME \\n\nx-b: ",
	      SLICE("{\"a\":\"it's $(id) `id` \\n \\\" %s %% [masked:api_key]\"}"),
	      BEFORE "<https://api.example.com:8443/v1/it's?key=one&b=$(id)&c=two>\n"
	             "<-H>\n<content-type: application/json>\n<-H>\n<authorization: Bearer key>\n"
	             "<-H>\n<x-a: 'q' `id` $HOME \\n>\n<-H>\n<x-b;>\n"
	             "<-H>\n<accept:>\n<-H>\n<user-agent:>\n<-H>\n<expect:>\n" BEHIND);
	span_release(&s);
}

static void unix_socket(void **state)
{
	struct span s = {.kind = SPAN_CHAT};

	(void)state;
	span_set_str(&s, ATTR_HTTP_METHOD, SLICE("POST"));
	span_set_str(&s, ATTR_URL_SCHEME, SLICE("http"));
	span_set_str(&s, ATTR_SERVER_ADDRESS, SLICE("/run/my model.sock"));
	span_set_str(&s, ATTR_URL_PATH, SLICE("/api/chat"));
	check(&s, "accept: a\nuser-agent: b\ncontent-type: c", SLICE("{}"),
	      BEFORE "<--unix-socket>\n</run/my model.sock>\n<http://localhost/api/chat>\n<-H>\n<accept: a>\n"
	             "<-H>\n<user-agent: b>\n<-H>\n<content-type: c>\n<-H>\n<expect:>\n" BEHIND);
	span_release(&s);
}

/* Bytes that a terminal may obey come to curl as they were, but do not stand in the command. */
static void bytes_of_a_body(void **state)
{
	struct span s = call_to("POST", "::1", "/", NULL);
	struct buf body = {0}, command = {0};
	const char *why;

	(void)state;
	for (int round = 0; round < 3; round++)
		for (int c = round == 1; c < 256; c++)
			buf_addc(&body, (char)c);
	buf_adds(&body, "\x1b]52;c;x\a12\n");
	check(&s,
	      "Accept: \x1b[2J\nuser-agent: gr\xc3\xb6\xc3\x9f"
	      "e\ncontent-type: a",
	      buf_slice(&body),
	      BEFORE "<https://[::1]:8443/>\n<-H>\n<Accept: \x1b[2J>\n<-H>\n<user-agent: gr\xc3\xb6\xc3\x9f"
	             "e>\n"
	             "<-H>\n<content-type: a>\n<-H>\n<expect:>\n" BEHIND);
	assert_true(curl_write(&command, &s, SLICE("x: \x1b[2J"), buf_slice(&body), &why));
	for (size_t i = 0; i < command.n; i++)
		assert_true(command.p[i] == '\n' || command.p[i] == '\t' ||
		            (command.p[i] >= ' ' && command.p[i] <= '~'));
	buf_release(&body);
	buf_release(&command);
	span_release(&s);
}

static void fields_that_are_none(void **state)
{
	struct span s = call_to("POST", "h", "/", NULL);

	(void)state;
	check(&s, "@/etc/passwd: x\nno field\n: y\naccept: a\nuser-agent: b\ncontent-type: c", SLICE("{}"),
	      BEFORE "<https://h:8443/>\n<-H>\n<accept: a>\n<-H>\n<user-agent: b>\n<-H>\n<content-type: c>\n"
	             "<-H>\n<expect:>\n" BEHIND);
	span_release(&s);
}

static void calls_without_a_command(void **state)
{
	struct span v[] = {call_to("PO ST", "h", "/", NULL), call_to("POST", "h/x", "/", NULL),
	                   call_to("POST", "", "/", NULL),   call_to("POST", "h", "", NULL),
	                   call_to("POST", "h", "*", NULL),  call_to("GET", "h", "/", NULL)};
	struct buf out = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(*v); i++) {
		const char *why = NULL;

		assert_false(curl_write(&out, &v[i], SLICE("Sec-WebSocket-Version: 13"), SLICE("{}"), &why));
		assert_non_null(why);
		assert_int_equal(out.n, 0);
		span_release(&v[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_curl_gets),          cmocka_unit_test(unix_socket),
	    cmocka_unit_test(bytes_of_a_body),         cmocka_unit_test(fields_that_are_none),
	    cmocka_unit_test(calls_without_a_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
