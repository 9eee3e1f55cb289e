/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How this parser works.
 *
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
 * Where the boundary of one direction is lost, a message may begin
 *   EDGE   right behind the hole: records are lost whole, and writers begin a
 *          message with a record;
 *   FOUND  anywhere further on, where something looks like a head.  It may be
 *          a quotation in a body: what begins there is always marked;
 *   EXACT  at the next turn.  Clients do not pipeline: a request begins after
 *          the response before it has ended.  So when a request begins, the
 *          next byte of the other direction begins its response, and earlier
 *          exchanges that wait for lost bytes can only be over; when a
 *          response ends, the next byte of the other direction begins a
 *          request.
 *
 * Pairing.  Responses come in the order of the requests (RFC 9112 9.3.2).  A
 * hole is proved only by the next byte behind it, so the picture "requests A
 * and B, then a hole in the responses" has two readings: A's response was lost
 * and B sent after it, or both were pipelined.  With two open exchanges and a
 * head at the EDGE both readings say that it is B's (A's began before or in
 * the hole).  With more, it is given to the newest and marked, and so are the
 * next exchanges (`doubt`), until DOUBT_TURNS requests in a row found nothing
 * open: a client that pipelines would have shown itself by then.  A client
 * that was seen to pipeline (a response continued after a younger request had
 * begun, no hole between) loses the benefit for good: after a lost response
 * boundary every exchange of the connection is marked.  A request behind a
 * lost one is in doubt too, unless the response of the lost one was seen.
 *
 * Marks are cheap, wrong pairs are not: whatever is reported with DAMAGE_NONE
 * is exact, but for two things that cannot be told: a body that holds a
 * complete head at the very byte behind a hole, and a client whose pipelining
 * had not shown when its first overlapping requests fell into a hole.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/decode.h"
#include "proto/head.h"
#include "proto/http1.h"

enum state {
	AT_START,     /* a message may begin here; CR and LF before it are skipped (RFC 9112 2.2) */
	IN_HEAD,      /* its head is being collected */
	SEARCHING,    /* the boundary is lost: anything may come */
	IN_LENGTH,    /* body, `left` bytes to go */
	UNTIL_CLOSE,  /* body without known end */
	CHUNK_FIRST,  /* the first digit of a chunk size (RFC 9112 7.1) */
	CHUNK_SIZE,   /* further digits */
	CHUNK_EXT,    /* chunk extension, up to LF */
	CHUNK_DATA,   /* `left` bytes to go */
	CHUNK_END,    /* CR LF behind the data */
	TRAILER,      /* at the beginning of a trailer line */
	TRAILER_LINE, /* inside one */
	PASSED_OVER,  /* no HTTP any more */
};

enum trust { EXACT, EDGE, FOUND };

#define DOUBT_TURNS  8 /* requests that must find nothing open before an ambiguous loss is forgotten */
#define DOUBT_ALWAYS UINT32_MAX

#define CHUNK_DIGITS_MAX 15 /* a size of 2^60 does not come */

struct open {
	struct exchange x; /* first: what downstream sees */
	struct open *next;
	bool request_done; /* its last byte was seen, or never will be */
	bool response_done;
	bool orphan; /* a response whose request was not seen */
	bool found;  /* the request may be a quotation: it was FOUND */
};

struct side {
	struct http1 *conn;
	enum state state;
	enum trust trust; /* of the head that is collected or comes next */
	uint8_t digits;
	bool mute; /* the body cannot be decoded, or no longer */
	bool saw_cr;
	uint64_t offset; /* of the next byte */
	uint64_t ts;     /* of the bytes that are being parsed */
	uint64_t left;
	struct head head;
	struct open *x; /* whose body this is; NULL also when it was given up */
	struct decoder *decoder;
};

struct http1 {
	const struct proto_events *ev;
	void *ctx;
	const struct conn_info *info;
	struct side side[2];
	int request_dir; /* -1: not known yet */
	bool role_sure;
	struct open *first, *last; /* in the order of the requests */
	size_t n_open;
	uint64_t lost; /* bytes that belong to no exchange yet */
	enum gap_cause lost_cause;
	bool pipelined;     /* proved */
	bool boundary_lost; /* at some time, in some direction */
	bool request_seen;
	bool requests_lost; /* since the last request: bytes between requests are missing */
	bool orphan_seen;   /* since the last request: a response that may be the lost request's */
	uint32_t doubt;     /* how many further requests are marked */
};

