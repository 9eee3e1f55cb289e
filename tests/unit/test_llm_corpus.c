/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorded traffic of real providers against what is expected of it: every
 * field of `expect` that a struct llm_call has.  The directory is taken from
 * SPANTAP_CORPUS, build/corpus/open without it; where there is none, the test
 * says so and is skipped.
 */
#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "llm/llm.h"
#include "proto/decode.h"

struct tally {
	const char *api;
	size_t exact, total;
};

static struct tally tallies[] = {{"openai.chat", 0, 0}, {"anthropic.messages", 0, 0}};

/* Its stream holds an error object beside choices, code 400 "Token limit reached", which `expect` leaves out.
 */
#define UNEXPECTED_ERROR SLICE("test_openrouter_stream_error.json")

struct check {
	const char *file;
	size_t n; /* exchange in the file */
	const struct llm_call *call;
	yyjson_val *expect;
	size_t differences;
};

static struct slice str_of(yyjson_val *v)
{
	return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : (struct slice){0};
}

static void differ(struct check *c, const char *field, struct slice got, struct slice want)
{
	c->differences++;
	printf("DIFF %s #%zu %s: got %.*s, expected %.*s\n", c->file, c->n, field,
	       (int)(got.n < 200 ? got.n : 200), got.p ? got.p : "", (int)(want.n < 200 ? want.n : 200),
	       want.p ? want.p : "");
}

static void check_str(struct check *c, const char *field, struct slice got, struct slice want)
{
	if (!slice_eq(got, want))
		differ(c, field, got, want);
}

static void check_int(struct check *c, const char *field, int64_t got, yyjson_val *v)
{
	int64_t want = yyjson_is_int(v) ? yyjson_get_sint(v) : LLM_NONE;
	char a[32], b[32];

	if (got == want)
		return;
	snprintf(a, sizeof(a), "%lld", (long long)got);
	snprintf(b, sizeof(b), "%lld", (long long)want);
	differ(c, field, slice_str(a), slice_str(b));
}

static void check_bool(struct check *c, const char *field, bool got, yyjson_val *want)
{
	if (got != yyjson_is_true(want))
		differ(c, field, slice_str(got ? "true" : "false"), slice_str(got ? "false" : "true"));
}

/* The texts of one kind of an output message, in one; false when there is none. */
static bool texts(const struct llm_call *call, size_t choice, enum llm_part_kind kind, struct buf *out)
{
	bool found = false;

	for (size_t i = 0; choice < call->output.n && i < call->output.v[choice].n_parts; i++) {
		const struct llm_part *part = &call->output.v[choice].parts[i];

		if (part->kind == kind) {
			buf_addslice(out, part->text);
			found = true;
		}
	}
	return found;
}

static void check_text(struct check *c, const char *what, size_t choice, enum llm_part_kind kind,
                       yyjson_val *sha, yyjson_val *len)
{
	unsigned char digest[crypto_hash_sha256_BYTES];
	struct buf text = {0}, hex = {0};

	texts(c->call, choice, kind, &text);
	crypto_hash_sha256(digest, (const unsigned char *)(text.n ? text.p : ""), text.n);
	text_hex(&hex, digest, sizeof(digest));
	check_int(c, what, (int64_t)text.n, len);
	check_str(c, what, buf_slice(&hex), str_of(sha));
	buf_release(&text);
	buf_release(&hex);
}

static void check_finish(struct check *c)
{
	yyjson_val *list = yyjson_obj_get(c->expect, "finish_reasons"), *v;
	struct buf got = {0}, want = {0};
	size_t i, n;

	for (size_t k = 0; k < c->call->n_finish_reasons; k++) {
		buf_addslice(&got, c->call->finish_reasons[k]);
		buf_addc(&got, ' ');
	}
	yyjson_arr_foreach(list, i, n, v)
	{
		buf_addslice(&want, str_of(v));
		buf_addc(&want, ' ');
	}
	check_str(c, "finish_reasons", buf_slice(&got), buf_slice(&want));
	buf_release(&got);
	buf_release(&want);
}

static bool same_json(struct slice got, yyjson_val *want)
{
	yyjson_doc *doc = yyjson_read(got.p, got.n, 0);
	bool same = doc && yyjson_equals(yyjson_doc_get_root(doc), want);

	yyjson_doc_free(doc);
	/* Arguments that are no JSON are expected as the string they are; none at all as null or {}. */
	return same || (yyjson_is_str(want) && slice_eq(got, str_of(want))) ||
	       (!got.n && (!want || yyjson_is_null(want)));
}

