/* SPDX-License-Identifier: Apache-2.0 */
/*
 * framing.h - how a response body is cut into JSON values.
 *
 * One value (collected, parsed at the end), server-sent events, values one
 * behind the other (NDJSON, or an array sent element by element), AWS event
 * stream, or bytes that are no JSON at all (speech, an image).  Labels are often
 * wrong: SSE is sent as application/json, JSON errors as event streams.  So the
 * first byte decides, and Content-Type only what it leaves open.
 */
#ifndef SPANTAP_FRAMING_H
#define SPANTAP_FRAMING_H

#include "proto/eventstream.h"
#include "proto/json_stream.h"
#include "proto/proto.h"
#include "proto/sse.h"

enum framing_form {
	FRAMING_UNKNOWN, /* no byte seen yet */
	FRAMING_WHOLE,   /* one JSON value, or text: collected by the caller */
	FRAMING_MEDIA,   /* binary: counted, not kept */
	FRAMING_SSE,
	FRAMING_VALUES, /* JSON values one behind the other */
	FRAMING_AWS,
};

struct framing_events {
	/* One value of a stream; name: SSE's event, AWS's :event-type; absent when none. */
	void (*value)(void *ctx, uint64_t ts, struct slice name, struct slice data);
	/* The stream says by its framing that it failed. */
	void (*failed)(void *ctx, uint64_t ts, struct slice type, struct slice data);
};

struct framing {
	enum framing_form form;
	const struct framing_events *ev;
	void *ctx;
	uint64_t fed; /* bytes before the feed in work */
	union {
		struct sse sse;
		struct json_stream values;
		struct eventstream aws;
	};
};

/* What the form is decided by. */
struct framing_hint {
	struct slice content_type;
	uint16_t status;
	bool after_hole; /* bytes before are missing */
	bool plain;      /* text and media are answers here */
};

/*
 * Decides the form by the first bytes (blanks in front of text skipped); false
 * while it cannot, and those are not to be fed then.  To be called before
 * framing_feed(), until it answers true.
 */
bool framing_decide(struct framing *f, const struct framing_hint *hint, struct slice first);
/* Values of a body that was collected as one, but is a stream of them. */
void framing_as_values(struct framing *f);

/* Whether values are given out as they come. */
bool framing_streams(const struct framing *f);
/* "sse", "json_array", "ndjson", "aws_eventstream"; NULL when it is no stream. */
const char *framing_name(const struct framing *f);

void framing_feed(struct framing *f, uint64_t ts, struct slice bytes); /* streams only */
/* In an event: bytes of the body, as it was fed, up to its end. */
uint64_t framing_position(const struct framing *f);
void framing_gap(struct framing *f);
/* The body ended. Returns whether something unfinished was discarded. */
bool framing_finish(struct framing *f);
size_t framing_held(const struct framing *f); /* bytes allocated for what is unfinished */
uint64_t framing_dropped(const struct framing *f);
void framing_release(struct framing *f);

#endif