static const char why_guess[] = "which request this response belongs to is a guess";
static const char why_found[] = "found by search behind missing bytes";
static const char why_lost[] = "the rest was lost";
static const char why_turn[] = "the next request began before the end was seen";

static bool is_request(const struct side *s)
{
	return s == &s->conn->side[s->conn->request_dir & 1];
}

static struct side *request_side(struct http1 *c)
{
	return &c->side[c->request_dir & 1];
}

static struct side *response_side(struct http1 *c)
{
	return &c->side[!(c->request_dir & 1)];
}

static void mark(struct open *o, unsigned damage, const char *why)
{
	o->x.damage |= damage;
	if (!o->x.why)
		o->x.why = why;
}

static void lose(struct open *o, uint64_t n, enum gap_cause cause)
{
	o->x.lost_bytes += n;
	if (!o->x.cause)
		o->x.cause = cause;
}

static void doubt(struct http1 *c, uint32_t turns)
{
	if (turns > c->doubt)
		c->doubt = turns;
}

/* --- sides ------------------------------------------------------------- */

static void drop_body(struct side *s)
{
	decoder_free(s->decoder);
	s->decoder = NULL;
	s->mute = false;
	s->x = NULL;
}

static void expect_start(struct side *s, enum trust trust)
{
	drop_body(s);
	head_release(&s->head);
	s->state = AT_START;
	s->trust = trust;
}

static void search_on(struct side *s)
{
	drop_body(s);
	s->state = SEARCHING;
	s->trust = FOUND;
}

/* Whether the boundary was lost and nothing has been recognised since. */
static bool boundary_lost(const struct side *s)
{
	return s->state == SEARCHING || ((s->state == AT_START || s->state == IN_HEAD) && s->trust != EXACT);
}

static void take(struct side *s, struct slice *in, size_t n)
{
	s->offset += n;
	*in = slice_from(*in, n);
}

/* --- exchanges ------------------------------------------------------------ */

static struct open *first_waiting(const struct http1 *c)
{
	struct open *o = c->first;

	while (o && o->response_done)
		o = o->next;
	return o;
}

static struct open *open_new(struct http1 *c)
{
	struct open *o = xcalloc(1, sizeof(*o));

	o->x.conn = c->info;
	o->x.request_dir = (enum ev_dir)c->request_dir;
	if (c->last)
		c->last->next = o;
	else
		c->first = o;
	c->last = o;
	c->n_open++;
	return o;
}

static void unlink_open(struct http1 *c, struct open *o)
{
	struct open **p = &c->first, *before = NULL;

	while (*p != o) {
		before = *p;
		p = &before->next;
	}
	*p = o->next;
	if (c->last == o)
		c->last = before;
	c->n_open--;
}

static void finish(struct http1 *c, struct open *o)
{
	for (int i = 0; i < 2; i++) {
		if (c->side[i].x == o)
			drop_body(&c->side[i]);
	}
	if (!o->x.damage && !o->orphan)
		c->role_sure = true;
	unlink_open(c, o);
	c->ev->end(c->ctx, &o->x);
	arena_release(&o->x.arena);
	free(o);
}

/* Ends an exchange whose response will not be seen to its end. */
static void give_up(struct http1 *c, struct open *o, const char *why)
{
	if (!o->response_done)
		mark(o, o->x.status ? DAMAGE_RESPONSE_BODY : DAMAGE_RESPONSE_HEAD, why);
	if (!o->request_done)
		mark(o, DAMAGE_REQUEST_BODY, why);
	finish(c, o);
}

/* Gives up all open exchanges before `until` (NULL: all). */
static void give_up_until(struct http1 *c, const struct open *until, const char *why)
{
	while (c->first && c->first != until)
		give_up(c, c->first, why);
}

/* --- bodies ----------------------------------------------------------------- */

