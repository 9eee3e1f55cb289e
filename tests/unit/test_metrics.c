/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics: series and their limit, both texts, the board, what is parsed of a scraper, where is listened. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "metrics/board.h"
#include "metrics/health.h"
#include "metrics/http_get.h"
#include "metrics/listen.h"

#define NONE ((struct slice){NULL, 0})

static struct buf text_of(const struct registry *r, enum metrics_format f)
{
	struct buf out = {0};

	openmetrics_write(&out, r, f);
	return out;
}

static void has(struct buf *text, const char *what)
{
	if (!strstr(buf_str(text), what))
		fail_msg("'%s' is not in:\n%s", what, buf_str(text));
}

static void observe_tool(struct registry *r, const char *tool, double v)
{
	struct exemplar e = {.wall = 1700000000123000000ull, .trace = {0xab}, .id = {0xcd}};

	registry_observe(r, METRIC_TOOL_DURATION, (struct slice[]){slice_str(tool), NONE, NONE}, v, 1, &e);
}

static void test_writes_both_formats(void **state)
{
	struct registry *r = registry_new(1600000000000000000ull);

	(void)state;
	observe_tool(r, "a\"b\\c\nd\xff", 0.02); /* a boundary is inclusive */
	observe_tool(r, "a\"b\\c\nd\xff", 1000);
	registry_set(r, METRIC_LOST, (struct slice[]){SLICE("ring_full")}, 12, 0);
	struct buf om = text_of(r, METRICS_OPENMETRICS), prom = text_of(r, METRICS_TEXT);
	has(&om, "# TYPE gen_ai_execute_tool_duration_seconds histogram\n# UNIT "
	         "gen_ai_execute_tool_duration_seconds seconds\n");
	has(&om, "_bucket{gen_ai_tool_name=\"a\\\"b\\\\c\\\\nd\\\\xff\",le=\"0.01\"} 0\n");
	has(&om,
	    "le=\"0.02\"} 1 # {trace_id=\"ab000000000000000000000000000000\",span_id=\"cd00000000000000\"} "
	    "0.02 1700000000.123\n");
	has(&om, "le=\"1.0\"} 1\n");
	has(&om, "le=\"+Inf\"} 2 # {");
	has(&om, "_count{gen_ai_tool_name=\"a\\\"b\\\\c\\\\nd\\\\xff\"} 2\n");
	has(&om, "_created{gen_ai_tool_name=\"a\\\"b\\\\c\\\\nd\\\\xff\"} 1600000000.000\n");
	has(&om, "# TYPE spantap_lost_bytes counter\n");
	has(&om, "spantap_lost_bytes_total{cause=\"ring_full\"} 12\n# EOF\n");
	assert_null(strstr(buf_str(&om), "spantap_lost_bytes_created"));
	has(&prom, "# TYPE spantap_lost_bytes_total counter\n");
	assert_null(strstr(buf_str(&prom), " # {"));
	assert_null(strstr(buf_str(&prom), "EOF"));
	assert_null(strstr(buf_str(&prom), "_created"));
	buf_release(&om);
	buf_release(&prom);
	registry_free(r);
}

static void test_no_number_changes_nothing(void **state)
{
	struct registry *r = registry_new(1);

	(void)state;
	observe_tool(r, "a", -1);
	observe_tool(r, "a", 0.0 / 0.0);
	observe_tool(r, "a", 1.0 / 0.0);
	registry_add(r, METRIC_RECORDS, NULL, -1);
	registry_set(r, METRIC_RECORDS, NULL, -1, 0);
	assert_int_equal(0, registry_family(r, METRIC_TOOL_DURATION)->n);
	assert_int_equal(0, registry_family(r, METRIC_RECORDS)->n);
	registry_free(r);
}

