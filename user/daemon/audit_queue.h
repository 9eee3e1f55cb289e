/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_queue.h - what the privileged process does to the host (probes on, probes
 * off), on its way to the store: sent as MSG_AUDIT when sink has room for it.
 */
#ifndef SPANTAP_AUDIT_QUEUE_H
#define SPANTAP_AUDIT_QUEUE_H

#include "base/buf.h"
#include "jail/message.h"

#define AUDIT_WAITING_MAX (1 << 20) /* bytes that wait, 3,000 events; further ones are dropped and counted */

struct audit_queue {
	struct buf waiting; /* each behind its size */
	uint64_t dropped;   /* not told yet */
};

/* `json`: an object. */
void audit_add(struct audit_queue *q, enum audit_what what, struct slice json);
/* A MSG_AUDIT that was sent, and not read by a sink that is gone. */
void audit_unread(struct audit_queue *q, struct slice payload);
/* Sends what the socket takes, without waiting. */
void audit_send(struct audit_queue *q, int sock);
void audit_release(struct audit_queue *q);

#endif
