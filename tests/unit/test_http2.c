/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 as nghttp2's sessions speak it, overheard with random cuts, random
 * holes and joined in the middle: what is not marked is exactly what was said,
 * and what is marked never says anything else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "http2_peers.h"
#include "llm/llm.h"
#include "proto/http2_frame.h"
#include "proto/http2_stream.h"

#define CALLS  40
#define ROUNDS 60

/* --- what is said ------------------------------------------------------------- */

struct script {
	struct arena arena;
	struct peers_call calls[CALLS];
	struct peers peers;
};

static struct slice text(struct arena *a, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)(' ' + peers_random(95));
	return slice_of(p, n);
}

static size_t size(void)
{
	static const unsigned sizes[] = {0, 10, 300, 5000, 60000};

	return sizes[peers_random(5)] ? 1 + peers_random(sizes[1 + peers_random(4)]) : 0;
}

static struct slice word(const char *prefix, unsigned n, struct arena *a)
{
	char s[32];

	snprintf(s, sizeof(s), "%s%u", prefix, peers_random(n));
	return arena_dup(a, slice_str(s));
}

/* Fields that repeat (and enter the table), and now and then one that needs CONTINUATION. */
static struct http_headers fields(struct arena *a, size_t n)
{
	struct http_headers h = {0};

	for (size_t i = 0; i < n; i++) {
		struct http_header *added = arena_push(a, &h.v, &h.n, sizeof(*added));

		*added = (struct http_header){word("x-name-", 12, a), word("value ", 6, a)};
		if (!i && !peers_random(30))
			added->value = text(a, 20000 + peers_random(20000));
		for (size_t k = 0; k < added->value.n; k++) /* no blank at an end: receivers trim */
			((char *)added->value.p)[k] |= added->value.p[k] == ' ' ? 'x' : 0;
	}
	return h;
}

static void write_script(struct script *s, size_t at_once)
{
	*s = (struct script){0};
	for (size_t i = 0; i < CALLS; i++) {
		struct peers_call *c = &s->calls[i];
		bool post = peers_random(4);

		c->method = post ? SLICE("POST") : SLICE("GET");
		c->path = word("/v1/path/", 5, &s->arena);
		c->authority = SLICE("api.example:8443");
		c->request_headers = fields(&s->arena, peers_random(6));
		c->request_body = post ? text(&s->arena, size()) : slice_of("", 0);
		c->status = peers_random(5) ? 200 : 429;
		c->response_headers = fields(&s->arena, peers_random(6));
		c->response_body = text(&s->arena, size());
		c->interim = !peers_random(8);
		c->trailers = !peers_random(4);
		c->reset = !peers_random(12);
	}
	s->peers.at_once = at_once;
	s->peers.piece = 1 + peers_random(peers_random(2) ? 100 : 20000);
	s->peers.padding = peers_random(2) ? 0 : 100;
	peers_run(&s->peers, s->calls, CALLS);
}

static void script_release(struct script *s)
{
	peers_release(&s->peers);
	arena_release(&s->arena);
}

/* --- what is heard -------------------------------------------------------------- */

struct heard_body {
	struct buf all, piece; /* piece: since the last hole */
};

struct heard {
	struct script *script;
	size_t exact, fields, marked, unseen, wrong; /* fields: exact, but for header fields not known */
	bool is_exact[CALLS];
	uint64_t lost[CALLS];
	unsigned damage[CALLS];
};

struct heard_exchange {
	struct peers_call *said;
	struct heard_body body[2]; /* request, response */
	bool ended;                /* request_end came */
};

static struct heard *heard; /* by the exchanges; one connection at a time */

static void wrong(const struct exchange *x, const char *what)
{
	heard->wrong++;
	fprintf(stderr, "stream %u: %s (damage %x, lost %lu, %s)\n", x->stream, what, x->damage,
	        (unsigned long)x->lost_bytes, x->why ? x->why : "");
}

static void expect(const struct exchange *x, bool holds, const char *what)
{
	if (!holds)
		wrong(x, what);
}

static bool same_field(const struct http_header *a, const struct http_header *b)
{
	return slice_eq(a->name, b->name) && slice_eq(a->value, b->value);
}

