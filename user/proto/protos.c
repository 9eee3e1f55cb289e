/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which protocol a connection speaks is decided by its first bytes, in the
 * direction that speaks first.  Until then at most PROTO_DETECT_MAX bytes of
 * each direction are held; a connection that speaks none of the protocols is
 * passed over and costs this struct only.
 *
 * A connection whose first bytes are missing is joined.  What is there may be
 * the middle of anything, so the choice stands only until the other direction
 * has begun too: if a row above claims that one, what was open ends, marked.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/http1.h"
#include "proto/http2.h"
#include "proto/jsonlines.h"

/* Order: the first that does not say no. The last one joins anything. */
static const struct protocol *const protocols[] = {
    &http2_protocol,
    &http1_protocol,
};

#define N_PROTOCOLS (sizeof(protocols) / sizeof(*protocols))

struct proto_conn {
	const struct proto_events *ev;
	void *ctx;
	const struct conn_info *info;
	const struct protocol *protocol; /* NULL: not known yet, or none */
	void *p;
	bool none;
	bool joining; /* the first bytes are missing */
	struct held {
		bool judged;     /* its first bytes were */
		uint64_t before; /* bytes, lost ones included, that the protocol did not get */
		enum gap_cause cause;
		uint64_t ts; /* of the first byte held, or of the hole before it */
		uint8_t n;
		char bytes[PROTO_DETECT_MAX];
	} held[2];
	uint64_t passed[2]; /* bytes, lost ones included, that the protocol got */
	enum ev_dir last;   /* before a protocol was chosen, the direction of the latest hole */
};

struct slice http_header_get(const struct http_headers *h, struct slice name)
{
	for (size_t i = 0; i < h->n; i++) {
		if (slice_caseeq(h->v[i].name, name))
			return h->v[i].value;
	}
	return slice_of(NULL, 0);
}

static void pass_gap(struct proto_conn *c, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	c->passed[dir] += n;
	c->protocol->gap(c->p, dir, ts, n, cause);
}

static void pass_bytes(struct proto_conn *c, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	c->passed[dir] += bytes.n;
	c->protocol->feed(c->p, dir, ts, bytes);
}

static void pass_held(struct proto_conn *c, enum ev_dir dir)
{
	struct held *h = &c->held[dir];

	h->judged = true;
	if (h->n)
		pass_bytes(c, dir, h->ts, slice_of(h->bytes, h->n));
	h->n = 0;
}

static void choose(struct proto_conn *c, const struct protocol *protocol, uint64_t ts)
{
	if (c->protocol)
		c->protocol->close(c->p, ts, false);
	c->protocol = protocol;
	c->p = protocol->open(c->ev, c->ctx, c->info, !c->joining);
	for (int i = 0; i < 2; i++) {
		enum ev_dir dir = i == (c->last == EV_DIR_READ) ? EV_DIR_READ : EV_DIR_WRITE;
		struct held *h = &c->held[dir];
		uint64_t before = h->before + c->passed[dir];

		c->passed[dir] = h->before = 0;
		if (before)
			pass_gap(c, dir, h->ts, before, h->cause ? h->cause : GAP_UNKNOWN);
	}
	for (int dir = 0; dir < 2; dir++) {
		if (!c->joining || c->held[dir].judged)
			pass_held(c, dir);
	}
}

struct proto_conn *proto_open(const struct proto_events *ev, void *ctx, const struct conn_info *info)
{
	struct proto_conn *c = xcalloc(1, sizeof(*c));

	c->ev = ev;
	c->ctx = ctx;
	c->info = info;
	c->joining = info->late;
	if (info->lib == EV_LIB_STDIO) { /* what carries it says what it speaks */
		c->protocol = &jsonlines_protocol;
		c->p = c->protocol->open(ev, ctx, info, !info->late);
		c->joining = false;
	}
	return c;
}

/* Judges the first bytes of a direction. */
static void judge(struct proto_conn *c, enum ev_dir dir)
{
	struct held *h = &c->held[dir];
	struct slice first = slice_of(h->bytes, h->n);

	for (size_t i = 0; i < N_PROTOCOLS; i++) {
		const struct protocol *p = protocols[i];
		enum detect d = c->joining ? p->join(first) : p->detect(first);

		if (p == c->protocol) {
			pass_held(c, dir);
			return;
		}
		if (d == DETECT_MORE && first.n < PROTO_DETECT_MAX)
			return;
		if (d == DETECT_YES) {
			h->judged = true;
			choose(c, p, h->ts);
			return;
		}
	}
	c->none = true;
}

/* Its first bytes say nothing more, because a hole or the end follows them. */
static void settle(struct proto_conn *c, enum ev_dir dir)
{
	c->held[dir].judged = true;
	if (c->protocol)
		pass_held(c, dir);
	else
		choose(c, protocols[N_PROTOCOLS - 1], c->held[dir].ts);
}

/* Whether bytes of this direction are held. */
static bool holding(const struct proto_conn *c, enum ev_dir dir)
{
	return !c->none && (c->protocol ? c->joining && !c->held[dir].judged : true);
}

void proto_feed(struct proto_conn *c, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	struct held *h = &c->held[dir];

	while (bytes.n && holding(c, dir)) {
		if (!h->n)
			h->ts = ts;
		h->bytes[h->n++] = *bytes.p;
		bytes = slice_from(bytes, 1);
		judge(c, dir);
	}
	if (bytes.n && c->protocol)
		pass_bytes(c, dir, ts, bytes);
}

bool proto_is_unknown(const struct proto_conn *c)
{
	return c->none;
}

void proto_gap(struct proto_conn *c, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	struct held *h = &c->held[dir];

	if (!n || c->none)
		return;
	c->joining |= !c->protocol;
	if (h->n)
		settle(c, dir);
	if (c->protocol) {
		pass_gap(c, dir, ts, n, cause);
		return;
	}
	c->last = dir;
	h->before += n;
	h->cause = cause;
	h->ts = ts;
}

void proto_close(struct proto_conn *c, uint64_t ts, bool complete)
{
	if (!c)
		return;
	for (int dir = 0; dir < 2; dir++) {
		if (c->protocol && c->held[dir].n)
			settle(c, dir);
	}
	if (c->protocol)
		c->protocol->close(c->p, ts, complete);
	free(c);
}
