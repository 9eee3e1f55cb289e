/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message JSON against the schemas of the OpenTelemetry GenAI conventions
 * v1.41, checked by hand: every kind of part, at every level, with every kind
 * of bad text (not UTF-8, NUL, no JSON, huge).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "span/content.h"
#include "span/lower.h"

/* ---- the schemas ---- */

static bool is_string(yyjson_val *obj, const char *key)
{
	return yyjson_is_str(yyjson_obj_get(obj, key));
}

static bool string_or_absent(yyjson_val *obj, const char *key)
{
	return !yyjson_obj_get(obj, key) || is_string(obj, key);
}

/* An object under `key` with a type of its own. */
static bool has_typed(yyjson_val *obj, const char *key)
{
	yyjson_val *v = yyjson_obj_get(obj, key);

	return yyjson_is_obj(v) && is_string(v, "type");
}

static bool valid_part(yyjson_val *p)
{
	const char *type = yyjson_get_str(yyjson_obj_get(p, "type"));

	if (!type)
		return false;
	if (!strcmp(type, "text") || !strcmp(type, "reasoning"))
		return is_string(p, "content");
	if (!strcmp(type, "tool_call"))
		return is_string(p, "name") && string_or_absent(p, "id");
	if (!strcmp(type, "tool_call_response"))
		return yyjson_obj_get(p, "response") && string_or_absent(p, "id");
	if (!strcmp(type, "server_tool_call"))
		return is_string(p, "name") && string_or_absent(p, "id") && has_typed(p, "server_tool_call");
	if (!strcmp(type, "server_tool_call_response"))
		return string_or_absent(p, "id") && has_typed(p, "server_tool_call_response");
	if (!strcmp(type, "blob"))
		return is_string(p, "modality") && is_string(p, "content") &&
		       string_or_absent(p, "mime_type");
	if (!strcmp(type, "file"))
		return is_string(p, "modality") && is_string(p, "file_id") &&
		       string_or_absent(p, "mime_type");
	if (!strcmp(type, "uri"))
		return is_string(p, "modality") && is_string(p, "uri") && string_or_absent(p, "mime_type");
	return true; /* generic: any other type, any fields */
}

static bool valid_parts(yyjson_val *arr)
{
	size_t i, n;
	yyjson_val *p;

	if (!yyjson_is_arr(arr))
		return false;
	yyjson_arr_foreach(arr, i, n, p)
	{
		if (!valid_part(p))
			return false;
	}
	return true;
}

static bool valid_messages(yyjson_val *arr, bool output)
{
	size_t i, n;
	yyjson_val *m;

	if (!yyjson_is_arr(arr))
		return false;
	yyjson_arr_foreach(arr, i, n, m)
	{
		if (!is_string(m, "role") || !valid_parts(yyjson_obj_get(m, "parts")) ||
		    (output && !is_string(m, "finish_reason")))
			return false;
	}
	return true;
}

static bool valid_tools(yyjson_val *arr)
{
	size_t i, n;
	yyjson_val *t;

	if (!yyjson_is_arr(arr))
		return false;
	yyjson_arr_foreach(arr, i, n, t)
	{
		if (!is_string(t, "type") || !is_string(t, "name") || !string_or_absent(t, "description"))
			return false;
	}
	return true;
}

/* ---- inputs ---- */

#define CANARY "CANARY"

struct bad_text {
	const char *what;
	struct slice s;
};

#define TEXT(lit)                                                                                            \
	{                                                                                                    \
		lit, sizeof(lit) - 1                                                                         \
	}