/* The fields heard are those said, in order; some may be left out of a damaged head. */
static void expect_fields(const struct exchange *x, const struct http_headers *got,
                          const struct http_headers *said, bool all)
{
	size_t at = 0;

	for (size_t i = 0; i < got->n; i++) {
		if (slice_eq(got->v[i].name, SLICE("host"))) {
			expect(x, slice_eq(got->v[i].value, SLICE("api.example:8443")), "another host");
			continue;
		}
		while (at < said->n && !same_field(&said->v[at], &got->v[i]))
			at++;
		expect(x, at < said->n, "a field that was not said");
		at++;
	}
	if (all)
		expect(x, got->n >= said->n, "a field is missing");
}

static void on_request(void *ctx, struct exchange *x)
{
	struct heard_exchange *h = xcalloc(1, sizeof(*h));

	(void)ctx;
	x->user = h;
	for (size_t i = 0; i < CALLS; i++) {
		if (heard->script->calls[i].stream == (int32_t)x->stream)
			h->said = &heard->script->calls[i];
	}
	expect(x, h->said, "a stream that is none");
	if (!h->said)
		return;
	expect(x, !x->method.p || slice_eq(x->method, h->said->method), "another method");
	expect(x, !x->target.p || slice_eq(x->target, h->said->path), "another path");
	expect(x, (x->method.p && x->target.p) || x->damage, "no method or path, and no mark");
	expect_fields(x, &x->request_headers, &h->said->request_headers, !x->damage);
}

static struct slice said_body(const struct heard_exchange *h, int half)
{
	return half ? h->said->response_body : h->said->request_body;
}

/* Bytes without a hole between them stand so in the body. */
static void end_piece(const struct exchange *x, struct heard_exchange *h, int half)
{
	struct slice piece = buf_slice(&h->body[half].piece);

	if (h->said && piece.n)
		expect(x, slice_find(said_body(h, half), piece), "body bytes that were not said");
	buf_clear(&h->body[half].piece);
}

static void add_body(struct exchange *x, int half, struct slice s)
{
	struct heard_exchange *h = x->user;

	buf_addslice(&h->body[half].all, s);
	buf_addslice(&h->body[half].piece, s);
}

static void on_request_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	(void)ctx, (void)ts;
	add_body(x, 0, s);
}

static void on_response_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	(void)ctx, (void)ts;
	add_body(x, 1, s);
}

static void on_request_end(void *ctx, struct exchange *x)
{
	(void)ctx;
	((struct heard_exchange *)x->user)->ended = true;
}

static void on_response(void *ctx, struct exchange *x)
{
	struct heard_exchange *h = x->user;

	(void)ctx;
	if (!h->said)
		return;
	expect(x, x->status == h->said->status || (!x->status && x->damage & DAMAGE_RESPONSE_HEAD),
	       "another status");
	expect_fields(x, &x->response_headers, &h->said->response_headers,
	              !(x->damage & (DAMAGE_RESPONSE_HEAD | DAMAGE_FIELDS)));
}

static void on_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	(void)ctx, (void)ts, (void)n;
	end_piece(x, x->user, dir == EV_DIR_READ);
}

static void on_end(void *ctx, struct exchange *x)
{
	struct heard_exchange *h = x->user;
	bool whole = h->said && h->ended && slice_eq(buf_slice(&h->body[0].all), h->said->request_body) &&
	             slice_eq(buf_slice(&h->body[1].all), h->said->response_body) &&
	             x->status == h->said->status;

	(void)ctx;
	end_piece(x, h, 0);
	end_piece(x, h, 1);
	if (getenv("VERBOSE") && x->damage)
		fprintf(stderr, "stream %u: damage %x, %s\n", x->stream, x->damage, x->why ? x->why : "");
	if (!(x->damage & ~(unsigned)DAMAGE_FIELDS)) {
		expect(x, whole && x->method.p && x->target.p, "not marked, and not what was said");
		expect(x,
		       x->request_start <= x->request_end && x->response_start <= x->response_head &&
		           x->response_head <= x->response_end,
		       "times are not in order");
	}
	if (h->said) {
		heard->is_exact[h->said - heard->script->calls] |= !(x->damage & ~(unsigned)DAMAGE_FIELDS);
		heard->lost[h->said - heard->script->calls] += x->lost_bytes;
		heard->damage[h->said - heard->script->calls] |= x->damage;
	}
	heard->exact += !x->damage;
	heard->fields += x->damage == DAMAGE_FIELDS;
	heard->marked += x->damage & ~(unsigned)DAMAGE_FIELDS && x->method.p;
	heard->unseen += !x->method.p;
	for (int i = 0; i < 2; i++) {
		buf_release(&h->body[i].all);
		buf_release(&h->body[i].piece);
	}
	free(h);
}

