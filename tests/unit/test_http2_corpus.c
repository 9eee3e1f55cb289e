/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All recorded exchanges, said over HTTP/1 as they are and, several at the same
 * time on one connection, over HTTP/2 by nghttp2's sessions, each body in a coding
 * of its own: the calls must print the same.
 * The directory as in test_llm_corpus.c.
 */
#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <yyjson.h>

#include "encoders.h"
#include "http2_peers.h"
#include "llm/llm.h"

#define AT_ONCE   4
#define CALLS_MAX 64 /* of one file */

/* The calls that came out of one connection, printed. */
struct printed {
	struct buf v[2 * CALLS_MAX];
	size_t n;
};

static size_t files, exact, total, encoded;

static void on_begin(void *ctx, struct llm_call *call)
{
	(void)ctx, (void)call;
}

static void on_end(void *ctx, struct llm_call *call)
{
	struct printed *p = ctx;

	if (p->n == 2 * CALLS_MAX)
		abort();
	llm_call_print(&p->v[p->n++], call);
	llm_call_free(call);
}

static const struct llm_events events = {.begin = on_begin, .end = on_end};

static int by_text(const void *a, const void *b)
{
	const struct buf *x = a, *y = b;
	size_t n = x->n < y->n ? x->n : y->n;
	int r = memcmp(x->p, y->p, n);

	return r ? r : (x->n > y->n) - (x->n < y->n);
}

/* --- an exchange of a file ------------------------------------------------------- */

static struct slice str_of(yyjson_val *v)
{
	return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : (struct slice){0};
}

static struct slice body_of(struct arena *a, yyjson_val *message)
{
	struct slice b64 = str_of(yyjson_obj_get(message, "body_b64"));
	unsigned char *raw = arena_alloc(a, b64.n + 1);
	size_t n = 0;

	if (b64.n &&
	    sodium_base642bin(raw, b64.n, b64.p, b64.n, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL))
		abort();
	return slice_of(raw, n);
}

/* What belongs to the transport is not said; a coding that was removed already neither. */
static bool is_said(struct slice name, struct slice body)
{
	static const char *const of_transport[] = {
	    "host",    "connection",        "keep-alive",     "proxy-connection", "te",
	    "upgrade", "transfer-encoding", "http2-settings", "content-length"};

	for (size_t i = 0; i < sizeof(of_transport) / sizeof(*of_transport); i++) {
		if (slice_eq(name, slice_str(of_transport[i])))
			return false;
	}
	if (slice_eq(name, SLICE("content-encoding")))
		return body.n > 1 && (uint8_t)body.p[0] == 0x1f && (uint8_t)body.p[1] == 0x8b;
	return name.n && name.p[0] != ':';
}

static void add_field(struct arena *a, struct http_headers *h, struct slice name, struct slice value,
                      struct slice body)
{
	struct slice lower = arena_dup(a, name);
	struct http_header *added;

	for (size_t i = 0; i < lower.n; i++)
		((char *)lower.p)[i] |= lower.p[i] >= 'A' && lower.p[i] <= 'Z' ? 0x20 : 0;
	if (!is_said(lower, body) || h->n == PEERS_HEADERS_MAX - 5)
		return;
	added = arena_push(a, &h->v, &h->n, sizeof(*added));
	*added = (struct http_header){lower, slice_trim(value)};
}

static struct http_headers headers_of(struct arena *a, yyjson_val *v, struct slice body)
{
	struct http_headers h = {0};
	size_t i, n;
	yyjson_val *key, *value;

	yyjson_obj_foreach(v, i, n, key, value) add_field(a, &h, str_of(key), str_of(value), body);
	yyjson_arr_foreach(v, i, n, value)
	    add_field(a, &h, str_of(yyjson_arr_get(value, 0)), str_of(yyjson_arr_get(value, 1)), body);
	return h;
}

