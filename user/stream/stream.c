/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/map.h"
#include "stream/stream.h"

struct direction {
	uint64_t next;     /* offset of the first byte not yet delivered or reported lost */
	uint64_t produced; /* as the kernel counted last, when `counted` */
	uint64_t due;      /* as it counted at due_ts */
};

struct conn {
	struct conn_info info;
	struct direction dir[2];
	bool counted; /* the kernel's totals are known */
	bool closing; /* nothing more will be produced */
	uint64_t close_ts;
	uint64_t counted_ts, due_ts; /* when the kernel counted */
	bool is_due;                 /* bytes counted at due_ts have not come yet */
	void *down;
	LIST_ENTRY(conn) in_proc;    /* connections of the same process */
	LIST_ENTRY(conn) in_closing; /* connections that are closing */
	TAILQ_ENTRY(conn) in_due;    /* live connections of which bytes are due, the longest due first */
};

LIST_HEAD(conn_list, conn);

/* A connection of which only totals came: it is wholly lost, or has been closed since the sweep. */
struct unseen {
	struct ev_conn first, last;
};

struct streams {
	const struct stream_events *ev;
	void *ctx;
	struct map conns;  /* struct conn_key -> struct conn */
	struct map procs;  /* struct proc_key -> struct proc */
	struct map unseen; /* struct conn_key -> struct unseen */
	struct conn_list closing;
	TAILQ_HEAD(, conn) due;
	uint64_t newest;    /* time of the newest data record */
	uint64_t swept;     /* of the newest totals of a live connection */
	uint64_t forgot_at; /* `swept` when unseen connections were forgotten last */
	struct stream_stats stats;
};

struct conn_key {
	uint64_t tls, gen;
	uint64_t tgid;
};

struct proc_key {
	uint64_t start;
	uint64_t tgid;
};

struct proc {
	struct conn_list conns;
};

const char *gap_cause_name(enum gap_cause cause)
{
	switch (cause) {
	case GAP_RING:
		return "ring full";
	case GAP_UNREADABLE:
		return "memory not readable";
	case GAP_CRASH:
		return "decoder crashed";
	case GAP_TOO_LONG:
		return "call too long for this kernel";
	case GAP_UNKNOWN:
		break;
	}
	return "cause unknown";
}

struct streams *streams_new(const struct stream_events *ev, void *ctx)
{
	struct streams *ss = xcalloc(1, sizeof(*ss));

	ss->ev = ev;
	ss->ctx = ctx;
	LIST_INIT(&ss->closing);
	TAILQ_INIT(&ss->due);
	return ss;
}

static bool older(uint64_t ts, uint64_t than, uint64_t by)
{
	return than > ts && than - ts > by;
}

static struct conn_key key_of(const struct ev_conn_id *id)
{
	return (struct conn_key){id->tls, id->gen, id->proc.tgid};
}

static struct proc_key proc_key_of(const struct ev_proc *p)
{
	return (struct proc_key){p->start, p->tgid};
}

static struct conn *conn_find(struct streams *ss, const struct ev_conn_id *id)
{
	struct conn_key key = key_of(id);

	return map_get(&ss->conns, &key, sizeof(key));
}

static struct conn *conn_open(struct streams *ss, const struct ev_conn_id *id, uint64_t ts, unsigned lib,
                              unsigned flags)
{
	if (ss->conns.n >= STREAMS_MAX) {
		ss->stats.refused++;
		return NULL;
	}

	struct conn *c = xcalloc(1, sizeof(*c));
	c->info = (struct conn_info){.id = *id,
	                             .lib = (enum ev_lib)lib,
	                             .late = flags & EV_CONN_LATE,
	                             .resumed = flags & EV_CONN_RESUMED,
	                             .server = flags & EV_CONN_SERVER,
	                             .first_ts = ts};

	struct conn_key key = key_of(id);
	map_put(&ss->conns, &key, sizeof(key), c);

	struct proc_key pk = proc_key_of(&id->proc);
	struct proc *p = map_get(&ss->procs, &pk, sizeof(pk));
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		LIST_INIT(&p->conns);
		map_put(&ss->procs, &pk, sizeof(pk), p);
	}
	LIST_INSERT_HEAD(&p->conns, c, in_proc);
	free(map_del(&ss->unseen, &key, sizeof(key)));

	ss->stats.conns++;
	ss->stats.open++;
	c->down = ss->ev->open(ss->ctx, &c->info);
	return c;
}

