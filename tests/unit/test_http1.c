/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two theorems of pairing.h on random streams with random holes, fixed
 * seeds: what is reported without damage is exact, rightly paired and whole,
 * and how many exchanges that no hole overlaps may be marked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <zlib.h>

#include "base/alloc.h"
#include "proto/print.h"

#define N_EXCHANGES 40

static uint64_t rng;

static unsigned rnd(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng >> 11) % n;
}

enum client {
	WAITS,
	PIPELINES, /* but keeps RFC 9112 9.3.2: nothing behind a POST that is not answered */
	FLOUTS,    /* pipelines anything */
};

struct plan {
	enum client client;
	bool steady;    /* pipelines as far as it can */
	bool quotes;    /* bodies hold heads of messages */
	bool late;      /* the first bytes are not seen */
	unsigned spare; /* exchanges at the beginning that are left whole */
	unsigned holes, longest;
};

struct expected {
	struct buf request_body, response_body;
	uint64_t begin[2], end[2]; /* offsets by direction: 0 request, 1 response */
	bool hit[2], head, post;
	bool undamaged; /* reported so */
	unsigned ended;
};

struct world {
	struct plan plan;
	struct expected x[N_EXCHANGES];
	struct buf stream[2];
	bool *missing[2];
	uint64_t first[2]; /* offsets of the first bytes that are seen */
	unsigned requests, ends;
};

struct tally {
	unsigned streams, intact, marked, undamaged;
};

struct seen {
	struct buf request_body, response_body;
};

static void on_request(void *ctx, struct exchange *x)
{
	struct world *w = ctx;

	w->requests++;
	assert_null(x->user);
	x->user = xcalloc(1, sizeof(struct seen));
}

static void on_request_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	(void)ctx, (void)ts;
	buf_addslice(&((struct seen *)x->user)->request_body, s);
}

static void on_response_body(void *ctx, struct exchange *x, uint64_t ts, struct slice s)
{
	(void)ctx, (void)ts;
	buf_addslice(&((struct seen *)x->user)->response_body, s);
}

static void on_nothing(void *ctx, struct exchange *x)
{
	(void)ctx;
	assert_non_null(x->user);
}

static void on_gap(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n)
{
	(void)ctx, (void)dir, (void)ts, (void)n;
	assert_true(x->damage & (DAMAGE_REQUEST_BODY | DAMAGE_RESPONSE_BODY));
}

static void check_exact(struct world *w, const struct exchange *x, const struct seen *seen)
{
	struct expected *e;
	uint64_t i = N_EXCHANGES, id = N_EXCHANGES;

	assert_true(x->method.p && slice_starts(x->target, SLICE("/x/")));
	assert_true(slice_u64(slice_from(x->target, 3), &i) && i < N_EXCHANGES);
	assert_true(slice_u64(http_header_get(&x->response_headers, SLICE("x-id")), &id));
	assert_int_equal(i, id);
	e = &w->x[i];
	assert_int_equal(x->request_offset + w->first[0], e->begin[0]);
	assert_true(slice_eq(buf_slice(&seen->request_body), buf_slice(&e->request_body)));
	assert_true(slice_eq(buf_slice(&seen->response_body), buf_slice(&e->response_body)));
	assert_int_equal(x->request_body_bytes, e->request_body.n);
	assert_int_equal(x->response_body_bytes, e->response_body.n);
	assert_true(x->request_start && x->request_start <= x->request_end && x->response_start &&
	            x->response_start <= x->response_head && x->response_head <= x->response_end);
	assert_int_equal(x->lost_bytes, 0);
	assert_false(e->hit[0] || e->hit[1]);
	e->undamaged = true;
	e->ended++;
	assert_int_equal(e->ended, 1);
}

static void on_end(void *ctx, struct exchange *x)
{
	struct world *w = ctx;
	struct seen *seen = x->user;

	w->ends++;
	if (!x->damage)
		check_exact(w, x, seen);
	buf_release(&seen->request_body);
	buf_release(&seen->response_body);
	free(seen);
}

static const struct proto_events events = {
    .request = on_request,
    .request_body = on_request_body,
    .request_end = on_nothing,
    .response = on_nothing,
    .response_body = on_response_body,
    .body_gap = on_gap,
    .end = on_end,
};

