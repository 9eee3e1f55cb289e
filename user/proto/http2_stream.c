/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/http2_stream.h"

static const char why_unseen[] = "the request was not seen";
static const char why_many[] = "more streams are open than the limit";

/* --- which streams there are ---------------------------------------------------- */

struct http2_stream *http2_stream_get(struct http2_streams *ss, uint32_t id)
{
	if (!ss->recent || ss->recent->x.stream != id)
		ss->recent = map_get(&ss->by_id, &id, sizeof(id));
	return ss->recent;
}

bool http2_stream_unseen(const struct http2_streams *ss, uint32_t id)
{
	if (!(id & 1)) /* pushed by the server */
		return false;
	for (unsigned i = 0; i < HTTP2_ENDED_MAX && i < ss->n_ended; i++) {
		if (ss->ended[i] == id)
			return false;
	}
	return id > ss->newest || (id > ss->unseen_after && id < ss->unseen_before);
}

static struct http2_stream *stream_new(struct http2_streams *ss, uint32_t id)
{
	struct http2_stream *st = xcalloc(1, sizeof(*st));

	st->all = ss;
	st->x.conn = ss->info;
	st->x.request_dir = ss->request_dir;
	st->x.stream = id;
	st->x.protocol = SLICE("h2");
	st->request = (struct http2_half){.stream = st, .is_request = true, .length = UINT64_MAX};
	st->response = (struct http2_half){.stream = st, .length = UINT64_MAX};
	st->prev = ss->last;
	if (ss->last)
		ss->last->next = st;
	else
		ss->first = st;
	ss->last = st;
	ss->n++;
	map_put(&ss->by_id, &id, sizeof(id), st);
	return st;
}

static void unlink_stream(struct http2_streams *ss, struct http2_stream *st)
{
	*(st->prev ? &st->prev->next : &ss->first) = st->next;
	*(st->next ? &st->next->prev : &ss->last) = st->prev;
	map_del(&ss->by_id, &st->x.stream, sizeof(st->x.stream));
	ss->n--;
	ss->recent = NULL;
	ss->ended[ss->n_ended++ % HTTP2_ENDED_MAX] = st->x.stream;
	if (ss->n_ended == 2 * HTTP2_ENDED_MAX)
		ss->n_ended = HTTP2_ENDED_MAX;
}

/* Reports the end. */
static void stream_end(struct http2_stream *st)
{
	struct http2_streams *ss = st->all;

	unlink_stream(ss, st);
	ss->ev->end(ss->ctx, &st->x);
	decoder_free(st->request.decoder);
	decoder_free(st->response.decoder);
	arena_release(&st->x.arena);
	free(st);
}

/* --- marks ------------------------------------------------------------------------ */

void http2_stream_mark(struct http2_stream *st, unsigned damage, const char *why)
{
	st->x.damage |= damage;
	if (!st->x.why)
		st->x.why = why;
}

void http2_stream_lose(struct http2_stream *st, uint64_t n, enum gap_cause cause)
{
	st->x.lost_bytes += n;
	if (n && !st->x.cause)
		st->x.cause = cause;
}

static unsigned body_damage(const struct http2_half *h)
{
	return h->is_request ? DAMAGE_REQUEST_BODY : DAMAGE_RESPONSE_BODY;
}

static void encoding_broken(struct http2_half *h, const char *why)
{
	http2_stream_mark(h->stream, DAMAGE_ENCODING, why);
	decoder_free(h->decoder);
	h->decoder = NULL;
	h->mute = true;
}

void http2_half_hole(struct http2_half *h, uint64_t ts, uint64_t n, uint64_t lost, enum gap_cause cause)
{
	struct http2_streams *ss = h->stream->all;

	http2_stream_lose(h->stream, lost, cause);
	http2_stream_mark(h->stream, body_damage(h), NULL);
	h->body_bytes += n;
	ss->ev->body_gap(ss->ctx, &h->stream->x,
	                 h->is_request ? ss->request_dir : (enum ev_dir) !ss->request_dir, ts, n);
	if (h->decoder)
		encoding_broken(h, "the compressed body has a hole");
}

void http2_half_touch(struct http2_half *h, uint64_t ts, uint64_t lost, enum gap_cause cause)
{
	if (h->done)
		return;
	h->touched = true;
	if (h->head) {
		http2_half_hole(h, ts, 0, lost, cause);
		return;
	}
	h->missed += lost;
	h->cause = h->cause ? h->cause : cause;
}

/* Of a response without head: what touched it did take its head. */
static void head_lost(struct http2_half *h)
{
	if (h->head)
		return;
	h->head = true;
	http2_stream_lose(h->stream, h->missed, h->cause);
	http2_stream_mark(h->stream, DAMAGE_RESPONSE_HEAD, "the head of the response was lost");
}

/* --- heads ------------------------------------------------------------------------- */

static struct slice field(const struct http_headers *h, const char *name)
{
	return http_header_get(h, slice_str(name));
}

