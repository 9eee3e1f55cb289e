/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/permessage_deflate.h"
#include "proto/websocket.h"
#include "proto/websocket_frame.h"

#define KEEP_MAX 65536 /* bytes of buffer that an idle connection may hold */

static const char why_long[] = "a WebSocket message is longer than the limit";

/* The message in work. */
struct message {
	bool open;
	bool text, compressed;
	bool missing;  /* it cannot be reported */
	bool reported; /* ... and a body_gap() stands for it already */
	uint64_t wire; /* bytes of payload that passed or are missing */
	uint64_t made; /* bytes inflated */
	struct buf bytes;
};

/* One direction. */
struct lane {
	struct websocket *websocket;
	enum ev_dir dir;
	enum pmd_side side;
	bool passive; /* nothing can be read */
	bool closed;  /* a close frame was seen */
	uint64_t ts;
	struct ws_header header;
	struct ws_frame frame;
	uint64_t left; /* bytes of payload that come next; 0: a header does */
	struct message message;
	struct pmd_inflater *inflater;
	bool context_lost;
	unsigned proof; /* headers that must still be right; 0: where frames begin is known */
	bool tail;      /* the proof may begin inside a message */
};

struct websocket {
	const struct proto_events *ev;
	void *ctx;
	struct exchange *x;
	struct pmd_agreed agreed;
	struct lane lane[2];
};

/* --- reports -------------------------------------------------------------------- */

static void mark(struct lane *l, unsigned damage, const char *why)
{
	struct exchange *x = l->websocket->x;

	x->damage |= damage | (l->dir == x->request_dir ? DAMAGE_REQUEST_BODY : DAMAGE_RESPONSE_BODY);
	if (!x->why)
		x->why = why;
}

static void lose_bytes(struct lane *l, uint64_t n, enum gap_cause cause)
{
	struct exchange *x = l->websocket->x;

	if (!n)
		return;
	x->lost_bytes += n;
	if (!x->cause)
		x->cause = cause;
	mark(l, 0, NULL);
}

static void report_gap(struct lane *l, uint64_t n)
{
	const struct websocket *w = l->websocket;

	mark(l, 0, "a WebSocket message is missing");
	w->ev->body_gap(w->ctx, w->x, l->dir, l->ts, n);
}

static void report(struct lane *l, struct slice s, bool text)
{
	const struct websocket *w = l->websocket;

	if (l->dir == w->x->request_dir)
		w->x->request_body_bytes += s.n;
	else
		w->x->response_body_bytes += s.n;
	if (w->ev->message)
		w->ev->message(w->ctx, w->x, l->dir, l->ts, s, text);
}

/* --- boundaries that were lost --------------------------------------------------- */

static void forget_message(struct lane *l)
{
	struct buf bytes = l->message.bytes;

	if (bytes.cap > KEEP_MAX)
		buf_release(&bytes);
	buf_clear(&bytes);
	l->message = (struct message){.bytes = bytes};
}

static void drop_inflater(struct lane *l)
{
	pmd_inflater_free(l->inflater);
	l->inflater = NULL;
	l->context_lost = !l->websocket->agreed.side[l->side].no_context_takeover;
}

/* Where a frame begins is not known: the next byte may, or any other. */
static void seek(struct lane *l)
{
	forget_message(l);
	drop_inflater(l);
	l->left = 0;
	l->proof = WEBSOCKET_PROOF;
	l->tail = true;
}

static void lose_boundary(struct lane *l, unsigned damage, const char *why)
{
	mark(l, damage, why);
	seek(l);
	report_gap(l, 0);
}

/* Stricter than ws_frame_refusal(): what real clients and servers send. */
static bool plausible(const struct lane *l, const struct ws_frame *f)
{
	if (f->masked != (l->side == PMD_CLIENT) || f->length > WEBSOCKET_MESSAGE_MAX)
		return false;
	if (ws_is_control(f))
		return true;
	return f->length && (f->opcode == WS_CONTINUATION) == (l->message.open || (l->tail && !f->opcode));
}

/* --- messages ----------------------------------------------------------------------- */

static void begin_message(struct lane *l)
{
	const struct ws_frame *f = &l->frame;
	struct message *m = &l->message;

	m->open = true;
	m->text = f->opcode == WS_TEXT;
	m->compressed = f->rsv & WS_RSV1;
	if (l->proof || f->opcode == WS_CONTINUATION)
		m->missing = m->reported = true;
	if (!m->compressed || l->proof)
		return;
	if (!l->context_lost && !l->inflater)
		l->inflater = pmd_inflater_new(l->websocket->agreed.side[l->side].window_bits);
	if (!l->inflater) {
		m->missing = true;
		mark(l, 0, "a compressed WebSocket message refers to one that was lost");
	}
}