static const struct bad_text texts[] = {
    {"plain", TEXT("hello " CANARY)},
    {"empty", TEXT("")},
    {"absent", {NULL, 0}},
    {"not UTF-8", TEXT("a\xff\xfe\xc3(\xe2\x82 " CANARY)},
    {"half a character", TEXT("x\xf0\x9f\x98")},
    {"a surrogate", TEXT("\xed\xa0\x80")},
    {"overlong", TEXT("\xc0\x80\xc0\xaf")},
    {"NUL", TEXT("a\0b\0")},
    {"controls", TEXT("\x1b]52;c;\a\r\n\t\x7f\"\\")},
    {"JSON", TEXT("{\"a\": [1, 1e400, 123456789012345678901234567890, \"" CANARY "\"]}")},
    {"JSON with a NUL", TEXT("{\"a\":\"\\u0000\"}")},
    {"a lone surrogate in JSON", TEXT("{\"a\":\"\\ud800\"}")},
    {"JSON with the same key twice", TEXT("{\"type\":1,\"type\":\"x\"}")},
    {"cut JSON", TEXT("{\"command\":\"ls")},
    {"two JSON texts", TEXT("{}{}")},
    {"a number", TEXT("42")},
    {"null", TEXT("null")},
};

#define N_TEXTS (sizeof(texts) / sizeof(texts[0]))

static const char *const names[] = {"shell", "text", "image", "image/png", "refusal",
                                    "blob",  "uri",  "\xff",  "",          NULL};

#define N_NAMES (sizeof(names) / sizeof(names[0]))

struct built {
	struct content c;
	struct arena a;
	yyjson_doc *doc;
	struct slice json;
};

static void check_text(struct slice json)
{
	yyjson_doc *doc = yyjson_read(json.p, json.n, YYJSON_READ_NUMBER_AS_RAW);

	/* yyjson refuses what is not UTF-8; 1e400 is JSON, only too large for it. */
	if (!doc)
		fail_msg("no JSON: %.*s", (int)(json.n < 300 ? json.n : 300), json.p);
	yyjson_doc_free(doc);
}

static void begin(struct built *b, enum content_level level)
{
	*b = (struct built){0};
	content_init(&b->c, level, 0);
}

static yyjson_val *parse(struct built *b, struct slice json)
{
	yyjson_doc_free(b->doc);
	b->json = json;
	check_text(json);
	b->doc = yyjson_read(json.p, json.n, YYJSON_READ_NUMBER_AS_RAW);
	return yyjson_doc_get_root(b->doc);
}

static void end(struct built *b)
{
	yyjson_doc_free(b->doc);
	arena_release(&b->a);
	content_release(&b->c);
}

/* What was made at `level`, lowered: valid, and without text where the level below has none. */
static void check_lowered(enum content_level level, struct slice in, struct slice out, struct slice sys)
{
	static const enum attr_key keys[] = {ATTR_INPUT_MESSAGES, ATTR_OUTPUT_MESSAGES, ATTR_SYSTEM_INSTRUCTIONS};

	for (int to = CONTENT_NONE; to < (int)level; to++) {
		struct span s = {.kind = SPAN_CHAT};
		struct built b;
		const struct attr *a;

		begin(&b, (enum content_level)to);
		span_set_str(&s, ATTR_INPUT_MESSAGES, in);
		span_set_str(&s, ATTR_OUTPUT_MESSAGES, out);
		span_set_str(&s, ATTR_SYSTEM_INSTRUCTIONS, sys);
		span_set_str(&s, ATTR_PROVIDER_NAME, SLICE("p"));
		span_lower(&s, &b.c, level);
		assert_non_null(span_get(&s, ATTR_PROVIDER_NAME));
		for (size_t i = 0; i < 3; i++) {
			a = span_get(&s, keys[i]);
			assert_int_equal(a != NULL, to != CONTENT_NONE);
			if (!a)
				continue;
			bool ok = i == 2 ? valid_parts(parse(&b, a->str)) : valid_messages(parse(&b, a->str), i == 1);
			if (!ok || (to == CONTENT_SHAPE && slice_find(a->str, SLICE(CANARY))))
				fail_msg("%s lowered to %s: %.*s", content_level_name(level),
				         content_level_name((enum content_level)to), (int)a->str.n, a->str.p);
		}
		span_release(&s);
		end(&b);
	}
}

