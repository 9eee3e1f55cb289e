/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cmd/until.h"
#include "daemon/recording.h"
#include "jail/sandbox.h"
#include "proto/print.h"

struct conn {
	struct proto_conn *proto;
	struct buf text;
};

static void *on_open(void *ctx, const struct conn_info *info)
{
	struct conn *c = xcalloc(1, sizeof(*c));

	(void)ctx;
	buf_addf(&c->text, "connection pid=%u\n", info->id.proc.tgid);
	c->proto = proto_open(&proto_print_events, &c->text, info);
	return c;
}

static void on_bytes(void *conn, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	proto_feed(((struct conn *)conn)->proto, dir, ts, bytes);
}

static void on_gap(void *conn, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	proto_gap(((struct conn *)conn)->proto, dir, ts, n, cause);
}

static void print(const struct buf *text)
{
	for (size_t at = 0; at < text->n;) {
		ssize_t n = write(STDOUT_FILENO, text->p + at, text->n - at);

		if (n < 0 && errno != EINTR)
			return;
		at += n > 0 ? (size_t)n : 0;
	}
}

static void on_close(void *conn, uint64_t ts, bool complete)
{
	struct conn *c = conn;

	proto_close(c->proto, ts, complete);
	print(&c->text);
	buf_release(&c->text);
	free(c);
}

static const struct stream_events proto_seam = {on_open, on_bytes, on_gap, on_close};

static const struct seam {
	const char *name;
	const struct stream_events *events;
} seams[] = {
    {"proto", &proto_seam},
};

static const struct seam *seam_named(const char *name)
{
	for (size_t i = 0; i < sizeof(seams) / sizeof(*seams); i++) {
		if (strcmp(seams[i].name, name) == 0)
			return &seams[i];
	}
	return NULL;
}

bool until_known(const char *name)
{
	return seam_named(name) != NULL;
}

static int on_data(struct streams *ss, const struct buf *rec)
{
	const struct ev_data *d = (const void *)rec->p;

	if (rec->n < sizeof(*d) || d->dir > 1 || !d->len ||
	    (!(d->flags & EV_DATA_UNREADABLE) && d->len > rec->n - sizeof(*d)))
		return -EBADMSG;
	streams_data(ss, d);
	return 0;
}

static int on_record(struct streams *ss, const struct buf *rec)
{
	const struct ev_head *head = (const void *)rec->p;

	if (head->type == EV_DATA)
		return on_data(ss, rec);
	if ((head->type == EV_CONN_CLOSE || head->type == EV_TOTALS) && rec->n >= sizeof(struct ev_conn))
		streams_conn(ss, (const void *)rec->p);
	if (head->type == EV_EXIT && rec->n >= sizeof(struct ev_exit))
		streams_exit(ss, &((const struct ev_exit *)(const void *)rec->p)->proc, head->ts);
	streams_expire(ss, head->ts);
	return 0;
}

int until_print(const char *name, int fd)
{
	struct streams *ss = streams_new(seam_named(name)->events, NULL);
	struct buf rec = {0};
	uint64_t last = 0;
	int err = sandbox_identity(SANDBOX_UID, SANDBOX_UID);

	if (!err)
		err = sandbox_enter(SANDBOX_DECODE);
	while (!err && (err = recording_read(fd, &rec)) == 1) {
		last = ((const struct ev_head *)(const void *)rec.p)->ts;
		err = on_record(ss, &rec);
	}
	streams_finish(ss, last);
	streams_free(ss);
	buf_release(&rec);
	return err;
}
