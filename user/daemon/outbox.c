/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "daemon/outbox.h"
#include "jail/message.h"

struct entry {
	struct entry *next;
	uint64_t serial;
	bool shed;
	struct buf span; /* encoded */
};

struct outbox {
	int sock;
	struct entry *first, *last;
	struct entry *sending; /* the first one not wholly sent; NULL: all sent */
	uint32_t offset;       /* of it, sent so far */
	uint64_t serial, bytes, shed;
	bool reset_sent;
	struct msg msg;
};

struct outbox *outbox_new(int sock, unsigned generation)
{
	struct outbox *o = xcalloc(1, sizeof(*o));

	o->serial = (uint64_t)generation << 40;
	o->sock = sock;
	return o;
}

/* The encoded span without its content attributes, marked. */
static void strip(struct entry *e)
{
	struct span s;
	size_t kept = 0;

	if (span_decode(buf_slice(&e->span), &s))
		return;
	for (size_t i = 0; i < s.n_attrs; i++)
		if (!attr_defs[s.attrs[i].key].content)
			s.attrs[kept++] = s.attrs[i];
	s.n_attrs = kept;
	span_set_bool(&s, ATTR_CONTENT_DROPPED, true);
	span_set_str(&s, ATTR_INCOMPLETE_REASON, SLICE("content left out: the store could not keep up"));
	buf_release(&e->span);
	span_encode(&e->span, &s);
	span_release(&s);
	e->shed = true;
}

static void shed(struct outbox *o)
{
	struct entry *e = o->sending && o->offset ? o->sending->next : o->sending;

	for (; e && o->bytes > OUTBOX_MAX; e = e->next) {
		if (e->shed)
			continue;
		o->bytes -= e->span.n;
		strip(e);
		o->bytes += e->span.n;
		o->shed++;
	}
}

void outbox_add(struct outbox *o, const struct span *s)
{
	struct entry *e = xcalloc(1, sizeof(*e));

	span_encode(&e->span, s);
	e->serial = ++o->serial;
	o->bytes += e->span.n;
	if (o->last)
		o->last->next = e;
	else
		o->first = e;
	o->last = e;
	if (!o->sending)
		o->sending = e;
	if (o->bytes > OUTBOX_MAX)
		shed(o);
}

static void acknowledge(struct outbox *o, uint64_t serial)
{
	while (o->first && o->first->serial <= serial && o->first != o->sending) {
		struct entry *e = o->first;

		o->first = e->next;
		if (!o->first)
			o->last = NULL;
		o->bytes -= e->span.n;
		buf_release(&e->span);
		free(e);
	}
}

static int receive(struct outbox *o)
{
	int err;

	while ((err = msg_recv(o->sock, &o->msg)) == 0) {
		if (o->msg.type == MSG_ACK && o->msg.payload.n == sizeof(uint64_t)) {
			uint64_t serial;

			memcpy(&serial, o->msg.payload.p, sizeof(serial));
			acknowledge(o, serial);
		} else if (o->msg.type == MSG_HELLO) { /* a new sink: from the first one not acknowledged */
			o->sending = o->first;
			o->offset = 0;
			o->reset_sent = false;
		} else {
			return -EPROTO;
		}
	}
	return err == -EAGAIN ? 0 : err;
}

static int send_some(struct outbox *o)
{
	int err;

	if (!o->reset_sent) {
		err = msg_send(o->sock, MSG_RESET, (struct slice){0}, NULL, 0);
		if (err)
			return err;
		o->reset_sent = true;
	}
	while (o->sending) {
		struct entry *e = o->sending;
		struct msg_span head = {e->serial, o->offset, (uint32_t)e->span.n};
		size_t n = e->span.n - o->offset, room = MSG_MAX - sizeof(head);

		if (n > room)
			n = room;
		err = msg_send2(o->sock, MSG_SPAN, slice_of(&head, sizeof(head)), slice_of(e->span.p + o->offset, n));
		if (err)
			return err;
		o->offset += (uint32_t)n;
		if (o->offset == e->span.n) {
			o->sending = e->next;
			o->offset = 0;
		}
	}
	return 0;
}

int outbox_work(struct outbox *o)
{
	int err = receive(o);

	if (!err)
		err = send_some(o);
	return err == -EAGAIN ? 0 : err;
}

bool outbox_unsent(const struct outbox *o)
{
	return o->sending != NULL || !o->reset_sent;
}

bool outbox_empty(const struct outbox *o)
{
	return !o->first;
}

uint64_t outbox_used(const struct outbox *o)
{
	return o->bytes;
}

uint64_t outbox_shed(const struct outbox *o)
{
	return o->shed;
}

int outbox_end(struct outbox *o, const struct sink_summary *summary)
{
	return msg_send(o->sock, MSG_END, slice_of(summary, sizeof(*summary)), NULL, 0);
}