static void read_call(struct arena *a, yyjson_val *item, struct peers_call *c)
{
	yyjson_val *rq = yyjson_obj_get(item, "request"), *rs = yyjson_obj_get(item, "response");
	struct slice url = str_of(yyjson_obj_get(rq, "url")), rest;
	const char *scheme = slice_find(url, SLICE("://")), *slash;

	rest = scheme ? slice_from(url, (size_t)(scheme - url.p) + 3) : url;
	slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
	c->authority = slice_of(rest.p, slash ? (size_t)(slash - rest.p) : rest.n);
	if (!c->authority.n || slice_find(c->authority, SLICE("*")) || slice_find(c->authority, SLICE("<")))
		c->authority = SLICE("api.example");
	c->path = SLICE("/");
	if (slash) {
		rest = slice_from(rest, (size_t)(slash - rest.p));
		slice_cut(&rest, '#', &c->path);
	}
	c->method = str_of(yyjson_obj_get(rq, "method"));
	c->request_body = body_of(a, rq);
	c->response_body = body_of(a, rs);
	c->request_headers = headers_of(a, yyjson_obj_get(rq, "headers"), c->request_body);
	c->response_headers = headers_of(a, yyjson_obj_get(rs, "headers"), c->response_body);
	c->status = (unsigned)yyjson_get_uint(yyjson_obj_get(rs, "status"));
}

/* --- over either protocol ------------------------------------------------------------ */

static void add_message(struct buf *out, const struct http_headers *h, struct slice body)
{
	for (size_t i = 0; i < h->n; i++) {
		buf_addslice(out, h->v[i].name);
		buf_adds(out, ": ");
		buf_addslice(out, h->v[i].value);
		buf_adds(out, "\r\n");
	}
	buf_addf(out, "content-length: %zu\r\n\r\n", body.n);
	buf_addslice(out, body);
}

static void over_http1(struct printed *out, struct peers_call *calls, size_t n)
{
	struct conn_info info = {.first_ts = 1};
	struct llm *l = llm_new(&events, out);
	struct proto_conn *c = proto_open(&llm_proto_events, l, &info);

	for (size_t i = 0; i < n; i++) {
		struct buf b = {0};

		buf_addf(&b, "%.*s %.*s HTTP/1.1\r\nhost: %.*s\r\n", (int)calls[i].method.n,
		         calls[i].method.p, (int)calls[i].path.n, calls[i].path.p, (int)calls[i].authority.n,
		         calls[i].authority.p);
		add_message(&b, &calls[i].request_headers, calls[i].request_body);
		proto_feed(c, EV_DIR_WRITE, 1, buf_slice(&b));
		buf_clear(&b);
		buf_addf(&b, "HTTP/1.1 %u X\r\n", calls[i].status);
		add_message(&b, &calls[i].response_headers, calls[i].response_body);
		proto_feed(c, EV_DIR_READ, 1, buf_slice(&b));
		buf_release(&b);
	}
	proto_close(c, 1, true);
	llm_free(l);
}

static void over_http2(struct printed *out, struct peers_call *calls, size_t n)
{
	struct conn_info info = {.first_ts = 1};
	struct llm *l = llm_new(&events, out);
	struct proto_conn *c = proto_open(&llm_proto_events, l, &info);
	struct peers p = {.at_once = AT_ONCE, .piece = 300, .padding = 10};

	peers_run(&p, calls, n);
	for (size_t i = 0; i < p.n_records; i++) {
		const struct peers_record *r = &p.records[i];

		proto_feed(c, r->dir, 1, slice_of(p.wire[r->dir].p + r->offset, r->n));
	}
	proto_close(c, 1, true);
	llm_free(l);
	peers_release(&p);
}

/* --- holes, and connections joined late --- */

#define RUNS       1
#define STREAM_MAX 512

struct outcome {
	struct buf text[STREAM_MAX]; /* by stream; empty: no call */
	bool complete[STREAM_MAX];
	const char *why[STREAM_MAX];
};

static struct {
	size_t intact, exact, wrong, joined, joined_seen;
	struct cause {
		const char *why;
		size_t n;
	} causes[16];
} holed;

static void on_stream_end(void *ctx, struct llm_call *call)
{
	struct outcome *o = ctx;

	if (call->stream_id < STREAM_MAX) {
		buf_clear(&o->text[call->stream_id]);
		llm_call_print(&o->text[call->stream_id], call);
		/* Where header fields refer to lost ones, host and the like are absent: not compared. */
		o->complete[call->stream_id] = call->state == LLM_COMPLETE && !(call->damage & DAMAGE_FIELDS);
		o->why[call->stream_id] = call->why_incomplete;
	}
	llm_call_free(call);
}