/* Reports bytes up to `to` as missing. */
static void gap_to(struct streams *ss, struct conn *c, enum ev_dir dir, uint64_t ts, uint64_t to,
                   enum gap_cause cause)
{
	struct direction *d = &c->dir[dir];

	if (to <= d->next)
		return;
	uint64_t n = to - d->next;
	d->next = to;
	ss->stats.lost_bytes += n;
	ss->stats.gaps++;
	ss->ev->gap(c->down, dir, ts, n, cause);
}

static bool whole(const struct conn *c)
{
	return c->counted && c->dir[0].next >= c->dir[0].produced && c->dir[1].next >= c->dir[1].produced;
}

static void not_due(struct streams *ss, struct conn *c)
{
	if (c->is_due)
		TAILQ_REMOVE(&ss->due, c, in_due);
	c->is_due = false;
}

/* Whether what was counted at due_ts has come; if so, what was counted since is due. */
static void watch(struct streams *ss, struct conn *c)
{
	if (c->is_due && (c->dir[0].next < c->dir[0].due || c->dir[1].next < c->dir[1].due))
		return;
	not_due(ss, c);
	if (c->closing || !c->counted || whole(c))
		return;
	c->is_due = true;
	c->due_ts = c->counted_ts;
	c->dir[0].due = c->dir[0].produced;
	c->dir[1].due = c->dir[1].produced;
	TAILQ_INSERT_TAIL(&ss->due, c, in_due);
}

/* What is due will not come any more. */
static void give_up(struct streams *ss, struct conn *c)
{
	for (int dir = 0; dir < 2; dir++)
		gap_to(ss, c, (enum ev_dir)dir, c->due_ts, c->dir[dir].due, GAP_RING);
	watch(ss, c);
}

/* The data ring is read in order: what was counted long before its newest record is not on its way. */
static void data_time(struct streams *ss, uint64_t ts)
{
	struct conn *c;

	ss->newest = ts > ss->newest ? ts : ss->newest;
	while ((c = TAILQ_FIRST(&ss->due)) && older(c->due_ts, ss->newest, STREAM_CLOSE_GRACE))
		give_up(ss, c);
}

static void conn_end(struct streams *ss, struct conn *c, uint64_t ts, bool complete)
{
	for (int dir = 0; dir < 2 && c->counted; dir++)
		gap_to(ss, c, (enum ev_dir)dir, ts, c->dir[dir].produced, GAP_RING);
	ss->ev->close(c->down, ts, complete);

	LIST_REMOVE(c, in_proc);
	struct proc_key pk = proc_key_of(&c->info.id.proc);
	struct proc *p = map_get(&ss->procs, &pk, sizeof(pk));
	if (p && LIST_EMPTY(&p->conns))
		free(map_del(&ss->procs, &pk, sizeof(pk)));

	if (c->closing)
		LIST_REMOVE(c, in_closing);
	not_due(ss, c);
	struct conn_key key = key_of(&c->info.id);
	map_del(&ss->conns, &key, sizeof(key));
	ss->stats.open--;
	free(c);
}

static void conn_closing(struct streams *ss, struct conn *c, uint64_t ts)
{
	if (c->closing)
		return;
	c->closing = true;
	c->close_ts = ts;
	not_due(ss, c);
	LIST_INSERT_HEAD(&ss->closing, c, in_closing);
}

static enum gap_cause hole_cause(const struct ev_data *rec, bool poison)
{
	if (poison)
		return GAP_CRASH;
	return rec->flags & EV_DATA_TOO_LONG ? GAP_TOO_LONG : GAP_UNREADABLE;
}

