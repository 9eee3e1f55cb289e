/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "sink/otlp_json.h"
#include "sink/sink.h"

static struct span make(uint8_t id, enum span_kind kind)
{
	struct span s = {.kind = kind, .start = 500, .end = 1700, .start_wall = 1800000000123456789};

	memset(s.trace, 0xAB, sizeof(s.trace));
	memset(s.id, id, sizeof(s.id));
	s.name = arena_dup(&s.arena, SLICE("chat \xff m"));
	return s;
}

static bool is_hex(yyjson_val *v, size_t n)
{
	return yyjson_get_len(v) == n && strspn(yyjson_get_str(v), "0123456789abcdef") == n;
}

static bool is_decimal(yyjson_val *v)
{
	const char *s = yyjson_get_str(v);

	return s && *s && s[*s == '-'] && s[(*s == '-') + strspn(s + (*s == '-'), "0123456789")] == '\0';
}

/* The rules of the OTLP/JSON encoding for one AnyValue: one member, of the right JSON type. */
static void check_value(yyjson_val *v)
{
	assert_int_equal(yyjson_obj_size(v), 1);
	yyjson_val *x;
	if ((x = yyjson_obj_get(v, "stringValue")))
		assert_true(yyjson_is_str(x));
	else if ((x = yyjson_obj_get(v, "intValue")))
		assert_true(is_decimal(x));
	else if ((x = yyjson_obj_get(v, "doubleValue")))
		assert_true(yyjson_is_num(x));
	else if ((x = yyjson_obj_get(v, "boolValue")))
		assert_true(yyjson_is_bool(x));
	else {
		size_t i, n;
		yyjson_val *e;

		x = yyjson_obj_get(yyjson_obj_get(v, "arrayValue"), "values");
		assert_true(yyjson_is_arr(x));
		yyjson_arr_foreach(x, i, n, e) check_value(e);
	}
}

static void check_attributes(yyjson_val *attrs)
{
	size_t i, n;
	yyjson_val *kv;

	assert_true(yyjson_is_arr(attrs));
	yyjson_arr_foreach(attrs, i, n, kv)
	{
		assert_int_equal(yyjson_obj_size(kv), 2);
		assert_true(yyjson_get_len(yyjson_obj_get(kv, "key")) > 0);
		check_value(yyjson_obj_get(kv, "value"));
	}
}

static void check_span(yyjson_val *s)
{
	int64_t kind = yyjson_get_int(yyjson_obj_get(s, "kind"));
	yyjson_val *parent = yyjson_obj_get(s, "parentSpanId"), *code;

	assert_true(is_hex(yyjson_obj_get(s, "traceId"), 32));
	assert_true(is_hex(yyjson_obj_get(s, "spanId"), 16));
	assert_true(yyjson_get_len(parent) == 0 || is_hex(parent, 16));
	assert_true(yyjson_is_str(yyjson_obj_get(s, "name")));
	assert_true(kind >= 1 && kind <= 3);
	assert_true(is_decimal(yyjson_obj_get(s, "startTimeUnixNano")));
	assert_true(is_decimal(yyjson_obj_get(s, "endTimeUnixNano")));
	check_attributes(yyjson_obj_get(s, "attributes"));
	assert_true(yyjson_is_obj(yyjson_obj_get(s, "status")));
	code = yyjson_obj_get(yyjson_obj_get(s, "status"), "code");
	assert_true(!code || (yyjson_is_int(code) && yyjson_get_int(code) >= 1 && yyjson_get_int(code) <= 2));
}

static yyjson_val *spans_of(yyjson_doc *doc)
{
	yyjson_val *rs = yyjson_arr_get(yyjson_obj_get(yyjson_doc_get_root(doc), "resourceSpans"), 0);
	yyjson_val *ss = yyjson_arr_get(yyjson_obj_get(rs, "scopeSpans"), 0);

	check_attributes(yyjson_obj_get(yyjson_obj_get(rs, "resource"), "attributes"));
	assert_string_equal(yyjson_get_str(yyjson_obj_get(yyjson_obj_get(ss, "scope"), "name")), "spantap");
	return yyjson_obj_get(ss, "spans");
}

static yyjson_val *attribute(yyjson_val *span, const char *key)
{
	size_t i, n;
	yyjson_val *kv;

	yyjson_arr_foreach(yyjson_obj_get(span, "attributes"), i, n, kv)
	{
		if (yyjson_equals_str(yyjson_obj_get(kv, "key"), key))
			return yyjson_obj_get(kv, "value");
	}
	return NULL;
}

static const char *text_of(yyjson_val *value, const char *type)
{
	return yyjson_get_str(yyjson_obj_get(value, type));
}

