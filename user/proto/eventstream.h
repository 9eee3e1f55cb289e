/* SPDX-License-Identifier: Apache-2.0 */
/*
 * eventstream.h - application/vnd.amazon.eventstream, as Bedrock streams.
 *
 * A message (AWS SDK and Tools reference, "event stream encoding"; all numbers
 * big endian):
 *
 *	total length 4 | headers length 4 | CRC-32 of those 8 bytes 4
 *	headers | payload | CRC-32 of everything before 4
 *
 * Both checksums are verified.  A message whose own checksum is wrong is
 * dropped, and the next one read behind it; where the checksum of a prelude is
 * wrong, or after a gap, bytes are skipped up to the next prelude that is right.
 */
#ifndef SPANTAP_EVENTSTREAM_H
#define SPANTAP_EVENTSTREAM_H

#include "base/buf.h"

#define EVENTSTREAM_HEADERS_MAX (128u << 10) /* AWS allows no more */
#define EVENTSTREAM_MAX         (24u << 20)  /* of a whole message; AWS allows no more payload */

/* The headers that are defined for every service; absent when not sent. Slices valid during the call. */
struct eventstream_message {
	struct slice message_type; /* event, exception, error */
	struct slice event_type;
	struct slice exception_type;
	struct slice error_code, error_message;
	struct slice content_type;
	struct slice payload;
};

struct eventstream {
	void (*on_message)(void *ctx, uint64_t ts, const struct eventstream_message *m);
	void *ctx;
	uint64_t dropped; /* messages with a wrong checksum, too long, or cut by a gap */
	size_t used;      /* in on_message: bytes of this feed up to the message's end */

	/* private */
	struct buf held; /* the beginning of a message */
	bool resync;
};

void eventstream_init(struct eventstream *s,
                      void (*on_message)(void *, uint64_t, const struct eventstream_message *), void *ctx);
void eventstream_feed(struct eventstream *s, uint64_t ts, struct slice bytes);
void eventstream_gap(struct eventstream *s); /* the message in work is dropped */
/* The body ended. Returns whether an unfinished message was discarded. */
bool eventstream_finish(struct eventstream *s);
void eventstream_release(struct eventstream *s);

#endif
