/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llhttp parses heads and nothing else: a head is collected whole (head.c),
 * parsed, and its framing read off.  Bodies are driven here, because llhttp
 * cannot skip body bytes, and skipping is what a hole asks for:
 *
 *   Content-Length    a hole inside the body is counted off; the next message
 *                     is found exactly.  A hole that is longer than the body
 *                     ends it, and the rest is a hole between messages.
 *   chunked           the same inside the data of one chunk, otherwise the
 *                     boundary is lost.
 *   until close       every byte up to the close is body, hole or not.
 *   head, between     the boundary is lost.
 *
 * A POST that waits for its answer is a turn: what is missing of it is missing
 * of it alone, and the next request begins behind the head of its answer (pairing.h).
 *
 * Where the boundary of a direction is lost otherwise, a message may begin
 *   EDGE   right behind the hole (records are lost whole, and writers begin a
 *          message with a record), or, if it is a request, with the first byte
 *          behind the head of a response;
 *   FOUND  anywhere further on, where something looks like a head.  It may be
 *          a quotation in a body, and so may be what follows it.
 * Neither is trusted with a pair: see pairing.h.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/chunked.h"
#include "proto/head.h"
#include "proto/http1.h"
#include "proto/pairing.h"
#include "proto/websocket.h"

enum state {
	AT_START,    /* a message may begin here; CR and LF before it are skipped (RFC 9112 2.2) */
	IN_HEAD,     /* its head is being collected */
	SEARCHING,   /* the boundary is lost: anything may come */
	IN_LENGTH,   /* body, `left` bytes to go */
	UNTIL_CLOSE, /* body without known end */
	IN_TURN,     /* of requests: the rest of one that has a hole, up to its answer (pairing.h) */
	IN_CHUNKS,   /* chunked body */
	IN_TRAILERS, /* behind its last chunk: lines up to an empty one are collected in `head` */
	HANDED_OVER, /* no HTTP any more: WebSocket, or passed over */
};

enum trust { EXACT, EDGE, FOUND };

struct side {
	struct http1 *conn;
	enum state state;
	enum trust trust; /* of the head that comes next or is collected, or of the message it began */
	uint64_t offset;  /* of the next byte */
	uint64_t ts;      /* of the bytes that are being parsed */
	uint64_t left;
	bool turned; /* the other side had moved last before that head (pairing.h) */
	struct chunked chunked;
	size_t line;       /* IN_TRAILERS: bytes of the line so far */
	bool cr;           /* and it is one CR */
	bool trailers_cut; /* not all of them were kept */
	struct head head;
};

struct http1 {
	struct pairing pairing;
	struct side side[2];
	const struct side *last;     /* that moved: a byte or a hole; NULL: none yet */
	struct websocket *websocket; /* NULL: the connection was not handed over to it */
	struct open *upgraded;       /* its exchange */
};

static int dir_of(const struct side *s)
{
	return s == &s->conn->side[1];
}

static struct open **body_of(struct side *s)
{
	return &s->conn->pairing.body[dir_of(s)];
}

/* While it is not known which side asks: both do. */
static bool is_request(const struct side *s)
{
	return s->conn->pairing.request_dir != !dir_of(s);
}

static struct side *other(struct side *s)
{
	return &s->conn->side[!dir_of(s)];
}

static void expect_start(struct side *s, enum trust trust)
{
	*body_of(s) = NULL;
	head_release(&s->head);
	s->state = AT_START;
	s->trust = trust;
}

/* The boundary is lost, to n bytes that no body accounts for (0: to something else than a hole). */
static void lose_boundary(struct side *s, uint64_t n, enum gap_cause cause)
{
	if (is_request(s)) {
		pairing_request_lost(&s->conn->pairing, n, cause);
		return;
	}
	pairing_response_lost(&s->conn->pairing, n, cause);
	if (other(s)->state == IN_TURN) /* when it ends cannot be told any more */
		expect_start(other(s), EDGE);
}

static void search_on(struct side *s)
{
	*body_of(s) = NULL;
	lose_boundary(s, 0, 0);
	s->state = SEARCHING;
	s->trust = FOUND;
}

static void take(struct side *s, struct slice *in, size_t n)
{
	s->offset += n;
	*in = slice_from(*in, n);
}