static void check_part(enum content_level level, const struct llm_part *part, const char *what)
{
	struct llm_part parts[2] = {*part, *part};
	struct llm_message m = {.role = SLICE("assistant"), .parts = parts, .n_parts = 2};
	struct llm_messages ms = {&m, 1};
	struct built b;

	begin(&b, level);
	struct slice in = content_messages(&b.c, &b.a, &ms, false, false).text;
	struct slice out = content_messages(&b.c, &b.a, &ms, true, false).text;
	struct slice sys = content_system(&b.c, &b.a, &ms).text;
	if (level == CONTENT_NONE) {
		assert_null(in.p);
		assert_null(out.p);
		assert_null(sys.p);
	} else {
		bool ok = valid_messages(parse(&b, in), false) && valid_messages(parse(&b, out), true) &&
		          valid_parts(parse(&b, sys));

		if (!ok)
			fail_msg("%s, kind %d, %s: %.*s", content_level_name(level), part->kind, what,
			         (int)b.json.n, b.json.p);
		if (level == CONTENT_SHAPE && slice_find(b.json, SLICE(CANARY)))
			fail_msg("shape shows text: %.*s", (int)b.json.n, b.json.p);
		check_lowered(level, in, out, sys);
	}
	end(&b);
}

/* ---- tests ---- */

/* The shape of what was kept is the shape that would have been made. */
static void lowered_is_made(void **state)
{
	struct llm_part parts[] = {{.kind = LLM_TEXT, .text = SLICE("some words")},
	                           {.kind = LLM_REASONING, .text = SLICE("")},
	                           {.kind = LLM_TOOL_CALL, .id = SLICE("c1"), .name = SLICE("bash"), .text = SLICE("{\"a\":1}")},
	                           {.kind = LLM_TOOL_RESULT, .id = SLICE("c1"), .text = SLICE("done"), .is_error = true},
	                           {.kind = LLM_MEDIA, .name = SLICE("image/png"), .text = SLICE("https://x/y")}};
	struct llm_message m = {.role = SLICE("user"), .parts = parts, .n_parts = 5};
	struct llm_messages ms = {&m, 1};
	struct span s = {.kind = SPAN_CHAT};
	struct built full, shape;

	(void)state;
	begin(&full, CONTENT_FULL);
	begin(&shape, CONTENT_SHAPE);
	span_set_str(&s, ATTR_INPUT_MESSAGES, content_messages(&full.c, &full.a, &ms, false, false).text);
	span_set_str(&s, ATTR_TOOL_CALL_RESULT, SLICE("done"));
	span_set_strs(&s, ATTR_PROCESS_COMMAND_ARGS, (struct slice[]){SLICE("ls")}, 1);
	s.status_message = SLICE("no such file");
	span_lower(&s, &shape.c, CONTENT_FULL);
	struct slice made = content_messages(&shape.c, &shape.a, &ms, false, false).text;
	yyjson_val *a = parse(&full, span_get(&s, ATTR_INPUT_MESSAGES)->str), *b = parse(&shape, made);
	assert_true(yyjson_equals(a, b));
	assert_true(slice_eq(span_get(&s, ATTR_TOOL_CALL_RESULT)->str, content_result(&shape.c, &shape.a, SLICE("done"))));
	assert_null(span_get(&s, ATTR_PROCESS_COMMAND_ARGS));
	assert_null(s.status_message.p);
	span_release(&s);
	end(&full);
	end(&shape);
}