static void data(struct streams *ss, const struct ev_data *rec, bool poison)
{
	struct conn *c = conn_find(ss, &rec->conn);
	enum ev_dir dir = rec->dir ? EV_DIR_READ : EV_DIR_WRITE, other = rec->dir ? EV_DIR_WRITE : EV_DIR_READ;
	uint64_t ts = rec->head.ts;

	if (!c)
		c = conn_open(ss, &rec->conn, ts, rec->lib,
		              (rec->flags & EV_DATA_LATE ? EV_CONN_LATE : 0) |
		                  (rec->flags & EV_DATA_RESUMED ? EV_CONN_RESUMED : 0) |
		                  (rec->flags & EV_DATA_SERVER ? EV_CONN_SERVER : 0));
	if (!c)
		return;
	c->info.lib = (enum ev_lib)rec->lib;

	struct direction *d = &c->dir[dir];
	uint64_t end = rec->offset + rec->len;
	gap_to(ss, c, other, ts, rec->moved < rec->other ? rec->other - rec->moved : 0, GAP_RING);
	if (end <= d->next || rec->offset < d->next) {
		uint64_t seen = (end < d->next ? end : d->next) - rec->offset;

		ss->stats.repeated += seen;
		if (end <= d->next)
			return;
		/* Cannot come from our own kernel side: keep the order, drop what was delivered. */
	}
	gap_to(ss, c, dir, ts, rec->offset, GAP_RING);
	gap_to(ss, c, other, ts, rec->other, GAP_RING);
	if (poison || rec->flags & EV_DATA_UNREADABLE) {
		gap_to(ss, c, dir, ts, end, hole_cause(rec, poison));
	} else {
		struct slice bytes = slice_of(rec->data, rec->len);

		bytes = slice_from(bytes, d->next - rec->offset);
		d->next = end;
		ss->stats.bytes += bytes.n;
		ss->ev->bytes(c->down, dir, ts, bytes);
	}
	if (c->closing && whole(c))
		conn_end(ss, c, c->close_ts > ts ? c->close_ts : ts, true);
	else if (c->is_due)
		watch(ss, c);
}

void streams_data(struct streams *ss, const struct ev_data *rec)
{
	data(ss, rec, false);
	data_time(ss, rec->head.ts);
}

void streams_poison(struct streams *ss, const struct ev_data *rec)
{
	data(ss, rec, true);
	data_time(ss, rec->head.ts);
}

void streams_peer(struct streams *ss, const struct ev_peer *rec)
{
	struct conn *c = conn_find(ss, &rec->conn);

	if (!c)
		c = conn_open(ss, &rec->conn, rec->head.ts, EV_LIB_UNKNOWN, rec->flags);
	if (!c)
		return;
	c->info.family = rec->family;
	c->info.port = be16toh(rec->port);
	c->info.local_port = be16toh(rec->local_port);
	memcpy(c->info.local_address, rec->local_address, sizeof(c->info.local_address));
	memcpy(c->info.address, rec->address, sizeof(c->info.address));
}

void streams_name(struct streams *ss, const struct ev_name *rec)
{
	struct conn *c = conn_find(ss, &rec->conn);

	if (!c)
		c = conn_open(ss, &rec->conn, rec->head.ts, EV_LIB_UNKNOWN, rec->flags);
	if (c)
		memcpy(c->info.server_name, rec->name, strnlen(rec->name, EV_NAME_MAX - 1));
}

void *streams_find(struct streams *ss, const struct ev_conn_id *id)
{
	struct conn *c = conn_find(ss, id);

	return c ? c->down : NULL;
}

static void count(struct conn *c, const struct ev_conn *rec)
{
	c->counted = true;
	if (rec->head.ts > c->counted_ts)
		c->counted_ts = rec->head.ts;
	for (int dir = 0; dir < 2; dir++)
		if (rec->produced[dir] > c->dir[dir].produced)
			c->dir[dir].produced = rec->produced[dir];
}

/* Forgets those that the sweeps no longer name. */
static void forget_unseen(struct streams *ss)
{
	struct map_entry *e;

	if (!older(ss->forgot_at, ss->swept, STREAM_CLOSE_GRACE))
		return;
	ss->forgot_at = ss->swept;
	map_foreach (&ss->unseen, e) {
		struct unseen *u = e->value;

		if (!older(u->last.head.ts, ss->swept, STREAMS_UNSEEN_NS))
			continue;
		free(u);
		map_del(&ss->unseen, e->key, e->key_len);
	}
}