static const struct proto_events events = {
    .request = on_request,
    .request_body = on_request_body,
    .request_end = on_request_end,
    .response = on_response,
    .response_body = on_response_body,
    .body_gap = on_gap,
    .end = on_end,
};

/* --- holes ------------------------------------------------------------------------- */

/* Bytes of the two directions that are missing, in order of offset. */
struct hole {
	size_t from, to;
};

struct holes {
	struct hole v[2][32];
	size_t n[2];
	size_t late; /* records that the capture did not see at all */
};

/* The next byte from `at` on that is missing, or there again. */
static size_t edge(const struct holes *h, enum ev_dir dir, size_t at, bool *ret_missing)
{
	for (size_t i = 0; i < h->n[dir]; i++) {
		const struct hole *v = &h->v[dir][i];

		if (at < v->from) {
			*ret_missing = false;
			return v->from;
		}
		if (at < v->to) {
			*ret_missing = true;
			return v->to;
		}
	}
	*ret_missing = false;
	return SIZE_MAX;
}

/* As stream.h does it: a hole shows with the byte behind it. */
static void listen_to(struct script *s, const struct holes *holes, struct heard *out)
{
	struct conn_info info = {.first_ts = 1, .late = holes->late > 0};
	struct proto_conn *c = proto_open(&events, NULL, &info);
	uint64_t pending[2] = {0, 0}, ts = 1;

	heard = out;
	*out = (struct heard){.script = s};
	for (size_t i = holes->late; i < s->peers.n_records; i++, ts++) {
		const struct peers_record *r = &s->peers.records[i];

		for (size_t at = r->offset, end; at < r->offset + r->n; at = end) {
			bool missing;

			end = edge(holes, r->dir, at, &missing);
			end = end < r->offset + r->n ? end : r->offset + r->n;
			if (missing) {
				pending[r->dir] += end - at;
				continue;
			}
			if (end - at > 1 && peers_random(2))
				end = at + 1 + peers_random((unsigned)(end - at));
			proto_gap(c, r->dir, ts, pending[r->dir], GAP_RING);
			pending[r->dir] = 0;
			proto_feed(c, r->dir, ts, slice_of(s->peers.wire[r->dir].p + at, end - at));
		}
	}
	for (int dir = 0; dir < 2; dir++)
		proto_gap(c, dir, ts, pending[dir], GAP_RING);
	proto_close(c, ts, true);
}

static void add_hole(struct holes *h, enum ev_dir dir, size_t from, size_t to)
{
	size_t n = h->n[dir];

	if (from >= to || n == 32 || (n && from <= h->v[dir][n - 1].to))
		return;
	h->v[dir][h->n[dir]++] = (struct hole){from, to};
}

/* Calls fn for each frame of a direction: its offset and header. */
static void each_frame(const struct script *s, enum ev_dir dir, void (*fn)(void *, size_t, struct frame),
                       void *ctx)
{
	const struct buf *w = &s->peers.wire[dir];
	size_t at = dir == EV_DIR_WRITE ? HTTP2_PREFACE.n : 0;

	while (at + FRAME_HEAD <= w->n) {
		struct frame f = frame_parse(w->p + at);

		fn(ctx, at, f);
		at += FRAME_HEAD + f.length;
	}
}

/* Which calls lost a byte of a frame of theirs. */
struct touched {
	const struct script *script;
	const struct holes *holes;
	enum ev_dir dir;
	bool is[CALLS];
};

static void note_touched(void *ctx, size_t at, struct frame f)
{
	struct touched *t = ctx;
	bool missing;
	size_t end = edge(t->holes, t->dir, at, &missing);

	if (!missing && end >= at + FRAME_HEAD + f.length)
		return;
	for (size_t i = 0; i < CALLS; i++)
		t->is[i] |= t->script->calls[i].stream == (int32_t)f.stream;
}

