/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "span/heads.h"
#include "span/traceparent.h"

static const uint8_t trace[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                  0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
static const uint8_t id[8] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

static struct span example(void)
{
	static const struct slice strs[] = {{"a", 1}, {"", 0}, {"b\0c", 3}};
	static const uint32_t cuts[] = {1, 300, 302};
	struct span s = {.kind = SPAN_TOOL,
	                 .start = 5000000,
	                 .end = 7500000,
	                 .start_wall = 1700000000000000000,
	                 .status = SPAN_ERROR};

	memset(s.trace, 1, sizeof(s.trace));
	memset(s.id, 2, sizeof(s.id));
	s.name = arena_dup(&s.arena, SLICE("execute_tool x"));
	s.status_message = arena_dup(&s.arena, SLICE("no"));
	span_set_str(&s, ATTR_TOOL_NAME, SLICE("x\n"));
	span_set_str(&s, ATTR_TOOL_TYPE, (struct slice){NULL, 0});
	span_set_str(&s, ATTR_TOOL_CALL_RESULT, SLICE(""));
	char *pieces = arena_alloc(&s.arena, 303);
	memset(pieces, 'p', 303);
	span_own_pieces(&s, ATTR_TOOL_CALL_ARGUMENTS, slice_of(pieces, 303), cuts, 3);
	span_set_int(&s, ATTR_SERVER_PORT, -1);
	span_set_double(&s, ATTR_TOOL_ASKED, 0.25);
	span_set_double(&s, ATTR_TOOL_ENDED, NAN);
	span_set_bool(&s, ATTR_COMPLETE, true);
	span_set_bool(&s, ATTR_COMPLETE, false);
	span_set_strs(&s, ATTR_PROCESS_COMMAND_ARGS, strs, 3);
	span_add_link(&s, trace, id, SLICE("traceparent"), 0.5);
	return s;
}

static void prints_what_is_set(void **state)
{
	struct span s = example();
	struct buf b = {0};

	(void)state;
	span_set_str(&s, ATTR_TOOL_CALL_ARGUMENTS, SLICE("{}"));
	assert_int_equal(span_get(&s, ATTR_TOOL_CALL_ARGUMENTS)->n_cuts, 0);
	span_print(&b, &s, 1000000);
	assert_string_equal(buf_str(&b), "tool \"execute_tool x\" id=0202020202020202 parent=none "
	                                 "trace=01010101010101010101010101010101 4.000ms..6.500ms error: no\n"
	                                 "  gen_ai.tool.name: x\\n\n"
	                                 "  gen_ai.tool.call.arguments: {}\n"
	                                 "  gen_ai.tool.call.result: \n"
	                                 "  server.port: -1\n"
	                                 "  process.command_args: [\"a\", \"\", \"b\\x00c\"]\n"
	                                 "  spantap.complete: false\n"
	                                 "  spantap.tool.asked: 0.25\n"
	                                 "  link trace=00112233445566778899aabbccddeeff "
	                                 "id=0123456789abcdef traceparent 0.5\n");
	buf_release(&b);
	span_release(&s);
}

static void survives_the_wire(void **state)
{
	struct span s = example(), got;
	struct buf wire = {0}, again = {0};

	(void)state;
	span_encode(&wire, &s);
	assert_int_equal(span_decode(buf_slice(&wire), &got), 0);
	span_encode(&again, &got);
	assert_true(slice_eq(buf_slice(&wire), buf_slice(&again)));
	assert_int_equal(span_get(&got, ATTR_PROCESS_COMMAND_ARGS)->strs.n, 3);
	assert_null(span_get(&got, ATTR_TOOL_TYPE));
	const struct attr *cut = span_get(&got, ATTR_TOOL_CALL_ARGUMENTS);
	assert_int_equal(cut->n_cuts, 3);
	assert_memory_equal(cut->cuts, span_get(&s, ATTR_TOOL_CALL_ARGUMENTS)->cuts, 3 * sizeof(uint32_t));
	assert_int_equal(got.n_links, 1);
	assert_memory_equal(got.links[0].trace, trace, 16);
	assert_memory_equal(got.links[0].id, id, 8);
	assert_true(slice_eq(got.links[0].evidence, SLICE("traceparent")));
	assert_true(got.links[0].confidence == 0.5);
	span_release(&got);

	/* Cut anywhere, or with a byte changed: refused or decoded, never more. */
	for (size_t n = 0; n < wire.n; n++) {
		char *copy = malloc(n ? n : 1);

		memcpy(copy, wire.p, n);
		assert_int_equal(span_decode(slice_of(copy, n), &got), -EBADMSG);
		free(copy);
	}
	for (size_t i = 0; i < wire.n; i++)
		for (int bit = 0; bit < 8; bit++) {
			wire.p[i] = (char)(wire.p[i] ^ (1 << bit));
			if (span_decode(buf_slice(&wire), &got) == 0)
				span_release(&got);
			wire.p[i] = (char)(wire.p[i] ^ (1 << bit));
		}
	buf_release(&wire);
	buf_release(&again);
	span_release(&s);
}

/* W3C Trace Context, section 3.2: what a receiver takes, and what it must ignore. */
static void trace_contexts(void **state)
{
	static const char *const bad[] = {
	    "",
	    "00-00112233445566778899aabbccddeeff-0123456789abcdef-0",
	    "00-00112233445566778899aabbccddeeff-0123456789abcdef-01-more",
	    "ff-00112233445566778899aabbccddeeff-0123456789abcdef-01",
	    "00-00000000000000000000000000000000-0123456789abcdef-01",
	    "00-00112233445566778899aabbccddeeff-0000000000000000-01",
	    "00-00112233445566778899AABBCCDDEEFF-0123456789abcdef-01",
	    "00-00112233445566778899aabbccddeeff_0123456789abcdef-01",
	    "cc-00112233445566778899aabbccddeeff-0123456789abcdef-01.more",
	};
	struct trace_id t;
	struct span_id s;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(traceparent_read(slice_str(bad[i]), &t, &s));
	assert_true(
	    traceparent_read(SLICE(" cc-00112233445566778899aabbccddeeff-0123456789abcdef-01-more"), &t, &s));
	assert_true(
	    traceparent_read(SLICE("00-00112233445566778899aabbccddeeff-0123456789abcdef-00"), &t, &s));
	assert_memory_equal(t.b, trace, sizeof(trace));
	assert_memory_equal(s.b, id, sizeof(id));
}

/* Heads come back as they went; nothing else is one. */
static void heads_survive_the_wire(void **state)
{
	struct head_record h = {.asked = true, .turns = 7, .last_wall = 1700000000123456789u}, got = {0};
	struct buf b = {0};

	(void)state;
	memset(h.link, 1, sizeof(h.link));
	memcpy(h.trace, trace, sizeof(h.trace));
	memcpy(h.root, id, sizeof(h.root));
	memset(h.conversation, 2, sizeof(h.conversation));
	memset(h.chat, 3, sizeof(h.chat));
	memset(h.session, 4, sizeof(h.session));
	head_encode(&b, &h);
	assert_int_equal(b.n, HEAD_RECORD_SIZE);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(head_decode(slice_of(b.p, n), &got), -EBADMSG);
	assert_int_equal(head_decode(buf_slice(&b), &got), 0);
	assert_memory_equal(&got, &h, sizeof(h));
	b.p[1] = 2;
	assert_int_equal(head_decode(buf_slice(&b), &got), -EBADMSG);
	buf_release(&b);
}

static void names_of_levels(void **state)
{
	(void)state;
	for (int i = CONTENT_NONE; i <= CONTENT_FULL; i++)
		assert_int_equal(content_level_parse(slice_str(content_level_name((enum content_level)i))),
		                 i);
	assert_int_equal(content_level_parse(SLICE("all")), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(prints_what_is_set), cmocka_unit_test(survives_the_wire),
	    cmocka_unit_test(trace_contexts),     cmocka_unit_test(heads_survive_the_wire),
	    cmocka_unit_test(names_of_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