/* Notes the totals; those of an earlier sweep when there was one, so that the connection is live indeed. */
static const struct ev_conn *unseen_since(struct streams *ss, const struct ev_conn *rec)
{
	struct conn_key key = key_of(&rec->conn);
	struct unseen *u = map_get(&ss->unseen, &key, sizeof(key));

	if (!u) {
		if (ss->unseen.n >= STREAMS_UNSEEN_MAX)
			forget_unseen(ss);
		if (ss->unseen.n >= STREAMS_UNSEEN_MAX)
			return NULL;
		u = xcalloc(1, sizeof(*u));
		u->first = *rec;
		map_put(&ss->unseen, &key, sizeof(key), u);
	}
	u->last = *rec;
	return older(u->first.head.ts, rec->head.ts, STREAM_CLOSE_GRACE) ? &u->first : NULL;
}

static struct conn *conn_of_totals(struct streams *ss, const struct ev_conn *rec)
{
	const struct ev_conn *before = rec;

	if (rec->produced[0] + rec->produced[1] == 0)
		return NULL;
	if (!(rec->flags & EV_CONN_FREED) && !(before = unseen_since(ss, rec)))
		return NULL;

	struct ev_conn first = *before; /* it goes when the connection opens */
	struct conn *c = conn_open(ss, &rec->conn, first.head.ts, rec->lib, first.flags);
	if (c)
		count(c, &first);
	return c;
}

static void live_totals(struct streams *ss, struct conn *c, const struct ev_conn *rec)
{
	watch(ss, c);
	/* Rings are read before totals are taken: what an earlier sweep counted has been through. */
	if (c->is_due && older(c->due_ts, rec->head.ts, STREAM_CLOSE_GRACE))
		give_up(ss, c);
	count(c, rec);
	watch(ss, c);
}

void streams_conn(struct streams *ss, const struct ev_conn *rec)
{
	struct conn *c = conn_find(ss, &rec->conn);
	bool freed = rec->flags & EV_CONN_FREED;

	if (!freed && rec->head.ts > ss->swept)
		ss->swept = rec->head.ts;
	if (!c)
		c = conn_of_totals(ss, rec);
	if (!c)
		return;
	if (!freed && !c->closing) {
		live_totals(ss, c, rec);
		return;
	}
	count(c, rec);
	if (freed)
		conn_closing(ss, c, rec->head.ts);
	if (c->closing && whole(c))
		conn_end(ss, c, c->close_ts, true);
}

void streams_exit(struct streams *ss, const struct ev_proc *proc, uint64_t ts)
{
	struct proc_key pk = proc_key_of(proc);
	struct proc *p = map_get(&ss->procs, &pk, sizeof(pk));
	struct conn *c;

	if (!p)
		return;
	LIST_FOREACH(c, &p->conns, in_proc)
	conn_closing(ss, c, ts);
}

void streams_expire(struct streams *ss, uint64_t now)
{
	struct conn *c, *next;

	for (c = LIST_FIRST(&ss->closing); c; c = next) {
		next = LIST_NEXT(c, in_closing);
		if (now - c->close_ts > STREAM_CLOSE_GRACE && now > c->close_ts)
			conn_end(ss, c, c->close_ts, !c->counted || whole(c));
	}
}

/* Those that the last sweep names were live then, and nothing of them came. */
static void open_unseen(struct streams *ss)
{
	struct map_entry *e;

	map_foreach (&ss->unseen, e) {
		struct unseen *u = e->value;
		const struct ev_conn *last = &u->last;
		bool lives = !older(last->head.ts, ss->swept, STREAM_CLOSE_GRACE);

		map_del(&ss->unseen, e->key, e->key_len);
		struct conn *c =
		    lives ? conn_open(ss, &last->conn, last->head.ts, last->lib, last->flags) : NULL;
		if (c)
			count(c, last);
		free(u);
	}
}

void streams_finish(struct streams *ss, uint64_t ts)
{
	struct map_entry *e;

	open_unseen(ss);
	map_foreach (&ss->conns, e) {
		struct conn *c = e->value;

		conn_end(ss, c, c->closing ? c->close_ts : ts, c->closing && (!c->counted || whole(c)));
	}
}

const struct stream_stats *streams_stats(const struct streams *ss)
{
	return &ss->stats;
}

void streams_free(struct streams *ss)
{
	if (!ss)
		return;
	streams_finish(ss, 0);
	map_release(&ss->conns);
	map_release(&ss->procs);
	map_release(&ss->unseen);
	free(ss);
}