/* What is remembered of a part is told from another by all that is written of it. */
static void parts_that_differ_a_little(void **state)
{
	struct llm_part parts[] = {
	    {.kind = LLM_MEDIA, .name = SLICE("image/png"), .bytes = 10},
	    {.kind = LLM_MEDIA, .name = SLICE("image/png"), .bytes = 11},
	    {.kind = LLM_MEDIA, .name = SLICE("image/png")},
	    {.kind = LLM_REASONING, .text = SLICE("x")},
	    {.kind = LLM_REASONING, .text = SLICE("x"), .name = SLICE("redacted")},
	    {.kind = LLM_TOOL_RESULT, .text = SLICE("x")},
	    {.kind = LLM_TOOL_RESULT, .text = SLICE("x"), .is_error = true},
	    {.kind = LLM_TOOL_RESULT, .text = SLICE("x"), .is_server = true},
	};
	enum { N = sizeof(parts) / sizeof(parts[0]) };
	struct slice v[N];
	struct built b;

	(void)state;
	begin(&b, CONTENT_FULL);
	for (size_t i = 0; i < N; i++) {
		struct llm_message m = {.role = SLICE("user"), .parts = &parts[i], .n_parts = 1};

		v[i] = content_messages(&b.c, &b.a, &(struct llm_messages){&m, 1}, false, false).text;
		for (size_t k = 0; k < i; k++)
			assert_false(slice_eq(v[i], v[k]));
		assert_true(slice_eq(
		    v[i], content_messages(&b.c, &b.a, &(struct llm_messages){&m, 1}, false, false).text));
	}
	end(&b);
}

static void every_part_at_every_level(void **state)
{
	unsigned n = 0;

	(void)state;
	for (int level = CONTENT_NONE; level <= CONTENT_FULL; level++)
		for (int kind = LLM_TEXT; kind <= LLM_OTHER; kind++)
			for (size_t t = 0; t < N_TEXTS; t++)
				for (size_t k = 0; k < N_NAMES * 4; k++) {
					struct llm_part p = {.kind = (enum llm_part_kind)kind,
					                     .name = slice_str(names[k / 4]),
					                     .text = texts[t].s,
					                     .id = k & 1 ? SLICE("id\xff")
					                                 : (struct slice){NULL, 0},
					                     .is_server = k & 2,
					                     .is_error = k & 1};

					check_part((enum content_level)level, &p, texts[t].what);
					n++;
				}
	print_message("%u parts\n", n);
}

/* The length and the hash that a shape gives for a text, wherever it has them. */
static void expect_shape(yyjson_val *v, size_t length, const char **ret_hash)
{
	yyjson_val *hash = yyjson_obj_get(v, "hash");
	const char *n = yyjson_get_raw(yyjson_obj_get(v, "length"));

	assert_non_null(n);
	assert_int_equal(strtoul(n, NULL, 10), length);
	assert_int_equal(yyjson_get_len(hash), 16);
	*ret_hash = yyjson_get_str(hash);
}

