/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each direction is a chain of frames, of which the header says the length: so a
 * hole inside a frame is counted off, and what it damages is known:
 *
 *   in DATA            the body of that stream, at that place
 *   in a header block  that head, and what later blocks refer to (hpack.h)
 *   in other frames    nothing that is reported
 *
 * A hole beyond the end of a frame may hold frames of any stream, and the
 * boundary is lost.  A frame may begin
 *
 *   right behind the hole: records are lost whole, and writers begin a frame
 *     with a record.  FRAME_CHAIN_EDGE plausible frames are believed there;
 *   anywhere further on, where FRAME_CHAIN plausible frames follow each other.
 *
 * What was held to see them is then read, each byte with its own stamp.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "proto/hpack.h"
#include "proto/http2.h"
#include "proto/http2_frame.h"
#include "proto/http2_search.h"
#include "proto/http2_stream.h"

enum state {
	AT_START,   /* nothing was seen: a preface, or a frame */
	IN_PREFACE, /* `got` bytes of it were seen */
	IN_HEAD,    /* `got` bytes of a frame header are in `head` */
	IN_PAYLOAD, /* `left` bytes to go */
	SEARCHING,  /* the boundary is lost: bytes are held until a chain shows */
};

/* On a connection joined late; clients renew a connection long before. */
#define ID_MAX (1u << 24)

/* How the payload of the frame is read. */
enum payload {
	DATA,  /* the body of a stream */
	BLOCK, /* a fragment of a header block */
	SHORT, /* the first bytes say all: RST_STREAM, GOAWAY */
	SKIP,
};

/* A header block and its CONTINUATIONs (RFC 9113 4.3). */
struct block {
	bool open;       /* CONTINUATION must follow */
	bool lost;       /* bytes of it are missing, or it is beyond PROTO_HEAD_MAX */
	uint64_t missed; /* so many */
	enum gap_cause cause;
	bool promise; /* of a PUSH_PROMISE */
	bool end_stream;
	uint32_t stream;
	uint64_t offset, ts; /* of the first frame */
	struct buf bytes;
	size_t fragment; /* where in `bytes` the payload of this frame begins */
};

struct side {
	struct http2 *conn;
	enum state state;
	uint64_t offset, ts; /* of the next byte; of the bytes that are being read */
	bool pristine;       /* no byte was missing since the connection began, if this capture saw that */
	int unproved;        /* so many of the next frames must be plausible */
	size_t got;
	char head[FRAME_HEAD]; /* in AT_START and IN_PREFACE the preface is not kept */
	uint64_t frame_offset, frame_ts;
	struct frame frame;
	enum payload payload;
	uint32_t left, padding; /* of the payload: bytes to go, of which the last are padding */
	bool padding_follows;   /* the next byte is the length of the padding */
	bool padding_lost;      /* where the data end is not known */
	uint8_t first[8];       /* of a SHORT payload */
	struct block block;
	struct hpack hpack;
	struct frame_search search; /* SEARCHING */
};

struct http2 {
	struct http2_streams streams;
	bool role_sure; /* streams.request_dir is proved */
	bool joined;    /* what comes first may be the middle of anything */
	struct side side[2];
};

/*
 * The highest stream id that is plausible: as many as clients have open at once above the newest seen, and
 * one for each 16 bytes that were not read since (a request's head is hardly shorter; ids go up by two).
 */
static uint32_t id_max(const struct http2 *c)
{
	uint64_t max = c->streams.newest + 256 + c->streams.unread / 8;

	return c->streams.newest && max < ID_MAX ? (uint32_t)max : ID_MAX;
}

static enum ev_dir dir_of(const struct side *s)
{
	return (enum ev_dir)(s == &s->conn->side[1]);
}

static bool is_request(const struct side *s)
{
	return s->conn->streams.request_dir == dir_of(s);
}

static struct side *other(struct side *s)
{
	return &s->conn->side[!dir_of(s)];
}

static struct http2_half *half_of(struct side *s, struct http2_stream *st)
{
	return is_request(s) ? &st->request : &st->response;
}