static void find_touched(struct touched *t, const struct script *s, const struct holes *h)
{
	*t = (struct touched){.script = s, .holes = h};
	for (int dir = 0; dir < 2; dir++) {
		t->dir = dir;
		each_frame(s, dir, note_touched, t);
	}
}

/* --- tests ---------------------------------------------------------------------------- */

static void test_exact(void **state)
{
	size_t exact = 0, total = 0, reset = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		const struct holes none = {0};
		struct script s;
		struct heard h;

		write_script(&s, 1 + peers_random(20));
		listen_to(&s, &none, &h);
		assert_int_equal(h.wrong, 0);
		assert_int_equal(h.unseen, 0);
		for (size_t k = 0; k < CALLS; k++) {
			/* A reset that came too late for the server changed nothing. */
			if (!s.calls[k].reset)
				assert_true(h.is_exact[k]);
			else
				assert_true(h.is_exact[k] || h.damage[k] == DAMAGE_CUT);
		}
		exact += h.exact;
		reset += h.marked;
		total += CALLS;
		assert_int_equal(h.exact + h.marked, CALLS);
		script_release(&s);
	}
	print_message("FIGURE no holes: %zu of %zu exact, %zu reset\n", exact, total, reset);
}

/* A hole between two bytes of one DATA payload, its padding length excluded. */
static struct {
	struct holes holes;
	enum ev_dir dir;
} in_data;

static void dig_in_data(void *ctx, size_t at, struct frame f)
{
	size_t skip = FRAME_HEAD + !!(f.flags & FLAG_PADDED), from;

	(void)ctx;
	if (f.type != FRAME_DATA || f.length < 4 || peers_random(30))
		return;
	from = at + skip + peers_random(f.length - 1);
	add_hole(&in_data.holes, in_data.dir, from,
	         from + 1 + peers_random((unsigned)(at + FRAME_HEAD + f.length - from)));
}

static void test_hole_in_data(void **state)
{
	size_t untouched = 0, touched = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct script s;
		struct heard h;
		struct touched t;

		write_script(&s, 1 + peers_random(20));
		in_data.holes = (struct holes){0};
		for (int dir = 0; dir < 2; dir++) {
			in_data.dir = dir;
			each_frame(&s, dir, dig_in_data, NULL);
		}
		listen_to(&s, &in_data.holes, &h);
		assert_int_equal(h.wrong, 0);
		find_touched(&t, &s, &in_data.holes);
		for (size_t k = 0; k < CALLS; k++) {
			if (!t.is[k] && !s.calls[k].reset)
				assert_true(h.is_exact[k]);
			untouched += !t.is[k];
			touched += t.is[k];
		}
		script_release(&s);
	}
	print_message("FIGURE holes in DATA: %zu streams untouched and exact (or reset), %zu touched\n",
	              untouched, touched);
	assert_true(touched > 100);
}

static void dig_anywhere(struct script *s, struct holes *h)
{
	for (int dir = 0; dir < 2; dir++) {
		size_t n = s->peers.wire[dir].n, at = 0;

		while (peers_random(4) && at < n) {
			at += 1 + peers_random((unsigned)(n / 3 + 1));
			add_hole(h, dir, at, at + 1 + peers_random(peers_random(2) ? 50 : 5000));
		}
	}
}

/* Whole records, as a full ring loses them. */
static void dig_records(struct script *s, struct holes *h)
{
	for (size_t i = 1; i < s->peers.n_records; i++) {
		const struct peers_record *r = &s->peers.records[i];

		if (!peers_random(25))
			add_hole(h, r->dir, r->offset, r->offset + r->n);
	}
}