/* The message cannot be reported; with its context goes that of those behind it. */
static void spoil(struct lane *l, unsigned damage, const char *why)
{
	struct message *m = &l->message;

	m->missing = true;
	if (why)
		mark(l, damage, why);
	if (m->compressed)
		drop_inflater(l);
	buf_release(&m->bytes);
}

/* What is compressed is read on where later messages may refer to it. */
static void too_long(struct lane *l)
{
	l->message.missing = true;
	mark(l, 0, why_long);
	buf_release(&l->message.bytes);
	if (l->websocket->agreed.side[l->side].no_context_takeover)
		drop_inflater(l);
}

static void inflate_part(struct lane *l, struct slice s, bool ended)
{
	struct message *m = &l->message;
	int err;

	if (!l->inflater)
		return;
	err = pmd_inflate(l->inflater, s, ended, &m->bytes, m->missing ? 0 : WEBSOCKET_MESSAGE_MAX, &m->made,
	                  WEBSOCKET_SKIM_MAX);
	if (err == -E2BIG)
		spoil(l, 0, why_long);
	else if (err)
		spoil(l, DAMAGE_ENCODING, "a compressed WebSocket message is broken");
	else if (m->made > WEBSOCKET_MESSAGE_MAX && !m->missing)
		too_long(l);
}

/* `s` is the message where nothing had to be changed in it. */
static void end_message(struct lane *l, struct slice s)
{
	struct message *m = &l->message;

	if (m->compressed)
		inflate_part(l, SLICE(""), true);
	if (l->inflater && l->websocket->agreed.side[l->side].no_context_takeover) {
		pmd_inflater_free(l->inflater);
		l->inflater = NULL;
	}
	if (!s.p)
		s = buf_slice(&m->bytes);
	if (!m->missing)
		report(l, s, m->text);
	else if (!m->reported)
		report_gap(l, m->wire);
	forget_message(l);
}

static void end_frame(struct lane *l, struct slice whole)
{
	if (l->frame.opcode == WS_CLOSE)
		l->closed = true;
	if (!ws_is_control(&l->frame) && l->frame.fin)
		end_message(l, whole);
}

/* --- frames --------------------------------------------------------------------------- */

static void take_masked(struct lane *l, struct slice s)
{
	struct message *m = &l->message;
	uint64_t at = l->frame.length - l->left;
	char piece[4096];

	if (!m->compressed) {
		buf_addslice(&m->bytes, s);
		ws_mask(m->bytes.p + m->bytes.n - s.n, s.n, &l->frame, at);
		return;
	}
	while (s.n && l->inflater) {
		size_t n = s.n < sizeof(piece) ? s.n : sizeof(piece);

		memcpy(piece, s.p, n);
		ws_mask(piece, n, &l->frame, at);
		inflate_part(l, slice_of(piece, n), false);
		at += n;
		s = slice_from(s, n);
	}
}

static void take_payload(struct lane *l, struct slice s)
{
	struct message *m = &l->message;

	if (!m->compressed && !m->missing && m->bytes.n + s.n > WEBSOCKET_MESSAGE_MAX)
		too_long(l);
	if (m->compressed ? !l->inflater : m->missing)
		return;
	if (l->frame.masked)
		take_masked(l, s);
	else if (m->compressed)
		inflate_part(l, s, false);
	else
		buf_addslice(&m->bytes, s);
}

static void step_payload(struct lane *l, struct slice *in)
{
	const struct message *m = &l->message;
	const struct ws_frame *f = &l->frame;
	size_t n = in->n < l->left ? in->n : (size_t)l->left;
	struct slice s = slice_of(in->p, n), whole = {NULL, 0};

	*in = slice_from(*in, n);
	if (!ws_is_control(f)) {
		l->message.wire += n;
		if (f->fin && !f->masked && !m->compressed && n == m->wire && n == l->left && !m->missing &&
		    n <= WEBSOCKET_MESSAGE_MAX)
			whole = s; /* all of it lies here: nothing to copy */
		else
			take_payload(l, s);
	}
	l->left -= n;
	if (!l->left)
		end_frame(l, whole);
}