/* --- which side asks ---------------------------------------------------------------- */

static void set_role(struct http2 *c, enum ev_dir request_dir)
{
	if (c->streams.request_dir != request_dir) {
		http2_streams_abort(&c->streams, DAMAGE_SYNTAX, "requests and responses were confused");
		c->streams.request_dir = request_dir;
	}
	c->role_sure = true;
}

static void role_by_block(struct side *s, const struct hpack_block *b)
{
	if (!s->conn->role_sure && b->method.p)
		set_role(s->conn, dir_of(s));
	else if (!s->conn->role_sure && b->status)
		set_role(s->conn, (enum ev_dir) !dir_of(s));
}

/* The client's preface: nothing was sent before it, nor by the server if no byte of that is missing. */
static void preface_seen(struct side *s)
{
	struct side *server = other(s);

	set_role(s->conn, dir_of(s));
	s->hpack.gaps = false;
	s->conn->streams.blind = s->conn->streams.late = false;
	if (server->pristine && !server->hpack.inflater)
		server->hpack.gaps = false;
	if (server->pristine && server->state == AT_START)
		s->conn->joined = false;
}

/* --- header blocks ------------------------------------------------------------------- */

/* A block in the direction of the requests; `b` NULL: lost. */
static void request_block(struct side *s, struct hpack_block *b, struct arena *arena)
{
	struct http2_streams *ss = &s->conn->streams;
	const struct block *k = &s->block;
	struct http2_stream *st = http2_stream_get(ss, k->stream);
	bool trailers = b && !b->method.p && !b->partial, known = st != NULL;

	if (!st) {
		if (!http2_stream_unseen(ss, k->stream))
			return;
		st = trailers ? http2_stream_orphan(ss, k->stream, false, k->offset, s->ts)
		              : http2_stream_begin(ss, k->stream, k->offset, k->ts, s->ts, b, arena);
		known = trailers;
	}
	if (st && known)
		http2_half_trailers(&st->request, b);
	if (st)
		http2_stream_lose(st, k->missed, k->cause);
	if (st && k->end_stream)
		http2_half_end(&st->request, s->ts);
}

/* RFC 9113 8.1: interim heads, the final one, trailers. */
static void response_block(struct side *s, const struct hpack_block *b)
{
	struct http2_streams *ss = &s->conn->streams;
	const struct block *k = &s->block;
	struct http2_stream *st = http2_stream_get(ss, k->stream);

	if (!st && http2_stream_unseen(ss, k->stream))
		st = http2_stream_orphan(ss, k->stream, true, k->offset, s->ts);
	if (!st || st->response.done)
		return;
	http2_stream_lose(st, k->missed, k->cause);
	if (!b || (!b->status && !st->response.head))
		http2_stream_respond(st, k->ts, s->ts, b && b->partial ? b : NULL);
	else if (b->status >= 200 && !st->response.head)
		http2_stream_respond(st, k->ts, s->ts, b);
	else if (!b->status && st->response.head)
		http2_half_trailers(&st->response, b);
	st = http2_stream_get(ss, k->stream);
	if (st && k->end_stream)
		http2_half_end(&st->response, s->ts);
}

static void block_close(struct block *b)
{
	buf_release(&b->bytes);
	*b = (struct block){0};
}

static void block_done(struct side *s)
{
	struct block *k = &s->block;
	struct hpack_block b = {0};
	struct arena arena = {0};
	bool known = false;

	if (k->lost)
		hpack_miss(&s->hpack);
	else
		known = hpack_decode(&s->hpack, buf_slice(&k->bytes), &arena, &b) == 0;
	if (known && !k->promise)
		role_by_block(s, &b);
	if (!k->promise) {
		if (is_request(s))
			request_block(s, known ? &b : NULL, &arena);
		else
			response_block(s, known ? &b : NULL);
	}
	arena_release(&arena);
	block_close(k);
}

static void lose_block(struct side *s)
{
	s->block.lost = true;
	buf_release(&s->block.bytes);
}