static void lossy(const char *what, void (*dig)(struct script *, struct holes *), bool late)
{
	size_t exact = 0, some = 0, untouched = 0, found = 0, marked = 0, unseen = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct holes holes = {0};
		struct script s;
		struct heard h;
		struct touched t;

		write_script(&s, 1 + peers_random(12));
		if (late) {
			holes.late = 1 + peers_random((unsigned)s.peers.n_records / 2);
			for (int dir = 0; dir < 2; dir++) {
				size_t n = 0;

				for (size_t k = 0; k < holes.late; k++)
					n += s.peers.records[k].dir == (enum ev_dir)dir ? s.peers.records[k].n
					                                                : 0;
				add_hole(&holes, dir, 0, n);
			}
		}
		if (dig)
			dig(&s, &holes);
		listen_to(&s, &holes, &h);
		assert_int_equal(h.wrong, 0);
		find_touched(&t, &s, &holes);
		for (size_t k = 0; k < CALLS; k++) {
			untouched += !t.is[k] && !s.calls[k].reset;
			found += !t.is[k] && !s.calls[k].reset && h.is_exact[k];
		}
		exact += h.exact;
		some += h.fields;
		marked += h.marked;
		unseen += h.unseen;
		script_release(&s);
	}
	print_message("FIGURE %s: of %d calls %zu lost nothing, %zu of these are exact or lack header fields "
	              "only; %zu exact, "
	              "%zu lack header fields, %zu marked, %zu without method; none wrong\n",
	              what, ROUNDS * CALLS, untouched, found, exact, some, marked, unseen);
	assert_true(found * 2 > untouched);
}

static void test_holes_anywhere(void **state)
{
	(void)state;
	lossy("holes anywhere", dig_anywhere, false);
}

static void test_holes_of_records(void **state)
{
	(void)state;
	lossy("lost records", dig_records, false);
}

static void test_late(void **state)
{
	(void)state;
	lossy("joined late", NULL, true);
	lossy("joined late, lost records", dig_records, true);
}

/* --- limits ----------------------------------------------------------------------------- */

struct counted {
	size_t begun, ended, heads, many;
	unsigned damage; /* of the last that ended */
	size_t fields;   /* of the last request */
};

static void count_request(void *ctx, struct exchange *x)
{
	struct counted *c = ctx;

	c->begun++;
	c->heads += x->method.p != NULL;
	c->fields = x->request_headers.n;
}

static void count_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	(void)ctx, (void)x, (void)ts, (void)s;
}

static void count_end(void *ctx, struct exchange *x)
{
	struct counted *c = ctx;

	c->ended++;
	c->many += x->why && slice_starts(slice_str(x->why), SLICE("more "));
	c->damage = x->damage;
}

static void count_other(void *ctx, struct exchange *x)
{
	(void)ctx, (void)x;
}

static const struct proto_events counting = {
    .request = count_request,
    .request_body = count_body,
    .request_end = count_other,
    .response = count_other,
    .response_body = count_body,
    .body_gap = on_gap,
    .end = count_end,
};

static void feed_frame(struct proto_conn *c, int type, int flags, uint32_t stream, struct slice payload)
{
	const char head[9] = {
	    (char)(payload.n >> 16), (char)(payload.n >> 8), (char)payload.n, (char)type, (char)flags, 0,
	    (char)(stream >> 16),    (char)(stream >> 8),    (char)stream};

	proto_feed(c, EV_DIR_WRITE, 1, slice_of(head, sizeof(head)));
	proto_feed(c, EV_DIR_WRITE, 1, payload);
}

static void test_too_many_streams(void **state)
{
	struct conn_info info = {.first_ts = 1};
	struct counted n = {0};
	struct proto_conn *c = proto_open(&counting, &n, &info);

	(void)state;
	proto_feed(c, EV_DIR_WRITE, 1, HTTP2_PREFACE);
	for (uint32_t i = 0; i < HTTP2_STREAMS_MAX + 44; i++)
		feed_frame(c, FRAME_HEADERS, FLAG_END_HEADERS, 2 * i + 1, SLICE("\x83\x87\x84"));
	assert_int_equal(n.begun, HTTP2_STREAMS_MAX + 44);
	assert_int_equal(n.ended, 44);
	assert_int_equal(n.many, 44);
	/* What comes for one that was dropped is no new stream. */
	feed_frame(c, FRAME_DATA, FLAG_END_STREAM, 2 * HTTP2_STREAMS_MAX + 1, SLICE("body"));
	assert_int_equal(n.begun, HTTP2_STREAMS_MAX + 44);
	proto_close(c, 1, true);
	assert_int_equal(n.ended, n.begun);
}

