/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sse.h - server-sent events (WHATWG HTML, 9.2.6 "Interpreting an event stream").
 *
 * All of the rules: LF, CR, CRLF (also split between two feeds), comments, a
 * leading BOM, several data lines joined by LF, "event", "id" (not with NUL),
 * "retry", a field without colon, one blank after the colon removed.  An event
 * without data is not dispatched; at finish() an unterminated event is not
 * dispatched either, as the standard says.
 */
#ifndef SPANTAP_SSE_H
#define SPANTAP_SSE_H

#include "base/buf.h"

#define SSE_EVENT_MAX (16u << 20) /* bytes of one event; a longer one is dropped and counted */

struct sse {
	/* event: absent when not given. Slices valid during the call. */
	void (*on_event)(void *ctx, uint64_t ts, struct slice event, struct slice data);
	void *ctx;
	uint64_t dropped; /* events too long, or cut by a gap */
	size_t used;      /* in on_event: bytes of this feed up to the event's end */

	/* private */
	struct buf line, data, event;
	bool has_data, skip_lf, started, oversize, resync;
};

void sse_init(struct sse *s, void (*on_event)(void *, uint64_t, struct slice, struct slice), void *ctx);
void sse_feed(struct sse *s, uint64_t ts, struct slice bytes);
void sse_gap(struct sse *s); /* the event in work is dropped; resumes behind the next blank line */
/* The stream ended. Returns whether an unterminated event was discarded. */
bool sse_finish(struct sse *s);
void sse_release(struct sse *s);

#endif