/* Takes what is not of the block off the payload at the end of block.bytes (RFC 9113 6.2, 6.6). */
static void strip_fragment(struct side *s)
{
	const struct frame *f = &s->frame;
	struct buf *b = &s->block.bytes;
	size_t from = s->block.fragment, skip = 0, padding = 0;

	if (s->block.lost)
		return;
	if (f->type != FRAME_CONTINUATION && f->flags & FLAG_PADDED) {
		padding = b->n > from ? (uint8_t)b->p[from] : 0;
		skip = 1;
	}
	if (f->type == FRAME_HEADERS && f->flags & FLAG_PRIORITY)
		skip += 5;
	if (f->type == FRAME_PUSH_PROMISE)
		skip += 4;
	if (skip + padding > b->n - from) {
		lose_block(s);
		return;
	}
	b->n -= padding;
	if (skip)
		memmove(b->p + from, b->p + from + skip, b->n - from - skip);
	b->n -= skip;
}

static void fragment_done(struct side *s)
{
	strip_fragment(s);
	if (s->frame.flags & FLAG_END_HEADERS)
		block_done(s);
}

/* --- lost boundaries ---------------------------------------------------------------- */

/* Frames of this direction may have been missed: n bytes (0: to something else than a hole). */
static void lose_frames(struct side *s, uint64_t n, enum gap_cause cause)
{
	struct http2_streams *ss = &s->conn->streams;
	struct http2_stream *next;

	s->pristine = false;
	ss->unread += n;
	if (s->block.open) {
		lose_block(s);
		block_done(s);
	}
	hpack_miss(&s->hpack);
	if (cause)
		ss->late = false;
	if (is_request(s))
		ss->blind = true;
	for (struct http2_stream *st = ss->first; st; st = next) {
		struct http2_half *h = half_of(s, st);

		next = st->next;
		http2_half_touch(h, s->ts, n, cause);
		if (h->touched && st->response.done)
			http2_stream_abort(st, 0, NULL);
	}
}

static void expect_frame(struct side *s, int unproved)
{
	s->state = IN_HEAD;
	s->got = 0;
	s->unproved = unproved;
}

static void search(struct side *s, bool edge)
{
	s->state = SEARCHING;
	frame_search_begin(&s->search, s->offset, edge);
}

/* What was read as a frame header is none. */
static void not_a_frame(struct side *s)
{
	struct slice rest;
	struct http2_streams *ss = &s->conn->streams;

	if (!s->unproved) {
		for (struct http2_stream *st = ss->first; st; st = st->next) {
			if (!half_of(s, st)->done)
				http2_stream_mark(st, DAMAGE_SYNTAX, "this is no HTTP/2 frame");
		}
	}
	lose_frames(s, 0, 0);
	s->offset = s->frame_offset + 1;
	search(s, false);
	rest = slice_of(s->head + 1, FRAME_HEAD - 1);
	frame_search_take(&s->search, s->ts, 0, &rest);
}

/* --- frames --------------------------------------------------------------------------- */

/* The stream of a DATA frame; NULL: nobody's. */
static struct http2_half *data_half(struct side *s)
{
	struct http2_streams *ss = &s->conn->streams;
	struct http2_stream *st = http2_stream_get(ss, s->frame.stream);

	if (!st && http2_stream_unseen(ss, s->frame.stream))
		st = http2_stream_orphan(ss, s->frame.stream, !is_request(s), s->frame_offset, s->frame_ts);
	return st ? half_of(s, st) : NULL;
}

static void data_done(struct side *s)
{
	struct http2_half *h = s->frame.flags & FLAG_END_STREAM ? data_half(s) : NULL;

	if (h)
		http2_half_end(h, s->ts);
}

/* Either side may; with NO_ERROR the server has answered and wants no more of the request (RFC 9113 8.1). */
static void reset(struct side *s)
{
	struct http2_stream *st = http2_stream_get(&s->conn->streams, s->frame.stream);

	if (st)
		http2_stream_abort(st, DAMAGE_CUT, "the stream was reset");
}