/* Also where no content is: a loss is no content. */
static void test_losses(void **state)
{
	(void)state;
	struct otlp_json *o = otlp_json_new(NULL);
	struct span s = make(0x0c, SPAN_CHAT);
	struct buf out = {0};

	span_set_bool(&s, ATTR_COMPLETE, false);
	span_set_int(&s, ATTR_LOST_BYTES, 12345);
	span_set_str(&s, ATTR_INCOMPLETE_REASON, SLICE("ring full"));
	otlp_json_add(o, &s, false, OTLP_PLAIN);
	otlp_json_write(o, &out);

	yyjson_doc *doc = yyjson_read(out.p, out.n - 1, 0);
	yyjson_val *a = yyjson_arr_get(spans_of(doc), 0);
	check_span(a);
	assert_true(yyjson_is_false(yyjson_obj_get(attribute(a, "spantap.complete"), "boolValue")));
	assert_string_equal(text_of(attribute(a, "spantap.lost_bytes"), "intValue"), "12345");
	assert_string_equal(text_of(attribute(a, "spantap.incomplete.reason"), "stringValue"), "ring full");
	yyjson_doc_free(doc);
	buf_release(&out);
	span_release(&s);
	otlp_json_free(o);
}

/* Who asks is the client: of an MCP request that is the traced process, or its peer. */
static void test_kinds(void **state)
{
	(void)state;
	static const struct {
		enum span_kind kind;
		const char *side;
		int otlp;
	} v[] = {{SPAN_CHAT, NULL, 3},
	         {SPAN_TOOL, NULL, 1},
	         {SPAN_PROCESS, NULL, 1},
	         {SPAN_MCP, "client", 3},
	         {SPAN_MCP, "server", 2}};
	struct otlp_json *o = otlp_json_new(NULL);
	struct buf out = {0};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct span s = make((uint8_t)(i + 1), v[i].kind);

		if (v[i].side)
			span_set_str(&s, ATTR_MCP_SIDE, slice_str(v[i].side));
		otlp_json_add(o, &s, true, OTLP_PLAIN);
		span_release(&s);
	}
	otlp_json_write(o, &out);
	yyjson_doc *doc = yyjson_read(out.p, out.n - 1, 0);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		yyjson_val *s = yyjson_arr_get(spans_of(doc), i);

		check_span(s);
		assert_int_equal(yyjson_get_int(yyjson_obj_get(s, "kind")), v[i].otlp);
	}
	yyjson_doc_free(doc);
	buf_release(&out);
	otlp_json_free(o);
}

