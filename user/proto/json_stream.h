/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_stream.h - JSON values one behind the other in a body.
 *
 * Two framings that differ only between the values: one value a line (NDJSON;
 * Ollama, Cohere v1), and one array whose elements are sent one by one (Gemini
 * without alt=sse).  Objects and arrays are reported, as their exact text;
 * other values and what stands between values are skipped.  What lies inside a
 * value is not checked: that is the JSON parser's work.
 *
 * After a gap, and after a value that no JSON writer sends (a line end inside a
 * string), reading resumes with the next line that begins with "{": values
 * begin a line in both framings, and within a value lines are indented.
 */
#ifndef SPANTAP_JSON_STREAM_H
#define SPANTAP_JSON_STREAM_H

#include "base/buf.h"

#define JSON_STREAM_MAX (16u << 20) /* bytes of one value; a longer one is dropped and counted */

struct json_stream {
	/* The slice is valid during the call. */
	void (*on_value)(void *ctx, uint64_t ts, struct slice value);
	void *ctx;
	uint64_t dropped; /* values too long, broken, or cut by a gap */
	size_t used;      /* in on_value: bytes of this feed up to the value's end */
	bool array;       /* the body is one array */
	bool ended;       /* the array's end was seen */

	/* private */
	struct buf value; /* the beginning of a value that spans feeds */
	size_t depth;     /* open brackets of the value in work */
	bool started, in_string, escape, oversize, resync, line_begins;
};

void json_stream_init(struct json_stream *s, void (*on_value)(void *, uint64_t, struct slice), void *ctx);
void json_stream_feed(struct json_stream *s, uint64_t ts, struct slice bytes);
void json_stream_gap(struct json_stream *s); /* the value in work is dropped */
/* The body ended. Returns whether something unfinished was discarded. */
bool json_stream_finish(struct json_stream *s);
void json_stream_release(struct json_stream *s);

#endif