static void body_out(void *ctx, struct slice bytes)
{
	struct side *s = ctx;
	struct http1 *c = s->conn;

	if (is_request(s)) {
		s->x->x.request_body_bytes += bytes.n;
		c->ev->request_body(c->ctx, &s->x->x, s->ts, bytes);
	} else {
		s->x->x.response_body_bytes += bytes.n;
		c->ev->response_body(c->ctx, &s->x->x, s->ts, bytes);
	}
}

static void encoding_broken(struct side *s, const char *why)
{
	mark(s->x, DAMAGE_ENCODING, why);
	decoder_free(s->decoder);
	s->decoder = NULL;
	s->mute = true;
}

static void body_bytes(struct side *s, struct slice bytes)
{
	if (!s->x || s->mute || !bytes.n)
		return;
	if (!s->decoder)
		body_out(s, bytes);
	else if (decoder_feed(s->decoder, bytes) < 0)
		encoding_broken(s, "the compressed body is broken");
}

/* Sets up what removes the codings of a body that is about to begin. */
static void remove_codings(struct side *s, const struct head_parsed *p, const struct http_headers *h)
{
	struct slice coding = http_header_get(h, SLICE("content-encoding"));

	if (p->coded) {
		encoding_broken(s, "the transfer coding is not known");
	} else if (coding.n && !slice_caseeq(coding, SLICE("identity"))) {
		s->decoder = decoder_new(coding, body_out, s);
		if (!s->decoder)
			encoding_broken(s, "the content encoding is not known");
	}
}

static void request_turn(struct http1 *c);

static void message_end(struct side *s)
{
	struct http1 *c = s->conn;
	struct open *o = s->x;

	if (o && s->decoder && decoder_finish(s->decoder) < 0)
		encoding_broken(s, "the compressed body is cut");
	/* What follows a quotation may be another one. */
	expect_start(s, s->trust == FOUND ? FOUND : EXACT);
	if (!o)
		return;
	if (is_request(s)) {
		o->request_done = true;
		o->x.request_end = s->ts;
		c->ev->request_end(c->ctx, &o->x);
	} else {
		o->response_done = true;
		o->x.response_end = s->ts;
		request_turn(c);
	}
	if (o->request_done && o->response_done)
		finish(c, o);
}

/* A response has ended: in a connection without pipelining a request comes next. */
static void request_turn(struct http1 *c)
{
	struct side *s = request_side(c);

	if (boundary_lost(s) && !c->pipelined && !first_waiting(c))
		expect_start(s, EXACT);
}

/* --- messages ------------------------------------------------------------------ */

/* A response in work whose framing rests on a head that may be none of its own, or on an unknown method. */
static bool unsure_body(const struct open *o)
{
	return o && (o->orphan || (o->x.status && o->x.damage & DAMAGE_RESPONSE_HEAD));
}

/* A request begins: what waits for lost response bytes is over, the next response byte is a beginning. */
static void response_turn(struct http1 *c)
{
	struct side *s = response_side(c);
	struct open *waiting = first_waiting(c);
	bool found = false;

	for (struct open *o = waiting; o; o = o->next)
		found |= o->found;
	if (c->pipelined || !(boundary_lost(s) || found || unsure_body(waiting)))
		return;
	if (found || waiting != c->last)
		doubt(c, DOUBT_TURNS);
	give_up_until(c, NULL, why_turn);
	expect_start(s, EXACT);
}

/* `alone`: nothing was open and nothing lost when it began. */
static void doubt_request(struct http1 *c, struct open *o, bool alone)
{
	if (c->requests_lost && !c->orphan_seen)
		doubt(c, DOUBT_TURNS);
	if (c->doubt)
		mark(o, DAMAGE_RESPONSE_HEAD, why_guess);
	if (c->doubt && c->doubt != DOUBT_ALWAYS && alone)
		c->doubt--;
	c->requests_lost = c->orphan_seen = false;
	c->lost = 0;
}