/* Now and then what a tool that fetches web pages would return: whole messages, quoted. */
static void add_quote(struct buf *b)
{
	static const char *const quotes[] = {
	    "GET /x/7 HTTP/1.1\r\nHost: h\r\n\r\nHTTP/1.1 200 OK\r\nX-Id: 7\r\nContent-Length: 0\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nX-Id: 9\r\nContent-Length: 700\r\n\r\n",
	    "POST /x/8 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
	    "POST /x/8 HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n",
	};
	unsigned n = 1 + rnd(3);

	while (n--)
		buf_adds(b, quotes[rnd(sizeof(quotes) / sizeof(*quotes))]);
	if (rnd(2))
		buf_adds(b, "tail");
}

static void random_body(struct buf *b, bool quotes)
{
	static const char *const words[] = {
	    "{\"a\": 1}", "HTTP",        "GET ",  "HTTP/1.1 2", "\r\n",
	    "\r\n\r\n",   "data: x\n\n", "0\r\n", "lorem ",     "POST /x/3 HTTP/1."};
	size_t n_words = sizeof(words) / sizeof(*words) - !quotes;
	unsigned n = rnd(4) ? rnd(30) : rnd(400);

	if (!rnd(8))
		buf_adds(b, "lead ");
	while (n--) {
		buf_adds(b, words[rnd((unsigned)n_words)]);
		if (quotes && !rnd(60))
			add_quote(b);
	}
	if (quotes && !rnd(8))
		add_quote(b);
}

static void add_chunked(struct buf *out, struct slice body)
{
	while (body.n) {
		size_t n = 1 + rnd(body.n < 300 ? (unsigned)body.n : 300);

		buf_addf(out, "%zx%s\r\n", n, rnd(5) ? "" : ";ext=\"1\"");
		buf_add(out, body.p, n);
		buf_adds(out, "\r\n");
		body = slice_from(body, n);
	}
	buf_addf(out, "0\r\n%s\r\n", rnd(5) ? "" : "X-Trailer: t\r\n");
}

static void add_message(struct buf *out, struct slice body)
{
	if (rnd(2)) {
		buf_adds(out, "Transfer-Encoding: chunked\r\n\r\n");
		add_chunked(out, body);
	} else {
		buf_addf(out, "Content-Length: %zu\r\n\r\n", body.n);
		buf_addslice(out, body);
	}
}

static void make_request(struct world *w, unsigned i)
{
	static const char *const methods[] = {"GET", "HEAD", "PUT", "POST", "POST", "POST"};
	const char *method = methods[rnd(sizeof(methods) / sizeof(*methods))];
	struct expected *e = &w->x[i];
	struct buf *out = &w->stream[0];

	e->head = method[0] == 'H';
	e->post = method[1] == 'O';
	e->begin[0] = out->n;
	buf_addf(out, "%s /x/%u HTTP/1.1\r\nHost: example.com\r\nUser-Agent: some agent\r\n", method, i);
	if (method[0] == 'P') {
		random_body(&e->request_body, w->plan.quotes);
		add_message(out, buf_slice(&e->request_body));
	} else {
		buf_adds(out, "\r\n");
	}
	e->end[0] = out->n;
}

static void make_response(struct world *w, unsigned i)
{
	struct expected *e = &w->x[i];
	struct buf *out = &w->stream[1];

	e->begin[1] = out->n;
	if (!rnd(8))
		buf_adds(out, "HTTP/1.1 100 Continue\r\n\r\n");
	if (!e->head && !rnd(6)) {
		buf_addf(out, "HTTP/1.1 204 No Content\r\nX-Id: %u\r\n\r\n", i);
	} else {
		buf_addf(out, "HTTP/1.1 200 OK\r\nX-Id: %u\r\n", i);
		if (e->head) {
			buf_adds(out, "Content-Length: 1234\r\n\r\n");
		} else {
			random_body(&e->response_body, w->plan.quotes);
			add_message(out, buf_slice(&e->response_body));
		}
	}
	e->end[1] = out->n;
}

static void hide(struct world *w, int d, uint64_t at, uint64_t end)
{
	for (; at < end && at < w->stream[d].n; at++)
		w->missing[d][at] = true;
}

