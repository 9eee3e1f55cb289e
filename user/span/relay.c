/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "span/relay.h"

static bool is_local(const struct conn_info *c)
{
	static const uint8_t v6[16] = {[15] = 1}, mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};

	if (c->family == AF_UNIX)
		return true;
	if (c->family == AF_INET)
		return c->address[0] == 127;
	return c->family == AF_INET6 &&
	       (memcmp(c->address, v6, 16) == 0 || memcmp(c->address, mapped, sizeof(mapped)) == 0);
}

static bool on_this_host(const struct conn_info *a, const struct conn_info *b)
{
	bool one = is_local(a), two = is_local(b);

	return (one || two) && (one || !a->family) && (two || !b->family);
}

static bool same_request(const struct flight *a, const struct flight *b)
{
	return a->call->request_sha256.n && slice_eq(a->call->request_sha256, b->call->request_sha256);
}

static bool says_the_same(const struct flight *a, const struct flight *b)
{
	return a->chain.n && a->chain.n == b->chain.n &&
	       link_eq(a->chain.v[a->chain.n - 1], b->chain.v[b->chain.n - 1]);
}

/* Whether `f` is what `up` became on its way. */
static bool is_relay(const struct flight *f, const struct flight *up)
{
	if (!up->process || up->call->is_server == f->call->is_server)
		return false;
	if (f->call->is_server)
		return up->process != f->process && same_request(f, up) &&
		       on_this_host(&f->call->conn, &up->call->conn);
	return up->process == f->process && (same_request(f, up) || says_the_same(f, up));
}

bool relay_begin(struct spans *sp, struct flight *f)
{
	struct flight *up, *best = NULL;
	unsigned looked_at = 0;

	LIST_FOREACH(up, &sp->flights, in_all)
	{
		if (++looked_at > RELAY_CANDIDATES)
			break;
		/* One that has ended is parked, or waits itself. */
		if (up == f || up->ended || up->n_relays == RELAYS_MAX || !is_relay(f, up))
			continue;
		/* Of several users who say the same: one that was not sent on yet, the earliest. */
		if (!best || up->n_relays < best->n_relays ||
		    (up->n_relays == best->n_relays && flight_start(up) < flight_start(best)))
			best = up;
	}
	if (!best)
		return false;
	f->up = best;
	best->n_relays++;
	f->relay = true;
	f->above = best->chat;
	f->kind = "relay";
	f->why = f->call->is_server ? (struct link_reason){"same_request", 0.95}
	                            : (struct link_reason){"forwarded", 0.9};
	LIST_INSERT_HEAD(&best->relays, f, in_relays);
	return true;
}

bool relay_end(struct flight *f)
{
	f->ended = true;
	return f->up != NULL;
}

void relays_leave(struct spans *sp, struct flight *f)
{
	struct flight *r;

	while ((r = LIST_FIRST(&f->relays))) {
		LIST_REMOVE(r, in_relays);
		r->up = NULL;
		r->conversation = f->conversation;
		r->turn = f->turn;
		r->turn->flights++;
		LIST_INSERT_HEAD(&r->conversation->flights, r, in_conversation);
		if (r->ended)
			call_finish(sp, r);
	}
}

static struct flight *find_waiting(struct spans *sp)
{
	struct flight *f;

	LIST_FOREACH(f, &sp->flights, in_all)
	{
		if (f->up && f->ended)
			return f;
	}
	return NULL;
}

void relays_finish(struct spans *sp)
{
	struct found none = {0};
	struct flight *f;

	while ((f = find_waiting(sp))) {
		LIST_REMOVE(f, in_relays);
		f->up = NULL;
		f->relay = false;
		f->above = (struct span_id){{0}};
		call_settle(sp, f, NULL, &none);
	}
}