static void test_series_are_limited(void **state)
{
	struct registry *r = registry_new(1);
	char name[32];
	double all = 0, other = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "tool %d", i);
		for (int k = 0; k < 2; k++)
			observe_tool(r, name, 1);
	}
	const struct family *f = registry_family(r, METRIC_TOOL_DURATION);
	assert_int_equal(METRIC_SERIES_MAX + 1, f->n);
	for (size_t i = 0; i < f->n; i++) {
		all += (double)f->v[i]->histogram->count;
		if (slice_eq(f->v[i]->labels[0], SLICE("other")))
			other += (double)f->v[i]->histogram->count;
	}
	assert_true(all == 2000 && other == 2000 - 2 * METRIC_SERIES_MAX);
	assert_true(registry_family(r, METRIC_FOLDED)->v[0]->value == other);
	registry_free(r);

	/* Where the other labels have many values too, there is still an end. */
	r = registry_new(1);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "state %d", i);
		registry_add(r, METRIC_LOST, (struct slice[]){slice_str(name)}, 1);
	}
	f = registry_family(r, METRIC_LOST);
	assert_int_equal(METRIC_SERIES_MAX + METRIC_OTHERS_MAX, f->n);
	all = 0;
	for (size_t i = 0; i < f->n; i++)
		all += f->v[i]->value;
	assert_true(all == 5000);
	registry_free(r);
}

static void test_long_labels_are_cut_between_characters(void **state)
{
	struct registry *r = registry_new(1);
	struct buf name = {0};

	(void)state;
	buf_addc(&name, 'x');
	for (int i = 0; i < 200; i++)
		buf_adds(&name, "\xe2\x82\xac");
	observe_tool(r, buf_str(&name), 1);
	assert_int_equal(127, registry_family(r, METRIC_TOOL_DURATION)->v[0]->labels[0].n);
	buf_release(&name);
	registry_free(r);
}

static void test_encoding(void **state)
{
	struct registry *r = registry_new(7), *copy = NULL;
	struct buf out = {0}, again = {0};

	(void)state;
	observe_tool(r, "a", 3);
	observe_tool(r, "", 300);
	registry_set(r, METRIC_LOST, (struct slice[]){SLICE("x")}, 5, 9);
	registry_encode(&out, r);
	assert_int_equal(0, registry_decode(buf_slice(&out), &copy));
	registry_encode(&again, copy);
	assert_true(slice_eq(buf_slice(&out), buf_slice(&again)));
	assert_int_equal(7, registry_start(copy));
	for (size_t n = 0; n < out.n; n++) {
		struct registry *none = NULL;
		char *exact = malloc(n ? n : 1);

		memcpy(exact, out.p, n);
		assert_int_equal(-EBADMSG, registry_decode(slice_of(exact, n), &none));
		assert_null(none);
		free(exact);
	}
	registry_free(r);
	registry_free(copy);
	buf_release(&out);
	buf_release(&again);
}

static void test_health_says_what_it_knows(void **state)
{
	struct registry *r = registry_new(1);

	(void)state;
	health_add(r,
	           SLICE("{\"probe\":{\"began\":5,\"totals\":{\"captured_bytes\":10},\"omitted\":0,"
	                 "\"processes\":[{\"libraries\":"
	                 "[{\"state\":\"attached\"}],\"alarm\":{}},{\"unsupported\":[\"x\"]}]},\"decode\":"
	                 "null,\"failing\":{}}"),
	           SLICE("[{\"url\":\"http://x\",\"exported\":3,\"waiting\":1,\"error\":null},7]"));
	struct buf om = text_of(r, METRICS_OPENMETRICS);
	has(&om, "spantap_captured_bytes_total 10\nspantap_captured_bytes_created 5.000\n");
	has(&om, "spantap_processes{state=\"attached\"} 1\n");
	has(&om, "spantap_processes{state=\"unsupported\"} 1\n");
	has(&om, "spantap_processes{state=\"no_plaintext\"} 1\n");
	has(&om, "spantap_outputs_failing 0\n");
	has(&om, "spantap_export_spans_total{endpoint=\"http://x\",outcome=\"exported\"} 3\n");
	has(&om, "spantap_export_failing{endpoint=\"http://x\"} 0\n");
	assert_null(strstr(buf_str(&om), "spantap_records"));
	assert_null(strstr(buf_str(&om), "rejected"));
	buf_release(&om);
	registry_free(r);

	r = registry_new(1);
	health_add(r,
	           SLICE("{\"decode\":{\"began\":7,\"limits\":{\"pressure\":2,\"spans_without_content\":4,"
	                 "\"share\":0.25,\"conversations_waiting\":3,\"conversations_left_out\":5,\"calls_"
	                 "left_out\":11}}}"),
	           NONE);
	om = text_of(r, METRICS_OPENMETRICS);
	has(&om, "spantap_left_out_total{what=\"conversation\"} 5\n");
	has(&om, "spantap_left_out_total{what=\"call\"} 11\n");
	has(&om, "spantap_left_out_created{what=\"call\"} 7.000\n");
	has(&om, "spantap_spans_without_content_total 4\n");
	has(&om, "spantap_sample_share 0.25\n");
	has(&om, "spantap_pressure 2\n");
	has(&om, "spantap_sample_waiting 3\n");
	buf_release(&om);
	registry_free(r);

	r = registry_new(1);
	health_add(r, SLICE("[broken"), SLICE("{}"));
	health_add(r, SLICE("{\"probe\":{\"omitted\":3,\"processes\":[{}],\"totals\":[1]}}"), NONE);
	om = text_of(r, METRICS_TEXT);
	assert_null(strstr(buf_str(&om), "spantap_processes"));
	buf_release(&om);
	registry_free(r);
}