/* --- bodies ----------------------------------------------------------------- */

static void body_out(void *ctx, struct slice bytes)
{
	struct side *s = ctx;
	const struct pairing *p = &s->conn->pairing;
	struct exchange *x = &(*body_of(s))->x;

	if (is_request(s)) {
		x->request_body_bytes += bytes.n;
		p->ev->request_body(p->ctx, x, s->ts, bytes);
	} else {
		x->response_body_bytes += bytes.n;
		p->ev->response_body(p->ctx, x, s->ts, bytes);
	}
}

static void encoding_broken(struct side *s, struct open *o, const char *why)
{
	int dir = dir_of(s);

	open_mark(o, DAMAGE_ENCODING, why);
	decoder_free(o->decoder[dir]);
	o->decoder[dir] = NULL;
	o->mute[dir] = true;
}

static void body_bytes(struct side *s, struct slice bytes)
{
	struct open *o = *body_of(s);

	if (!o || o->mute[dir_of(s)] || !bytes.n)
		return;
	if (!o->decoder[dir_of(s)])
		body_out(s, bytes);
	else if (decoder_feed(o->decoder[dir_of(s)], bytes) < 0)
		encoding_broken(s, o, "the compressed body is broken");
}

static void add_fields(struct buf *list, const struct http_headers *h, struct slice name)
{
	for (size_t i = 0; i < h->n; i++) {
		if (!slice_caseeq(h->v[i].name, name))
			continue;
		buf_adds(list, list->n ? ", " : "");
		buf_addslice(list, h->v[i].value);
	}
}

/* All codings in the order in which they were applied (RFC 9110 8.4, RFC 9112 6.1), but the chunks. */
static struct slice codings_of(struct buf *list, const struct http_headers *h, bool chunked)
{
	struct slice s;

	add_fields(list, h, SLICE("content-encoding"));
	add_fields(list, h, SLICE("transfer-encoding"));
	s = slice_trim(buf_slice(list));
	if (chunked) {
		const char *comma = s.n ? memrchr(s.p, ',', s.n) : NULL;

		s.n = comma ? (size_t)(comma - s.p) : 0;
	}
	return s;
}

/* Sets up what removes the codings of a body that is about to begin. */
static void remove_codings(struct side *s, struct open *o, const struct head_parsed *p)
{
	struct buf list = {0};
	struct slice codings =
	    codings_of(&list, is_request(s) ? &o->x.request_headers : &o->x.response_headers, p->chunked);

	if (codings.n && !slice_caseeq(codings, SLICE("identity"))) {
		o->decoder[dir_of(s)] = decoder_new(codings, body_out, s);
		if (!o->decoder[dir_of(s)])
			encoding_broken(s, o,
			                p->coded ? "the transfer coding is not known"
			                         : "the content encoding is not known");
	}
	buf_release(&list);
}

/* The last byte of the request (or of its response) was seen, or never will be. */
static void half_done(struct pairing *p, struct open *o, bool request)
{
	if (request)
		o->request_done = true;
	else
		o->response_done = true;
	if (o->request_done && o->response_done)
		pairing_end(p, o);
}

static void message_end(struct side *s)
{
	struct pairing *p = &s->conn->pairing;
	struct open *o = *body_of(s);

	if (o && o->decoder[dir_of(s)] && decoder_finish(o->decoder[dir_of(s)]) < 0)
		encoding_broken(s, o, "the compressed body is cut");
	expect_start(s, s->trust == FOUND ? FOUND : EXACT);
	if (!o)
		return;
	if (is_request(s)) {
		o->x.request_end = s->ts;
		p->ev->request_end(p->ctx, &o->x);
	} else {
		o->x.response_end = s->ts;
	}
	half_done(p, o, is_request(s));
}

/* --- messages ------------------------------------------------------------------ */

static void keep_request(struct side *s, struct open *o, struct head_parsed *p)
{
	struct exchange *x = &o->x;

	head_keep(&s->head, &x->arena, p, &x->request_headers);
	x->method = p->method;
	x->target = p->target;
	x->protocol = p->minor ? SLICE("http/1.1") : SLICE("http/1.0");
	x->request_offset = s->head.offset;
	x->request_start = s->head.ts;
	if (s->trust == FOUND)
		open_mark(o, DAMAGE_REQUEST_HEAD, "found by search behind missing bytes");
	if (p->too_many)
		open_mark(o, DAMAGE_REQUEST_HEAD, "more header fields than the limit");
}