/* A block without end is given up, and said so; what later blocks may refer to is not known then. */
static void test_continuation_flood(void **state)
{
	static char field[16000] = {
	    0x00, 0x01, 'x', 0x7f, 0x80 | (15997 - 3 - 127) % 128, (15997 - 3 - 127) / 128};
	struct conn_info info = {.first_ts = 1};
	struct counted n = {0};
	struct proto_conn *c = proto_open(&counting, &n, &info);

	(void)state;
	proto_feed(c, EV_DIR_WRITE, 1, HTTP2_PREFACE);
	feed_frame(c, FRAME_HEADERS, 0, 1, SLICE("\x83\x87\x84"));
	for (int i = 0; i < 2000; i++)
		feed_frame(c, FRAME_CONTINUATION, 0, 1, slice_of(field, sizeof(field)));
	assert_int_equal(n.begun, 0);
	feed_frame(c, FRAME_CONTINUATION, FLAG_END_HEADERS, 1, SLICE(""));
	assert_int_equal(n.begun, 1);
	assert_int_equal(n.heads, 0);
	feed_frame(c, FRAME_RST_STREAM, 0, 1, SLICE("\0\0\0\x08"));
	assert_int_equal(n.damage, DAMAGE_REQUEST_HEAD | DAMAGE_CUT);
	feed_frame(c, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 3, SLICE("\x83\x87\x84\xbe"));
	assert_int_equal(n.heads, 1);
	proto_close(c, 1, true);
	assert_int_equal(n.damage, DAMAGE_FIELDS | DAMAGE_CUT);
}

/* A few bytes of block that stand for very many fields. */
static void test_many_fields(void **state)
{
	struct conn_info info = {.first_ts = 1};
	struct counted n = {0};
	struct proto_conn *c = proto_open(&counting, &n, &info);
	struct buf block = {0};

	(void)state;
	buf_adds(&block, "\x83\x87\x84\x40\x01x\x01y");
	for (int i = 0; i < 16000; i++)
		buf_addc(&block, (char)0xbe);
	proto_feed(c, EV_DIR_WRITE, 1, HTTP2_PREFACE);
	feed_frame(c, FRAME_HEADERS, FLAG_END_HEADERS | FLAG_END_STREAM, 1, buf_slice(&block));
	assert_int_equal(n.fields, PROTO_HEADERS_MAX);
	proto_close(c, 1, true);
	assert_true(n.damage & DAMAGE_REQUEST_HEAD);
	buf_release(&block);
}

/* --- gRPC --------------------------------------------------------------------------------- */

static void on_call(void *ctx, struct llm_call *call)
{
	(void)ctx, (void)call;
}

static void on_call_end(void *ctx, struct llm_call *call)
{
	(void)ctx;
	llm_call_free(call);
}

static uint64_t calls_of(struct slice type)
{
	static const struct llm_events calls = {.begin = on_call, .end = on_call_end};
	struct conn_info info = {.first_ts = 1};
	struct llm *l = llm_new(&calls, NULL);
	struct proto_conn *c = proto_open(&llm_proto_events, l, &info);
	struct buf block = {0};
	uint64_t n;

	buf_adds(&block, "\x83\x87\x04\x14/v1/chat/completions\x0f\x10");
	buf_addc(&block, (char)type.n);
	buf_addslice(&block, type);
	proto_feed(c, EV_DIR_WRITE, 1, HTTP2_PREFACE);
	feed_frame(c, FRAME_HEADERS, FLAG_END_HEADERS, 1, buf_slice(&block));
	feed_frame(c, FRAME_DATA, FLAG_END_STREAM, 1, SLICE("{\"model\":\"m\",\"messages\":[]}"));
	proto_close(c, 1, true);
	n = llm_stats(l)->calls;
	assert_int_equal(llm_stats(l)->grpc, n ? 0 : 1);
	llm_free(l);
	buf_release(&block);
	return n;
}

static void test_grpc_is_no_call(void **state)
{
	(void)state;
	assert_int_equal(calls_of(SLICE("application/json")), 1);
	assert_int_equal(calls_of(SLICE("application/grpc+json")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exact),
	    cmocka_unit_test(test_hole_in_data),
	    cmocka_unit_test(test_holes_anywhere),
	    cmocka_unit_test(test_holes_of_records),
	    cmocka_unit_test(test_late),
	    cmocka_unit_test(test_too_many_streams),
	    cmocka_unit_test(test_continuation_flood),
	    cmocka_unit_test(test_many_fields),
	    cmocka_unit_test(test_grpc_is_no_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