static void check_tools(struct check *c)
{
	yyjson_val *list = yyjson_obj_get(c->expect, "tool_calls"), *want;
	size_t at = 0;

	for (size_t k = 0; k < c->call->output.n; k++)
		for (size_t i = 0; i < c->call->output.v[k].n_parts; i++) {
			const struct llm_part *part = &c->call->output.v[k].parts[i];

			if (part->kind != LLM_TOOL_CALL || part->is_server)
				continue;
			want = yyjson_arr_get(list, at++);
			check_str(c, "tool id", part->id, str_of(yyjson_obj_get(want, "id")));
			check_str(c, "tool name", part->name, str_of(yyjson_obj_get(want, "name")));
			if (!same_json(part->text, yyjson_obj_get(want, "arguments")))
				differ(c, "tool arguments", part->text, SLICE("(see the file)"));
		}
	if (at != yyjson_arr_size(list))
		differ(c, "tool calls", slice_str("another number"), (struct slice){0});
}

static void check_usage(struct check *c)
{
	yyjson_val *u = yyjson_obj_get(c->expect, "usage_semconv");

	check_int(c, "usage.input", c->call->usage.input, yyjson_obj_get(u, "input"));
	check_int(c, "usage.output", c->call->usage.output, yyjson_obj_get(u, "output"));
	check_int(c, "usage.cache_read", c->call->usage.cache_read, yyjson_obj_get(u, "cache_read"));
	check_int(c, "usage.cache_write", c->call->usage.cache_creation, yyjson_obj_get(u, "cache_write"));
	check_int(c, "usage.reasoning", c->call->usage.reasoning, yyjson_obj_get(u, "reasoning"));
}

static void check_error(struct check *c)
{
	yyjson_val *e = yyjson_obj_get(c->expect, "error");
	struct slice want = str_of(yyjson_obj_get(e, "type"));
	struct slice head = str_of(yyjson_obj_get(e, "message_head")), got = c->call->error_message;
	char number[32];

	if (!e) {
		if (c->call->error_type.p && !slice_ends(slice_str(c->file), UNEXPECTED_ERROR))
			differ(c, "error", c->call->error_type, (struct slice){0});
		return;
	}
	if (!want.n)
		want = str_of(yyjson_obj_get(e, "code"));
	if (!want.n && (yyjson_is_int(yyjson_obj_get(e, "code")) || c->call->status >= 400)) {
		snprintf(number, sizeof(number), "%lld",
		         yyjson_is_int(yyjson_obj_get(e, "code"))
		             ? (long long)yyjson_get_sint(yyjson_obj_get(e, "code"))
		             : (long long)c->call->status);
		want = slice_str(number);
	}
	if (want.n)
		check_str(c, "error.type", c->call->error_type, want);
	if (!slice_starts(got, head))
		differ(c, "error.message", got, head);
}

static void check_choices(struct check *c)
{
	yyjson_val *list = yyjson_obj_get(c->expect, "choices"), *v;
	size_t i, n;

	if (list && yyjson_arr_size(list) != c->call->output.n)
		differ(c, "choices", slice_str("another number"), (struct slice){0});
	yyjson_arr_foreach(list, i, n, v) check_text(
	    c, "choice", i, LLM_TEXT, yyjson_obj_get(v, "text_sha256"), yyjson_obj_get(v, "text_len"));
}

static void check_call(struct check *c)
{
	yyjson_val *e = c->expect;
	bool full = slice_eq(str_of(yyjson_obj_get(e, "scope")), SLICE("full"));

	check_str(c, "operation", slice_str(c->call->operation), str_of(yyjson_obj_get(e, "operation")));
	check_str(c, "request_model", c->call->request_model, str_of(yyjson_obj_get(e, "request_model")));
	check_bool(c, "request_stream", c->call->stream, yyjson_obj_get(e, "request_stream"));
	check_int(c, "status", c->call->status, yyjson_obj_get(e, "status"));
	check_error(c);
	if (!full)
		return;

	check_str(c, "response_id", c->call->response_id, str_of(yyjson_obj_get(e, "response_id")));
	check_str(c, "response_model", c->call->response_model, str_of(yyjson_obj_get(e, "response_model")));
	if (yyjson_obj_get(e, "stream_complete"))
		check_bool(c, "stream_complete", c->call->state == LLM_COMPLETE && c->call->n_finish_reasons,
		           yyjson_obj_get(e, "stream_complete"));
	check_finish(c);
	check_usage(c);
	check_tools(c);
	check_text(c, "text", 0, LLM_TEXT, yyjson_obj_get(e, "text_sha256"), yyjson_obj_get(e, "text_len"));
	if (yyjson_obj_get(e, "reasoning_sha256"))
		check_text(c, "reasoning", 0, LLM_REASONING, yyjson_obj_get(e, "reasoning_sha256"),
		           yyjson_obj_get(e, "reasoning_len"));
	check_choices(c);
}