/* Every part of an answer: roles, types, names and ids stay; of texts length and hash. */
static void shape_is_whole(void **state)
{
	const struct slice text = SLICE("the text " CANARY), args = SLICE("{\"a\":\"" CANARY "\"}");
	struct llm_part parts[] = {
	    {.kind = LLM_TEXT, .text = text},
	    {.kind = LLM_REASONING, .text = text},
	    {.kind = LLM_TOOL_CALL, .id = SLICE("call_1"), .name = SLICE("shell"), .text = args},
	    {.kind = LLM_TOOL_RESULT, .id = SLICE("call_1"), .text = text},
	    {.kind = LLM_TOOL_CALL, .name = SLICE("web_search"), .text = args, .is_server = true},
	    {.kind = LLM_TOOL_RESULT,
	     .name = SLICE("web_search_tool_result"),
	     .text = text,
	     .is_server = true},
	    {.kind = LLM_MEDIA, .name = SLICE("image/png"), .text = text},
	    {.kind = LLM_OTHER, .name = SLICE("refusal"), .text = text},
	    {.kind = LLM_MEDIA, .name = SLICE("image/png"), .bytes = 4711},
	};
	static const char *const types[] = {"text",
	                                    "reasoning",
	                                    "tool_call",
	                                    "tool_call_response",
	                                    "server_tool_call",
	                                    "server_tool_call_response",
	                                    "file",
	                                    "refusal",
	                                    "media"};
	static const char *const under[] = {
	    NULL, NULL,     "arguments", "response", "server_tool_call", "server_tool_call_response",
	    NULL, "content"};
	enum { N = sizeof(parts) / sizeof(parts[0]) };
	struct llm_message m = {.role = SLICE("assistant"), .parts = parts, .n_parts = N};
	struct llm_messages ms = {&m, 1};
	struct llm_tool_def def = {.name = SLICE("shell"), .description = text, .parameters = args};
	const char *hash, *of_text = NULL, *of_args = NULL;
	struct built b, other;

	(void)state;
	begin(&b, CONTENT_SHAPE);
	yyjson_val *root = yyjson_arr_get_first(parse(&b, content_messages(&b.c, &b.a, &ms, false, false).text));
	assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "role")), "assistant");
	for (size_t i = 0; i < N; i++) {
		yyjson_val *p = yyjson_arr_get(yyjson_obj_get(root, "parts"), i), *v = p;
		bool is_args = parts[i].kind == LLM_TOOL_CALL;

		assert_string_equal(yyjson_get_str(yyjson_obj_get(p, "type")), types[i]);
		if (is_args)
			assert_string_equal(yyjson_get_str(yyjson_obj_get(p, "name")), parts[i].name.p);
		if (parts[i].id.p)
			assert_string_equal(yyjson_get_str(yyjson_obj_get(p, "id")), "call_1");
		if (i == N - 1) {
			assert_string_equal(yyjson_get_raw(yyjson_obj_get(p, "length")), "4711");
			break;
		}
		v = under[i] ? yyjson_obj_get(p, under[i]) : p;
		if (parts[i].is_server)
			v = yyjson_obj_get(v, is_args ? "arguments" : "content");
		expect_shape(v, is_args ? args.n : text.n, &hash);
		const char **same = is_args ? &of_args : &of_text;
		if (*same)
			assert_string_equal(hash, *same); /* equal texts have equal hashes */
		else
			*same = hash;
	}
	assert_string_not_equal(of_text, of_args);
	assert_null(slice_find(b.json, SLICE(CANARY)));

	/* Another run has another key: a guessed text cannot be tried. */
	begin(&other, CONTENT_SHAPE);
	root = parse(&other, content_tools(&other.c, &other.a, &def, 1).text);
	expect_shape(yyjson_obj_get(yyjson_arr_get_first(root), "description_shape"), text.n, &hash);
	assert_string_not_equal(hash, of_text);
	expect_shape(yyjson_obj_get(yyjson_arr_get_first(root), "parameters_shape"), args.n, &hash);
	assert_string_not_equal(hash, of_args);
	end(&other);
	end(&b);
}

static void messages_without_parts_and_roles(void **state)
{
	struct llm_message m[2] = {{.role = {NULL, 0}},
	                           {.role = SLICE("\xff"), .finish_reason = SLICE("\xfe")}};
	struct llm_messages ms = {m, 2}, none = {NULL, 0};
	struct built b;

	(void)state;
	begin(&b, CONTENT_FULL);
	assert_true(valid_messages(parse(&b, content_messages(&b.c, &b.a, &ms, true, true).text), true));
	assert_null(content_messages(&b.c, &b.a, &none, true, false).text.p);
	assert_null(content_system(&b.c, &b.a, &none).text.p);
	end(&b);
}

static const char *finish_reason(struct built *b, const char *raw, bool failed)
{
	struct llm_message m = {.role = SLICE("assistant"), .finish_reason = slice_str(raw)};
	struct llm_messages ms = {&m, 1};
	yyjson_val *root = parse(b, content_messages(&b->c, &b->a, &ms, true, failed).text);

	return yyjson_get_str(yyjson_obj_get(yyjson_arr_get_first(root), "finish_reason"));
}