/* Somewhere in exchange i, or at a boundary. */
static uint64_t some_place(const struct expected *e, int d)
{
	return rnd(3) ? e->begin[d] + rnd((unsigned)(e->end[d] - e->begin[d])) : e->begin[d];
}

static void make_holes(struct world *w)
{
	for (int d = 0; d < 2; d++)
		w->missing[d] = xcalloc(w->stream[d].n + 1, 1);
	if (w->plan.late) {
		unsigned i = rnd(4);

		w->first[1] = rnd(2) ? some_place(&w->x[i], 1) : w->x[i].end[1];
		w->first[0] = w->x[i].end[0];
		hide(w, 0, 0, w->first[0]);
		hide(w, 1, 0, w->first[1]);
	}
	for (unsigned k = 0; k < w->plan.holes; k++) {
		int d = (int)rnd(2);
		unsigned i = w->plan.spare + rnd(N_EXCHANGES - w->plan.spare);
		uint64_t at = some_place(&w->x[i], d);

		hide(w, d, at,
		     rnd(4) ? at + 1 + rnd(w->plan.longest) : w->x[i + rnd(N_EXCHANGES - i)].end[d]);
	}
	for (unsigned i = 0; i < N_EXCHANGES; i++) {
		for (int d = 0; d < 2; d++) {
			for (uint64_t o = w->x[i].begin[d]; o < w->x[i].end[d]; o++)
				w->x[i].hit[d] |= w->missing[d][o];
		}
	}
}

struct player {
	struct world *w;
	struct proto_conn *conn;
	uint64_t ts, at[2], hole[2];
	bool eager; /* a hole is reported at once, not before the next byte of either direction (stream.h) */
};

static void flush_hole(struct player *p, int d)
{
	if (p->hole[d])
		proto_gap(p->conn, d, p->ts, p->hole[d], GAP_RING);
	p->hole[d] = 0;
}

static void flush_holes(struct player *p)
{
	int d = (int)rnd(2);

	flush_hole(p, d);
	flush_hole(p, !d);
}

static void play(struct player *p, int d, uint64_t end)
{
	while (p->at[d] < end) {
		uint64_t n = 0, max = rnd(3) ? 1 + rnd(40) : end;
		bool missing = p->w->missing[d][p->at[d]];

		while (p->at[d] + n < end && n < max && p->w->missing[d][p->at[d] + n] == missing)
			n++;
		p->ts++;
		if (p->at[d] < p->w->first[d]) {
			assert_true(missing);
			n = n < p->w->first[d] - p->at[d] ? n : p->w->first[d] - p->at[d];
		} else if (missing) {
			p->hole[d] += n;
		} else {
			char *exact = xmalloc(n);

			flush_holes(p);
			memcpy(exact, p->w->stream[d].p + p->at[d], n);
			proto_feed(p->conn, d, p->ts, slice_of(exact, n));
			free(exact);
		}
		p->at[d] += n;
		if (p->eager)
			flush_hole(p, d);
	}
}

static void free_world(struct world *w)
{
	for (unsigned i = 0; i < N_EXCHANGES; i++) {
		buf_release(&w->x[i].request_body);
		buf_release(&w->x[i].response_body);
	}
	for (int d = 0; d < 2; d++) {
		buf_release(&w->stream[d]);
		free(w->missing[d]);
	}
	free(w);
}

static struct world *make_world(const struct plan *plan)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->plan = *plan;
	for (unsigned i = 0; i < N_EXCHANGES; i++) {
		make_request(w, i);
		make_response(w, i);
	}
	make_holes(w);
	return w;
}

static bool may_send(const struct world *w, unsigned sent, unsigned answered)
{
	const struct plan *plan = &w->plan;

	if (sent == N_EXCHANGES || sent == answered)
		return sent < N_EXCHANGES;
	if (plan->client == WAITS || (plan->client == PIPELINES && w->x[sent - 1].post))
		return false;
	/* It shows itself where nothing is lost. */
	if (sent < plan->spare)
		return true;
	return sent < answered + 4 && (plan->steady || rnd(2));
}