static void keep_request(struct side *s, struct open *o, struct head_parsed *p)
{
	struct exchange *x = &o->x;

	head_keep(&s->head, &x->arena, p, &x->request_headers);
	x->method = p->method;
	x->target = p->target;
	x->protocol = p->minor ? SLICE("http/1.1") : SLICE("http/1.0");
	x->request_offset = s->head.offset;
	x->request_start = s->head.ts;
	/* RFC 9112 3.2: a request has a Host; what begins at an EDGE without one is rather a quotation. */
	if (s->trust == EDGE && !http_header_get(&x->request_headers, SLICE("host")).p)
		s->trust = FOUND;
	o->found = s->trust == FOUND;
	if (o->found)
		mark(o, DAMAGE_REQUEST_HEAD, why_found);
	if (p->too_many)
		mark(o, DAMAGE_REQUEST_HEAD, "more header fields than the limit");
}

static void begin_body(struct side *s, struct open *o, const struct head_parsed *p, bool to_close)
{
	head_release(&s->head);
	s->x = o;
	if (p->chunked) {
		s->state = CHUNK_FIRST;
	} else if (p->has_length && p->length) {
		s->state = IN_LENGTH;
		s->left = p->length;
	} else if (to_close && !p->has_length) {
		s->state = UNTIL_CLOSE;
	} else {
		message_end(s);
		return;
	}
	remove_codings(s, p, is_request(s) ? &o->x.request_headers : &o->x.response_headers);
}

static void begin_request(struct http1 *c, struct side *s, struct head_parsed *p)
{
	bool alone = !c->n_open && !boundary_lost(response_side(c));
	struct open *o;

	response_turn(c);
	if (c->n_open >= PROTO_PIPELINE_MAX) {
		give_up(c, c->first, "too many requests wait for their response");
		doubt(c, DOUBT_ALWAYS);
	}
	o = open_new(c);
	c->request_seen = true;
	keep_request(s, o, p);
	doubt_request(c, o, alone);
	c->ev->request(c->ctx, &o->x);
	begin_body(s, o, p, false);
}

static struct open *orphan(struct http1 *c, const struct side *s)
{
	struct open *o = open_new(c);
	bool late = c->info->late && !c->request_seen;

	o->orphan = o->request_done = true;
	if (c->lost)
		lose(o, c->lost, c->lost_cause);
	c->lost = 0;
	o->x.request_offset = EXCHANGE_NO_REQUEST | s->head.offset;
	mark(o, late ? DAMAGE_LATE : DAMAGE_REQUEST_HEAD, "the request was not seen");
	c->orphan_seen = true;
	if (c->doubt)
		doubt(c, DOUBT_TURNS);
	return o;
}

/* The exchange that a response head belongs to; NULL when its request was not seen. See the top of this file.
 */
static struct open *whose_response(struct http1 *c, enum trust trust)
{
	struct open *o = first_waiting(c), *newest = c->last;

	if (!o || trust == EXACT)
		return o;
	c->orphan_seen = true;
	if (c->pipelined) {
		if (o->x.status)
			give_up(c, o, why_lost);
		return first_waiting(c);
	}
	if (newest->x.status) {
		give_up_until(c, NULL, why_lost);
		return NULL;
	}
	if (trust == FOUND || c->n_open > 2) {
		mark(newest, DAMAGE_RESPONSE_HEAD, why_guess);
		if (c->n_open > 1)
			doubt(c, DOUBT_TURNS);
	}
	give_up_until(c, newest, why_lost);
	return newest;
}

