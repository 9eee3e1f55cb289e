/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <zlib.h>

#include "base/alloc.h"
#include "proto/eventstream.h"

static void on_message(void *ctx, uint64_t ts, const struct eventstream_message *m)
{
	struct buf *log = ctx;

	(void)ts;
	buf_addslice(log, m->message_type);
	buf_addc(log, ' ');
	buf_addslice(log, m->event_type.p ? m->event_type : m->exception_type);
	buf_addc(log, ' ');
	buf_addslice(log, m->payload);
	buf_addc(log, '|');
}

static void be(struct buf *out, uint32_t v, int bytes)
{
	while (bytes-- > 0)
		buf_addc(out, (char)(v >> 8 * bytes));
}

static void crc(struct buf *out, size_t from)
{
	be(out, (uint32_t)crc32(0, (const Bytef *)out->p + from, (uInt)(out->n - from)), 4);
}

static void string_header(struct buf *out, const char *name, const char *value)
{
	be(out, (uint32_t)strlen(name), 1);
	buf_adds(out, name);
	be(out, 7, 1);
	be(out, (uint32_t)strlen(value), 2);
	buf_adds(out, value);
}

/* One message; `other` is headers of other types in front. */
static void message(struct buf *out, struct slice other, const char *type_name, const char *type,
                    struct slice payload)
{
	struct buf h = {0};
	size_t from = out->n;

	buf_addslice(&h, other);
	string_header(&h, ":message-type", strcmp(type_name, ":event-type") ? "exception" : "event");
	string_header(&h, type_name, type);
	string_header(&h, ":content-type", "application/json");
	be(out, (uint32_t)(12 + h.n + payload.n + 4), 4);
	be(out, (uint32_t)h.n, 4);
	crc(out, from);
	buf_addslice(out, buf_slice(&h));
	buf_addslice(out, payload);
	crc(out, from);
	buf_release(&h);
}

static void event(struct buf *out, const char *type, const char *payload)
{
	message(out, (struct slice){0}, ":event-type", type, slice_str(payload));
}

static void feed(struct eventstream *s, struct slice bytes, size_t piece)
{
	while (bytes.n) {
		size_t n = bytes.n < piece ? bytes.n : piece;
		char *exact = xmalloc(n);

		memcpy(exact, bytes.p, n);
		eventstream_feed(s, 1, slice_of(exact, n));
		free(exact);
		bytes = slice_from(bytes, n);
	}
}

/* Bytes from..to are lost; from == to: none. */
static uint64_t run(struct buf *log, struct slice bytes, size_t piece, size_t from, size_t to)
{
	struct eventstream s;

	buf_clear(log);
	eventstream_init(&s, on_message, log);
	feed(&s, slice_of(bytes.p, from), piece);
	if (to > from)
		eventstream_gap(&s);
	feed(&s, slice_from(bytes, to), piece);
	if (eventstream_finish(&s))
		buf_adds(log, "cut");
	eventstream_release(&s);
	return s.dropped;
}

static void test_messages(void **state)
{
	const struct slice types = SLICE("\x01"
	                                 "a\x00"
	                                 "\x01"
	                                 "b\x02\x07"
	                                 "\x01"
	                                 "c\x04\x00\x00\x00\x07"
	                                 "\x01"
	                                 "d\x06\x00\x02zz"
	                                 "\x01"
	                                 "e\x08\x00\x00\x00\x00\x00\x00\x00\x00");
	struct buf in = {0}, log = {0};

	(void)state;
	event(&in, "chunk", "{\"a\":1}");
	message(&in, types, ":event-type", "delta", SLICE("{}"));
	message(&in, (struct slice){0}, ":exception-type", "throttlingException",
	        SLICE("{\"message\":\"no\"}"));
	event(&in, "empty", "");
	for (size_t piece = 1; piece < 90; piece++) {
		assert_true(run(&log, buf_slice(&in), piece, 0, 0) == 0);
		assert_true(
		    slice_eq(buf_slice(&log),
		             SLICE("event chunk {\"a\":1}|event delta {}|exception throttlingException "
		                   "{\"message\":\"no\"}|event empty |")));
	}
	run(&log, slice_of(in.p, in.n - 1), 7, 0, 0);
	assert_true(slice_ends(buf_slice(&log), SLICE("|cut")));
	buf_release(&in);
	buf_release(&log);
}

/* Each checksum is looked at: any byte that is changed costs its message, and no other. */
static void test_checksums(void **state)
{
	struct buf in = {0}, log = {0};
	size_t first;

	(void)state;
	event(&in, "one", "1");
	first = in.n;
	event(&in, "two", "2");
	for (size_t i = 0; i < first; i++) {
		in.p[i] ^= 0x10;
		assert_true(run(&log, buf_slice(&in), 5, 0, 0) == 1);
		assert_true(slice_eq(buf_slice(&log), SLICE("event two 2|")));
		in.p[i] ^= 0x10;
	}
	buf_release(&in);
	buf_release(&log);
}

/* A hole costs the messages it touches, and no other. */
static void test_holes(void **state)
{
	struct buf in = {0}, log = {0};
	size_t ends[2];

	(void)state;
	event(&in, "one", "1");
	ends[0] = in.n;
	event(&in, "two", "2");
	ends[1] = in.n;
	event(&in, "three", "3");
	for (size_t from = 0; from < ends[1]; from++)
		for (size_t to = from + 1; to <= ends[1]; to++) {
			assert_true(run(&log, buf_slice(&in), 9, from, to) >= 1);
			assert_true(slice_ends(buf_slice(&log), SLICE("event three 3|")));
			assert_true(slice_starts(buf_slice(&log), SLICE("event one 1|")) ==
			            (from >= ends[0]));
			assert_true((slice_find(buf_slice(&log), SLICE("two")) != NULL) == (to <= ends[0]));
		}
	buf_release(&in);
	buf_release(&log);
}

/* Lengths that cannot be are not waited for. */
static void test_lengths(void **state)
{
	static const uint32_t lengths[][2] = {{15, 0},
	                                      {EVENTSTREAM_MAX + 1, 0},
	                                      {100, 90},
	                                      {EVENTSTREAM_MAX, EVENTSTREAM_HEADERS_MAX + 1},
	                                      {UINT32_MAX, UINT32_MAX}};
	struct buf log = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
		struct buf in = {0};

		be(&in, lengths[i][0], 4);
		be(&in, lengths[i][1], 4);
		crc(&in, 0);
		event(&in, "next", "1");
		assert_true(run(&log, buf_slice(&in), 1000, 0, 0) == 1);
		assert_true(slice_eq(buf_slice(&log), SLICE("event next 1|")));
		buf_release(&in);
	}
	buf_release(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_messages),
	    cmocka_unit_test(test_checksums),
	    cmocka_unit_test(test_holes),
	    cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