static void play_all(struct player *p)
{
	unsigned sent = 0;

	for (unsigned i = 0; i < N_EXCHANGES; i++) {
		while (may_send(p->w, sent, i))
			play(p, 0, p->w->x[sent++].end[0]);
		play(p, 1, p->w->x[i].end[1]);
	}
	flush_holes(p);
	proto_close(p->conn, ++p->ts, true);
	assert_int_equal(p->w->requests, p->w->ends);
}

static bool method_hidden(const struct world *w, const struct expected *e)
{
	for (uint64_t o = e->begin[0]; o < e->begin[0] + 5; o++) {
		if (w->missing[0][o])
			return true;
	}
	return false;
}

/* Theorem 2: whether exchange i may be marked although no hole overlaps it. */
static bool may_be_marked(const struct world *w, unsigned i)
{
	const struct expected *before = i ? &w->x[i - 1] : NULL;
	bool asked_hit = i && before->hit[0], answer_hit = i && before->hit[1];

	if (!i)
		return w->plan.late;
	if (!before->post)
		return asked_hit || answer_hit || may_be_marked(w, i - 1);
	if (!asked_hit && !answer_hit)
		return false;
	return (asked_hit && answer_hit) || method_hidden(w, before) || may_be_marked(w, i - 1);
}

static void count(const struct world *w, uint64_t seed, struct tally *t)
{
	t->streams++;
	for (unsigned i = 0; i < N_EXCHANGES; i++) {
		const struct expected *e = &w->x[i];
		bool intact = !e->hit[0] && !e->hit[1];

		t->intact += intact;
		t->undamaged += e->undamaged;
		if (!intact || e->undamaged)
			continue;
		t->marked++;
		if (w->plan.client == WAITS && !w->plan.quotes && !may_be_marked(w, i))
			fail_msg("seed %llu: exchange %u is whole but marked", (unsigned long long)seed, i);
	}
}

static void one_stream(uint64_t seed, const struct plan *plan, struct tally *t)
{
	struct conn_info info = {.first_ts = 1, .late = plan->late};
	struct player p = {0};

	rng = seed * 0x9e3779b97f4a7c15u + 1;
	p.w = make_world(plan);
	p.eager = rnd(2);
	p.conn = proto_open(&events, p.w, &info);
	play_all(&p);
	count(p.w, seed, t);
	free_world(p.w);
}

static struct tally streams(struct plan plan, unsigned n, const char *what)
{
	static const unsigned longest[] = {3, 40, 300, 1500};
	unsigned holes = plan.holes;
	struct tally t = {0};

	for (uint64_t seed = 1; seed <= n; seed++) {
		plan.holes = holes ? 1 + (unsigned)(seed % holes) : 0;
		plan.longest = longest[seed / 12 % 4];
		one_stream(seed, &plan, &t);
	}
	print_message("%s: %u streams, %u whole exchanges, %u of them marked\n", what, t.streams, t.intact,
	              t.marked);
	return t;
}

static void test_no_hole(void **state)
{
	(void)state;
	assert_int_equal(streams((struct plan){.client = WAITS, .quotes = true}, 200, "waits").marked, 0);
	assert_int_equal(streams((struct plan){.client = PIPELINES, .quotes = true}, 200, "pipelines").marked,
	                 0);
	assert_int_equal(streams((struct plan){.client = FLOUTS, .quotes = true}, 200, "flouts").marked, 0);
}

static void test_waits(void **state)
{
	(void)state;
	streams((struct plan){.client = WAITS, .holes = 2}, 1000, "few holes");
	streams((struct plan){.client = WAITS, .holes = 12}, 1000, "many holes");
	streams((struct plan){.client = WAITS, .late = true}, 500, "late");
	streams((struct plan){.client = WAITS, .late = true, .holes = 6}, 500, "late, holes");
	streams((struct plan){.client = WAITS, .quotes = true, .holes = 8}, 1000, "quotations");
}

static void test_pipelines(void **state)
{
	struct plan plan = {.client = PIPELINES, .holes = 8};

	(void)state;
	streams(plan, 1000, "any time");
	plan.quotes = true;
	streams(plan, 500, "quotations");
	plan.late = true;
	streams(plan, 500, "quotations, late");
	plan.steady = true;
	streams(plan, 500, "quotations, late, steady");
	plan.late = false;
	streams(plan, 500, "quotations, steady");
}

