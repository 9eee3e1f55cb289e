/* SPDX-License-Identifier: Apache-2.0 */
/* A chat span's request as it was sent: exact where nothing is masked, and without what no one may read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "span/redact.h"
#include "span/span.h"

#define KEY "sk-ant-api03-AbCdEfGh1234567890AbCdEfGh"

static unsigned redact; /* span_conf.redact of what follows */

struct seen {
	struct span span; /* of the latest chat */
};

static void on_span(void *ctx, const struct span *s)
{
	struct seen *seen = ctx;
	struct buf wire = {0};

	if (s->kind != SPAN_CHAT)
		return;
	span_release(&seen->span);
	span_encode(&wire, s); /* as it goes to the sink, cuts with it */
	assert_int_equal(span_decode(buf_slice(&wire), &seen->span), 0);
	buf_release(&wire);
}

static void send_request(struct seen *seen, enum content_level level, struct http_header *headers, size_t n,
                         const char *target, struct slice body)
{
	static const struct span_events ev = {.span = on_span};
	struct span_conf conf = {.content = level, .redact = redact};
	struct conn_info conn = {.lib = EV_LIB_OPENSSL};
	struct spans *sp = spans_new(&conf, &ev, seen);
	struct llm *llm = llm_new(&spans_llm_events, sp);
	struct exchange x = {.conn = &conn,
	                     .request_dir = EV_DIR_WRITE,
	                     .method = SLICE("POST"),
	                     .target = slice_str(target),
	                     .request_headers = {headers, n},
	                     .request_start = 1,
	                     .request_end = 2};

	*seen = (struct seen){.span = {.kind = SPAN_CHAT}};
	llm_proto_events.request(llm, &x);
	llm_proto_events.request_body(llm, &x, 1, body);
	llm_proto_events.request_end(llm, &x);
	llm_proto_events.end(llm, &x);
	llm_free(llm);
	spans_finish(sp, 10);
	spans_free(sp);
}

static struct slice text_of(const struct seen *seen, enum attr_key key)
{
	const struct attr *a = span_get(&seen->span, key);

	return a ? a->str : (struct slice){NULL, 0};
}

/* The body's pieces, each in < >. */
static void check_body(enum content_level level, const char *body, const char *expected)
{
	struct http_header host = {SLICE("host"), SLICE("api.openai.com")};
	struct seen seen;
	struct buf log = {0};
	size_t at = 0;

	send_request(&seen, level, &host, 1, "/v1/chat/completions", slice_str(body));
	const struct attr *a = span_get(&seen.span, ATTR_REQUEST_BODY);
	for (size_t i = 0; a && i <= a->n_cuts; i++) {
		size_t to = i < a->n_cuts ? a->cuts[i] : a->str.n;

		buf_addf(&log, "<%.*s>", (int)(to - at), a->str.p + at);
		at = to;
	}
	assert_string_equal(buf_str(&log), expected);
	buf_release(&log);
	span_release(&seen.span);
}

static void body_in_pieces(void **state)
{
	static const char plain[] =
	    "{\"model\":\"m\", \"messages\":[ {\"role\":\"user\",\"content\":\"a\\u0062\"} , "
	    "{\"role\":\"assistant\",\"content\":\"c\"}], \"n\":1.0}";
	static const char pieces[] =
	    "<{\"model\":\"m\", \"messages\":[ ><{\"role\":\"user\",\"content\":\"a\\u0062\"}>< , "
	    "{\"role\":\"assistant\",\"content\":\"c\"}><], \"n\":1.0}>";

	(void)state;
	check_body(CONTENT_FULL, plain, pieces);
	check_body(CONTENT_REDACTED, plain, pieces);
	check_body(CONTENT_SHAPE, plain, "");
	check_body(CONTENT_NONE, plain, "");
	check_body(CONTENT_FULL, "no JSON " KEY, "<no JSON " KEY ">");
	check_body(CONTENT_REDACTED, "no JSON " KEY, "");
}

/* Only what holds a secret is written anew; at `full`, what holds a credential. */
static void body_with_secrets(void **state)
{
	static const char inside[] =
	    "{\"messages\":[{\"role\":\"user\", \"content\":\"x\"},{\"role\":\"user\", "
	    "\"content\":\"\\n" KEY "\"}], \"n\":1.0}";
	static const char outside[] = "{\"messages\":[{\"role\":\"user\", \"content\":\"x\"}], "
	                              "\"metadata\":{\"api_key\":\"abc\", \"n\":1.50}}";

	(void)state;
	check_body(CONTENT_FULL, inside,
	           "<{\"messages\":[><{\"role\":\"user\", \"content\":\"x\"}><,{\"role\":\"user\", "
	           "\"content\":\"\\n" KEY "\"}><], \"n\":1.0}>");
	check_body(CONTENT_REDACTED, inside,
	           "<{\"messages\":[><{\"role\":\"user\", \"content\":\"x\"}><,{\"role\":\"user\","
	           "\"content\":\"\\n[masked:api_key]\"}><], \"n\":1.0}>");
	check_body(CONTENT_FULL, "form password=hunter2 x", "<form password=[masked:password] x>");
	for (int level = CONTENT_REDACTED; level <= CONTENT_FULL; level++)
		check_body((enum content_level)level, outside,
		           "<{\"messages\":[><{\"role\":\"user\", \"content\":\"x\"}>"
		           "<],\"metadata\":{\"api_key\":\"[masked:api_key]\",\"n\":1.50}}>");
}