/* Records from `first` to `end` are lost; joined: nothing before `end` was seen. */
static void play(struct outcome *o, const struct peers *p, size_t first, size_t end, bool joined)
{
	static const struct llm_events stream_events = {.begin = on_begin, .end = on_stream_end};
	struct conn_info info = {.first_ts = 1, .late = joined};
	struct llm *l = llm_new(&stream_events, o);
	struct proto_conn *c = proto_open(&llm_proto_events, l, &info);

	for (size_t i = joined ? end : 0; i < p->n_records; i++) {
		const struct peers_record *r = &p->records[i];

		if (i >= first && i < end)
			proto_gap(c, r->dir, 1, r->n, GAP_RING);
		else
			proto_feed(c, r->dir, 1, slice_of(p->wire[r->dir].p + r->offset, r->n));
	}
	proto_close(c, 1, true);
	llm_free(l);
}

/* Marks the streams of which a frame overlaps from..to. */
static void streams_in(const struct buf *wire, bool client, size_t from, size_t to, bool *hit)
{
	size_t at = client ? 24 : 0;

	while (at + 9 <= wire->n) {
		const uint8_t *b = (const uint8_t *)wire->p + at;
		size_t end = at + 9 + ((size_t)b[0] << 16 | (size_t)b[1] << 8 | b[2]);
		unsigned id = ((unsigned)b[7] << 8 | b[8]) % STREAM_MAX;

		if (at < to && end > from)
			hit[id] = true;
		at = end;
	}
}

static void lost_streams(const struct peers *p, size_t first, size_t end, bool *hit)
{
	for (size_t i = first; i < end; i++) {
		const struct peers_record *r = &p->records[i];

		streams_in(&p->wire[r->dir], r->dir == EV_DIR_WRITE, r->offset, r->offset + r->n, hit);
	}
}

static void outcome_free(struct outcome *o)
{
	for (size_t i = 0; i < STREAM_MAX; i++)
		buf_release(&o->text[i]);
	free(o);
}

static void count_marked(const char *why)
{
	struct cause *k = holed.causes;

	while (k->why && strcmp(k->why, why) && k < &holed.causes[15])
		k++;
	k->why = why;
	k->n++;
}

static void compare_holed(const struct peers *p, const struct outcome *whole)
{
	size_t first = peers_random((unsigned)p->n_records), end = first + 1 + peers_random(4);
	struct outcome *o = xcalloc(1, sizeof(*o)), *late = xcalloc(1, sizeof(*late));
	bool hit[STREAM_MAX] = {false}, begun[STREAM_MAX] = {false};

	end = end < p->n_records ? end : p->n_records;
	lost_streams(p, first, end, hit);
	lost_streams(p, 0, end, begun);
	play(o, p, first, end, false);
	play(late, p, 0, end, true);
	for (size_t i = 1; i < STREAM_MAX; i++) {
		bool same = slice_eq(buf_slice(&whole->text[i]), buf_slice(&o->text[i]));

		holed.wrong += o->complete[i] && !same;
		holed.wrong +=
		    late->complete[i] && !slice_eq(buf_slice(&whole->text[i]), buf_slice(&late->text[i]));
		if (!whole->text[i].n)
			continue;
		if (!hit[i]) {
			holed.intact++;
			holed.exact += same;
			if (!same)
				count_marked(o->why[i] ? o->why[i]
				             : o->text[i].n
				                 ? "complete but for header fields that refer to lost ones"
				                 : "no call was recognised");
		}
		if (!begun[i]) {
			holed.joined++;
			holed.joined_seen += late->text[i].n != 0;
		}
	}
	outcome_free(o);
	outcome_free(late);
}

/* The calls of a file three times, so that heads refer to older ones. */
static void check_holes(const struct peers_call *calls, size_t n)
{
	struct peers_call *thrice = xcalloc(3 * n + 1, sizeof(*thrice));
	struct outcome *whole = xcalloc(1, sizeof(*whole));
	struct peers p = {.at_once = AT_ONCE, .piece = 300, .padding = 10};

	for (size_t i = 0; i < 3 * n; i++)
		thrice[i] = calls[i % n];
	peers_run(&p, thrice, 3 * n);
	play(whole, &p, 0, 0, false);
	for (int i = 0; i < RUNS; i++)
		compare_holed(&p, whole);
	outcome_free(whole);
	peers_release(&p);
	free(thrice);
}