/* RFC 9110 7.8, 9.3.6: the connection is handed over. */
static void pass_over(struct http1 *c, struct open *o)
{
	o->x.upgraded = true;
	o->response_done = true;
	o->x.response_end = o->x.response_head;
	if (!o->request_done)
		mark(o, DAMAGE_REQUEST_BODY, "upgraded before the request ended");
	finish(c, o);
	give_up_until(c, NULL, "the connection was upgraded");
	for (int i = 0; i < 2; i++) {
		expect_start(&c->side[i], EXACT);
		c->side[i].state = PASSED_OVER;
	}
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
	o = whose_response(c, s->trust);
	if (!o)
		o = orphan(c, s);
	c->orphan_seen |= (o->x.damage & DAMAGE_REQUEST_HEAD) != 0;
	x = &o->x;
	head_keep(&s->head, &x->arena, p, &x->response_headers);
	x->status = p->status;
	if (!x->protocol.p)
		x->protocol = p->minor ? SLICE("http/1.1") : SLICE("http/1.0");
	x->response_start = s->head.ts;
	x->response_head = s->ts;
	if (p->too_many)
		mark(o, DAMAGE_RESPONSE_HEAD, "more header fields than the limit");
	if (o->orphan)
		c->ev->request(c->ctx, x);
	c->ev->response(c->ctx, x);
	if (p->status == 101 || (slice_eq(x->method, SLICE("CONNECT")) && p->status < 300)) {
		pass_over(c, o);
		return;
	}
	/* RFC 9112 6.3, rule 1 */
	if (slice_eq(x->method, SLICE("HEAD")) || p->status == 204 || p->status == 304) {
		p->chunked = false;
		p->has_length = true;
		p->length = 0;
	}
	begin_body(s, o, p, true);
}

/* The connection asks in the other direction than believed: what was read so far was read wrongly. */
static void change_role(struct http1 *c, int request_dir)
{
	if (c->request_dir == request_dir)
		return;
	if (c->request_dir >= 0) {
		give_up_until(c, NULL, "requests and responses were confused");
		expect_start(&c->side[0], EDGE);
		expect_start(&c->side[1], EDGE);
	}
	c->request_dir = request_dir;
}

static void syntax_error(struct http1 *c, struct side *s, const char *why)
{
	struct open *o = s->x;

	if (!o && c->request_dir >= 0 && !is_request(s))
		o = first_waiting(c);
	search_on(s);
	if (!o) {
		c->requests_lost |= is_request(s);
		return;
	}
	mark(o, DAMAGE_SYNTAX, why);
	if (is_request(s)) {
		o->request_done = true;
		if (o->response_done)
			finish(c, o);
	}
}

static void head_complete(struct http1 *c, struct side *s)
{
	struct head_parsed p;
	int dir = s == &c->side[1];

	if (head_parse(&s->head, &p) < 0) {
		if (s->trust == EXACT)
			syntax_error(c, s, p.why);
		search_on(s);
		head_release(&s->head);
		return;
	}
	if (c->request_dir < 0 || (p.kind == HEAD_REQUEST) != is_request(s)) {
		struct head head = s->head;
		enum trust trust = s->trust;

		s->head = (struct head){0};
		change_role(c, p.kind == HEAD_REQUEST ? dir : !dir);
		s->head = head;
		s->trust = trust;
	}
	if (p.kind == HEAD_REQUEST)
		begin_request(c, s, &p);
	else
		begin_response(c, s, &p);
}

static unsigned kinds(const struct http1 *c, const struct side *s)
{
	if (!c->role_sure || c->request_dir < 0)
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
	else if (r == HEAD_REFUSED && s->trust == EXACT)
		syntax_error(c, s, "this is no HTTP message");
	else if (r == HEAD_REFUSED)
		search_on(s);
}

static void step_search(struct http1 *c, struct side *s, struct slice *in)
{
	const char *before = in->p;
	enum head_result r = head_find(&s->head, kinds(c, s), s->ts, s->offset, in);

	s->offset += (uint64_t)(in->p - before);
	if (r == HEAD_COMPLETE)
		head_complete(c, s);
}

