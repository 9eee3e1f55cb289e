/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox.h - finished spans on their way from decode to sink.
 *
 * Kept until sink says that they are durable.  The parser never waits for
 * sink: when OUTBOX_MAX bytes wait, the oldest spans not yet sent lose their
 * content (not their existence), and that is counted and marked on them.
 */
#ifndef SPANTAP_OUTBOX_H
#define SPANTAP_OUTBOX_H

#include "sink/sink.h"

#define OUTBOX_MAX (256u << 20) /* bytes of encoded spans */

struct outbox;

/*
 * `sock` is borrowed and non-blocking. `generation`: how many decodes there
 * were before; serials of a later one are larger, so that a late
 * acknowledgement to its predecessor means nothing to it.
 */
struct outbox *outbox_new(int sock, unsigned generation);
void outbox_add(struct outbox *o, const struct span *s);
/* Sends what the socket takes, receives acknowledgements. 0, or -errno when the link is broken. */
int outbox_work(struct outbox *o);
bool outbox_unsent(const struct outbox *o);
/* Every span was acknowledged. */
bool outbox_empty(const struct outbox *o);
/* Bytes of spans that are not acknowledged, of OUTBOX_MAX. */
uint64_t outbox_used(const struct outbox *o);
uint64_t outbox_shed(const struct outbox *o);
/* Behind the last span. -EAGAIN: call again. */
int outbox_end(struct outbox *o, const struct sink_summary *summary);

#endif
