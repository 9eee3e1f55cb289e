/* SPDX-License-Identifier: Apache-2.0 */
/* When a connection is left alone, and when not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <linux/types.h>

#include "daemon/verdict.h"

static struct verdict judged[64];
static size_t n_judged;

static void on_judge(void *ctx, const struct verdict *v)
{
	(void)ctx;
	assert_true(n_judged < 64);
	judged[n_judged++] = *v;
}

static struct verdicts *start(void)
{
	n_judged = 0;
	return verdicts_new(on_judge, NULL, true);
}

static struct conn_info info_of(uint64_t tls)
{
	return (struct conn_info){.id = {.tls = tls, .gen = 7, .proc = {.tgid = 3}}};
}

/* `n` whole exchanges of 10 bytes each way with a host. */
static void exchanges(struct verdicts *vs, struct verdict_conn *c, const char *host, const char *protocol, int n, bool llm)
{
	struct http_header h = {SLICE("Host"), slice_str(host)};
	struct exchange x = {.protocol = slice_str(protocol), .request_headers = {&h, 1}};

	for (int i = 0; i < n; i++) {
		c->produced[0] += 10;
		c->produced[1] += 10;
		verdict_begin(vs, c, &x);
		if (llm)
			verdict_llm(vs, c);
		verdict_end(vs, c, &x);
		verdict_work(vs, c);
	}
}

static void http1_is_ignored_after_some_exchanges(void **state)
{
	struct verdicts *vs = start();
	struct conn_info info = info_of(1);
	struct verdict_conn c;

	(void)state;
	verdict_open(vs, &c, &info);
	exchanges(vs, &c, "Files.example:8443", "http/1.1", VERDICT_EXCHANGES - 1, false);
	assert_int_equal(n_judged, 0);
	exchanges(vs, &c, "files.example", "http/1.1", 1, false);
	assert_int_equal(n_judged, 1);
	assert_int_equal(judged[0].flags, EV_CONN_IGNORED);
	assert_int_equal(judged[0].produced[1], 10 * VERDICT_EXCHANGES); /* holds only while nothing more passed */
	verdict_close(vs, &c);
	verdicts_free(vs);
}

static void llm_traffic_is_never_ignored(void **state)
{
	struct verdicts *vs = start();
	struct conn_info info = info_of(1), late = info_of(2), other = info_of(3);
	struct verdict_conn c;

	(void)state;
	verdict_open(vs, &c, &info); /* a provider's host */
	exchanges(vs, &c, "api.openai.com", "http/1.1", 10, false);
	verdict_close(vs, &c);

	late.late = true; /* a connection whose beginning was not seen */
	verdict_open(vs, &c, &late);
	exchanges(vs, &c, "files.example", "http/1.1", 10, false);
	verdict_none(vs, &c);
	verdict_close(vs, &c);

	verdict_open(vs, &c, &other); /* a host where a call was seen once */
	exchanges(vs, &c, "gateway.example", "http/1.1", 1, true);
	verdict_close(vs, &c);
	verdict_open(vs, &c, &info);
	exchanges(vs, &c, "gateway.example", "http/1.1", 10, false);
	verdict_close(vs, &c);

	verdict_open(vs, &c, &info); /* no host at all */
	exchanges(vs, &c, "", "http/1.1", 10, false);
	verdict_close(vs, &c);
	assert_int_equal(n_judged, 0);
	verdicts_free(vs);
}

static void http2_by_host_only(void **state)
{
	struct verdicts *vs = start();
	struct conn_info info = info_of(1);
	struct verdict_conn c;

	(void)state;
	verdict_open(vs, &c, &info);
	exchanges(vs, &c, "files.example", "h2", VERDICT_HOST_EXCHANGES - 1, false);
	assert_int_equal(n_judged, 0);
	exchanges(vs, &c, "files.example", "h2", 1, false);
	assert_int_equal(n_judged, 1);
	assert_int_equal(judged[0].flags, EV_CONN_IGNORED | EV_CONN_FINAL);
	verdict_close(vs, &c);
	verdicts_free(vs);
}

