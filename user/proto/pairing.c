/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/pairing.h"

static const char why_guess[] = "which request this response belongs to is a guess";
static const char why_lost[] = "the rest was lost";
static const char why_turn[] = "the next request began before the end was seen";

void open_mark(struct open *o, unsigned damage, const char *why)
{
	o->x.damage |= damage;
	if (!o->x.why)
		o->x.why = why;
}

void open_lose(struct open *o, uint64_t n, enum gap_cause cause)
{
	o->x.lost_bytes += n;
	if (!o->x.cause)
		o->x.cause = cause;
}

void pairing_init(struct pairing *p, const struct proto_events *ev, void *ctx, const struct conn_info *info,
                  bool from_start)
{
	*p = (struct pairing){
	    .ev = ev,
	    .ctx = ctx,
	    .info = info,
	    .request_dir = -1,
	    .role_sure = from_start,
	    .synced = from_start,
	    .asked_exactly = from_start,
	    .late = !from_start && info->late,
	};
}

struct open *pairing_waiting(const struct pairing *p)
{
	struct open *o = p->first;

	while (o && o->response_done)
		o = o->next;
	return o;
}

static struct open *open_new(struct pairing *p)
{
	struct open *o = xcalloc(1, sizeof(*o));

	o->x.conn = p->info;
	o->x.request_dir = (enum ev_dir)p->request_dir;
	if (p->last)
		p->last->next = o;
	else
		p->first = o;
	p->last = o;
	p->n_open++;
	return o;
}

static void unlink_open(struct pairing *p, struct open *o)
{
	struct open **at = &p->first, *before = NULL;

	while (*at != o) {
		before = *at;
		at = &before->next;
	}
	*at = o->next;
	if (p->last == o)
		p->last = before;
	p->n_open--;
}

void pairing_end(struct pairing *p, struct open *o)
{
	if (!o->x.damage)
		p->role_sure = true;
	unlink_open(p, o);
	p->ev->end(p->ctx, &o->x);
	for (int dir = 0; dir < 2; dir++) {
		if (p->body[dir] == o)
			p->body[dir] = NULL;
		decoder_free(o->decoder[dir]);
	}
	arena_release(&o->x.arena);
	free(o);
}

/* What is not there yet. */
static unsigned response_part(const struct open *o)
{
	return o->x.status ? DAMAGE_RESPONSE_BODY : DAMAGE_RESPONSE_HEAD;
}

/* Ends an exchange, the rest of which will not be seen. */
static void give_up(struct pairing *p, struct open *o, const char *why)
{
	if (!o->response_done)
		open_mark(o, response_part(o), why);
	if (!o->request_done)
		open_mark(o, DAMAGE_REQUEST_BODY, why);
	pairing_end(p, o);
}

void pairing_give_up(struct pairing *p, const struct open *but, const char *why)
{
	struct open *o = p->first, *next;

	for (; o; o = next) {
		next = o->next;
		if (o != but)
			give_up(p, o, why);
	}
}

static void mark_waiting(struct pairing *p)
{
	for (struct open *o = pairing_waiting(p); o; o = o->next)
		open_mark(o, response_part(o), why_guess);
}

/* --- what is lost ------------------------------------------------------- */

static void bytes_lost(struct pairing *p, uint64_t n, enum gap_cause cause)
{
	p->lost += n;
	if (n)
		p->lost_cause = cause;
}

/* What is missing of the requests now is of the last one: it is a turn, and was not answered yet. */
static bool within_turn(const struct pairing *p)
{
	return p->turn && p->turn_sure && !p->answered && !p->pipelines &&
	       (p->turn_hurt || (p->last && !p->last->request_done));
}

void pairing_request_lost(struct pairing *p, uint64_t n, enum gap_cause cause)
{
	p->late &= !cause;
	p->asked_exactly = false;
	p->turn_hurt = within_turn(p);
	if (p->turn_hurt && p->last && !p->turn_unseen)
		open_lose(p->last, n, cause);
	else
		bytes_lost(p, n, cause);
	if (!p->turn_hurt)
		p->synced = p->turn = p->turn_unseen = false;
}

bool pairing_in_turn(const struct pairing *p)
{
	return p->synced && p->turn && p->turn_hurt;
}