static void finish_reasons(void **state)
{
	struct built b;

	(void)state;
	begin(&b, CONTENT_SHAPE);
	assert_string_equal(finish_reason(&b, "tool_calls", false), "tool_call");
	assert_string_equal(finish_reason(&b, "tool_use", false), "tool_call");
	assert_string_equal(finish_reason(&b, "end_turn", false), "stop");
	assert_string_equal(finish_reason(&b, "MAX_TOKENS", false), "length");
	assert_string_equal(finish_reason(&b, "pause_turn", false), "pause_turn");
	assert_string_equal(finish_reason(&b, NULL, true), "error");
	assert_string_equal(finish_reason(&b, NULL, false), "unknown");
	end(&b);
}

static void tool_definitions(void **state)
{
	(void)state;
	for (int level = CONTENT_SHAPE; level <= CONTENT_FULL; level++)
		for (size_t t = 0; t < N_TEXTS; t++)
			for (size_t k = 0; k < N_NAMES; k++) {
				struct llm_tool_def d = {.type = k & 1 ? SLICE("function") : slice_str(NULL),
				                         .name = slice_str(names[k]),
				                         .description = texts[t].s,
				                         .parameters = texts[t].s};
				struct built b;

				begin(&b, (enum content_level)level);
				assert_true(valid_tools(parse(&b, content_tools(&b.c, &b.a, &d, 1).text)));
				if (level == CONTENT_SHAPE)
					assert_null(slice_find(b.json, SLICE(CANARY)));
				end(&b);
			}
}

static void assert_utf8(struct slice s)
{
	struct buf b = {0};

	/* As a JSON string it has to be readable. */
	buf_addc(&b, '"');
	for (size_t i = 0; i < s.n; i++)
		buf_addc(&b, s.p[i] == '"' || s.p[i] == '\\' || (unsigned char)s.p[i] < 32 ? '.' : s.p[i]);
	buf_addc(&b, '"');
	check_text(buf_slice(&b));
	buf_release(&b);
}

static void arguments_and_results(void **state)
{
	(void)state;
	for (int level = CONTENT_NONE; level <= CONTENT_FULL; level++)
		for (size_t t = 0; t < N_TEXTS; t++) {
			struct built b;

			begin(&b, (enum content_level)level);
			struct slice args = content_arguments(&b.c, &b.a, texts[t].s);
			struct slice result = content_result(&b.c, &b.a, texts[t].s);
			assert_true(level != CONTENT_NONE || (!args.p && !result.p));
			assert_true(level < CONTENT_REDACTED || !!args.p == !!texts[t].s.p);
			if (args.p)
				assert_utf8(args);
			if (result.p)
				assert_utf8(result);
			if (level == CONTENT_SHAPE && args.p) {
				check_text(args);
				check_text(result);
				assert_null(slice_find(args, SLICE(CANARY)));
				assert_null(slice_find(result, SLICE(CANARY)));
			}
			end(&b);
		}
}

static void arguments_stay_as_they_were_sent(void **state)
{
	static const char *const same[] = {"{ \"a\" : 1.0e0,\n\"b\":123456789012345678901234567890 }", "[]",
	                                   "{\"command\":\"ls"};
	struct built b;

	(void)state;
	begin(&b, CONTENT_REDACTED);
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct slice s = content_arguments(&b.c, &b.a, slice_str(same[i]));

		assert_true(slice_eq(s, slice_str(same[i])));
	}
	assert_int_equal(b.c.masks, 0);
	struct slice s = content_arguments(
	    &b.c, &b.a, SLICE("{\"n\":123456789012345678901234567890,\"password\":\"" CANARY "\"}"));
	assert_true(
	    slice_eq(s, SLICE("{\"n\":123456789012345678901234567890,\"password\":\"[masked:password]\"}")));
	assert_true(b.c.masks > 0);
	end(&b);
}