static void step_data(struct side *s, struct slice *in)
{
	size_t n = in->n < s->left ? in->n : (size_t)s->left;

	body_bytes(s, slice_of(in->p, n));
	take(s, in, n);
	s->left -= n;
	if (s->left)
		return;
	if (s->state == CHUNK_DATA)
		s->state = CHUNK_END, s->saw_cr = false;
	else
		message_end(s);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void chunk_size_end(struct side *s)
{
	s->state = s->left ? CHUNK_DATA : TRAILER;
	s->saw_cr = false;
}

static void step_chunk_size(struct http1 *c, struct side *s, char b)
{
	int digit = hex_digit(b);

	if (digit >= 0 && (s->state == CHUNK_FIRST || s->digits < CHUNK_DIGITS_MAX)) {
		s->left = s->state == CHUNK_FIRST ? (uint64_t)digit : s->left << 4 | (uint64_t)digit;
		s->digits = s->state == CHUNK_FIRST || !s->left ? 1 : s->digits + 1;
		s->state = CHUNK_SIZE;
	} else if (s->state == CHUNK_SIZE && b == '\n') {
		chunk_size_end(s);
	} else if (s->state == CHUNK_SIZE && (b == ';' || b == ' ' || b == '\t' || b == '\r')) {
		s->state = CHUNK_EXT;
	} else {
		syntax_error(c, s, "invalid chunk size");
	}
}

/* One byte of what stands between the data of two chunks, or behind the last. */
static void step_chunk(struct http1 *c, struct side *s, struct slice *in)
{
	char b = *in->p;

	take(s, in, 1);
	switch (s->state) {
	case CHUNK_FIRST:
	case CHUNK_SIZE:
		step_chunk_size(c, s, b);
		break;
	case CHUNK_EXT:
		if (b == '\n')
			chunk_size_end(s);
		break;
	case CHUNK_END:
		if (b == '\n')
			s->state = CHUNK_FIRST;
		else if (b == '\r' && !s->saw_cr)
			s->saw_cr = true;
		else
			syntax_error(c, s, "chunk data longer than its size");
		break;
	case TRAILER:
		if (b == '\n')
			message_end(s);
		else if (b == '\r' && !s->saw_cr)
			s->saw_cr = true;
		else
			s->state = TRAILER_LINE;
		break;
	default: /* TRAILER_LINE */
		if (b == '\n')
			s->state = TRAILER, s->saw_cr = false;
		break;
	}
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
		s->state = IN_HEAD;
		break;
	case IN_HEAD:
		step_head(c, s, in);
		break;
	case SEARCHING:
		step_search(c, s, in);
		break;
	case IN_LENGTH:
	case CHUNK_DATA:
		step_data(s, in);
		break;
	case UNTIL_CLOSE:
		body_bytes(s, *in);
		take(s, in, in->n);
		break;
	case PASSED_OVER:
		take(s, in, in->n);
		break;
	default:
		step_chunk(c, s, in);
		break;
	}
}

/* The order of the messages is all that pairs them, and it is broken: for good. */
static void doubt_all(struct http1 *c)
{
	doubt(c, DOUBT_ALWAYS);
	for (struct open *o = first_waiting(c); o; o = o->next)
		mark(o, DAMAGE_RESPONSE_HEAD, why_guess);
}

/* Response bytes for an older request although a younger one has begun: this client pipelines. */
static void notice_pipelining(struct http1 *c, const struct side *s)
{
	const struct open *o = s->x ? s->x : first_waiting(c);

	if (c->pipelined || c->n_open < 2 || c->request_dir < 0 || is_request(s) || boundary_lost(s) || !o ||
	    s->state == UNTIL_CLOSE)
		return;
	while ((o = o->next) && o->found)
		;
	if (!o)
		return;
	c->pipelined = true;
	if (c->boundary_lost)
		doubt_all(c);
}

static void http1_feed(void *p, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	struct http1 *c = p;
	struct side *s = &c->side[dir];

	s->ts = ts;
	notice_pipelining(c, s);
	while (bytes.n)
		step(c, s, &bytes);
}

/* --- holes ------------------------------------------------------------------------ */

static void body_hole(struct http1 *c, struct side *s, uint64_t known, uint64_t lost, enum gap_cause cause)
{
	struct open *o = s->x;

	if (!o)
		return;
	lose(o, lost, cause);
	mark(o, is_request(s) ? DAMAGE_REQUEST_BODY : DAMAGE_RESPONSE_BODY, NULL);
	c->ev->body_gap(c->ctx, &o->x, (enum ev_dir)(s == &c->side[1]), s->ts, known);
	if (s->decoder)
		encoding_broken(s, "the compressed body has a hole");
}