void pairing_response_lost(struct pairing *p, uint64_t n, enum gap_cause cause)
{
	struct open *o = pairing_waiting(p);

	p->synced = false;
	p->late &= !cause;
	if (o) {
		open_lose(o, n, cause);
		open_mark(o, response_part(o), why_lost);
		mark_waiting(p);
	} else {
		bytes_lost(p, n, cause);
	}
}

void pairing_response_moves(struct pairing *p)
{
	p->moved = true;
}

/* --- what is paired ------------------------------------------------------- */

/* A request that waits for the first byte of its answer: what is found by search may be quoted in its body.
 */
static bool unanswered(const struct open *o)
{
	return o && !o->orphan && !o->x.status;
}

/* A request begins, and nothing has shown that the one before it is over. */
static bool overlaps(const struct pairing *p)
{
	if (p->synced)
		return pairing_waiting(p);
	return !p->moved && unanswered(p->last) && p->last->x.request_end;
}

/*
 * The next request begins right behind what was seen of the last one, which is a
 * turn: it comes behind its answer, if neither is a quotation.
 */
static bool follows_turn(const struct pairing *p, bool turned)
{
	return p->turn && !p->pipelines && (p->answered || turned || (p->asked_exactly && p->moved));
}

static void resync(struct pairing *p, bool synced)
{
	pairing_give_up(p, NULL, why_turn);
	p->synced = synced;
}

struct open *pairing_request(struct pairing *p, bool searched, bool turned, bool *ret_fresh)
{
	struct open *o;

	p->pipelines |= overlaps(p);
	p->synced &= !(p->turn_hurt && pairing_waiting(p)); /* it was no turn */
	*ret_fresh = !p->synced && !(searched && unanswered(p->last));
	if (*ret_fresh)
		resync(p, !searched && follows_turn(p, turned));
	if (p->n_open >= PROTO_PIPELINE_MAX) {
		give_up(p, p->first, "too many requests wait for their response");
		mark_waiting(p);
		p->pipelines = true;
		p->synced = false;
	}
	p->asked_exactly |= p->synced;
	o = open_new(p);
	if (!p->synced)
		open_mark(o, p->late ? DAMAGE_LATE : DAMAGE_RESPONSE_HEAD, why_guess);
	p->late &= !p->synced;
	p->request_seen = true;
	p->answered = p->moved = p->turn_hurt = p->turn_unseen = false;
	p->turn_sure = p->synced || (turned && !searched);
	p->lost = 0;
	return o;
}

bool pairing_turn_unseen(struct pairing *p, bool turned)
{
	if (p->pipelines || (p->synced ? p->first != NULL : !turned && !follows_turn(p, false)))
		return false;
	if (!p->synced)
		resync(p, follows_turn(p, turned));
	p->turn = p->turn_sure = p->turn_unseen = p->turn_hurt = true;
	p->answered = p->moved = false;
	p->request_seen = true;
	return true;
}

void pairing_asked(struct pairing *p, struct open *o)
{
	p->turn = slice_eq(o->x.method, SLICE("POST")) || slice_eq(o->x.method, SLICE("PATCH"));
	p->ev->request(p->ctx, &o->x);
}

static struct open *orphan(struct pairing *p, uint64_t offset)
{
	bool late = p->info->late && !p->request_seen;
	struct open *o = open_new(p);

	o->orphan = o->request_done = true;
	if (p->lost)
		open_lose(o, p->lost, p->lost_cause);
	p->lost = 0;
	o->x.request_offset = EXCHANGE_NO_REQUEST | offset;
	open_mark(o, late ? DAMAGE_LATE : DAMAGE_REQUEST_HEAD, "the request was not seen");
	p->synced &= p->turn_unseen;
	p->turn_unseen = false;
	return o;
}

/* Behind lost bytes: a client that waits asks last what is answered next. */
static struct open *guess(struct pairing *p)
{
	struct open *o = unanswered(p->last) ? p->last : NULL;

	while (p->first && p->first != o)
		give_up(p, p->first, why_lost);
	if (o)
		open_mark(o, DAMAGE_RESPONSE_HEAD, why_guess);
	return o;
}

struct open *pairing_response(struct pairing *p, bool lost, uint64_t offset)
{
	struct open *o = lost ? guess(p) : pairing_waiting(p);

	p->answered = true;
	return o ? o : orphan(p, offset);
}