static void credentials_in_nested_json(void **state)
{
	struct llm_part p = {
	    .kind = LLM_TOOL_CALL,
	    .name = SLICE("t"),
	    .text = SLICE("{\"x\":[{\"auth\":{\"apiKey\":[\"" CANARY "1\",{\"y\":\"" CANARY "2\"}]}}]}")};
	struct llm_message m = {.role = SLICE("assistant"), .parts = &p, .n_parts = 1};
	struct llm_messages ms = {&m, 1};
	struct built b;

	(void)state;
	for (int level = CONTENT_SHAPE; level <= CONTENT_FULL; level++) {
		begin(&b, (enum content_level)level);
		assert_true(
		    valid_messages(parse(&b, content_messages(&b.c, &b.a, &ms, false, false).text), false));
		assert_null(slice_find(b.json, SLICE(CANARY)));
		end(&b);
	}
}

/* 1,000,000 brackets, and a nesting just beyond CONTENT_DEPTH_MAX that hides a password. */
static void deep_json(void **state)
{
	struct buf deep = {0}, hidden = {0};
	struct built b;

	(void)state;
	for (int i = 0; i < 1000000; i++)
		buf_addc(&deep, '[');
	for (int i = 0; i < CONTENT_DEPTH_MAX + 5; i++)
		buf_adds(&hidden, "{\"a\":");
	buf_adds(&hidden, "{\"password\":\"" CANARY "\"}");
	for (int i = 0; i < CONTENT_DEPTH_MAX + 5; i++)
		buf_addc(&hidden, '}');
	begin(&b, CONTENT_FULL);
	assert_utf8(content_arguments(&b.c, &b.a, buf_slice(&deep)));
	struct slice s = content_arguments(&b.c, &b.a, buf_slice(&hidden));
	check_text(s);
	assert_null(slice_find(s, SLICE(CANARY)));
	assert_true(b.c.masks > 0);
	end(&b);
	buf_release(&deep);
	buf_release(&hidden);
}

/* A value beyond the limit is given as its shape. */
static void huge_text(void **state)
{
	struct buf huge = {0};
	struct built b;

	(void)state;
	buf_reserve(&huge, CONTENT_ATTR_MAX + 16);
	memset(huge.p, 'x', CONTENT_ATTR_MAX + 1);
	huge.n = CONTENT_ATTR_MAX + 1;

	struct llm_part p = {.kind = LLM_TEXT, .text = buf_slice(&huge)};
	struct llm_message m = {.role = SLICE("user"), .parts = &p, .n_parts = 1};
	struct llm_messages ms = {&m, 1};
	begin(&b, CONTENT_FULL);
	assert_true(valid_messages(parse(&b, content_messages(&b.c, &b.a, &ms, false, false).text), false));
	assert_true(b.json.n < 1000);
	assert_true(slice_find(b.json, SLICE("\"length\":67108865")) != NULL);
	check_text(content_result(&b.c, &b.a, buf_slice(&huge)));
	check_text(content_arguments(&b.c, &b.a, buf_slice(&huge)));
	end(&b);
	buf_release(&huge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lowered_is_made),
	    cmocka_unit_test(parts_that_differ_a_little),
	    cmocka_unit_test(every_part_at_every_level),
	    cmocka_unit_test(shape_is_whole),
	    cmocka_unit_test(messages_without_parts_and_roles),
	    cmocka_unit_test(finish_reasons),
	    cmocka_unit_test(tool_definitions),
	    cmocka_unit_test(arguments_and_results),
	    cmocka_unit_test(arguments_stay_as_they_were_sent),
	    cmocka_unit_test(credentials_in_nested_json),
	    cmocka_unit_test(deep_json),
	    cmocka_unit_test(huge_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