/* Bytes of responses are missing between messages or in a head: who is hit? */
static void response_hole(struct http1 *c, uint64_t n, enum gap_cause cause)
{
	struct open *o = first_waiting(c);

	c->boundary_lost = true;
	if (c->pipelined)
		doubt_all(c);
	if (!o) {
		c->lost += n;
		c->lost_cause = cause;
		return;
	}
	lose(o, n, cause);
	for (; o && (o != c->last || o == c->first); o = o->next)
		mark(o, o->x.status ? DAMAGE_RESPONSE_BODY : DAMAGE_RESPONSE_HEAD, why_lost);
}

static void request_hole(struct http1 *c, uint64_t n, enum gap_cause cause)
{
	const struct open *o = c->last;

	/* A further hole before the response is taken to lie in the body that lost its end already. */
	c->requests_lost |=
	    !(o && !o->response_done && !o->x.request_end && o->x.damage & DAMAGE_REQUEST_BODY);
	c->boundary_lost = true;
	if (c->pipelined)
		doubt(c, DOUBT_ALWAYS);
	c->lost += n;
	c->lost_cause = cause;
}

/* A hole where the boundary is not known, or that swallowed it. */
static void boundary_hole(struct http1 *c, struct side *s, uint64_t n, enum gap_cause cause)
{
	expect_start(s, EDGE);
	if (c->request_dir < 0 || is_request(s))
		request_hole(c, n, cause);
	else
		response_hole(c, n, cause);
}

/* A hole that ends a body at a place that is not known. */
static void lose_body(struct http1 *c, struct side *s, uint64_t n, enum gap_cause cause)
{
	struct open *o = s->x;

	body_hole(c, s, 0, n, cause);
	expect_start(s, EDGE);
	if (!o)
		return;
	c->boundary_lost = true;
	if (!is_request(s)) {
		if (c->pipelined)
			doubt_all(c);
		return;
	}
	if (c->pipelined)
		doubt(c, DOUBT_ALWAYS);
	o->request_done = true;
	if (o->response_done)
		finish(c, o);
}

static void http1_gap(void *p, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	struct http1 *c = p;
	struct side *s = &c->side[dir];
	uint64_t inside = n < s->left ? n : s->left;

	s->ts = ts;
	s->offset += n;
	switch (s->state) {
	case PASSED_OVER:
		break;
	case UNTIL_CLOSE:
		body_hole(c, s, n, n, cause);
		break;
	case IN_LENGTH:
		body_hole(c, s, inside, inside, cause);
		s->left -= inside;
		if (!s->left)
			message_end(s);
		if (n > inside)
			boundary_hole(c, s, n - inside, cause);
		break;
	case CHUNK_DATA:
		if (n > s->left) {
			lose_body(c, s, n, cause);
			break;
		}
		body_hole(c, s, n, n, cause);
		s->left -= n;
		if (!s->left)
			s->state = CHUNK_END, s->saw_cr = false;
		break;
	case AT_START:
	case IN_HEAD:
	case SEARCHING:
		boundary_hole(c, s, n, cause);
		break;
	default:
		lose_body(c, s, n, cause);
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

static void *http1_open(const struct proto_events *ev, void *ctx, const struct conn_info *info,
                        bool from_start)
{
	struct http1 *c = xcalloc(1, sizeof(*c));

	c->ev = ev;
	c->ctx = ctx;
	c->info = info;
	c->request_dir = -1;
	c->role_sure = from_start;
	for (int i = 0; i < 2; i++) {
		c->side[i].conn = c;
		c->side[i].trust = from_start ? EXACT : EDGE;
	}
	return c;
}

static void http1_close(void *p, uint64_t ts, bool complete)
{
	struct http1 *c = p;
	struct side *s = response_side(c);

	if (complete && s->x && s->state == UNTIL_CLOSE) {
		s->ts = ts;
		message_end(s);
	}
	while (c->first) {
		mark(c->first, DAMAGE_CUT, "the connection ended first");
		finish(c, c->first);
	}
	for (int i = 0; i < 2; i++) {
		drop_body(&c->side[i]);
		head_release(&c->side[i].head);
	}
	free(c);
}

const struct protocol http1_protocol = {
    .name = "http/1",
    .detect = http1_detect,
    .joins = true,
    .open = http1_open,
    .feed = http1_feed,
    .gap = http1_gap,
    .close = http1_close,
};
