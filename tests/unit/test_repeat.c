/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What earlier requests left behind changes nothing: each body of a growing and
 * edited conversation gives the same call, the same attributes and the same
 * digest to an llm and a content that have seen all bodies before it, and to
 * ones that have seen none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/text.h"
#include "span/content.h"

#define EDITS 6000

struct reader {
	struct llm *llm;
	struct content content;
	struct buf log; /* of the latest call */
	size_t cuts;
};

static void on_begin(void *ctx, struct llm_call *call)
{
	(void)ctx, (void)call;
}

static void add_content(struct reader *r, const char *name, struct content_text t)
{
	uint32_t before = 0;

	buf_addf(&r->log, "%s: %.*s\n  cuts:", name, (int)t.text.n, t.text.p ? t.text.p : "");
	for (size_t i = 0; i < t.n_cuts; i++) {
		assert_true(t.cuts[i] > before && t.cuts[i] < t.text.n);
		before = t.cuts[i];
		buf_addf(&r->log, " %u", before);
	}
	r->cuts += t.n_cuts;
	buf_addf(&r->log, " masks: %llu\n", (unsigned long long)r->content.masks);
}

static void on_end(void *ctx, struct llm_call *call)
{
	struct reader *r = ctx;
	struct content *c = &r->content;
	struct arena a = {0};

	c->masks = 0;
	llm_call_print(&r->log, call);
	add_content(r, "system", content_system(c, &a, &call->system));
	add_content(r, "input", content_messages(c, &a, &call->input, false, false));
	add_content(r, "tools", content_tools(c, &a, call->tools, call->n_tools));
	add_content(r, "body", content_body(c, &a, call));
	arena_release(&a);
	llm_call_free(call);
}

static void reader_begin(struct reader *r, enum content_level level)
{
	static const struct llm_events ev = {.begin = on_begin, .end = on_end};

	*r = (struct reader){.llm = llm_new(&ev, r)};
	content_init(&r->content, level, 0);
}

static void reader_end(struct reader *r)
{
	llm_free(r->llm);
	content_release(&r->content);
	buf_release(&r->log);
}

static void read_body(struct reader *r, const char *target, struct slice body)
{
	struct http_header host = {SLICE("host"), SLICE("api.example.com")};
	struct exchange x = {
	    .request_dir = EV_DIR_WRITE,
	    .protocol = SLICE("http/1.1"),
	    .method = SLICE("POST"),
	    .target = slice_str(target),
	    .request_headers = {&host, 1},
	    .request_start = 1,
	    .request_end = 2,
	};

	buf_clear(&r->log);
	llm_proto_events.request(r->llm, &x);
	llm_proto_events.request_body(r->llm, &x, 1, body);
	llm_proto_events.request_end(r->llm, &x);
	llm_proto_events.end(r->llm, &x);
	arena_release(&x.arena);
}

static size_t n_compared, n_calls;

static void compare(struct reader *kept, enum content_level level, const char *target, struct slice body)
{
	struct reader fresh;

	reader_begin(&fresh, level);
	memcpy(fresh.content.key, kept->content.key, sizeof(fresh.content.key)); /* hashes are shown */
	read_body(&fresh, target, body);
	read_body(kept, target, body);
	n_compared++;
	n_calls += fresh.log.n > 0;
	if (!slice_eq(buf_slice(&kept->log), buf_slice(&fresh.log)))
		fail_msg("body: %.*s\nfresh: %.*s\nkept: %.*s", (int)body.n, body.p, (int)fresh.log.n,
		         buf_str(&fresh.log), (int)kept->log.n, buf_str(&kept->log));
	reader_end(&fresh);
}

/* One API: what stands before, between and behind the messages, and the messages. */
static const struct format {
	const char *target, *begin, *end;
	const char *message; /* %s: role, %s: text */
	const char *roles[2];
} formats[] = {
    {"/v1/chat/completions",
     "{\"model\":\"m\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"a\":"
     "1.50}}}],"
     "\"messages\":[",
     "],\"stream\":true,\"metadata\":{\"user_token\":\"abcdef123456\"}}",
     "{\"role\":\"%s\",\"content\":\"%s\"}",
     {"user", "assistant"}},
    {"/v1/messages",
     "{\"system\":[{\"type\":\"text\",\"text\":\"be brief\"}],\"messages\":[",
     "],\"model\":\"m\",\"max_tokens\":10}",
     "{\"role\":\"%s\",\"content\":[{\"type\":\"text\",\"text\":\"%s\"},{\"type\":\"tool_use\",\"id\":\"t\","
     "\"name\":\"f\",\"input\":{\"password\":\"hunter2\",\"n\":1.0}}]}",
     {"user", "assistant"}},
    {"/v1beta/models/g:generateContent",
     "{\"request\":{\"contents\":[",
     "]},\"model\":\"g\"}",
     "{\"role\":\"%s\",\"parts\":[{\"text\":\"%s\"}]}",
     {"user", "model"}},
    {"/model/m/converse",
     "{\"messages\":[",
     "],\"toolConfig\":{\"tools\":[{\"toolSpec\":{\"name\":\"f\",\"inputSchema\":{\"json\":{}}}}]}}",
     "{\"role\":\"%s\",\"content\":[{\"text\":\"%s\"}]}",
     {"user", "assistant"}},
    {"/v1/responses",
     "{\"model\":\"m\",\"instructions\":\"be brief\",\"input\":[",
     "],\"stream\":true}",
     "{\"type\":\"message\",\"role\":\"%s\",\"content\":[{\"type\":\"input_text\",\"text\":\"%s\"}]}",
     {"user", "assistant"}},
};