/* RFC 9113 6.8: the sender took no stream above the last one it names. */
static void go_away(struct side *s)
{
	struct http2_stream *next;
	const uint8_t *b = s->first;
	uint32_t last = (uint32_t)(b[0] & 0x7f) << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];

	if (is_request(s))
		return;
	for (struct http2_stream *st = s->conn->streams.first; st; st = next) {
		next = st->next;
		if (st->x.stream > last)
			http2_stream_abort(st, DAMAGE_CUT, "not processed: the server is going away");
	}
}

static void frame_done(struct side *s)
{
	s->state = IN_HEAD;
	s->got = 0;
	if (s->payload == DATA)
		data_done(s);
	else if (s->frame.type == FRAME_RST_STREAM)
		reset(s);
	else if (s->frame.type == FRAME_GOAWAY && s->payload == SHORT)
		go_away(s);
	else if (s->block.open && s->frame.stream == s->block.stream)
		fragment_done(s);
}

static void begin_fragment(struct side *s)
{
	const struct frame *f = &s->frame;
	struct block *k = &s->block;

	if (!k->open) {
		k->open = true;
		k->lost = f->type == FRAME_CONTINUATION;
		k->promise = f->type == FRAME_PUSH_PROMISE;
		k->end_stream = f->type == FRAME_HEADERS && f->flags & FLAG_END_STREAM;
		k->stream = f->stream;
		k->offset = s->frame_offset;
		k->ts = s->frame_ts;
	}
	if (k->bytes.n + f->length > PROTO_HEAD_MAX)
		lose_block(s);
	k->fragment = k->bytes.n;
	s->payload = k->lost ? SKIP : BLOCK;
}

static void begin_payload(struct side *s)
{
	const struct frame *f = &s->frame;

	s->state = IN_PAYLOAD;
	s->left = f->length;
	s->padding = 0;
	s->padding_lost = s->padding_follows = false;
	switch (f->type) {
	case FRAME_DATA:
		s->payload = DATA;
		s->padding_follows = f->flags & FLAG_PADDED;
		break;
	case FRAME_HEADERS:
	case FRAME_PUSH_PROMISE:
	case FRAME_CONTINUATION:
		begin_fragment(s);
		break;
	case FRAME_RST_STREAM:
	case FRAME_GOAWAY:
		s->payload = SHORT;
		break;
	default:
		s->payload = SKIP;
	}
	if (!s->left)
		frame_done(s);
}

/* RFC 9113 6.10: a block is continued by CONTINUATION of the same stream and by nothing else. */
static bool in_order(const struct side *s)
{
	const struct frame *f = &s->frame;

	if (s->block.open)
		return f->type == FRAME_CONTINUATION && f->stream == s->block.stream;
	return f->type != FRAME_CONTINUATION || s->unproved;
}

static void begin_frame(struct side *s)
{
	s->frame = frame_parse(s->head);
	if (!in_order(s) || !frame_valid(&s->frame) ||
	    (s->unproved && !frame_plausible(&s->frame, id_max(s->conn)))) {
		not_a_frame(s);
		return;
	}
	begin_payload(s);
	if (s->unproved)
		s->unproved--;
}

/* --- bytes ------------------------------------------------------------------------------ */

static void take(struct side *s, struct slice *in, size_t n)
{
	s->offset += n;
	*in = slice_from(*in, n);
}

static void step_preface(struct side *s, struct slice *in)
{
	if (*in->p != HTTP2_PREFACE.p[s->got]) {
		lose_frames(s, 0, 0);
		search(s, false);
		return;
	}
	take(s, in, 1);
	if (++s->got < HTTP2_PREFACE.n)
		return;
	expect_frame(s, 0);
	preface_seen(s);
}

static void step_head(struct side *s, struct slice *in)
{
	size_t n = FRAME_HEAD - s->got;

	if (!s->got) {
		s->frame_offset = s->offset;
		s->frame_ts = s->ts;
	}
	n = in->n < n ? in->n : n;
	memcpy(s->head + s->got, in->p, n);
	s->got += n;
	take(s, in, n);
	if (s->got == FRAME_HEAD)
		begin_frame(s);
}