static void check_order(struct lane *l)
{
	struct message *m = &l->message;
	bool starts = l->frame.opcode != WS_CONTINUATION;

	if (starts && m->open) {
		mark(l, DAMAGE_SYNTAX, "a WebSocket message begins inside another one");
		if (!m->reported)
			report_gap(l, m->wire);
		if (m->compressed)
			drop_inflater(l);
		forget_message(l);
	} else if (!starts && !m->open && !l->tail) {
		mark(l, DAMAGE_SYNTAX, "a WebSocket message without beginning");
		report_gap(l, 0);
	}
}

static void take(struct lane *l, struct slice bytes);

/* What stands in the header is no frame; one may begin with its second byte. */
static void refuse(struct lane *l, const char *why)
{
	struct ws_header header = l->header;

	if (l->proof)
		seek(l);
	else
		lose_boundary(l, DAMAGE_SYNTAX, why);
	l->header.n = 0;
	take(l, slice_of(header.bytes + 1, header.n - 1u));
}

static void step_header(struct lane *l, struct slice *in)
{
	const char *why;

	if (!ws_header_take(&l->header, in, &l->frame))
		return;
	why = ws_frame_refusal(&l->frame, l->websocket->agreed.on);
	if (why || (l->proof && !plausible(l, &l->frame))) {
		refuse(l, why);
		return;
	}
	l->header.n = 0;
	l->proof -= l->proof > 0;
	l->left = l->frame.length;
	if (!ws_is_control(&l->frame)) {
		check_order(l);
		l->tail = false;
		if (!l->message.open)
			begin_message(l);
	}
	if (!l->left)
		end_frame(l, (struct slice){NULL, 0});
}

static void take(struct lane *l, struct slice bytes)
{
	while (bytes.n) {
		if (l->left)
			step_payload(l, &bytes);
		else
			step_header(l, &bytes);
	}
}

/* --- life ------------------------------------------------------------------------------- */

/* RFC 6455 4.2.2: the server names the protocol that it switches to. */
bool websocket_begins(const struct exchange *x)
{
	return x->status == 101 &&
	       slice_caseeq(http_header_get(&x->response_headers, SLICE("upgrade")), SLICE("websocket"));
}

struct websocket *websocket_new(const struct proto_events *ev, void *ctx, struct exchange *x)
{
	struct websocket *w = xcalloc(1, sizeof(*w));
	bool known = pmd_read(&x->response_headers, &w->agreed) == 0;

	w->ev = ev;
	w->ctx = ctx;
	w->x = x;
	for (int dir = 0; dir < 2; dir++) {
		struct lane *l = &w->lane[dir];

		l->websocket = w;
		l->dir = (enum ev_dir)dir;
		l->side = l->dir == x->request_dir ? PMD_CLIENT : PMD_SERVER;
		l->passive = !known;
	}
	return w;
}

/* Of a direction that cannot be read, all is one gap. */
static void pass(struct lane *l)
{
	mark(l, DAMAGE_ENCODING, "a WebSocket extension that is not known");
	if (!l->left)
		report_gap(l, 0);
	l->left = 1;
}

void websocket_feed(struct websocket *w, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	struct lane *l = &w->lane[dir];

	l->ts = ts;
	if (l->passive) {
		pass(l);
		return;
	}
	take(l, bytes);
}

void websocket_gap(struct websocket *w, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	struct lane *l = &w->lane[dir];

	l->ts = ts;
	lose_bytes(l, n, cause);
	if (l->passive) {
		pass(l);
		return;
	}
	if (!n || n > l->left) {
		l->header.n = 0;
		lose_boundary(l, 0, "where WebSocket frames begin was lost");
		return;
	}
	l->left -= n;
	if (!ws_is_control(&l->frame)) {
		l->message.wire += n;
		spoil(l, 0, NULL);
	}
	if (!l->left)
		end_frame(l, (struct slice){NULL, 0});
}

void websocket_finish(struct websocket *w, bool complete)
{
	for (int dir = 0; dir < 2; dir++) {
		struct lane *l = &w->lane[dir];

		if (l->passive)
			continue;
		if (l->message.open && !l->message.reported)
			report_gap(l, l->message.wire);
		if (l->message.open || l->left || l->header.n)
			mark(l, DAMAGE_CUT, "the connection ended first");
		if (!complete && !l->closed)
			w->x->damage |= DAMAGE_CUT;
	}
}

void websocket_free(struct websocket *w)
{
	if (!w)
		return;
	for (int dir = 0; dir < 2; dir++) {
		struct lane *l = &w->lane[dir];

		buf_release(&l->message.bytes);
		pmd_inflater_free(l->inflater);
	}
	free(w);
}