static void first_call_of_a_host_resumes_its_connections(void **state)
{
	struct verdicts *vs = start();
	struct conn_info infos[3] = {info_of(1), info_of(2), info_of(3)};
	struct verdict_conn c[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		verdict_open(vs, &c[i], &infos[i]);
	exchanges(vs, &c[0], "gateway.example", "http/1.1", VERDICT_EXCHANGES, false);
	assert_int_equal(n_judged, 1);
	exchanges(vs, &c[1], "gateway.example", "http/1.1", 1, true);
	assert_int_equal(n_judged, 2);
	assert_int_equal(judged[1].tls, 1);
	assert_int_equal(judged[1].flags, EV_CONN_IGNORED | EV_CONN_ANY);
	assert_true(judged[1].produced[0] == VERDICT_ANY_BYTES);
	exchanges(vs, &c[1], "gateway.example", "http/1.1", 5, true);
	assert_int_equal(n_judged, 2);
	verdict_none(vs, &c[2]);
	verdict_none(vs, &c[2]);
	assert_int_equal(n_judged, 3);
	assert_int_equal(judged[2].flags, EV_CONN_IGNORED | EV_CONN_FINAL);
	for (int i = 0; i < 3; i++)
		verdict_close(vs, &c[i]);
	verdicts_free(vs);
}

static void ignored_bytes_by_host(void **state)
{
	struct verdicts *vs = start();
	struct conn_info info = info_of(1), unknown = info_of(2);
	struct verdict_conn c, u;
	struct ev_conn totals = {.ignored = {100, 2000}};
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);

	(void)state;
	verdict_open(vs, &c, &info);
	verdict_open(vs, &u, &unknown);
	verdict_name(vs, &c, SLICE("files.example"));
	verdict_totals(vs, &c, &totals);
	verdict_totals(vs, &c, &totals); /* totals, not sums */
	totals.ignored[1] = 2001;
	verdict_totals(vs, &c, &totals);
	verdict_totals(vs, &u, &totals);
	verdicts_json(vs, doc, root);
	char *json = yyjson_mut_val_write(root, 0, NULL);
	assert_string_equal(json,
			    "{\"hosts\":[{\"host\":null,\"requests\":0,\"llm\":0,\"ignored_written\":100,\"ignored_read\":2001},"
			    "{\"host\":\"files.example\",\"requests\":0,\"llm\":0,\"ignored_written\":100,\"ignored_read\":2001}],"
			    "\"more\":0}");
	free(json);
	yyjson_mut_doc_free(doc);
	verdict_close(vs, &c);
	verdict_close(vs, &u);
	verdicts_free(vs);
}

static void hosts_are_bounded(void **state)
{
	struct verdicts *vs = start();
	struct conn_info info = info_of(1);
	struct verdict_conn c;
	char host[32];

	(void)state;
	for (int i = 0; i < VERDICT_HOSTS_MAX; i++) {
		snprintf(host, sizeof(host), "h%d.example", i);
		verdict_open(vs, &c, &info);
		exchanges(vs, &c, host, "http/1.1", 1, false);
		verdict_close(vs, &c);
	}
	verdict_open(vs, &c, &info);
	exchanges(vs, &c, "one.more.example", "http/1.1", 10, false);
	assert_int_equal(n_judged, 0);
	verdict_close(vs, &c);
	verdicts_free(vs);
}

static void stdio_without_mcp_is_ignored_also_when_all_is_wanted(void **state)
{
	struct verdicts *vs = verdicts_new(on_judge, NULL, false);
	struct conn_info stdio = info_of(1), tls = info_of(2);
	struct verdict_conn a, b;

	(void)state;
	n_judged = 0;
	stdio.lib = EV_LIB_STDIO;
	stdio.late = true;
	verdict_open(vs, &a, &stdio);
	verdict_open(vs, &b, &tls);
	verdict_none(vs, &b);
	exchanges(vs, &b, "files.example", "http/1.1", VERDICT_EXCHANGES, false);
	assert_int_equal(n_judged, 0);
	verdict_none(vs, &a);
	assert_int_equal(n_judged, 1);
	assert_int_equal(judged[0].flags, EV_CONN_IGNORED | EV_CONN_FINAL);
	verdict_close(vs, &a);
	verdict_close(vs, &b);
	verdicts_free(vs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stdio_without_mcp_is_ignored_also_when_all_is_wanted),
	    cmocka_unit_test(http1_is_ignored_after_some_exchanges),
	    cmocka_unit_test(llm_traffic_is_never_ignored),
	    cmocka_unit_test(http2_by_host_only),
	    cmocka_unit_test(first_call_of_a_host_resumes_its_connections),
	    cmocka_unit_test(ignored_bytes_by_host),
	    cmocka_unit_test(hosts_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
