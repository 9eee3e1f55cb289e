/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which protocol a connection speaks is decided by its first bytes, in the
 * direction that speaks first.  Until then at most PROTO_DETECT_MAX bytes of
 * each direction are held; a connection that speaks none of the protocols is
 * passed over and costs this struct only.  Where the first bytes are missing,
 * the first protocol that can be joined in the middle takes the connection.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/http1.h"

/* Order: the first that says yes wins; an HTTP/2 preface is no HTTP/1 request line ("PRI" is no method). */
static const struct protocol *const protocols[] = {
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
	struct held {
		uint64_t ts; /* of the first byte */
		uint8_t n;
		char bytes[PROTO_DETECT_MAX];
	} held[2];
};

struct slice http_header_get(const struct http_headers *h, struct slice name)
{
	for (size_t i = 0; i < h->n; i++) {
		if (slice_caseeq(h->v[i].name, name))
			return h->v[i].value;
	}
	return slice_of(NULL, 0);
}

static void choose(struct proto_conn *c, const struct protocol *protocol, bool from_start)
{
	c->protocol = protocol;
	c->p = protocol->open(c->ev, c->ctx, c->info, from_start);
	for (int dir = 0; dir < 2; dir++) {
		struct held *h = &c->held[dir];

		if (h->n)
			protocol->feed(c->p, dir, h->ts, slice_of(h->bytes, h->n));
		h->n = 0;
	}
}

static void choose_joinable(struct proto_conn *c)
{
	for (size_t i = 0; i < N_PROTOCOLS; i++) {
		if (protocols[i]->joins) {
			choose(c, protocols[i], false);
			return;
		}
	}
	c->none = true;
}

struct proto_conn *proto_open(const struct proto_events *ev, void *ctx, const struct conn_info *info)
{
	struct proto_conn *c = xcalloc(1, sizeof(*c));

	c->ev = ev;
	c->ctx = ctx;
	c->info = info;
	if (info->late)
		choose_joinable(c);
	return c;
}

static void detect(struct proto_conn *c, struct slice first)
{
	bool more = false;

	for (size_t i = 0; i < N_PROTOCOLS; i++) {
		enum detect d = protocols[i]->detect(first);

		if (d == DETECT_YES) {
			choose(c, protocols[i], true);
			return;
		}
		more |= d == DETECT_MORE;
	}
	c->none = !more || first.n == PROTO_DETECT_MAX;
}

void proto_feed(struct proto_conn *c, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	struct held *h = &c->held[dir];

	while (bytes.n && !c->protocol && !c->none) {
		if (!h->n)
			h->ts = ts;
		h->bytes[h->n++] = *bytes.p;
		bytes = slice_from(bytes, 1);
		detect(c, slice_of(h->bytes, h->n));
	}
	if (bytes.n && c->protocol)
		c->protocol->feed(c->p, dir, ts, bytes);
}

bool proto_is_unknown(const struct proto_conn *c)
{
	return c->none;
}

void proto_gap(struct proto_conn *c, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	if (!n)
		return;
	if (!c->protocol && !c->none)
		choose_joinable(c);
	if (c->protocol)
		c->protocol->gap(c->p, dir, ts, n, cause);
}

void proto_close(struct proto_conn *c, uint64_t ts, bool complete)
{
	if (!c)
		return;
	if (c->protocol)
		c->protocol->close(c->p, ts, complete);
	free(c);
}
