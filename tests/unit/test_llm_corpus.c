/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorded traffic of real providers against what is expected of it: every
 * field of `expect` that a struct llm_call has.  Each exchange is written as
 * HTTP/1.1 and read back through proto/: as recorded, then in random pieces,
 * chunked, and compressed in each coding (encoders.h), requests too; the calls must be the same.  Then with
 * holes: a call that is reported as complete must still be exact, and the calls before and behind it on the
 * connection too.
 *
 * The directory is taken from SPANTAP_CORPUS, build/corpus/open without it;
 * where there is none, the test says so and is skipped.  SPANTAP_CORPUS_HOLES
 * is the number of holes tried for each exchange (2).  Differences that are
 * known and right lie in tests/golden/known.tsv: file, exchange, field, raw
 * bytes, reason; one that no longer occurs is an error.
 */
#include <dirent.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/text.h"
#include "llm/llm.h"
#include "llm/mcp.h"
#include "recorded.h"

#define KNOWN "tests/golden/known.tsv"

/* What must be exact; of the rest it is only said how much is. Scope none, that no call is made, is always.
 */
static const char *const covered[] = {
    "openai.chat",
    "openai.completions",
    "openai.responses",
    "openai.embeddings",
    "openai.images",
    "openai.audio",
    "openai.moderations",
    "anthropic.messages",
    "anthropic.count_tokens",
    "anthropic.complete",
    "gemini.generate",
    "gemini.embed",
    "gemini.count_tokens",
    "gemini.predict",
    "gemini.interactions",
    "bedrock.converse",
    "bedrock.invoke",
    "bedrock.agent",
    "cohere.chat.v1",
    "cohere.chat.v2",
    "cohere.generate",
    "cohere.embed",
    "cohere.rerank",
    "ollama.chat",
    "ollama.generate",
    "mcp",
};

struct tally {
	char name[64];
	size_t exact, total;
	bool covered;
};

static struct tally tallies[256];
static size_t n_tallies;

struct known {
	struct slice file, n, field;
	bool seen;
};

static struct known knowns[256];
static size_t n_knowns;

/* By where the hole lies, and when it is reported: in its place, or with the byte behind it. */
static struct holed {
	size_t holes, complete, before, before_exact, behind, behind_exact;
} holed[2][2];

/* Why a call that no hole overlaps was marked, and where the hole began. */
static struct cause {
	const char *why, *began;
	size_t n;
} causes[32];

static void count_cause(const char *why, const char *began)
{
	size_t i = 0;

	while (i < sizeof(causes) / sizeof(*causes) - 1 && causes[i].n &&
	       (strcmp(causes[i].why, why) || strcmp(causes[i].began, began)))
		i++;
	causes[i] = (struct cause){why, began, causes[i].n + 1};
}

/* Clients that pipeline inside a hole: against the RFC, and as it allows. */
static struct {
	size_t tried;
} pipelined[2];

/* By the row of check_transports(). */
static struct {
	size_t exact, total;
} transports[8];

struct check {
	const char *file;
	size_t n; /* exchange in the file */
	const struct llm_call *call;
	yyjson_val *expect;
	size_t differences;
};

static bool is_known(const struct check *c, const char *field)
{
	char n[24];

	snprintf(n, sizeof(n), "%zu", c->n);
	for (size_t i = 0; i < n_knowns; i++)
		if (slice_ends(slice_str(c->file), knowns[i].file) && slice_eq(slice_str(n), knowns[i].n) &&
		    slice_eq(slice_str(field), knowns[i].field)) {
			knowns[i].seen = true;
			return true;
		}
	return false;
}