static void begin_body(struct side *s, struct open *o, const struct head_parsed *p, bool to_close)
{
	head_release(&s->head);
	*body_of(s) = o;
	if (p->chunked) {
		s->state = IN_CHUNKS;
		s->chunked = (struct chunked){0};
	} else if (p->has_length && p->length) {
		s->state = IN_LENGTH;
		s->left = p->length;
	} else if (to_close && !p->has_length) {
		s->state = UNTIL_CLOSE;
	} else {
		message_end(s);
		return;
	}
	remove_codings(s, o, p);
}

static void syntax_error(struct side *s, const char *why)
{
	struct pairing *p = &s->conn->pairing;
	struct open *o = *body_of(s);

	if (!o && !is_request(s))
		o = pairing_waiting(p);
	if (o)
		open_mark(o, DAMAGE_SYNTAX, why);
	search_on(s);
	if (o && is_request(s))
		half_done(p, o, true);
}

static void begin_request(struct http1 *c, struct side *s, struct head_parsed *p)
{
	bool fresh;
	struct open *o = pairing_request(&c->pairing, s->trust == FOUND, s->turned, &fresh);

	if (fresh)
		expect_start(other(s), EXACT);
	keep_request(s, o, p);
	pairing_asked(&c->pairing, o);
	if (p->coded && !p->chunked) {
		/* RFC 9112 6.3, rule 4: where it ends cannot be known. */
		head_release(&s->head);
		*body_of(s) = o;
		syntax_error(s, "a request with a transfer coding is not chunked");
		return;
	}
	begin_body(s, o, p, false);
}

/* A response has begun, so what comes next on the lost side that asks begins a request. */
static void request_turn(struct http1 *c, struct side *s)
{
	struct open *o = *body_of(s);

	if (s->state == IN_TURN) {
		expect_start(s, EDGE);
		return;
	}
	if (c->pairing.synced || s->trust == EXACT || s->state == HANDED_OVER)
		return;
	if (s->state != AT_START && s->state != SEARCHING)
		lose_boundary(s, 0, 0);
	expect_start(s, EDGE);
	if (!o)
		return;
	open_mark(o, DAMAGE_REQUEST_BODY, "answered before the end was seen");
	half_done(&c->pairing, o, true);
}

/* RFC 9110 7.8, 9.3.6: the connection is handed over. */
static void hand_over(struct http1 *c, struct open *o)
{
	struct side *asks = &c->side[c->pairing.request_dir];
	bool sure = o->request_done && asks->state == AT_START && asks->trust == EXACT;

	if (!o->request_done)
		open_mark(o, DAMAGE_REQUEST_BODY, "upgraded before the request ended");
	o->request_done = true;
	pairing_give_up(&c->pairing, o, "the connection was upgraded");
	for (int i = 0; i < 2; i++) {
		expect_start(&c->side[i], EXACT);
		c->side[i].state = HANDED_OVER;
	}
	o->x.response_end = o->x.response_head;
	if (!websocket_begins(&o->x)) {
		o->response_done = true;
		pairing_end(&c->pairing, o);
		return;
	}
	c->upgraded = o;
	c->websocket = websocket_new(c->pairing.ev, c->pairing.ctx, &o->x);
	if (!sure)
		websocket_gap(c->websocket, o->x.request_dir, o->x.response_head, 0, 0);
}

/* RFC 9112 6.3, rule 1, and 9110 15.2 */
static bool without_body(const struct exchange *x)
{
	return slice_eq(x->method, SLICE("HEAD")) || x->status == 204 || x->status == 304;
}