/* The fields of a block in x->arena, with :authority as Host, which it stands for (RFC 9113 8.3.1). */
static void keep_request_fields(struct exchange *x, const struct hpack_block *b)
{
	struct http_headers *h = &x->request_headers;

	h->v = arena_alloc(&x->arena, (b->fields.n + 1) * sizeof(*h->v));
	if (b->authority.n && !field(&b->fields, "host").p)
		h->v[h->n++] = (struct http_header){SLICE("host"), b->authority};
	for (size_t i = 0; i < b->fields.n; i++)
		h->v[h->n++] = b->fields.v[i];
}

static void keep_fields(struct exchange *x, struct http_headers *h, const struct hpack_block *b)
{
	h->n = b->fields.n;
	h->v = arena_alloc(&x->arena, (h->n + 1) * sizeof(*h->v));
	for (size_t i = 0; i < h->n; i++)
		h->v[i] = (struct http_header){arena_dup(&x->arena, b->fields.v[i].name),
		                               arena_dup(&x->arena, b->fields.v[i].value)};
}

static void body_out(void *ctx, struct slice bytes)
{
	struct http2_half *h = ctx;
	struct http2_streams *ss = h->stream->all;
	struct exchange *x = &h->stream->x;

	if (h->is_request) {
		x->request_body_bytes += bytes.n;
		ss->ev->request_body(ss->ctx, x, h->ts, bytes);
	} else {
		x->response_body_bytes += bytes.n;
		ss->ev->response_body(ss->ctx, x, h->ts, bytes);
	}
}

/* What the head says of the body that follows it. */
static void expect_body(struct http2_half *h, const struct http_headers *fields)
{
	struct slice coding = field(fields, "content-encoding"), type = field(fields, "content-type");

	slice_u64(field(fields, "content-length"), &h->length);
	if (slice_starts(type, SLICE("application/grpc"))) {
		http2_stream_mark(h->stream, DAMAGE_ENCODING, "gRPC: its messages are not read");
		h->stream->request.mute = h->stream->response.mute = true;
	} else if (coding.n && !slice_caseeq(coding, SLICE("identity"))) {
		h->decoder = decoder_new(coding, body_out, h);
		if (!h->decoder)
			encoding_broken(h, "the content encoding is not known");
	}
}

/* known: what tells which exchange it is, the request's method and target or the status, is there. */
static void mark_head(struct http2_stream *st, unsigned damage, const struct hpack_block *b, bool known)
{
	if (b->partial)
		http2_stream_mark(st, known ? DAMAGE_FIELDS : damage,
		                  st->all->late ? "header fields refer to what was sent before the capture"
		                                : "header fields refer to what was lost");
	if (b->too_many)
		http2_stream_mark(st, damage, "more header fields than the limit");
}

/* A stream that a hole touched and that has been silent since will not say more. */
static void give_up_quiet(struct http2_streams *ss, uint64_t ts)
{
	struct http2_stream *next;

	for (struct http2_stream *st = ss->first; st; st = next) {
		next = st->next;
		if ((st->request.touched || st->response.touched) && ts > st->last_ts + HTTP2_QUIET_NS)
			http2_stream_abort(st, DAMAGE_RESPONSE_BODY, "its end was lost");
	}
}

static void make_room(struct http2_streams *ss)
{
	for (struct http2_stream *st = ss->first; st; st = st->next) {
		if (st->request.touched || st->response.touched) {
			http2_stream_abort(st, DAMAGE_RESPONSE_BODY, why_many);
			return;
		}
	}
}

static struct http2_stream *begun(struct http2_stream *st)
{
	struct http2_streams *ss = st->all;

	ss->ev->request(ss->ctx, &st->x);
	if (ss->n <= HTTP2_STREAMS_MAX)
		return st;
	http2_stream_abort(st, DAMAGE_REQUEST_BODY | DAMAGE_RESPONSE_HEAD, why_many);
	return NULL;
}

struct http2_stream *http2_stream_begin(struct http2_streams *ss, uint32_t id, uint64_t offset,
                                        uint64_t start_ts, uint64_t ts, struct hpack_block *block,
                                        struct arena *arena)
{
	struct http2_stream *st;
	struct exchange *x;

	if (ss->blind && id > ss->newest) {
		ss->unseen_after = ss->unseen_before ? ss->unseen_after : ss->newest;
		ss->unseen_before = id;
		ss->blind = false;
	}
	if (id > ss->newest) {
		ss->newest = id;
		ss->unread = 0;
	}
	give_up_quiet(ss, ts);
	if (ss->n >= HTTP2_STREAMS_MAX)
		make_room(ss);
	st = stream_new(ss, id);
	x = &st->x;
	x->request_offset = offset;
	x->request_start = start_ts;
	st->last_ts = ts;
	st->request.head = true;
	if (!block) {
		http2_stream_mark(st, DAMAGE_REQUEST_HEAD, "the head of the request was lost");
		return begun(st);
	}
	x->arena = *arena;
	*arena = (struct arena){0};
	x->method = block->method;
	x->target = block->path;
	keep_request_fields(x, block);
	mark_head(st, ss->late ? DAMAGE_LATE | DAMAGE_REQUEST_HEAD : DAMAGE_REQUEST_HEAD, block,
	          x->method.p && x->target.p);
	expect_body(&st->request, &x->request_headers);
	return begun(st);
}