static void test_board(void **state)
{
	int fd = board_create(), reader_fd = board_reader(fd);
	struct board *b = board_open(fd, true), *reader = board_open(reader_fd, false);
	struct slice parts[BOARD_PARTS] = {NONE, NONE, NONE};
	struct buf copy = {0};

	(void)state;
	assert_non_null(b);
	assert_non_null(reader);
	assert_null(board_open(reader_fd, true));
	assert_int_equal(-EAGAIN, board_get(reader, &copy, parts));
	assert_int_equal(0,
	                 board_put(b, (struct slice[BOARD_PARTS]){SLICE("one"), SLICE(""), SLICE("three")}));
	assert_int_equal(0, board_put(b, (struct slice[BOARD_PARTS]){SLICE("1"), SLICE("22"), SLICE("333")}));
	assert_int_equal(0, board_get(reader, &copy, parts));
	assert_true(slice_eq(parts[0], SLICE("1")) && slice_eq(parts[1], SLICE("22")) &&
	            slice_eq(parts[2], SLICE("333")));
	assert_int_equal(2, board_serial(reader));

	char *much = calloc(1, BOARD_BYTES);
	assert_int_equal(
	    -E2BIG, board_put(b, (struct slice[BOARD_PARTS]){slice_of(much, BOARD_BYTES), SLICE("x"), NONE}));
	assert_int_equal(0,
	                 board_put(b, (struct slice[BOARD_PARTS]){slice_of(much, BOARD_BYTES), NONE, NONE}));
	assert_int_equal(0, board_get(reader, &copy, parts));
	assert_int_equal(BOARD_BYTES, parts[0].n);
	free(much);
	buf_release(&copy);
	board_close(b);
	board_close(reader);
	close(fd);
	close(reader_fd);
}

/* The status of a request in pieces of `piece` bytes; 0: more would have to come. */
static int asked(const char *request, size_t piece, struct http_get *g)
{
	struct slice s = slice_str(request);

	http_get_init(g);
	while (s.n) {
		size_t n = s.n < piece ? s.n : piece;

		if (http_get_feed(g, slice_of(s.p, n)))
			return g->status;
		s = slice_from(s, n);
	}
	return 0;
}