static void begin_response(struct http1 *c, struct side *s, struct head_parsed *p)
{
	struct open *o;
	struct exchange *x;

	if (p->status < 200 && p->status != 101) {
		/* RFC 9110 15.2: an interim response; the final one follows. */
		expect_start(s, s->trust);
		return;
	}
	o = pairing_response(&c->pairing, s->trust != EXACT, s->head.offset);
	x = &o->x;
	head_keep(&s->head, &x->arena, p, &x->response_headers);
	x->status = p->status;
	if (!x->protocol.p)
		x->protocol = p->minor ? SLICE("http/1.1") : SLICE("http/1.0");
	x->response_start = s->head.ts;
	x->response_head = s->ts;
	if (p->too_many)
		open_mark(o, DAMAGE_RESPONSE_HEAD, "more header fields than the limit");
	x->upgraded = p->status == 101 || (slice_eq(x->method, SLICE("CONNECT")) && p->status < 300);
	if (o->orphan)
		c->pairing.ev->request(c->pairing.ctx, x);
	c->pairing.ev->response(c->pairing.ctx, x);
	if (x->upgraded) {
		hand_over(c, o);
		return;
	}
	request_turn(c, other(s));
	if (without_body(x)) {
		p->chunked = false;
		p->has_length = true;
		p->length = 0;
	}
	begin_body(s, o, p, true);
}

/* The connection asks in the other direction than believed: what was read so far was read wrongly. */
static void change_role(struct http1 *c, struct side *s, int request_dir)
{
	if (c->pairing.request_dir >= 0) {
		pairing_give_up(&c->pairing, NULL, "requests and responses were confused");
		pairing_request_lost(&c->pairing, 0, 0);
		expect_start(other(s), EDGE);
	}
	c->pairing.request_dir = request_dir;
}

/* What was collected is no head. */
static void refused(struct side *s, const char *why)
{
	if (s->trust == EXACT)
		syntax_error(s, why);
	else
		search_on(s);
}

static void head_complete(struct http1 *c, struct side *s)
{
	struct head_parsed p;

	if (head_parse(&s->head, &p) < 0) {
		refused(s, p.why);
		head_release(&s->head);
		return;
	}
	if (c->pairing.request_dir < 0 || (p.kind == HEAD_REQUEST) != is_request(s))
		change_role(c, s, p.kind == HEAD_REQUEST ? dir_of(s) : !dir_of(s));
	if (p.kind == HEAD_REQUEST)
		begin_request(c, s, &p);
	else
		begin_response(c, s, &p);
}

static unsigned kinds(const struct http1 *c, const struct side *s)
{
	if (!c->pairing.role_sure || c->pairing.request_dir < 0)
		return HEAD_ANY;
	return is_request(s) ? HEAD_REQUEST : HEAD_RESPONSE;
}

/* --- bytes --------------------------------------------------------------------- */

static void step_head(struct http1 *c, struct side *s, struct slice *in)
{
	const char *before = in->p;
	enum head_result r = head_take(&s->head, in);

	s->offset += (uint64_t)(in->p - before);
	if (r == HEAD_COMPLETE)
		head_complete(c, s);
	else if (r == HEAD_REFUSED)
		refused(s, "this is no HTTP message");
}

static void step_search(struct http1 *c, struct side *s, struct slice *in)
{
	const char *before = in->p;
	enum head_result r = head_find(&s->head, kinds(c, s), s->ts, s->offset, in);

	s->offset += (uint64_t)(in->p - before);
	if (r == HEAD_COMPLETE)
		head_complete(c, s);
}

/* Takes at most `left` bytes of body; returns how many. */
static size_t step_data(struct side *s, struct slice *in, uint64_t left)
{
	size_t n = in->n < left ? in->n : (size_t)left;

	body_bytes(s, slice_of(in->p, n));
	take(s, in, n);
	return n;
}

static void step_length(struct side *s, struct slice *in)
{
	s->left -= step_data(s, in, s->left);
	if (!s->left)
		message_end(s);
}

static void begin_trailers(struct side *s)
{
	s->state = IN_TRAILERS;
	s->line = 0;
	s->trailers_cut = false;
}

static void trailers_end(struct side *s)
{
	struct open *o = *body_of(s);

	if (o && !head_keep_trailers(&s->head, &o->x.arena,
	                             is_request(s) ? &o->x.request_trailers : &o->x.response_trailers))
		s->trailers_cut = true;
	if (o && s->trailers_cut)
		open_mark(o, DAMAGE_FIELDS, "trailer fields beyond the limit, or invalid");
	head_release(&s->head);
	message_end(s);
}