struct http2_stream *http2_stream_orphan(struct http2_streams *ss, uint32_t id, bool by_response,
                                         uint64_t offset, uint64_t ts)
{
	struct http2_stream *st;

	if (ss->n >= HTTP2_STREAMS_MAX)
		make_room(ss);
	st = stream_new(ss, id);
	st->x.request_offset = by_response ? EXCHANGE_NO_REQUEST | offset : offset;
	st->last_ts = ts;
	st->request.head = st->request.touched = true;
	http2_stream_mark(st, ss->late ? DAMAGE_LATE | DAMAGE_REQUEST_HEAD : DAMAGE_REQUEST_HEAD, why_unseen);
	return begun(st);
}

/* RFC 9110 9.3.6, RFC 8441: what follows is no HTTP. */
static void pass_over(struct http2_stream *st)
{
	st->x.upgraded = true;
	st->x.response_end = st->x.response_head;
	stream_end(st);
}

void http2_stream_respond(struct http2_stream *st, uint64_t start_ts, uint64_t ts,
                          const struct hpack_block *block)
{
	struct http2_half *h = &st->response;
	struct exchange *x = &st->x;

	/* Without :status it may be the trailer section behind a head that is missing. */
	if (!block || (!block->status && h->touched)) {
		head_lost(h);
		return;
	}
	h->head = true;
	h->touched = false; /* nothing of it came before */
	h->missed = 0;
	x->status = block->status;
	x->response_start = start_ts;
	x->response_head = ts;
	keep_fields(x, &x->response_headers, block);
	mark_head(st, DAMAGE_RESPONSE_HEAD, block, x->status);
	expect_body(h, &x->response_headers);
	if (slice_eq(x->method, SLICE("HEAD")) || x->status == 304)
		h->length = UINT64_MAX; /* it tells the length of another response (RFC 9110 8.6) */
	st->all->ev->response(st->all->ctx, x);
	if (slice_eq(x->method, SLICE("CONNECT")) && x->status >= 200 && x->status < 300)
		pass_over(st);
}

void http2_half_trailers(struct http2_half *h, const struct hpack_block *block)
{
	struct exchange *x = &h->stream->x;
	bool fits = block && block->bytes <= PROTO_TRAILERS_MAX;

	if (h->done)
		return;
	if (fits)
		keep_fields(x, h->is_request ? &x->request_trailers : &x->response_trailers, block);
	if (!fits || block->partial || block->too_many)
		http2_stream_mark(h->stream, DAMAGE_FIELDS,
		                  "trailer fields are missing, or beyond the limit");
}

/* --- bodies ---------------------------------------------------------------------- */

void http2_half_body(struct http2_half *h, uint64_t ts, struct slice bytes)
{
	struct http2_stream *st = h->stream;

	st->last_ts = ts;
	if (!h->head)
		head_lost(h);
	h->body_bytes += bytes.n;
	h->ts = ts;
	if (h->done || h->mute || !bytes.n)
		return;
	if (!h->decoder)
		body_out(h, bytes);
	else if (decoder_feed(h->decoder, bytes) < 0)
		encoding_broken(h, "the compressed body is broken");
}

static void end_request(struct http2_half *h, uint64_t ts)
{
	struct http2_streams *ss = h->stream->all;

	h->stream->x.request_end = ts;
	ss->ev->request_end(ss->ctx, &h->stream->x);
}

void http2_half_end(struct http2_half *h, uint64_t ts)
{
	struct http2_stream *st = h->stream;

	if (h->done)
		return;
	st->last_ts = h->ts = ts;
	if (!h->head)
		head_lost(h);
	if (h->decoder && decoder_finish(h->decoder) < 0)
		encoding_broken(h, "the compressed body is cut");
	if (h->length != UINT64_MAX && h->body_bytes != h->length && !(st->x.damage & body_damage(h)))
		http2_stream_mark(st, DAMAGE_SYNTAX, "the body is not as long as content-length says");
	h->done = true;
	if (h->is_request)
		end_request(h, ts);
	else
		st->x.response_end = ts;
	if (st->response.done && (st->request.done || st->request.touched))
		stream_end(st);
}

/* --- the end without END_STREAM ------------------------------------------------------ */

void http2_stream_abort(struct http2_stream *st, unsigned damage, const char *why)
{
	if (!st->response.done) {
		if (st->response.touched)
			head_lost(&st->response);
		http2_stream_mark(st, damage, why);
	} else if (!st->request.done) {
		http2_stream_mark(st, DAMAGE_REQUEST_BODY, "answered before the request ended");
	}
	stream_end(st);
}

void http2_streams_abort(struct http2_streams *ss, unsigned damage, const char *why)
{
	while (ss->first)
		http2_stream_abort(ss->first, damage, why);
}

void http2_streams_release(struct http2_streams *ss)
{
	map_release(&ss->by_id);
}