/* Pipelines POSTs too, from the first burst on, where nothing is lost yet. */
static void test_flouts(void **state)
{
	struct plan plan = {.client = FLOUTS, .quotes = true, .holes = 8, .spare = 2};

	(void)state;
	streams(plan, 500, "flouts");
	plan.steady = true;
	streams(plan, 500, "flouts, steady");
}

/* --- named cases that Markdown cannot hold --------------------------------------- */

static void print_conn(struct buf *log, const struct slice *pieces, size_t n, bool complete)
{
	struct conn_info info = {.first_ts = 1};
	struct proto_conn *c = proto_open(&proto_print_events, log, &info);

	for (size_t i = 0; i < n; i++)
		proto_feed(c, i ? EV_DIR_READ : EV_DIR_WRITE, i + 1, pieces[i]);
	proto_close(c, n + 1, complete);
}

static struct slice gzip(struct slice s, char *out, size_t cap)
{
	z_stream z = {.next_in = (unsigned char *)s.p,
	              .avail_in = (unsigned)s.n,
	              .next_out = (unsigned char *)out,
	              .avail_out = (unsigned)cap};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return slice_of(out, z.total_out);
}

static void test_gzip(void **state)
{
	char packed[256];
	struct slice z = gzip(SLICE("{\"hello\": 1}"), packed, sizeof(packed));
	struct buf head = {0}, log = {0};

	(void)state;
	buf_addf(&head, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", z.n);
	print_conn(&log, (struct slice[]){SLICE("GET / HTTP/1.1\r\n\r\n"), buf_slice(&head), z}, 3, true);
	assert_non_null(strstr(buf_str(&log), "response-body 12 bytes \"{\"hello\": 1}\""));
	assert_non_null(strstr(buf_str(&log), "end damage=none"));

	/* The same, cut: marked, not silently short. */
	buf_clear(&log);
	buf_clear(&head);
	buf_addf(&head, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", z.n - 5);
	z.n -= 5;
	print_conn(&log, (struct slice[]){SLICE("GET / HTTP/1.1\r\n\r\n"), buf_slice(&head), z}, 3, true);
	assert_non_null(strstr(buf_str(&log), "damage=encoding"));
	buf_release(&head);
	buf_release(&log);
}

static void test_pipeline_limit(void **state)
{
	struct buf flood = {0}, log = {0};

	(void)state;
	for (int i = 0; i < PROTO_PIPELINE_MAX + 3; i++)
		buf_addf(&flood, "GET /%d HTTP/1.1\r\n\r\n", i);
	print_conn(&log, (struct slice[]){buf_slice(&flood)}, 1, true);
	assert_non_null(strstr(buf_str(&log), "too many requests"));
	assert_null(strstr(buf_str(&log), "damage=none"));
	buf_release(&flood);
	buf_release(&log);
}

/* billion_heads: what a search behind a hole may cost must stay linear. */
static void test_hostile_search(void **state)
{
	static const char *const seeds[] = {
	    "GET ", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\na:", "HTTP/1.1 200 ", "HTTP", "GET /GET"};
	struct conn_info info = {.first_ts = 1, .late = true};

	(void)state;
	for (size_t i = 0; i < sizeof(seeds) / sizeof(*seeds); i++) {
		struct buf flood = {0}, log = {0};
		struct proto_conn *c = proto_open(&proto_print_events, &log, &info);

		while (flood.n < 4 << 20)
			buf_adds(&flood, seeds[i]);
		proto_feed(c, EV_DIR_READ, 1, SLICE("}"));
		proto_feed(c, EV_DIR_READ, 1, buf_slice(&flood));
		proto_feed(c, EV_DIR_WRITE, 1, SLICE("}"));
		proto_feed(c, EV_DIR_WRITE, 1, buf_slice(&flood));
		proto_close(c, 2, false);
		buf_release(&flood);
		buf_release(&log);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_hole),        cmocka_unit_test(test_waits),
	    cmocka_unit_test(test_pipelines),      cmocka_unit_test(test_flouts),
	    cmocka_unit_test(test_gzip),           cmocka_unit_test(test_pipeline_limit),
	    cmocka_unit_test(test_hostile_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