/* What came without coding gets one, also among the header fields. */
static void encode_message(struct arena *a, struct http_headers *h, struct slice *body)
{
	enum encoder how = (enum encoder)peers_random(ENCODERS);
	struct buf b = {0};
	struct http_header *added;

	if (how == ENCODE_NOT || !body->n || http_header_get(h, SLICE("content-encoding")).p)
		return;
	buf_addslice(&b, *body);
	encode_body(&b, how);
	*body = arena_dup(a, buf_slice(&b));
	buf_release(&b);
	added = arena_push(a, &h->v, &h->n, sizeof(*added));
	*added = (struct http_header){SLICE("content-encoding"), slice_str(encoders[how].name)};
	encoded++;
}

static void encode_calls(struct arena *a, struct peers_call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		encode_message(a, &calls[i].request_headers, &calls[i].request_body);
		encode_message(a, &calls[i].response_headers, &calls[i].response_body);
	}
}

static void compare(const char *file, struct arena *a, struct peers_call *calls, size_t n)
{
	struct printed *one = xcalloc(1, sizeof(*one)), *two = xcalloc(1, sizeof(*two));

	if (n && n <= STREAM_MAX / 8)
		check_holes(calls, n);
	over_http1(one, calls, n);
	encode_calls(a, calls, n);
	over_http2(two, calls, n);
	qsort(one->v, one->n, sizeof(*one->v), by_text);
	qsort(two->v, two->n, sizeof(*two->v), by_text);
	files++;
	total += one->n > two->n ? one->n : two->n;
	for (size_t i = 0; i < one->n && i < two->n; i++) {
		bool same = slice_eq(buf_slice(&one->v[i]), buf_slice(&two->v[i]));

		exact += same;
		if (!same)
			printf("DIFF %s\n--- HTTP/1\n%.2000s\n--- HTTP/2\n%.2000s\n", file,
			       buf_str(&one->v[i]), buf_str(&two->v[i]));
	}
	for (size_t i = 0; i < one->n; i++)
		buf_release(&one->v[i]);
	for (size_t i = 0; i < two->n; i++)
		buf_release(&two->v[i]);
	free(one);
	free(two);
}

static void check_file(const char *path)
{
	yyjson_doc *doc = yyjson_read_file(path, 0, NULL, NULL);
	struct peers_call calls[CALLS_MAX] = {0};
	struct arena arena = {0};
	size_t i, n, n_calls = 0;
	yyjson_val *item;

	yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, item)
	{
		if (n_calls < CALLS_MAX &&
		    yyjson_get_uint(yyjson_obj_get(yyjson_obj_get(item, "response"), "status")) >= 200)
			read_call(&arena, item, &calls[n_calls++]);
	}
	if (n_calls)
		compare(path, &arena, calls, n_calls);
	arena_release(&arena);
	yyjson_doc_free(doc);
}

static void check_directory(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);
	struct buf name = {0};

	for (int i = 0; i < n; i++) {
		struct slice entry = slice_str(entries[i]->d_name);

		buf_clear(&name);
		buf_addf(&name, "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_type == DT_DIR && entry.p[0] != '.')
			check_directory(buf_str(&name));
		else if (slice_ends(entry, SLICE(".json")))
			check_file(buf_str(&name));
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	buf_release(&name);
}

int main(void)
{
	const char *path = getenv("SPANTAP_CORPUS");
	DIR *d;

	path = path ? path : "build/corpus/open";
	d = opendir(path);
	if (!d) {
		printf(
		    "SKIP test_http2_corpus: no recorded traffic in %s (unpack it, or set SPANTAP_CORPUS)\n",
		    path);
		return 0;
	}
	closedir(d);
	check_directory(path);
	printf("FIGURE %zu of %zu calls of %zu files are the same over HTTP/2, %zu bodies compressed anew\n",
	       exact, total, files, encoded);
	printf(
	    "FIGURE holes over HTTP/2: calls that none overlaps exact: %zu of %zu; wrong but complete: %zu\n",
	    holed.exact, holed.intact, holed.wrong);
	for (const struct cause *k = holed.causes; k->n; k++)
		printf("FIGURE %zu of them: %s\n", k->n, k->why);
	printf("FIGURE joined late, their headers' table unknown: %zu of %zu calls recognised\n",
	       holed.joined_seen, holed.joined);
	return exact != total || !total || holed.wrong;
}