#define N_FORMATS (sizeof(formats) / sizeof(*formats))

/* Long enough to be kept, some with a secret or a character that is escaped. */
static void add_text(struct buf *b, unsigned i)
{
	static const char *const more[] = {"",
	                                   "\\n\\\"x\\\\",
	                                   " sk-ant-api03-AbCdEfGh1234567890AbCdEfGh",
	                                   " \\ud83d\\ude00 é",
	                                   " api_key=Secr3tV4lue ",
	                                   "\\ud800"};

	buf_addf(b, "%u%s ", i, more[i % 6]);
	for (unsigned k = 0; k < 20 + i % 3 * 40; k++)
		buf_adds(b, "words that fill a message ");
}

/* The pattern with `a` and `b` in place of its two "%s". */
static void add_filled(struct buf *b, const char *pattern, const char *first, const char *second)
{
	const char *one = strstr(pattern, "%s"), *two = strstr(one + 2, "%s");

	buf_add(b, pattern, (size_t)(one - pattern));
	buf_adds(b, first);
	buf_add(b, one + 2, (size_t)(two - one - 2));
	buf_adds(b, second);
	buf_adds(b, two + 2);
}

static void make_body(const struct format *f, unsigned n, unsigned variant, struct buf *body)
{
	struct buf text = {0};

	buf_adds(body, f->begin);
	for (unsigned i = 0; i < n; i++) {
		buf_clear(&text);
		add_text(&text, i == n / 2 ? i + variant : i);
		if (i)
			buf_adds(body, i % 4 ? "," : ", ");
		add_filled(body, f->message, f->roles[i % 2], buf_str(&text));
	}
	buf_adds(body, f->end);
	buf_release(&text);
}

/* A byte changed, put in or taken out; a piece copied to another place. */
static void edit(struct buf *b)
{
	static const char bytes[] = "\"\\{}[],: 0ae\n\xc3";
	size_t at = (size_t)rand() % b->n, from = (size_t)rand() % b->n, n = (size_t)rand() % 700;
	char c = bytes[(size_t)rand() % sizeof(bytes)];
	struct buf out = {0};

	buf_add(&out, b->p, at);
	switch (rand() % 4) {
	case 0:
		buf_addc(&out, c);
		at++;
		break;
	case 1:
		buf_addc(&out, c);
		break;
	case 2:
		at++;
		break;
	default:
		buf_add(&out, b->p + from, n < b->n - from ? n : b->n - from);
		break;
	}
	if (at < b->n)
		buf_add(&out, b->p + at, b->n - at);
	buf_release(b);
	*b = out;
}

static void run(enum content_level level)
{
	struct reader kept;

	srand(1);
	reader_begin(&kept, level);
	for (size_t i = 0; i < N_FORMATS; i++)
		for (unsigned n = 0; n < 24; n++) {
			struct buf body = {0};

			make_body(&formats[i], n, n % 5 == 0, &body);
			compare(&kept, level, formats[i].target, buf_slice(&body));
			buf_release(&body);
		}
	for (unsigned k = 0; k < EDITS; k++) {
		const struct format *f = &formats[(size_t)rand() % N_FORMATS];
		struct buf body = {0};

		make_body(f, (unsigned)rand() % 12, (unsigned)rand() % 3, &body);
		edit(&body);
		if (rand() % 4 == 0)
			edit(&body);
		compare(&kept, level, f->target, buf_slice(&body));
		buf_release(&body);
	}
	assert_true(kept.cuts > EDITS && n_calls > n_compared / 2);
	reader_end(&kept);
}

static void test_redacted(void **state)
{
	(void)state;
	run(CONTENT_REDACTED);
}

static void test_full(void **state)
{
	(void)state;
	run(CONTENT_FULL);
}

static void test_shape(void **state)
{
	(void)state;
	run(CONTENT_SHAPE);
}

/* A list that the row does not read, or reads elsewhere, with elements that are known. */
static void test_elsewhere(void **state)
{
	struct reader kept;
	struct buf a = {0}, b = {0}, body = {0};

	(void)state;
	reader_begin(&kept, CONTENT_REDACTED);
	add_text(&a, 1);
	add_text(&b, 2);
	for (unsigned k = 0; k < 2; k++)
		for (unsigned shape = 0; shape < 6; shape++) {
			static const char *const shapes[] = {
			    "{\"messages\":[%s,%s]}",
			    "{\"messages\":[],\"messages\":[%s,%s]}",
			    "{\"mess\\u0061ges\":[{\"role\":\"user\"}],\"messages\":[%s,%s]}",
			    "{\"toolConfig\":{\"messages\":[%s,%s]},\"model\":\"m\"}",
			    "{\"messages\":[%s,%s,]}",
			    "{\"messages\":[\"x\",%s,[],%s,{}]}",
			};
			struct buf one = {0}, two = {0};

			buf_addf(&one, "{\"role\":\"user\",\"content\":\"%s\"}", buf_str(&a));
			buf_addf(&two, "{\"role\":\"assistant\",\"content\":\"%s\"}", buf_str(&b));
			buf_clear(&body);
			add_filled(&body, shapes[shape], buf_str(&one), buf_str(&two));
			compare(&kept, CONTENT_REDACTED, "/v1/chat/completions", buf_slice(&body));
			buf_release(&one);
			buf_release(&two);
		}
	buf_release(&a);
	buf_release(&b);
	buf_release(&body);
	reader_end(&kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_elsewhere),
	    cmocka_unit_test(test_redacted),
	    cmocka_unit_test(test_full),
	    cmocka_unit_test(test_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