static void test_fields(void **state)
{
	(void)state;
	struct otlp_json *o = otlp_json_new(NULL);
	struct span s = make(0x0c, SPAN_CHAT), t = make(0x0d, SPAN_TOOL);
	struct slice reasons[] = {SLICE("stop"), SLICE("")};
	struct buf out = {0};

	s.status = SPAN_ERROR;
	s.status_message = arena_dup(&s.arena, SLICE("it \0 failed"));
	span_set_int(&s, ATTR_USAGE_INPUT_TOKENS, INT64_MIN);
	span_set_int(&s, ATTR_USAGE_OUTPUT_TOKENS, INT64_MAX);
	span_set_double(&s, ATTR_REQUEST_TEMPERATURE, 1);
	span_set_double(&s, ATTR_REQUEST_TOP_P, (double)INFINITY);
	span_set_bool(&s, ATTR_REQUEST_STREAM, true);
	span_set_str(&s, ATTR_REQUEST_MODEL, SLICE("m\"\n\x01\xf0\x9f\x98\x80\xed\xa0\x80"));
	span_set_strs(&s, ATTR_RESPONSE_FINISH_REASONS, reasons, 2);
	span_add_link(&s, t.trace, t.id, SLICE("traceparent"), 1.0);
	memset(t.parent, 0x0c, 8);
	t.end = 0; /* before its start */
	otlp_json_write(o, &out);
	assert_int_equal(out.n, 0);
	otlp_json_add(o, &s, true, OTLP_PLAIN);
	otlp_json_add(o, &t, true, OTLP_PLAIN);
	assert_int_equal(otlp_json_count(o), 2);
	otlp_json_write(o, &out);
	assert_int_equal(otlp_json_count(o), 0);
	assert_int_equal(out.p[out.n - 1], '\n');
	assert_ptr_equal(memchr(out.p, '\n', out.n), out.p + out.n - 1);

	yyjson_doc *doc = yyjson_read(out.p, out.n - 1, 0);
	yyjson_val *spans = spans_of(doc), *a = yyjson_arr_get(spans, 0), *b = yyjson_arr_get(spans, 1);
	assert_int_equal(yyjson_arr_size(spans), 2);
	check_span(a);
	check_span(b);
	assert_string_equal(yyjson_get_str(yyjson_obj_get(a, "traceId")), "abababababababababababababababab");
	assert_string_equal(yyjson_get_str(yyjson_obj_get(a, "parentSpanId")), "");
	assert_string_equal(yyjson_get_str(yyjson_obj_get(b, "parentSpanId")), "0c0c0c0c0c0c0c0c");
	assert_string_equal(yyjson_get_str(yyjson_obj_get(a, "startTimeUnixNano")), "1800000000123456789");
	assert_string_equal(yyjson_get_str(yyjson_obj_get(a, "endTimeUnixNano")), "1800000000123457989");
	assert_string_equal(yyjson_get_str(yyjson_obj_get(b, "endTimeUnixNano")), "1800000000123456789");
	assert_string_equal(yyjson_get_str(yyjson_obj_get(a, "name")), "chat \xef\xbf\xbd m");
	assert_int_equal(yyjson_get_int(yyjson_obj_get(a, "kind")), 3);
	assert_int_equal(yyjson_get_int(yyjson_obj_get(b, "kind")), 1);
	assert_int_equal(yyjson_get_int(yyjson_obj_get(yyjson_obj_get(a, "status"), "code")), 2);
	assert_int_equal(yyjson_obj_size(yyjson_obj_get(b, "status")), 0);
	assert_string_equal(text_of(attribute(a, "gen_ai.usage.input_tokens"), "intValue"),
	                    "-9223372036854775808");
	assert_string_equal(text_of(attribute(a, "gen_ai.usage.output_tokens"), "intValue"),
	                    "9223372036854775807");
	assert_null(attribute(a, "gen_ai.request.top_p"));
	yyjson_val *link = yyjson_arr_get(yyjson_obj_get(a, "links"), 0);
	assert_string_equal(yyjson_get_str(yyjson_obj_get(link, "traceId")), "abababababababababababababababab");
	assert_string_equal(yyjson_get_str(yyjson_obj_get(link, "spanId")), "0d0d0d0d0d0d0d0d");
	assert_string_equal(text_of(attribute(link, "spantap.link.evidence"), "stringValue"), "traceparent");
	assert_null(yyjson_obj_get(b, "links"));
	assert_string_equal(text_of(attribute(a, "gen_ai.request.model"), "stringValue"),
	                    "m\"\n\x01\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	yyjson_doc_free(doc);
	buf_release(&out);
	span_release(&s);
	span_release(&t);
	otlp_json_free(o);
}

static struct buf file_text(const char *path)
{
	struct buf b = {0};
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	do {
		buf_reserve(&b, 65536);
		n = read(fd, b.p + b.n, 65536);
		b.n += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	close(fd);
	return b;
}

/* Content above the level that the file may have is lowered. */
static void test_content(void **state)
{
	(void)state;
	static const struct {
		enum content_level made, file;
		bool kept;
	} cases[] = {
	    {CONTENT_REDACTED, CONTENT_REDACTED, true}, {CONTENT_REDACTED, CONTENT_FULL, true},
	    {CONTENT_SHAPE, CONTENT_SHAPE, true},       {CONTENT_REDACTED, CONTENT_SHAPE, false},
	    {CONTENT_FULL, CONTENT_REDACTED, true},     {CONTENT_FULL, CONTENT_NONE, false},
	    {CONTENT_NONE, CONTENT_FULL, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char path[] = "/tmp/spantap-otlp-XXXXXX";
		struct span s = make(1, SPAN_TOOL);
		const char *why = NULL;
		void *sink;

		close(mkstemp(path));
		struct sink_conf conf = {
		    .otlp_file = path, .content = cases[i].made, .otlp_file_content = cases[i].file};
		assert_int_equal(sink_otlp_file.open(&conf, &sink, &why), 0);
		span_set_str(&s, ATTR_TOOL_CALL_ARGUMENTS, SLICE("the-arguments"));
		span_set_str(&s, ATTR_TOOL_NAME, SLICE("the-name"));
		s.status = SPAN_ERROR;
		s.status_message = arena_dup(&s.arena, SLICE("the-message"));
		assert_int_equal(sink_otlp_file.span(sink, &s), 0);
		assert_int_equal(sink_otlp_file.finish(sink, NULL), 0);
		sink_otlp_file.close(sink);
		struct buf b = file_text(path);
		assert_int_equal(strstr(buf_str(&b), "the-arguments") != NULL, cases[i].kept);
		assert_int_equal(strstr(buf_str(&b), "the-message") != NULL, cases[i].kept);
		assert_non_null(strstr(buf_str(&b), "the-name"));
		buf_release(&b);
		span_release(&s);
		unlink(path);
	}
}

static void test_file(void **state)
{
	(void)state;
	char dir[] = "/tmp/spantap-otlp-XXXXXX", path[64], link[64];
	struct sink_conf conf = {.otlp_file = path};
	const char *why = NULL;
	struct stat sb;
	size_t lines = 0, spans = 0;
	void *sink;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/otlp.jsonl", dir);
	snprintf(link, sizeof(link), "%s/link", dir);
	umask(0);
	assert_int_equal(sink_otlp_file.open(&conf, &sink, &why), 0);
	for (unsigned i = 0; i < 1200; i++) {
		struct span s = make((uint8_t)i, SPAN_TURN);

		assert_int_equal(sink_otlp_file.span(sink, &s), 0);
		span_release(&s);
	}
	assert_int_equal(sink_otlp_file.commit(sink), 0);
	assert_int_equal(sink_otlp_file.commit(sink), 0);
	assert_int_equal(sink_otlp_file.finish(sink, NULL), 0);
	sink_otlp_file.close(sink);
	umask(022);
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);
	struct buf b = file_text(path);
	for (struct slice rest = buf_slice(&b), line; slice_cut(&rest, '\n', &line) && line.n; lines++) {
		yyjson_doc *doc = yyjson_read(line.p, line.n, 0);

		assert_non_null(doc);
		spans += yyjson_arr_size(spans_of(doc));
		yyjson_doc_free(doc);
	}
	assert_int_equal(spans, 1200);
	assert_int_equal(lines, 3);
	buf_release(&b);

	assert_int_equal(symlink(path, link), 0);
	conf.otlp_file = link;
	assert_int_equal(sink_otlp_file.open(&conf, &sink, &why), -ELOOP);
	assert_non_null(strstr(why, "symbolic link"));
	free((char *)why);
	conf.otlp_file = "/nowhere/x";
	assert_int_equal(sink_otlp_file.open(&conf, &sink, &why), -ENOENT);
	free((char *)why);
	conf.otlp_file = "/dev/full";
	assert_int_equal(sink_otlp_file.open(&conf, &sink, &why), 0);
	struct span s = make(1, SPAN_TURN);
	assert_int_equal(sink_otlp_file.span(sink, &s), 0);
	assert_int_equal(sink_otlp_file.commit(sink), -ENOSPC);
	assert_int_equal(sink_otlp_file.commit(sink), 0); /* the batch is gone: to be given again */
	sink_otlp_file.close(sink);
	span_release(&s);
	conf.otlp_file = NULL;
	assert_int_equal(sink_otlp_file.open(&conf, &sink, &why), 0);
	assert_null(sink);
	unlink(link);
	unlink(path);
	rmdir(dir);
}

/* A file that can grow no further: it keeps what was committed and not a byte more, and goes on later. */
static void test_full(void **state)
{
	(void)state;
	char path[] = "/tmp/spantap-otlp-XXXXXX";
	struct sink_conf conf = {.otlp_file = path};
	struct rlimit limit, old;
	const char *why = NULL;
	struct stat before, after;
	struct span s = make(1, SPAN_TURN);
	void *sink, *second;
	int r = 0;

	close(mkstemp(path));
	assert_int_equal(sink_otlp_file.open(&conf, &sink, &why), 0);
	assert_int_equal(sink_otlp_file.open(&conf, &second, &why), -EWOULDBLOCK);
	assert_non_null(strstr(why, "another process"));
	free((char *)why);
	assert_int_equal(sink_otlp_file.span(sink, &s), 0);
	assert_int_equal(sink_otlp_file.commit(sink), 0);
	assert_int_equal(stat(path, &before), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 300000;
	setrlimit(RLIMIT_FSIZE, &limit);
	for (unsigned i = 0; i < 5000 && r == 0; i++)
		r = sink_otlp_file.span(sink, &s);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(sink_otlp_file.span(sink, &s), -EFBIG);
	assert_int_equal(sink_otlp_file.commit(sink), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	assert_int_equal(sink_otlp_file.span(sink, &s), 0);
	assert_int_equal(sink_otlp_file.commit(sink), 0);
	sink_otlp_file.close(sink);
	struct buf b = file_text(path);
	struct slice rest = buf_slice(&b), line;
	for (int i = 0; i < 2; i++) {
		assert_true(slice_cut(&rest, '\n', &line));
		yyjson_doc *doc = yyjson_read(line.p, line.n, 0);
		assert_int_equal(yyjson_arr_size(spans_of(doc)), 1);
		yyjson_doc_free(doc);
	}
	assert_int_equal(rest.n, 0);
	buf_release(&b);
	span_release(&s);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fields),  cmocka_unit_test(test_losses), cmocka_unit_test(test_kinds),
	    cmocka_unit_test(test_content), cmocka_unit_test(test_file),   cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