/* What is beyond the limit is not kept; the section ends with an empty line all the same. */
static void step_trailers(struct side *s, struct slice *in)
{
	const char *lf = memchr(in->p, '\n', in->n);
	size_t n = lf ? (size_t)(lf - in->p) + 1 : in->n, before = s->line;
	bool empty =
	    lf && (before == 0 ? n == 1 || (n == 2 && *in->p == '\r') : before == 1 && n == 1 && s->cr);

	s->cr = !lf && (before ? false : n == 1 && *in->p == '\r');
	s->line = lf ? 0 : before + n;
	if (s->head.bytes.n + n > PROTO_TRAILERS_MAX)
		s->trailers_cut = true;
	else if (*body_of(s))
		buf_add(&s->head.bytes, in->p, n);
	take(s, in, n);
	if (empty)
		trailers_end(s);
}

static void step_chunked(struct side *s, struct slice *in)
{
	const char *before = in->p;
	enum chunked_result r;

	if (s->chunked.left) {
		chunked_pass(&s->chunked, step_data(s, in, s->chunked.left));
		return;
	}
	r = chunked_take(&s->chunked, in);
	s->offset += (uint64_t)(in->p - before);
	if (r == CHUNKED_TRAILERS)
		begin_trailers(s);
	else if (r == CHUNKED_SIZE_INVALID)
		syntax_error(s, "invalid chunk size");
	else if (r == CHUNKED_DATA_LONGER)
		syntax_error(s, "chunk data longer than its size");
}

static void step(struct http1 *c, struct side *s, struct slice *in)
{
	switch (s->state) {
	case AT_START:
		if (*in->p == '\r' || *in->p == '\n') {
			take(s, in, 1);
			break;
		}
		head_begin(&s->head, kinds(c, s), s->ts, s->offset);
		s->turned = c->last && c->last != s;
		s->state = IN_HEAD;
		break;
	case IN_HEAD:
		step_head(c, s, in);
		break;
	case SEARCHING:
		step_search(c, s, in);
		break;
	case IN_LENGTH:
		step_length(s, in);
		break;
	case IN_CHUNKS:
		step_chunked(s, in);
		break;
	case IN_TRAILERS:
		step_trailers(s, in);
		break;
	case UNTIL_CLOSE:
		body_bytes(s, *in);
		take(s, in, in->n);
		break;
	case IN_TURN:
		take(s, in, in->n);
		break;
	case HANDED_OVER:
		if (c->websocket) {
			websocket_feed(c->websocket, (enum ev_dir)dir_of(s), s->ts, *in);
			c->upgraded->x.response_end = s->ts;
		}
		take(s, in, in->n);
		break;
	}
}

static void moves(struct http1 *c, const struct side *s)
{
	c->last = s;
	if (!is_request(s))
		pairing_response_moves(&c->pairing);
}

static void http1_feed(void *p, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	struct http1 *c = p;
	struct side *s = &c->side[dir];

	s->ts = ts;
	if (is_request(s) && s->state == SEARCHING && c->last != s)
		expect_start(s, EDGE);
	while (bytes.n) {
		step(c, s, &bytes);
		moves(c, s);
	}
}

/* --- holes ------------------------------------------------------------------------ */

/* `lost` bytes of the body are missing; `known`: the same, or 0 when its end is missing too. */
static void body_hole(struct side *s, uint64_t known, uint64_t lost, enum gap_cause cause)
{
	const struct pairing *p = &s->conn->pairing;
	struct open *o = *body_of(s);

	if (!o)
		return;
	open_lose(o, lost, cause);
	open_mark(o, is_request(s) ? DAMAGE_REQUEST_BODY : DAMAGE_RESPONSE_BODY, NULL);
	p->ev->body_gap(p->ctx, &o->x, (enum ev_dir)dir_of(s), s->ts, known);
	if (o->decoder[dir_of(s)])
		encoding_broken(s, o, "the compressed body has a hole");
}

/* The head that is being collected is known to be that of a POST or PATCH. */
static bool turn_begun(const struct side *s)
{
	struct slice begun = buf_slice(&s->head.bytes);

	return s->state == IN_HEAD && s->trust != FOUND && is_request(s) &&
	       (slice_starts(begun, SLICE("POST ")) || slice_starts(begun, SLICE("PATCH ")));
}