/* ---- an exchange of a file becomes callbacks ---- */

static struct http_headers headers_of(struct arena *arena, yyjson_val *v)
{
	struct http_headers h = {0};
	size_t i, n;
	yyjson_val *key, *value;

	yyjson_obj_foreach(v, i, n, key, value)
	{
		struct http_header *added = arena_push(arena, &h.v, &h.n, sizeof(*added));

		*added = (struct http_header){str_of(key), str_of(value)};
	}
	yyjson_arr_foreach(v, i, n, value)
	{
		struct http_header *added = arena_push(arena, &h.v, &h.n, sizeof(*added));

		*added =
		    (struct http_header){str_of(yyjson_arr_get(value, 0)), str_of(yyjson_arr_get(value, 1))};
	}
	return h;
}

static void add_bytes(void *ctx, struct slice bytes)
{
	buf_addslice(ctx, bytes);
}

/* False when the body is encoded in a way that decode.h does not know. */
static bool body_of(struct buf *out, yyjson_val *message, struct slice encoding)
{
	struct slice b64 = str_of(yyjson_obj_get(message, "body_b64"));
	unsigned char *raw = malloc(b64.n + 1);
	size_t n = 0;

	if (b64.n &&
	    sodium_base642bin(raw, b64.n, b64.p, b64.n, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL))
		abort();

	/* A header may remain on a body that was decoded already. */
	bool gzip = n > 1 && raw[0] == 0x1f && raw[1] == 0x8b;
	bool brotli = slice_caseeq(encoding, SLICE("br")) && n && raw[0] >= 0x80;
	struct decoder *d = decoder_new(gzip || brotli ? encoding : (struct slice){0}, add_bytes, out);
	if (d)
		decoder_feed(d, slice_of(raw, n));
	decoder_free(d);
	free(raw);
	return d != NULL;
}

static struct llm_call *ended;

static void on_begin(void *ctx, struct llm_call *call)
{
	(void)ctx, (void)call;
}

static void on_end(void *ctx, struct llm_call *call)
{
	(void)ctx;
	llm_call_free(ended);
	ended = call;
}

/* The target as a request line has it; a placeholder host has no authority to cut off. */
static struct slice target_of(struct slice url, struct slice *ret_host)
{
	const char *scheme = slice_find(url, SLICE("://"));
	struct slice rest = scheme ? slice_from(url, (size_t)(scheme - url.p) + 3) : url;
	const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
	struct slice target;

	*ret_host = slice_of(rest.p, slash ? (size_t)(slash - rest.p) : rest.n);
	rest = slash ? slice_from(rest, ret_host->n) : SLICE("/");
	slice_cut(&rest, '#', &target); /* Mistral's client names its streams so; not sent */
	return target;
}

/* In pieces of a random length up to `step`, 0: at once. */
static void feed(struct llm *l, struct exchange *x,
                 void (*body)(void *, struct exchange *, uint64_t, struct slice), struct slice s, size_t step)
{
	while (s.n) {
		size_t n = step ? 1 + (size_t)rand() % step : s.n;

		n = n < s.n ? n : s.n;
		body(l, x, 1, slice_of(s.p, n));
		s = slice_from(s, n);
	}
}