static void test_requests(void **state)
{
	static const struct {
		const char *request;
		int status;
	} cases[] = {
	    {"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200},
	    {"GET /metrics?a=b HTTP/1.0\r\n\r\n", 200},
	    {"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200},
	    {"GET /metrics HTTP/1.1\r\nAccep: q\r\nAccepted: z\r\nACCEPT: "
	     "application/openmetrics-text\r\n\r\n",
	     200},
	    {"GET /metric HTTP/1.1\r\n\r\n", 404},
	    {"GET /metricsmetricsmetricsmetricsmetricsmetricsmetricsmetricsmetricsmetrics HTTP/1.1\r\n\r\n",
	     404},
	    {"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405},
	    {"GET /metrics HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	    {"BREW /metrics HTTP/1.1\r\n\r\n", 400},
	    {"HTTP/1.1 200 OK\r\n\r\n", 400},
	    {"GET /metrics HTTP/1.1\r\nHost: x\r\n", 0},
	};
	struct http_get g;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t piece = 1; piece < 90; piece += 4) {
			if (asked(cases[i].request, piece, &g) != cases[i].status)
				fail_msg("%s: %d", cases[i].request, g.status);
			assert_int_equal(i == 3 ? METRICS_OPENMETRICS : METRICS_TEXT, http_get_format(&g));
			assert_int_equal(i == 2, http_get_is_head(&g));
		}
}

static void test_a_head_has_an_end(void **state)
{
	struct buf long_head = {0};
	struct http_get g;

	(void)state;
	buf_adds(&long_head, "GET /metrics HTTP/1.1\r\n");
	while (long_head.n < HTTP_GET_HEAD_MAX + 100)
		buf_adds(&long_head, "Accept: application/openmetrics-text, text/plain, some/more\r\n");
	assert_int_equal(431, asked(buf_str(&long_head), 1000, &g));
	assert_int_equal(431, asked(buf_str(&long_head), 100000, &g));
	buf_release(&long_head);
}

static void test_accept(void **state)
{
	(void)state;
	assert_int_equal(METRICS_TEXT, metrics_format_accepted(NONE));
	assert_int_equal(METRICS_TEXT, metrics_format_accepted(SLICE("*/*")));
	assert_int_equal(
	    METRICS_OPENMETRICS,
	    metrics_format_accepted(SLICE("text/plain;q=0.5 , Application/OpenMetrics-Text; version=1.0.0")));
	assert_int_equal(METRICS_TEXT, metrics_format_accepted(SLICE("application/openmetrics-text;q=0")));
	assert_int_equal(METRICS_TEXT, metrics_format_accepted(
	                                   SLICE("application/openmetrics-text;q=0.2,text/plain;q=0.3")));
	assert_int_equal(METRICS_TEXT, metrics_format_accepted(
	                                   SLICE("application/openmetrics-text;q=nan,text/plain;q=0.1")));
	assert_int_equal(METRICS_TEXT, metrics_format_accepted(SLICE(";;,,;q=,q")));
}

static void test_where_is_listened(void **state)
{
	static const char *const wrong[] = {"",       "x",       ":1",     "*:1",    "65536",
	                                    "-1",     "1.2.3:4", "::1:9",  "[::1]9", "[1.2.3.4]:5",
	                                    "host:1", "unix:",   "[::1:1", "1:"};
	static const struct {
		const char *given, *bound;
	} right[] = {{"0", "http://127.0.0.1:"},
	             {"localhost:0", "http://127.0.0.1:"},
	             {"0.0.0.0:0", "http://0.0.0.0:"}};
	struct listen_address a;
	const char *why = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		why = NULL;
		assert_false(listen_parse(wrong[i], &a, &why));
		assert_non_null(why);
	}
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		struct buf bound = {0};

		assert_true(listen_parse(right[i].given, &a, &why));
		int fd = listen_open(&a);
		assert_true(fd >= 0);
		listen_print(&bound, fd);
		assert_true(slice_starts(buf_slice(&bound), slice_str(right[i].bound)));
		buf_release(&bound);
		close(fd);
	}
	assert_true(listen_parse("[::1]:9464", &a, &why));
	assert_int_equal(AF_INET6, a.addr.ss_family);
	char path[200] = "unix:";
	memset(path + 5, 'a', 107);
	assert_true(listen_parse(path, &a, &why));
	strcat(path, "a");
	assert_false(listen_parse(path, &a, &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_writes_both_formats),
	    cmocka_unit_test(test_no_number_changes_nothing),
	    cmocka_unit_test(test_series_are_limited),
	    cmocka_unit_test(test_long_labels_are_cut_between_characters),
	    cmocka_unit_test(test_encoding),
	    cmocka_unit_test(test_health_says_what_it_knows),
	    cmocka_unit_test(test_board),
	    cmocka_unit_test(test_requests),
	    cmocka_unit_test(test_a_head_has_an_end),
	    cmocka_unit_test(test_accept),
	    cmocka_unit_test(test_where_is_listened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