/* RFC 9113 6.1: padding as long as the rest of the payload, or longer, is an error: there are no data then.
 */
static void step_padding(struct side *s, struct slice *in)
{
	s->padding = (uint8_t)*in->p;
	s->padding_follows = false;
	take(s, in, 1);
	s->left--;
	if (s->padding > s->left)
		s->padding = s->left;
}

/* Bytes of the payload that are still data. */
static uint32_t data_left(const struct side *s)
{
	return s->left > s->padding ? s->left - s->padding : 0;
}

static void data_bytes(struct side *s, struct slice bytes)
{
	uint32_t data = data_left(s);
	struct http2_half *h;

	bytes.n = bytes.n < data ? bytes.n : data;
	if (!bytes.n || s->padding_lost)
		return;
	h = data_half(s);
	if (h)
		http2_half_body(h, s->ts, bytes);
}

static void short_bytes(struct side *s, struct slice bytes)
{
	size_t at = s->frame.length - s->left;

	for (size_t i = 0; i < bytes.n && at < sizeof(s->first); i++)
		s->first[at++] = (uint8_t)bytes.p[i];
}

static void step_payload(struct side *s, struct slice *in)
{
	size_t n = in->n < s->left ? in->n : s->left;
	struct slice bytes = slice_of(in->p, n);

	if (s->padding_follows) {
		step_padding(s, in);
	} else {
		if (s->payload == DATA)
			data_bytes(s, bytes);
		else if (s->payload == BLOCK)
			buf_addslice(&s->block.bytes, bytes);
		else if (s->payload == SHORT)
			short_bytes(s, bytes);
		take(s, in, n);
		s->left -= (uint32_t)n;
	}
	if (!s->left)
		frame_done(s);
}

static void step(struct side *s, struct slice *in);

static void step_search(struct side *s, struct slice *in)
{
	struct frame_search found;
	uint64_t before = s->search.offset, now = s->ts;
	struct slice held;
	bool sure = frame_search_take(&s->search, s->ts, id_max(s->conn), in);

	s->conn->streams.unread += s->search.offset - before;
	s->offset = s->search.offset;
	if (!sure)
		return;
	found = s->search;
	s->search = (struct frame_search){0};
	expect_frame(s, FRAME_CHAIN);
	while (frame_search_next(&found, &s->ts, &held)) {
		while (held.n)
			step(s, &held);
	}
	s->ts = now;
	frame_search_release(&found);
}

static void step_start(struct side *s, const struct slice *in)
{
	bool preface = *in->p == *HTTP2_PREFACE.p;

	if (!preface && s->conn->joined) {
		search(s, true);
		return;
	}
	s->state = preface ? IN_PREFACE : IN_HEAD;
	s->got = 0;
	if (!s->conn->role_sure && !s->conn->joined)
		set_role(s->conn, preface ? dir_of(s) : (enum ev_dir) !dir_of(s));
}

static void step(struct side *s, struct slice *in)
{
	switch (s->state) {
	case AT_START:
		step_start(s, in);
		break;
	case IN_PREFACE:
		step_preface(s, in);
		break;
	case IN_HEAD:
		step_head(s, in);
		break;
	case IN_PAYLOAD:
		step_payload(s, in);
		break;
	case SEARCHING:
		step_search(s, in);
		break;
	}
}

static void http2_feed(void *p, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	struct http2 *c = p;
	struct side *s = &c->side[dir];

	s->ts = ts;
	while (bytes.n)
		step(s, &bytes);
}

/* --- holes ------------------------------------------------------------------------------ */

/* n bytes of the payload are missing, n <= left. */
static void hole_in_data(struct side *s, uint32_t n, enum gap_cause cause)
{
	uint32_t data = data_left(s), lost = n < data ? n : data;
	struct http2_half *h = data_half(s);

	if (s->padding_follows) {
		s->padding_follows = false;
		s->padding_lost = true;
		if (h)
			http2_half_hole(h, s->ts, 0, n, cause);
	} else if (h && lost && !s->padding_lost) {
		http2_half_hole(h, s->ts, lost, lost, cause);
	}
}