static bool run(struct llm *l, struct arena *arena, yyjson_val *item, size_t step)
{
	yyjson_val *rq = yyjson_obj_get(item, "request"), *rs = yyjson_obj_get(item, "response");
	struct exchange x = {.method = str_of(yyjson_obj_get(rq, "method")), .request_dir = EV_DIR_WRITE};
	struct buf request = {0}, response = {0};
	struct slice host;

	x.target = target_of(str_of(yyjson_obj_get(rq, "url")), &host);
	x.request_headers = headers_of(arena, yyjson_obj_get(rq, "headers"));
	x.response_headers = headers_of(arena, yyjson_obj_get(rs, "headers"));
	if (!http_header_get(&x.request_headers, SLICE("host")).n) {
		struct http_header *added =
		    arena_push(arena, &x.request_headers.v, &x.request_headers.n, sizeof(*added));
		*added = (struct http_header){SLICE("host"), host};
	}
	bool decoded =
	    body_of(&request, rq, http_header_get(&x.request_headers, SLICE("content-encoding"))) &&
	    body_of(&response, rs, http_header_get(&x.response_headers, SLICE("content-encoding")));

	llm_proto_events.request(l, &x);
	feed(l, &x, llm_proto_events.request_body, buf_slice(&request), step);
	llm_proto_events.request_end(l, &x);
	x.status = (uint16_t)yyjson_get_uint(yyjson_obj_get(rs, "status"));
	llm_proto_events.response(l, &x);
	feed(l, &x, llm_proto_events.response_body, buf_slice(&response), step);
	llm_proto_events.end(l, &x);
	arena_release(&x.arena);
	buf_release(&request);
	buf_release(&response);
	return decoded;
}

/* The same exchange in other pieces gives the same call. */
static void check_cuts(struct check *c, struct llm *l, struct arena *arena, yyjson_val *item)
{
	struct buf whole = {0}, cut = {0};

	llm_call_print(&whole, ended);
	run(l, arena, item, 200);
	llm_call_print(&cut, ended);
	check_str(c, "cuts", buf_slice(&cut), buf_slice(&whole));
	buf_release(&whole);
	buf_release(&cut);
}

static void check_exchange(struct llm *l, const char *file, size_t n, yyjson_val *item)
{
	yyjson_val *expect = yyjson_obj_get(item, "expect");
	struct slice scope = str_of(yyjson_obj_get(expect, "scope")),
	             api = str_of(yyjson_obj_get(item, "api"));
	struct arena arena = {0};

	if (!slice_eq(scope, SLICE("full")) && !slice_eq(scope, SLICE("error")))
		return;
	for (size_t i = 0; i < sizeof(tallies) / sizeof(*tallies); i++) {
		if (!slice_eq(api, slice_str(tallies[i].api)))
			continue;

		struct check c = {.file = file, .n = n, .expect = expect};
		bool decoded = run(l, &arena, item, 0);
		c.call = ended;
		if (!decoded)
			printf("SKIP %s #%zu: its content encoding is not supported\n", file, n);
		else if (!ended)
			differ(&c, "call", SLICE("none"), api);
		else
			check_call(&c);
		if (decoded && ended)
			check_cuts(&c, l, &arena, item);
		tallies[i].total += decoded;
		tallies[i].exact += decoded && c.differences == 0;
		llm_call_free(ended);
		ended = NULL;
	}
	arena_release(&arena);
}

static void check_file(struct llm *l, const char *path)
{
	yyjson_doc *doc = yyjson_read_file(path, 0, NULL, NULL);
	size_t i, n;
	yyjson_val *item;

	yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, item) if (yyjson_is_obj(item))
	    check_exchange(l, path, i, item);
	yyjson_doc_free(doc);
}

static void check_directory(struct llm *l, const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);
	struct buf name = {0};

	for (int i = 0; i < n; i++) {
		struct slice entry = slice_str(entries[i]->d_name);

		buf_clear(&name);
		buf_addf(&name, "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_type == DT_DIR && entry.p[0] != '.')
			check_directory(l, buf_str(&name));
		else if (slice_ends(entry, SLICE(".json")))
			check_file(l, buf_str(&name));
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	buf_release(&name);
}

int main(void)
{
	static const struct llm_events events = {on_begin, on_end};
	const char *path = getenv("SPANTAP_CORPUS");
	DIR *d;
	int failed = 0;

	path = path ? path : "build/corpus/open";
	d = opendir(path);
	if (!d) {
		printf("SKIP test_llm_corpus: no recorded traffic in %s (unpack it, or set SPANTAP_CORPUS)\n",
		       path);
		return 0;
	}
	closedir(d);

	struct llm *l = llm_new(&events, NULL);
	check_directory(l, path);
	llm_free(l);
	for (size_t i = 0; i < sizeof(tallies) / sizeof(*tallies); i++) {
		printf("%s: %zu of %zu exact\n", tallies[i].api, tallies[i].exact, tallies[i].total);
		failed |= tallies[i].exact != tallies[i].total || !tallies[i].total;
	}
	return failed;
}
