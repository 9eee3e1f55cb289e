/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "stream/stream.h"

struct direction {
	uint64_t next;     /* offset of the first byte not yet delivered or reported lost */
	uint64_t produced; /* as the kernel counted, when `counted` */
};

struct conn {
	struct conn_info info;
	struct direction dir[2];
	bool counted; /* the kernel's totals are known */
	bool closing; /* nothing more will be produced */
	uint64_t close_ts;
	void *down;
	struct conn *proc_next, **proc_at;   /* connections of the same process */
	struct conn *close_next, **close_at; /* connections that are closing */
};

struct streams {
	const struct stream_events *ev;
	void *ctx;
	struct map conns; /* struct conn_key -> struct conn */
	struct map procs; /* struct proc_key -> struct proc */
	struct conn *closing;
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
	struct conn *conns;
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
	return ss;
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

static struct conn *conn_open(struct streams *ss, const struct ev_conn_id *id, uint64_t ts, unsigned lib, unsigned flags)
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
				     .first_ts = ts};

	struct conn_key key = key_of(id);
	map_put(&ss->conns, &key, sizeof(key), c);

	struct proc_key pk = proc_key_of(&id->proc);
	struct proc *p = map_get(&ss->procs, &pk, sizeof(pk));
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		map_put(&ss->procs, &pk, sizeof(pk), p);
	}
	c->proc_next = p->conns;
	if (p->conns)
		p->conns->proc_at = &c->proc_next;
	c->proc_at = &p->conns;
	p->conns = c;

	ss->stats.conns++;
	ss->stats.open++;
	c->down = ss->ev->open(ss->ctx, &c->info);
	return c;
}

/* Reports bytes up to `to` as missing. */
static void gap_to(struct streams *ss, struct conn *c, enum ev_dir dir, uint64_t ts, uint64_t to, enum gap_cause cause)
{
	struct direction *d = &c->dir[dir];

	if (to <= d->next)
		return;
	uint64_t n = to - d->next;
	d->next = to;
	ss->stats.lost_bytes += n;
	ss->ev->gap(c->down, dir, ts, n, cause);
}

static bool whole(const struct conn *c)
{
	return c->counted && c->dir[0].next >= c->dir[0].produced && c->dir[1].next >= c->dir[1].produced;
}

static void conn_end(struct streams *ss, struct conn *c, uint64_t ts, bool complete)
{
	for (int dir = 0; dir < 2 && c->counted; dir++)
		gap_to(ss, c, (enum ev_dir)dir, ts, c->dir[dir].produced, GAP_RING);
	ss->ev->close(c->down, ts, complete);

	*c->proc_at = c->proc_next;
	if (c->proc_next)
		c->proc_next->proc_at = c->proc_at;
	struct proc_key pk = proc_key_of(&c->info.id.proc);
	struct proc *p = map_get(&ss->procs, &pk, sizeof(pk));
	if (p && !p->conns)
		free(map_del(&ss->procs, &pk, sizeof(pk)));

	if (c->closing) {
		*c->close_at = c->close_next;
		if (c->close_next)
			c->close_next->close_at = c->close_at;
	}
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
	c->close_next = ss->closing;
	if (ss->closing)
		ss->closing->close_at = &c->close_next;
	c->close_at = &ss->closing;
	ss->closing = c;
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
	enum ev_dir dir = rec->dir ? EV_DIR_READ : EV_DIR_WRITE;
	uint64_t ts = rec->head.ts;

	if (!c)
		c = conn_open(ss, &rec->conn, ts, rec->lib,
			      (rec->flags & EV_DATA_LATE ? EV_CONN_LATE : 0) | (rec->flags & EV_DATA_RESUMED ? EV_CONN_RESUMED : 0));
	if (!c)
		return;
	c->info.lib = (enum ev_lib)rec->lib;

	struct direction *d = &c->dir[dir];
	uint64_t end = rec->offset + rec->len;
	if (end <= d->next || rec->offset < d->next) {
		uint64_t seen = (end < d->next ? end : d->next) - rec->offset;

		ss->stats.repeated += seen;
		if (end <= d->next)
			return;
		/* Cannot come from our own kernel side: keep the order, drop what was delivered. */
	}
	gap_to(ss, c, dir, ts, rec->offset, GAP_RING);
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
}

void streams_data(struct streams *ss, const struct ev_data *rec)
{
	data(ss, rec, false);
}

void streams_poison(struct streams *ss, const struct ev_data *rec)
{
	data(ss, rec, true);
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

void streams_conn(struct streams *ss, const struct ev_conn *rec)
{
	struct conn *c = conn_find(ss, &rec->conn);

	if (!c && rec->produced[0] + rec->produced[1] == 0)
		return;
	if (!c)
		c = conn_open(ss, &rec->conn, rec->head.ts, rec->lib, rec->flags);
	if (!c)
		return;
	c->counted = true;
	c->dir[0].produced = rec->produced[0];
	c->dir[1].produced = rec->produced[1];
	if (rec->flags & EV_CONN_FREED) {
		conn_closing(ss, c, rec->head.ts);
		if (whole(c))
			conn_end(ss, c, rec->head.ts, true);
	}
}

void streams_exit(struct streams *ss, const struct ev_proc *proc, uint64_t ts)
{
	struct proc_key pk = proc_key_of(proc);
	struct proc *p = map_get(&ss->procs, &pk, sizeof(pk));

	for (struct conn *c = p ? p->conns : NULL; c; c = c->proc_next)
		conn_closing(ss, c, ts);
}

void streams_expire(struct streams *ss, uint64_t now)
{
	struct conn *next;

	for (struct conn *c = ss->closing; c; c = next) {
		next = c->close_next;
		if (now - c->close_ts > STREAM_CLOSE_GRACE && now > c->close_ts)
			conn_end(ss, c, c->close_ts, !c->counted || whole(c));
	}
}

void streams_finish(struct streams *ss, uint64_t ts)
{
	struct map_entry *e;

	map_foreach(&ss->conns, e) {
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
	free(ss);
}