static void differ(struct check *c, const char *field, struct slice got, struct slice want)
{
	if (is_known(c, field))
		return;
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
		if (yyjson_is_int(v)) /* Gemini with enum-encoding=int */
			buf_addf(&want, "%lld", (long long)yyjson_get_sint(v));
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

/* What the agent runs, but `expect` counts among the items that are no function calls. */
static bool is_item(const struct llm_part *part)
{
	static const char *const items[] = {"local_shell_call", "shell_call", "apply_patch_call",
	                                    "computer_call"};

	for (size_t i = 0; i < sizeof(items) / sizeof(*items); i++)
		if (part->kind == LLM_TOOL_CALL && slice_eq(part->name, slice_str(items[i])))
			return true;
	return false;
}

static void check_tools(struct check *c)
{
	yyjson_val *list = yyjson_obj_get(c->expect, "tool_calls"), *want;
	size_t at = 0;

	for (size_t k = 0; k < c->call->output.n; k++)
		for (size_t i = 0; i < c->call->output.v[k].n_parts; i++) {
			const struct llm_part *part = &c->call->output.v[k].parts[i];

			if (part->kind != LLM_TOOL_CALL || part->is_server || is_item(part))
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
		if (c->call->error_type.p)
			differ(c, "error", c->call->error_type, (struct slice){0});
		return;
	}
	if (!want.n) /* Google's word beside the number */
		want = str_of(yyjson_obj_get(e, "status"));
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

static void check_framing(struct check *c)
{
	struct slice want = str_of(yyjson_obj_get(c->expect, "stream_framing"));

	check_str(c, "stream_framing", slice_str(c->call->framing), want);
	if (yyjson_obj_get(c->expect, "stream"))
		check_bool(c, "stream", c->call->framing != NULL, yyjson_obj_get(c->expect, "stream"));
}

/* What the provider ran itself, by the names that `expect` has for it. */
static void check_server_items(struct check *c)
{
	yyjson_val *list = yyjson_obj_get(c->expect, "server_items"), *v;
	struct buf got = {0}, want = {0};
	size_t i, n;

	yyjson_arr_foreach(list, i, n, v) buf_addf(&want, "%s ", yyjson_get_str(v));
	for (size_t k = 0; list && c->call->output.n && k < c->call->output.v[0].n_parts; k++) {
		const struct llm_part *part = &c->call->output.v[0].parts[k];
		bool anthropic = slice_starts(slice_str(c->call->api), SLICE("anthropic"));

		if (part->kind == LLM_REASONING && slice_eq(part->name, SLICE("redacted")))
			buf_adds(&got, "redacted_thinking ");
		if (part->kind == LLM_OTHER && slice_eq(part->name, SLICE("refusal")))
			continue;
		if (!part->is_server && part->kind != LLM_OTHER && !is_item(part))
			continue;
		if (part->kind == LLM_TOOL_CALL && anthropic)
			buf_adds(&got, "server_tool_use:");
		if (slice_starts(slice_str(c->call->api), SLICE("gemini")) &&
		    slice_find(part->text, SLICE("toolType")))
			buf_adds(&got, part->kind == LLM_TOOL_CALL ? "toolCall" : "toolResponse");
		else
			buf_addslice(&got, part->name);
		buf_addc(&got, ' ');
	}
	if (list)
		check_str(c, "server_items", buf_slice(&got), buf_slice(&want));
	buf_release(&got);
	buf_release(&want);
}

static void check_refusal(struct check *c)
{
	int64_t n = 0;

	if (!yyjson_obj_get(c->expect, "refusal_len"))
		return;
	for (size_t k = 0; c->call->output.n && k < c->call->output.v[0].n_parts; k++)
		if (slice_eq(c->call->output.v[0].parts[k].name, SLICE("refusal")))
			n += (int64_t)c->call->output.v[0].parts[k].text.n;
	check_int(c, "refusal_len", n, yyjson_obj_get(c->expect, "refusal_len"));
}

/* A word of the conventions where `expect` has one; where it has none, none of theirs. */
static void check_operation(struct check *c)
{
	static const char *const words[] = {"chat", "text_completion", "embeddings", "generate_content"};
	struct slice want = str_of(yyjson_obj_get(c->expect, "operation"));

	if (want.n) {
		check_str(c, "operation", slice_str(c->call->operation), want);
		return;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (slice_eq(slice_str(c->call->operation), slice_str(words[i])))
			differ(c, "operation", slice_str(words[i]), (struct slice){0});
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
	struct slice scope = str_of(yyjson_obj_get(e, "scope"));

	check_operation(c);
	/* A form's fields are not in `expect`. */
	if (!slice_eq(scope, SLICE("request_only")) || str_of(yyjson_obj_get(e, "request_model")).n)
		check_str(c, "request_model", c->call->request_model,
		          str_of(yyjson_obj_get(e, "request_model")));
	check_bool(c, "request_stream", c->call->stream, yyjson_obj_get(e, "request_stream"));
	check_int(c, "status", c->call->status, yyjson_obj_get(e, "status"));
	if (!slice_eq(scope, SLICE("request_only")))
		check_error(c);
	if (yyjson_is_true(yyjson_obj_get(e, "empty_body")))
		check_bool(c, "empty", c->call->response_bytes == 0, yyjson_obj_get(e, "empty_body"));
	if (!slice_eq(scope, SLICE("full")))
		return;

	check_framing(c);
	check_str(c, "response_id", c->call->response_id, str_of(yyjson_obj_get(e, "response_id")));
	check_str(c, "response_model", c->call->response_model, str_of(yyjson_obj_get(e, "response_model")));
	if (yyjson_obj_get(e, "response_status"))
		check_str(c, "response_status", c->call->response_status,
		          str_of(yyjson_obj_get(e, "response_status")));
	if (yyjson_obj_get(e, "embeddings_count"))
		check_int(c, "embeddings_count", c->call->output_count,
		          yyjson_obj_get(e, "embeddings_count"));
	if (yyjson_obj_get(e, "stream_complete"))
		check_bool(c, "stream_complete", c->call->state == LLM_COMPLETE && c->call->n_finish_reasons,
		           yyjson_obj_get(e, "stream_complete"));
	else
		check_bool(c, "complete", c->call->state != LLM_COMPLETE, NULL);
	check_finish(c);
	check_usage(c);
	check_tools(c);
	check_server_items(c);
	check_refusal(c);
	if (yyjson_obj_get(e, "text_sha256"))
		check_text(c, "text", 0, LLM_TEXT, yyjson_obj_get(e, "text_sha256"),
		           yyjson_obj_get(e, "text_len"));
	if (yyjson_obj_get(e, "reasoning_sha256"))
		check_text(c, "reasoning", 0, LLM_REASONING, yyjson_obj_get(e, "reasoning_sha256"),
		           yyjson_obj_get(e, "reasoning_len"));
	check_choices(c);
}

/* ---- and is read back ---- */

static struct {
	struct llm_call *calls[8];
	size_t n;
} ended;

static void on_begin(void *ctx, struct llm_call *call)
{
	(void)ctx, (void)call;
}

static void on_end(void *ctx, struct llm_call *call)
{
	(void)ctx;
	if (ended.n < sizeof(ended.calls) / sizeof(*ended.calls))
		ended.calls[ended.n++] = call;
	else
		llm_call_free(call);
}

/* "method id tool", one a line, of the exchange. */
static struct buf mcp_seen;

static void on_mcp(void *ctx, const struct mcp_request *m)
{
	(void)ctx;
	buf_addf(&mcp_seen, "%.*s %.*s %.*s\n", (int)m->method.n, m->method.p ? m->method.p : "",
	         (int)m->id.n, m->id.p ? m->id.p : "", (int)m->tool.n, m->tool.p ? m->tool.p : "");
}

static void check_mcp(struct check *c)
{
	yyjson_val *list = yyjson_obj_get(c->expect, "mcp"), *v, *id;
	struct buf want = {0};
	size_t i, n;

	yyjson_arr_foreach(list, i, n, v)
	{
		struct slice tool = str_of(yyjson_obj_get(v, "tool"));

		id = yyjson_obj_get(v, "id");
		buf_addslice(&want, str_of(yyjson_obj_get(v, "method")));
		buf_addc(&want, ' ');
		if (yyjson_is_int(id))
			buf_addf(&want, "%lld", (long long)yyjson_get_sint(id));
		buf_addslice(&want, str_of(id));
		buf_addf(&want, " %.*s\n", (int)tool.n, tool.p ? tool.p : "");
	}
	check_str(c, "mcp", buf_slice(&mcp_seen), buf_slice(&want));
	buf_release(&want);
}

static void clear_ended(void)
{
	buf_clear(&mcp_seen);
	while (ended.n)
		llm_call_free(ended.calls[--ended.n]);
}

/* Bytes from..to of the direction are lost. */
struct hole {
	enum ev_dir dir;
	size_t from, to;
};

struct wire {
	struct proto_conn *conn;
	size_t at[2]; /* bytes of each direction that went by */
	const struct hole *hole;
	bool late;      /* the hole is reported before the next byte of either direction, not at once */
	size_t pending; /* bytes of it that were not reported yet */
};

static void report_hole(struct wire *w)
{
	if (w->pending)
		proto_gap(w->conn, w->hole->dir, 1, w->pending, GAP_RING);
	w->pending = 0;
}

static void send_piece(struct wire *w, enum ev_dir dir, struct slice s)
{
	const struct hole *h = w->hole;
	size_t *at = &w->at[dir == EV_DIR_WRITE];

	if (h && h->dir == dir && *at<h->to && * at + s.n> h->from) {
		size_t before = *at < h->from ? h->from - *at : 0;
		size_t end = *at + s.n < h->to ? s.n : h->to - *at;

		if (before)
			proto_feed(w->conn, dir, 1, slice_of(s.p, before));
		w->pending += end - before;
		*at += s.n;
		if (!w->late || end < s.n)
			report_hole(w);
		if (end < s.n)
			proto_feed(w->conn, dir, 1, slice_from(s, end));
		return;
	}
	*at += s.n;
	report_hole(w);
	proto_feed(w->conn, dir, 1, s);
}

static void send_bytes(struct wire *w, enum ev_dir dir, struct slice s, size_t step)
{
	while (s.n) {
		size_t n = step ? 1 + (size_t)rand() % step : s.n;

		n = n < s.n ? n : s.n;
		send_piece(w, dir, slice_of(s.p, n));
		s = slice_from(s, n);
	}
}

static const struct conn_info info = {.id = {.gen = 1}};

/* The calls of one exchange on a connection of its own are in `ended` then. */
static bool run(struct llm *l, yyjson_val *item, const struct transport *t)
{
	struct wire w = {.conn = proto_open(&llm_proto_events, l, &info)};
	struct buf rq = {0}, rs = {0};
	bool ok = write_exchange(&rq, &rs, item, t);

	clear_ended();
	if (ok) {
		send_bytes(&w, EV_DIR_WRITE, buf_slice(&rq), t->step);
		send_bytes(&w, EV_DIR_READ, buf_slice(&rs), t->step);
	}
	proto_close(w.conn, 1, true);
	buf_release(&rq);
	buf_release(&rs);
	return ok;
}

static void print_call(struct buf *out, const struct llm_call *call)
{
	buf_clear(out);
	if (call)
		llm_call_print(out, call);
}

/* The same exchange in other pieces gives the same call. */
static void check_transports(struct check *c, struct llm *l, yyjson_val *item)
{
	static const struct transport others[] = {
	    {.step = 200},
	    {.chunked = true, .step = 3000},
	    {.chunked = true, .response = ENCODE_GZIP, .step = 700},
	    {.request = ENCODE_ZSTD, .response = ENCODE_MEMBERS, .step = 1000},
	    {.chunked = true, .response = ENCODE_BR, .step = 300},
	    {.request = ENCODE_BR, .response = ENCODE_ZSTD, .step = 1000},
	    {.chunked = true, .request = ENCODE_GZIP, .response = ENCODE_ZLIB, .step = 500},
	    {.request = ENCODE_RAW, .response = ENCODE_RAW, .step = 900},
	};
	struct buf whole = {0}, other = {0};

	print_call(&whole, ended.calls[0]);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		run(l, item, &others[i]);
		print_call(&other, ended.n == 1 ? ended.calls[0] : NULL);
		check_str(c, "transport", buf_slice(&other), buf_slice(&whole));
		transports[i].total++;
		transports[i].exact += slice_eq(buf_slice(&other), buf_slice(&whole));
	}
	buf_release(&whole);
	buf_release(&other);
}

/* ---- holes ---- */

#define NEIGHBOUR_BODY                                                                                       \
	"{\"model\":\"neighbour\",\"messages\":[{\"role\":\"user\",\"content\":\"are you there\"}]}"
#define NEIGHBOUR_ANSWER                                                                                     \
	"{\"id\":\"n\",\"model\":\"neighbour\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"yes\"}," \
	"\"finish_reason\":\"stop\"}]}"

static void write_neighbour(struct buf *rq, struct buf *rs)
{
	buf_addf(rq, "POST /v1/chat/completions HTTP/1.1\r\nhost: neighbour\r\ncontent-length: %zu\r\n\r\n%s",
	         sizeof(NEIGHBOUR_BODY) - 1, NEIGHBOUR_BODY);
	buf_addf(rs, "HTTP/1.1 200 x\r\ncontent-length: %zu\r\n\r\n%s", sizeof(NEIGHBOUR_ANSWER) - 1,
	         NEIGHBOUR_ANSWER);
}

static void send_neighbour(struct wire *w)
{
	struct buf rq = {0}, rs = {0};

	write_neighbour(&rq, &rs);
	send_bytes(w, EV_DIR_WRITE, buf_slice(&rq), 0);
	send_bytes(w, EV_DIR_READ, buf_slice(&rs), 0);
	buf_release(&rq);
	buf_release(&rs);
}

static bool is_neighbour(const struct llm_call *call)
{
	return slice_eq(call->request_model, SLICE("neighbour"));
}

/* Whether a complete neighbour says what it must; one that is incomplete claims nothing. */
static bool neighbour_is_right(const struct llm_call *call)
{
	return call->state != LLM_COMPLETE ||
	       (slice_eq(call->response_id, SLICE("n")) && call->output.n == 1 &&
	        call->output.v[0].n_parts == 1 && slice_eq(call->output.v[0].parts[0].text, SLICE("yes")));
}

/* `at`: in the exchange. */
static const char *hole_began(const struct buf *rq, const struct hole *h, size_t at)
{
	const char *body = slice_find(buf_slice(rq), SLICE("\r\n\r\n"));

	if (h->dir == EV_DIR_READ)
		return "in a response";
	if (at < 5)
		return "before the method of a request was seen";
	return at < (size_t)(body - rq->p) ? "in the head of a request" : "in the body of a request";
}

static void check_hole(struct check *c, struct llm *l, yyjson_val *item, struct slice whole)
{
	struct transport t = {.chunked = rand() % 2,
	                      .response = rand() % 2 ? (enum encoder)(rand() % ENCODERS) : ENCODE_NOT,
	                      .step = 2000};
	struct buf rq = {0}, rs = {0}, text = {0};
	struct hole h = {.dir = rand() % 3 ? EV_DIR_READ : EV_DIR_WRITE};
	struct wire w = {.conn = proto_open(&llm_proto_events, l, &info), .hole = &h, .late = rand() % 2};
	struct holed *tally = &holed[h.dir == EV_DIR_READ][w.late];
	size_t length, begun, before;

	write_exchange(&rq, &rs, item, &t);
	length = h.dir == EV_DIR_WRITE ? rq.n : rs.n;
	clear_ended();
	send_neighbour(&w);
	begun = ended.n;
	before = w.at[h.dir == EV_DIR_WRITE];
	h.from = before + (size_t)rand() % length;
	h.to = h.from + 1 + (size_t)rand() % (rand() % 2 ? 30 : length);
	/* Only within this exchange: the neighbours must not suffer. */
	if (h.to > w.at[h.dir == EV_DIR_WRITE] + length)
		h.to = w.at[h.dir == EV_DIR_WRITE] + length;
	send_bytes(&w, EV_DIR_WRITE, buf_slice(&rq), t.step);
	send_bytes(&w, EV_DIR_READ, buf_slice(&rs), t.step);
	send_neighbour(&w);
	proto_close(w.conn, 1, true);

	tally->holes++;
	tally->before++;
	tally->behind++;
	for (size_t i = 0; i < ended.n; i++) {
		const struct llm_call *call = ended.calls[i];

		if (is_neighbour(call)) {
			*(i < begun ? &tally->before_exact : &tally->behind_exact) +=
			    call->state == LLM_COMPLETE;
			if (call->state != LLM_COMPLETE)
				count_cause(call->why_incomplete, hole_began(&rq, &h, h.from - before));
			if (!neighbour_is_right(call))
				differ(c, "hole: neighbour", call->response_id, SLICE("n"));
		} else if (call->state == LLM_COMPLETE) {
			print_call(&text, call);
			tally->complete++;
			check_str(c, "hole: complete", buf_slice(&text), whole);
		}
	}
	buf_release(&rq);
	buf_release(&rs);
	buf_release(&text);
}

/*
 * A client that pipelines behind the hole, and hides it there.  `legal`: as RFC
 * 9112 lets it, a GET with the next request behind it, once the exchange is
 * over; else the next request is sent while the exchange is unanswered, and the
 * hole lies in its answer.  A complete call must not have another's answer.
 */
static void check_pipelining(struct check *c, struct llm *l, yyjson_val *item, bool legal)
{
	static const char get[] = "GET /v1/models HTTP/1.1\r\nhost: neighbour\r\n\r\n";
	static const char got[] = "HTTP/1.1 200 x\r\ncontent-length: 11\r\n\r\n{\"id\":\"no\"}";
	struct transport t = {.chunked = rand() % 2};
	struct hole h = {.dir = legal ? EV_DIR_WRITE : EV_DIR_READ};
	struct wire w = {.conn = proto_open(&llm_proto_events, l, &info), .hole = &h, .late = rand() % 2};
	struct buf rq = {0}, rs = {0}, next_rq = {0}, next_rs = {0};

	write_exchange(&rq, &rs, item, &t);
	clear_ended();
	send_neighbour(&w);
	h.from = w.at[h.dir == EV_DIR_WRITE] + (size_t)rand() % (legal ? rq.n : rs.n);
	h.to = legal ? w.at[1] + rq.n + sizeof(get) - 1 : h.from + 1 + (size_t)rand() % rs.n;
	write_neighbour(&next_rq, &next_rs);
	send_bytes(&w, EV_DIR_WRITE, buf_slice(&rq), 0);
	if (!legal)
		send_bytes(&w, EV_DIR_WRITE, buf_slice(&next_rq), 0);
	send_bytes(&w, EV_DIR_READ, buf_slice(&rs), 0);
	if (legal) {
		send_bytes(&w, EV_DIR_WRITE, slice_of(get, sizeof(get) - 1), 0);
		send_bytes(&w, EV_DIR_WRITE, buf_slice(&next_rq), 0);
		send_bytes(&w, EV_DIR_READ, slice_of(got, sizeof(got) - 1), 0);
	}
	send_bytes(&w, EV_DIR_READ, buf_slice(&next_rs), 0);
	proto_close(w.conn, 1, true);
	pipelined[legal].tried++;
	for (size_t i = 0; i < ended.n; i++)
		if (is_neighbour(ended.calls[i]) && !neighbour_is_right(ended.calls[i]))
			differ(c, legal ? "hole: pipelined" : "hole: pipelined against the RFC",
			       ended.calls[i]->response_id, SLICE("n"));
	buf_release(&rq);
	buf_release(&rs);
	buf_release(&next_rq);
	buf_release(&next_rs);
}

/* ---- lost records ---- */

/*
 * Four exchanges on one connection, the recorded one and three neighbours, as
 * records of the kernel, of which a burst is lost: in both directions, as when
 * the ring is full for a while.  Calls without a lost record must be complete.
 */
#define SESSION_EXCHANGES 4
#define SESSION_RECORDS   4096
#define RECORD_BYTES_MAX  700

static struct {
	size_t bursts, intact, complete;
} lost_records[2]; /* in one direction, in both */

struct session {
	struct record {
		enum ev_dir dir;
		struct slice bytes;
		unsigned exchange;
		bool lost;
	} v[SESSION_RECORDS];
	size_t n;
	bool hit[SESSION_EXCHANGES];
	size_t begin[SESSION_EXCHANGES]; /* of the request, in its direction */
	struct buf bytes[SESSION_EXCHANGES][2];
};

/* A write or read as programs make them: the head by itself, or with what follows. */
static void add_pieces(struct session *s, unsigned exchange, enum ev_dir dir)
{
	struct slice rest = buf_slice(&s->bytes[exchange][dir]);
	const char *end = slice_find(rest, SLICE("\r\n\r\n"));
	size_t n = end && rand() % 2 ? (size_t)(end - rest.p) + 4 : 0;

	while (rest.n && s->n < SESSION_RECORDS) {
		if (!n)
			n = 1 + (size_t)rand() % (rand() % 8 ? RECORD_BYTES_MAX : rest.n);
		n = n < rest.n && s->n < SESSION_RECORDS - 8 ? n : rest.n;
		s->v[s->n++] = (struct record){dir, slice_of(rest.p, n), exchange, false};
		rest = slice_from(rest, n);
		n = 0;
	}
}

static void make_session(struct session *s, yyjson_val *item)
{
	struct transport t = {.chunked = rand() % 2};

	for (unsigned i = 0; i < SESSION_EXCHANGES; i++) {
		s->begin[i] = i ? s->begin[i - 1] + s->bytes[i - 1][0].n : 0;
		if (i == 1)
			write_exchange(&s->bytes[i][0], &s->bytes[i][1], item, &t);
		else
			write_neighbour(&s->bytes[i][0], &s->bytes[i][1]);
		add_pieces(s, i, EV_DIR_WRITE);
		add_pieces(s, i, EV_DIR_READ);
	}
}

/* Returns whether both directions lost something. */
static bool lose_burst(struct session *s)
{
	size_t from = (size_t)rand() % s->n, n = 1 + (size_t)rand() % (rand() % 2 ? 3 : 12);
	bool lost[2] = {false};

	for (size_t i = from; i < from + n && i < s->n; i++) {
		s->v[i].lost = s->hit[s->v[i].exchange] = true;
		lost[s->v[i].dir] = true;
	}
	return lost[0] && lost[1];
}

static void *on_open(void *ctx, const struct conn_info *conn_info)
{
	return proto_open(&llm_proto_events, ctx, conn_info);
}

static void on_bytes(void *conn, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	proto_feed(conn, dir, ts, bytes);
}

static void on_gap(void *conn, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	proto_gap(conn, dir, ts, n, cause);
}

static void on_close(void *conn, uint64_t ts, bool complete)
{
	proto_close(conn, ts, complete);
}

/* The kernel side as far as it numbers: what it says of each call, and what it keeps of a lost one. */
struct kernel {
	struct streams *streams;
	uint64_t passed[2], met[2];
	struct ev_data kept[2];
	uint8_t begin[2][EV_BEGIN_MAX];
};

static void give_record(struct kernel *k, const struct ev_data *head, const void *bytes)
{
	struct ev_data *d = xcalloc(1, sizeof(*d) + head->len);

	*d = *head;
	memcpy(d->data, bytes, d->len);
	streams_data(k->streams, d);
	free(d);
}

static void give_kept(struct kernel *k)
{
	for (int dir = 0; dir < 2; dir++) {
		if (k->kept[dir].len)
			give_record(k, &k->kept[dir], k->begin[dir]);
		k->kept[dir].len = 0;
	}
}

static void keep(struct kernel *k, const struct ev_data *head, const void *bytes)
{
	if (!head->moved && head->offset)
		return;
	k->kept[head->dir] = *head;
	k->kept[head->dir].len = head->len < EV_BEGIN_MAX ? head->len : EV_BEGIN_MAX;
	memcpy(k->begin[head->dir], bytes, k->kept[head->dir].len);
}

static void run_session(const struct session *s, struct llm *l)
{
	static const struct stream_events stream_events = {on_open, on_bytes, on_gap, on_close};
	struct kernel k = {.streams = streams_new(&stream_events, l)};

	for (size_t i = 0; i < s->n; i++) {
		const struct record *p = &s->v[i];
		struct ev_data d = {.head = {EV_DATA, (uint32_t)(sizeof(d) + p->bytes.n), 1},
		                    .offset = k.passed[p->dir],
		                    .other = k.passed[!p->dir],
		                    .moved = (uint32_t)(k.passed[!p->dir] - k.met[p->dir]),
		                    .len = (uint32_t)p->bytes.n,
		                    .dir = (uint8_t)p->dir};

		k.passed[p->dir] += p->bytes.n;
		k.met[p->dir] = d.other;
		if (p->lost) {
			keep(&k, &d, p->bytes.p);
			continue;
		}
		give_kept(&k);
		give_record(&k, &d, p->bytes.p);
	}
	streams_free(k.streams);
}

/* Whether the call is one that no lost record touched. */
static bool is_intact(const struct session *s, const struct llm_call *call)
{
	for (unsigned i = 0; i < SESSION_EXCHANGES; i++) {
		if (s->begin[i] == call->request_offset)
			return !s->hit[i];
	}
	return false;
}

static void check_lost_records(struct check *c, struct llm *l, yyjson_val *item, struct slice whole)
{
	struct session *s = xcalloc(1, sizeof(*s));
	struct buf text = {0};
	size_t intact = 0, complete = 0;
	bool both;

	make_session(s, item);
	both = lose_burst(s);
	clear_ended();
	run_session(s, l);
	for (unsigned i = 0; i < SESSION_EXCHANGES; i++)
		intact += !s->hit[i];
	for (size_t i = 0; i < ended.n; i++) {
		const struct llm_call *call = ended.calls[i];

		print_call(&text, call);
		if (is_intact(s, call)) {
			bool exact = call->state == LLM_COMPLETE || slice_eq(buf_slice(&text), whole);

			complete += exact;
			if (!exact)
				count_cause(call->why_incomplete, both ? "of records in both directions"
				                                       : "of records in one direction");
		}
		if (call->state != LLM_COMPLETE)
			continue;
		if (is_neighbour(call) ? !neighbour_is_right(call) : !slice_eq(buf_slice(&text), whole))
			differ(c, "lost records", call->response_id, SLICE("(another)"));
	}
	lost_records[both].bursts++;
	lost_records[both].intact += intact;
	lost_records[both].complete += complete;
	for (unsigned i = 0; i < SESSION_EXCHANGES; i++) {
		buf_release(&s->bytes[i][0]);
		buf_release(&s->bytes[i][1]);
	}
	buf_release(&text);
	free(s);
}

static void check_holes(struct check *c, struct llm *l, yyjson_val *item)
{
	const char *count = getenv("SPANTAP_CORPUS_HOLES");
	struct buf whole = {0};

	run(l, item, &(struct transport){0});
	print_call(&whole, ended.calls[0]);
	for (int i = count ? atoi(count) : 2; i > 0; i--) {
		check_hole(c, l, item, buf_slice(&whole));
		check_pipelining(c, l, item, i % 2);
		check_lost_records(c, l, item, buf_slice(&whole));
	}
	buf_release(&whole);
}

/* ---- files ---- */

static struct tally *tally_of(struct slice provider, struct slice api, struct slice scope)
{
	char name[64];

	snprintf(name, sizeof(name), "%-10.*s %-22.*s %.*s", (int)provider.n, provider.p, (int)api.n, api.p,
	         (int)scope.n, scope.p);
	for (size_t i = 0; i < n_tallies; i++)
		if (!strcmp(tallies[i].name, name))
			return &tallies[i];

	struct tally *t = &tallies[n_tallies++];
	if (n_tallies > sizeof(tallies) / sizeof(*tallies))
		abort();
	memcpy(t->name, name, sizeof(name));
	for (size_t i = 0; i < sizeof(covered) / sizeof(*covered); i++)
		t->covered = t->covered || slice_eq(api, slice_str(covered[i]));
	return t;
}

static void check_exchange(struct llm *l, const char *file, size_t n, yyjson_val *item)
{
	yyjson_val *expect = yyjson_obj_get(item, "expect");
	struct slice scope = str_of(yyjson_obj_get(expect, "scope")),
	             api = str_of(yyjson_obj_get(item, "api"));
	struct tally *t = tally_of(str_of(yyjson_obj_get(item, "provider")), api, scope);
	struct check c = {.file = file, .n = n, .expect = expect};
	bool none = slice_eq(scope, SLICE("none"));

	if (!run(l, item, &(struct transport){0})) {
		printf("SKIP %s #%zu: not to be replayed (its content encoding is not supported)\n", file, n);
		return;
	}
	check_mcp(&c);
	if (slice_eq(api, SLICE("mcp")))
		none = true; /* no call */
	if (none && ended.n) {
		differ(&c, "call", slice_str(ended.calls[0]->api), SLICE("none"));
	} else if (!none && ended.n != 1) {
		differ(&c, "call", SLICE("none"), api);
	} else if (!none) {
		c.call = ended.calls[0];
		check_call(&c);
		if (t->covered) {
			check_transports(&c, l, item);
			check_holes(&c, l, item);
		}
	}
	t->total++;
	t->exact += c.differences == 0;
	clear_ended();
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

/* Lines of KNOWN: five fields, parted by tabs; "#" begins a comment. */
static void read_known(struct buf *text)
{
	FILE *f = fopen(KNOWN, "r");
	char chunk[4096];
	struct slice rest, line;

	for (size_t n; f && (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
		buf_add(text, chunk, n);
	if (f)
		fclose(f);
	for (rest = buf_slice(text); slice_cut(&rest, '\n', &line);) {
		struct known k = {0};

		if (!line.n || line.p[0] == '#')
			continue;
		slice_cut(&line, '\t', &k.file);
		slice_cut(&line, '\t', &k.n);
		slice_cut(&line, '\t', &k.field);
		if (slice_starts(k.field, SLICE("span:"))) /* of tests/corpus */
			continue;
		if (n_knowns < sizeof(knowns) / sizeof(*knowns))
			knowns[n_knowns++] = k;
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tally *)a)->name, ((const struct tally *)b)->name);
}

/*
 * What no hole overlaps is complete, but for what pairing.h says cannot be
 * decided: the first call behind a hole that hid the end of a request, or behind
 * one in a response that was reported only after that call began.
 */
static bool report_holes(void)
{
	bool failed = false;

	for (int read = 0; read < 2; read++)
		for (int late = 0; late < 2; late++) {
			const struct holed *h = &holed[read][late];

			printf("FIGURE %zu holes in %s reported %s: calls hit, still complete and exact: "
			       "%zu; calls "
			       "before complete: %zu of %zu; next call complete: %zu of %zu\n",
			       h->holes, read ? "responses" : "requests",
			       late ? "with the byte behind" : "in place", h->complete, h->before_exact,
			       h->before, h->behind_exact, h->behind);
			failed = failed || h->before_exact != h->before ||
			         (read && !late && h->behind_exact != h->behind);
		}
	for (const struct cause *k = causes; k->n; k++)
		printf("FIGURE a call marked %zu times that no hole overlaps, hole %s: %s\n", k->n, k->began,
		       k->why);
	for (int both = 0; both < 2; both++)
		printf("FIGURE %zu bursts of records lost in %s: calls that none overlaps complete: %zu of "
		       "%zu\n",
		       lost_records[both].bursts, both ? "both directions" : "one direction",
		       lost_records[both].complete, lost_records[both].intact);
	printf(
	    "FIGURE %zu clients pipelined behind a hole as RFC 9112 allows, %zu against it; wrong ones are "
	    "differences\n",
	    pipelined[1].tried, pipelined[0].tried);
	return failed;
}

static bool report(void)
{
	bool failed = false;

	qsort(tallies, n_tallies, sizeof(*tallies), by_name);
	for (size_t i = 0; i < n_tallies; i++) {
		const struct tally *t = &tallies[i];

		printf("FIGURE %s: %zu of %zu exact%s\n", t->name, t->exact, t->total,
		       t->covered ? "" : " (not required)");
		failed = failed || (t->covered && t->exact != t->total);
	}
	for (size_t i = 0; i < sizeof(transports) / sizeof(*transports); i++)
		printf("FIGURE transport %zu (check_transports): %zu of %zu the same\n", i,
		       transports[i].exact, transports[i].total);
	failed = report_holes() || failed;
	for (size_t i = 0; i < n_knowns; i++)
		if (!knowns[i].seen) {
			printf("KNOWN %.*s #%.*s %.*s does not differ any more: remove it\n",
			       (int)knowns[i].file.n, knowns[i].file.p, (int)knowns[i].n.n, knowns[i].n.p,
			       (int)knowns[i].field.n, knowns[i].field.p);
			failed = true;
		}
	return failed || !n_tallies;
}

int main(void)
{
	static const struct llm_events events = {.begin = on_begin, .end = on_end, .mcp = on_mcp};
	const char *path = getenv("SPANTAP_CORPUS");
	struct buf known = {0};
	DIR *d;
	bool failed;

	path = path ? path : "build/corpus/open";
	d = opendir(path);
	if (!d) {
		printf("SKIP test_llm_corpus: no recorded traffic in %s (unpack it, or set SPANTAP_CORPUS)\n",
		       path);
		return 0;
	}
	closedir(d);

	struct llm *l = llm_new(&events, NULL);
	read_known(&known);
	check_directory(l, path);
	llm_free(l);
	failed = report();
	buf_release(&known);
	buf_release(&mcp_seen);
	return failed;
}
