/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "proto/jsonlines.h"

struct direction {
	struct buf line; /* what has come of it */
	uint64_t start;  /* when its first byte came; 0: none has */
	uint64_t lost;   /* bytes of it that are missing or were given up */
	bool damaged;
	bool joined; /* the first line, whose beginning may not have been seen */
};

struct jsonlines {
	const struct proto_events *ev;
	void *ctx;
	struct exchange x;
	bool begun;
	struct direction dir[2];
};

static enum detect never(struct slice first)
{
	(void)first;
	return DETECT_NO;
}

static void *lines_open(const struct proto_events *ev, void *ctx, const struct conn_info *info,
                        bool from_start)
{
	struct jsonlines *l = xcalloc(1, sizeof(*l));

	l->ev = ev;
	l->ctx = ctx;
	l->x = (struct exchange){.conn = info,
	                         .protocol = SLICE("jsonrpc"),
	                         .request_dir = info->server ? EV_DIR_READ : EV_DIR_WRITE,
	                         .upgraded = true};
	l->dir[0].joined = l->dir[1].joined = !from_start;
	return l;
}

static void begin(struct jsonlines *l, uint64_t ts)
{
	if (l->begun)
		return;
	l->begun = true;
	l->x.request_start = l->x.request_end = ts;
	l->ev->request(l->ctx, &l->x);
}

static void give_up(struct direction *d)
{
	d->lost += d->line.n;
	d->damaged = true;
	buf_release(&d->line);
}

static void end_line(struct jsonlines *l, enum ev_dir dir, uint64_t ts)
{
	struct direction *d = &l->dir[dir];
	struct slice text = slice_trim(buf_slice(&d->line));
	bool rest = d->joined && text.n && *text.p != '{' && *text.p != '[';

	l->x.message_start = d->start ? d->start : ts;
	l->x.response_end = ts;
	if (d->damaged)
		l->ev->body_gap(l->ctx, &l->x, dir, ts, d->lost);
	else if (text.n && !rest && l->ev->message)
		l->ev->message(l->ctx, &l->x, dir, ts, text, true);
	if (d->line.cap > JSONLINES_IDLE_MAX)
		buf_release(&d->line);
	buf_clear(&d->line);
	d->start = d->lost = 0;
	d->damaged = d->joined = false;
}

static void lines_feed(void *p, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	struct jsonlines *l = p;
	struct direction *d = &l->dir[dir];

	begin(l, ts);
	while (bytes.n) {
		const char *end = memchr(bytes.p, '\n', bytes.n);
		struct slice part = slice_of(bytes.p, end ? (size_t)(end - bytes.p) : bytes.n);

		if (!d->start)
			d->start = ts;
		if (!d->damaged && d->line.n + part.n > JSONLINES_MAX)
			give_up(d);
		if (d->damaged)
			d->lost += part.n;
		else
			buf_addslice(&d->line, part);
		bytes = slice_from(bytes, part.n + (end != NULL));
		if (end)
			end_line(l, dir, ts);
	}
}

static void lines_gap(void *p, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	struct jsonlines *l = p;
	struct direction *d = &l->dir[dir];

	begin(l, ts);
	if (!l->x.lost_bytes)
		l->x.cause = cause;
	l->x.lost_bytes += n;
	if (!d->start)
		d->start = ts;
	give_up(d);
	d->lost += n;
}

/* What was written without an end of line is no message, but nothing of it is missing. */
static void lines_close(void *p, uint64_t ts, bool complete)
{
	struct jsonlines *l = p;

	if (!complete)
		l->x.damage |= DAMAGE_CUT;
	for (int dir = 0; dir < 2; dir++) {
		if (l->dir[dir].damaged)
			end_line(l, (enum ev_dir)dir, ts);
		buf_release(&l->dir[dir].line);
	}
	if (l->begun) {
		l->x.response_end = ts;
		l->ev->end(l->ctx, &l->x);
	}
	arena_release(&l->x.arena);
	free(l);
}

const struct protocol jsonlines_protocol = {
    .name = "jsonrpc",
    .detect = never,
    .join = never,
    .open = lines_open,
    .feed = lines_feed,
    .gap = lines_gap,
    .close = lines_close,
};