/* A hole where the boundary is not known, or that swallowed it. */
static void boundary_hole(struct side *s, uint64_t n, enum gap_cause cause)
{
	struct pairing *p = &s->conn->pairing;
	bool synced = p->synced;

	if (turn_begun(s) && (s->trust == EXACT || s->turned) && pairing_turn_unseen(p, s->turned)) {
		p->request_dir = dir_of(s);
		if (!synced)
			expect_start(other(s), EXACT);
	}
	expect_start(s, EDGE);
	lose_boundary(s, n, cause);
	if (is_request(s) && pairing_in_turn(p))
		s->state = IN_TURN;
}

/* A hole that ends a body at a place that is not known. */
static void lose_body(struct side *s, uint64_t n, enum gap_cause cause)
{
	struct open *o = *body_of(s);

	body_hole(s, 0, n, cause);
	boundary_hole(s, o ? 0 : n, cause);
	if (o && is_request(s))
		half_done(&s->conn->pairing, o, true);
}

static void http1_gap(void *p, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	struct http1 *c = p;
	struct side *s = &c->side[dir];
	uint64_t inside = n < s->left ? n : s->left;

	s->ts = ts;
	s->offset += n;
	moves(c, s);
	switch (s->state) {
	case HANDED_OVER:
		if (c->websocket)
			websocket_gap(c->websocket, dir, ts, n, cause);
		break;
	case UNTIL_CLOSE:
		body_hole(s, n, n, cause);
		break;
	case IN_LENGTH:
		body_hole(s, inside, inside, cause);
		s->left -= inside;
		if (!s->left)
			message_end(s);
		if (n > inside)
			boundary_hole(s, n - inside, cause);
		break;
	case IN_CHUNKS:
		if (n > s->chunked.left) {
			lose_body(s, n, cause);
			break;
		}
		body_hole(s, n, n, cause);
		chunked_pass(&s->chunked, n);
		break;
	case IN_TRAILERS:
		lose_body(s, n, cause);
		break;
	case AT_START:
	case IN_HEAD:
	case SEARCHING:
	case IN_TURN:
		boundary_hole(s, n, cause);
		break;
	}
}

/* --- life ---------------------------------------------------------------------------- */

/* A method and a blank, or HTTP/1.x and a status. */
static enum detect http1_detect(struct slice first)
{
	bool sure;

	if (!head_prefix(first, HEAD_ANY, &sure))
		return DETECT_NO;
	return sure ? DETECT_YES : DETECT_MORE;
}

/* Anything may be the middle of a body: the first message that can be recognised is searched for. */
static enum detect http1_join(struct slice first)
{
	(void)first;
	return DETECT_YES;
}

static void *http1_open(const struct proto_events *ev, void *ctx, const struct conn_info *info,
                        bool from_start)
{
	struct http1 *c = xcalloc(1, sizeof(*c));

	pairing_init(&c->pairing, ev, ctx, info, from_start);
	for (int i = 0; i < 2; i++) {
		c->side[i].conn = c;
		c->side[i].trust = from_start ? EXACT : EDGE;
	}
	return c;
}

static void http1_close(void *p, uint64_t ts, bool complete)
{
	struct http1 *c = p;

	for (int i = 0; i < 2; i++) {
		struct side *s = &c->side[i];

		if (complete && *body_of(s) && s->state == UNTIL_CLOSE) {
			s->ts = ts;
			message_end(s);
		}
		head_release(&s->head);
	}
	if (c->websocket) {
		websocket_finish(c->websocket, complete);
		websocket_free(c->websocket);
		pairing_end(&c->pairing, c->upgraded);
	}
	while (c->pairing.first) {
		open_mark(c->pairing.first, DAMAGE_CUT, "the connection ended first");
		pairing_end(&c->pairing, c->pairing.first);
	}
	free(c);
}

const struct protocol http1_protocol = {
    .name = "http/1",
    .detect = http1_detect,
    .join = http1_join,
    .open = http1_open,
    .feed = http1_feed,
    .gap = http1_gap,
    .close = http1_close,
};