static void hole_in_payload(struct side *s, uint32_t n, enum gap_cause cause)
{
	if (s->payload == DATA)
		hole_in_data(s, n, cause);
	if (s->block.open) {
		s->block.missed += n;
		s->block.cause = cause;
		lose_block(s);
	}
	if (s->payload != DATA)
		s->payload = SKIP;
	s->left -= n;
	if (!s->left)
		frame_done(s);
}

static void http2_gap(void *p, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	struct http2 *c = p;
	struct side *s = &c->side[dir];
	uint64_t inside = s->state != IN_PAYLOAD ? 0 : n < s->left ? n : s->left;

	s->ts = ts;
	s->pristine = false;
	if (s->state == SEARCHING)
		s->offset += frame_search_held(&s->search);
	s->offset += n;
	if (inside)
		hole_in_payload(s, (uint32_t)inside, cause);
	if (n == inside)
		return;
	lose_frames(s, n - inside, cause);
	search(s, true);
}

/* --- life ---------------------------------------------------------------------------------- */

/* The client's preface, or a server's SETTINGS (RFC 9113 3.4), which may be seen first. */
static enum detect http2_detect(struct slice first)
{
	struct slice preface = HTTP2_PREFACE;
	size_t n = first.n < preface.n ? first.n : preface.n;
	struct frame f;

	if (slice_starts(preface, slice_of(first.p, n)))
		return n == preface.n ? DETECT_YES : DETECT_MORE;
	if (first.n < FRAME_HEAD)
		return *first.p ? DETECT_NO : DETECT_MORE;
	f = frame_parse(first.p);
	return f.type == FRAME_SETTINGS && !f.flags && frame_plausible(&f, ID_MAX) ? DETECT_YES : DETECT_NO;
}

/* A preface or a plausible frame; what is neither is refused as early as can be. */
static enum detect http2_join(struct slice first)
{
	const uint8_t *b = (const uint8_t *)first.p;
	struct frame f;

	if (*first.p == *HTTP2_PREFACE.p)
		return http2_detect(first);
	if (b[0] > 0x10 || (first.n > 3 && b[3] > FRAME_CONTINUATION) || (first.n > 5 && b[5] & 0x80))
		return DETECT_NO;
	if (first.n < FRAME_HEAD)
		return DETECT_MORE;
	f = frame_parse(first.p);
	return frame_plausible(&f, ID_MAX) ? DETECT_YES : DETECT_NO;
}

static void *http2_open(const struct proto_events *ev, void *ctx, const struct conn_info *info,
                        bool from_start)
{
	struct http2 *c = xcalloc(1, sizeof(*c));

	c->streams.ev = ev;
	c->streams.ctx = ctx;
	c->streams.info = info;
	c->streams.request_dir = EV_DIR_WRITE; /* till proved: agents ask */
	c->streams.late = !from_start && info->late;
	c->streams.blind = c->joined = !from_start;
	for (int i = 0; i < 2; i++) {
		c->side[i].conn = c;
		c->side[i].pristine = true;
		c->side[i].hpack.gaps = !from_start;
	}
	return c;
}

static void http2_close(void *p, uint64_t ts, bool complete)
{
	struct http2 *c = p;

	(void)ts, (void)complete;
	http2_streams_abort(&c->streams, DAMAGE_CUT, "the connection ended first");
	http2_streams_release(&c->streams);
	for (int i = 0; i < 2; i++) {
		block_close(&c->side[i].block);
		hpack_release(&c->side[i].hpack);
		frame_search_release(&c->side[i].search);
	}
	free(c);
}

const struct protocol http2_protocol = {
    .name = "h2",
    .detect = http2_detect,
    .join = http2_join,
    .open = http2_open,
    .feed = http2_feed,
    .gap = http2_gap,
    .close = http2_close,
};
