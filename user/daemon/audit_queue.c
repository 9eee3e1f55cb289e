/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/clock.h"
#include "daemon/audit_queue.h"

static void put(struct audit_queue *q, enum audit_what what, struct slice json)
{
	struct msg_audit head = {.wall_ns = clock_wall_ns(), .what = what};
	uint32_t size = (uint32_t)(sizeof(head) + json.n);

	buf_add(&q->waiting, &size, sizeof(size));
	buf_add(&q->waiting, &head, sizeof(head));
	buf_addslice(&q->waiting, json);
}

void audit_add(struct audit_queue *q, enum audit_what what, struct slice json)
{
	if (json.n > MSG_MAX - sizeof(struct msg_audit) || q->waiting.n + json.n > AUDIT_WAITING_MAX)
		q->dropped++;
	else
		put(q, what, json);
}

static void tell_dropped(struct audit_queue *q)
{
	struct buf json = {0};

	if (!q->dropped || q->waiting.n)
		return;
	buf_addf(&json, "{\"events_dropped\":%llu}", (unsigned long long)q->dropped);
	put(q, AUDIT_ATTACH, buf_slice(&json));
	q->dropped = 0;
	buf_release(&json);
}

void audit_unread(struct audit_queue *q, struct slice payload)
{
	uint32_t size = (uint32_t)payload.n;

	buf_add(&q->waiting, &size, sizeof(size));
	buf_addslice(&q->waiting, payload);
}

void audit_send(struct audit_queue *q, int sock)
{
	size_t at = 0;
	uint32_t size;

	tell_dropped(q);
	while (at < q->waiting.n) {
		memcpy(&size, q->waiting.p + at, sizeof(size));
		if (msg_send(sock, MSG_AUDIT, slice_of(q->waiting.p + at + sizeof(size), size), NULL, 0))
			break;
		at += sizeof(size) + size;
	}
	memmove(q->waiting.p, q->waiting.p + at, q->waiting.n - at);
	q->waiting.n -= at;
}

void audit_release(struct audit_queue *q)
{
	buf_release(&q->waiting);
}