/* Numbers can be secrets too, in a piece and around the pieces; the others stay as they were written. */
static void body_with_numbers(void **state)
{
	static const char inside[] =
	    "{\"messages\":[{\"role\":\"user\", \"content\":\"x\", \"password\":1234}], \"n\":1.0}";
	static const char outside[] =
	    "{\"messages\":[{\"role\":\"user\", \"content\":\"x\"}], \"password\":[12e3], \"n\":1.0}";
	static const char card[] =
	    "{\"messages\":[{\"role\":\"user\", \"content\":4111111111111111}], \"n\":1.0}";

	(void)state;
	for (int level = CONTENT_REDACTED; level <= CONTENT_FULL; level++) {
		check_body((enum content_level)level, inside,
		           "<{\"messages\":[><{\"role\":\"user\",\"content\":\"x\",\"password\":"
		           "\"[masked:password]\"}><], \"n\":1.0}>");
		check_body((enum content_level)level, outside,
		           "<{\"messages\":[><{\"role\":\"user\", \"content\":\"x\"}>"
		           "<],\"password\":[\"[masked:password]\"],\"n\":1.0}>");
		check_body(
		    (enum content_level)level, card,
		    "<{\"messages\":[><{\"role\":\"user\", \"content\":4111111111111111}><], \"n\":1.0}>");
	}
	redact = REDACT_CARD | REDACT_EMAIL;
	check_body(CONTENT_REDACTED, card,
	           "<{\"messages\":[><{\"role\":\"user\",\"content\":\"[masked:card]\"}><], \"n\":1.0}>");
	check_body(CONTENT_REDACTED, "{\"messages\":[{\"content\":\"bob@example.com\"}]}",
	           "<{\"messages\":[><{\"content\":\"[masked:email]\"}><]}>");
	redact = 0;
}

/* A proxy is asked for the whole URL. */
static void target_of_a_proxy(void **state)
{
	struct seen seen;

	(void)state;
	send_request(&seen, CONTENT_FULL, NULL, 0, "http://api.openai.com/v1/chat/completions?a=1",
	             SLICE("{}"));
	assert_true(slice_eq(text_of(&seen, ATTR_URL_PATH), SLICE("/v1/chat/completions")));
	assert_true(slice_eq(text_of(&seen, ATTR_URL_QUERY), SLICE("a=1")));
	span_release(&seen.span);
}

/* Bytes that are no UTF-8 stay where nothing is masked. */
static void body_as_it_was_sent(void **state)
{
	(void)state;
	check_body(CONTENT_FULL, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\xff\"}]}",
	           "<{\"messages\":[><{\"role\":\"user\",\"content\":\"a\xff\"}><]}>");
	check_body(CONTENT_FULL, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\\ud800\"}]}",
	           "<{\"messages\":[><{\"role\":\"user\",\"content\":\"a\\ud800\"}><]}>");
}

static void head(void **state)
{
	static struct http_header headers[] = {
	    {{"Host", 4}, {"api.openai.com", 14}},
	    {{"Authorization", 13}, {"Bearer " KEY, sizeof("Bearer " KEY) - 1}},
	    {{"x-api-key", 9}, {"short", 5}},
	    {{"X-Goog-Api-Key", 14}, {"abc", 3}},
	    {{"Cookie", 6}, {"a=\"b\"; c=secret", 15}},
	    {{"helicone-auth", 13}, {"secret", 6}},
	    {{"x-note", 6}, {"Basic c2VjcmV0", 14}},
	    {{"x-proxy", 7}, {"https://u:secret@h/", 19}},
	    {{"Content-Length", 14}, {"2", 1}},
	    {{"anthropic-beta", 14}, {"tools\x01\xff", 7}},
	    {{":path", 5}, {"/", 1}},
	};
	static const char *const expected[] = {
	    "Authorization: Bearer [masked:authorization]",
	    "x-api-key: [masked:api_key]",
	    "X-Goog-Api-Key: [masked:api_key]",
	    "Cookie: [masked:cookie]",
	    "helicone-auth: [masked:credential]",
	    "x-note: Basic [masked:authorization]",
	    "x-proxy: https://u:[masked:url_password]@h/",
	    "anthropic-beta: tools\x01\xef\xbf\xbd",
	};
	struct seen seen;

	(void)state;
	for (int level = CONTENT_NONE; level <= CONTENT_FULL; level++) {
		send_request(&seen, (enum content_level)level, headers, sizeof(headers) / sizeof(*headers),
		             "/v1/chat/completions?key=topsecret&v=1", SLICE("{}"));
		assert_true(slice_eq(text_of(&seen, ATTR_HTTP_METHOD), SLICE("POST")));
		assert_true(slice_eq(text_of(&seen, ATTR_URL_SCHEME), SLICE("https")));
		assert_true(slice_eq(text_of(&seen, ATTR_URL_PATH), SLICE("/v1/chat/completions")));
		assert_true(slice_eq(text_of(&seen, ATTR_URL_QUERY), SLICE("key=[masked:key]&v=1")));

		const struct attr *a = span_get(&seen.span, ATTR_REQUEST_HEADERS);
		if (level < CONTENT_REDACTED) {
			assert_null(a);
		} else {
			assert_non_null(a);
			assert_int_equal(a->strs.n, sizeof(expected) / sizeof(*expected));
			for (size_t i = 0; i < a->strs.n; i++)
				if (!slice_eq(a->strs.v[i], slice_str(expected[i])))
					fail_msg("%.*s", (int)a->strs.v[i].n, a->strs.v[i].p);
		}
		span_release(&seen.span);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(body_in_pieces),      cmocka_unit_test(body_with_secrets),
	    cmocka_unit_test(body_with_numbers),   cmocka_unit_test(target_of_a_proxy),
	    cmocka_unit_test(body_as_it_was_sent), cmocka_unit_test(head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
