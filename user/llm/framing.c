/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/framing.h"

static void on_sse(void *ctx, uint64_t ts, struct slice name, struct slice data)
{
	struct framing *f = ctx;

	f->ev->value(f->ctx, ts, name, data);
}

static void on_value(void *ctx, uint64_t ts, struct slice value)
{
	struct framing *f = ctx;

	f->ev->value(f->ctx, ts, (struct slice){0}, value);
}

static void on_message(void *ctx, uint64_t ts, const struct eventstream_message *m)
{
	struct framing *f = ctx;

	if (slice_eq(m->message_type, SLICE("exception")))
		f->ev->failed(f->ctx, ts, m->exception_type, m->payload);
	else if (slice_eq(m->message_type, SLICE("error")))
		f->ev->failed(f->ctx, ts, m->error_code, m->error_message);
	else
		f->ev->value(f->ctx, ts, m->event_type, m->payload);
}

static bool one_of(char c, const char *set)
{
	return c && strchr(set, c);
}

static bool says(const struct framing_hint *h, const char *word)
{
	return slice_find(h->content_type, slice_str(word)) != NULL;
}

static bool is_media(struct slice type)
{
	return slice_starts(type, SLICE("audio/")) || slice_starts(type, SLICE("image/")) ||
	       slice_starts(type, SLICE("video/")) || slice_starts(type, SLICE("application/octet-stream"));
}

static bool says_lines(const struct framing_hint *h)
{
	return says(h, "ndjson") || says(h, "stream+json") || says(h, "jsonl") || says(h, "json-seq");
}

/* An AWS message is shorter than 16 MiB, so that its first byte is 0: nothing else here begins so. */
static enum framing_form form_of(const struct framing_hint *h, char first)
{
	bool sse = says(h, "event-stream"), aws = says(h, "vnd.amazon.eventstream");

	if (h->plain && is_media(h->content_type))
		return FRAMING_MEDIA;
	if (h->after_hole)
		return aws ? FRAMING_AWS : sse ? FRAMING_SSE : says_lines(h) ? FRAMING_VALUES : FRAMING_WHOLE;
	if (first == 0 || (aws && first != '{'))
		return FRAMING_AWS;
	if (first == '[')
		return FRAMING_VALUES;
	if (first == '{')
		return says_lines(h) ? FRAMING_VALUES : FRAMING_WHOLE;
	if (h->plain && slice_starts(h->content_type, SLICE("text/")) && !sse)
		return FRAMING_WHOLE;
	return sse || (h->status < 400 && one_of(first, "dei:r")) ? FRAMING_SSE : FRAMING_WHOLE;
}

static void init(struct framing *f)
{
	if (f->form == FRAMING_SSE)
		sse_init(&f->sse, on_sse, f);
	else if (f->form == FRAMING_VALUES)
		json_stream_init(&f->values, on_value, f);
	else if (f->form == FRAMING_AWS)
		eventstream_init(&f->aws, on_message, f);
}

bool framing_decide(struct framing *f, const struct framing_hint *hint, struct slice first)
{
	size_t n = first.n;

	if (f->form)
		return true;
	if (!(hint->plain && is_media(hint->content_type)))
		while (first.n && one_of(first.p[0], " \t\r\n"))
			first = slice_from(first, 1);
	if (!first.n) {
		f->fed += n;
		return false;
	}
	f->form = form_of(hint, first.p[0]);
	init(f);
	if (hint->after_hole)
		framing_gap(f);
	return true;
}

void framing_as_values(struct framing *f)
{
	f->form = FRAMING_VALUES;
	init(f);
}

bool framing_streams(const struct framing *f)
{
	return f->form >= FRAMING_SSE;
}

const char *framing_name(const struct framing *f)
{
	switch (f->form) {
	case FRAMING_SSE:
		return "sse";
	case FRAMING_VALUES:
		return f->values.array ? "json_array" : "ndjson";
	case FRAMING_AWS:
		return "aws_eventstream";
	default:
		return NULL;
	}
}

void framing_feed(struct framing *f, uint64_t ts, struct slice bytes)
{
	if (f->form == FRAMING_SSE)
		sse_feed(&f->sse, ts, bytes);
	else if (f->form == FRAMING_VALUES)
		json_stream_feed(&f->values, ts, bytes);
	else if (f->form == FRAMING_AWS)
		eventstream_feed(&f->aws, ts, bytes);
	f->fed += bytes.n;
}

uint64_t framing_position(const struct framing *f)
{
	return f->fed + (f->form == FRAMING_SSE      ? f->sse.used
	                 : f->form == FRAMING_VALUES ? f->values.used
	                 : f->form == FRAMING_AWS    ? f->aws.used
	                                             : 0);
}

void framing_gap(struct framing *f)
{
	if (f->form == FRAMING_SSE)
		sse_gap(&f->sse);
	else if (f->form == FRAMING_VALUES)
		json_stream_gap(&f->values);
	else if (f->form == FRAMING_AWS)
		eventstream_gap(&f->aws);
}

bool framing_finish(struct framing *f)
{
	if (f->form == FRAMING_SSE)
		return sse_finish(&f->sse);
	if (f->form == FRAMING_VALUES)
		return json_stream_finish(&f->values);
	return f->form == FRAMING_AWS && eventstream_finish(&f->aws);
}

size_t framing_held(const struct framing *f)
{
	if (f->form == FRAMING_SSE)
		return f->sse.line.cap + f->sse.data.cap + f->sse.event.cap;
	if (f->form == FRAMING_VALUES)
		return f->values.value.cap;
	return f->form == FRAMING_AWS ? f->aws.held.cap : 0;
}

uint64_t framing_dropped(const struct framing *f)
{
	if (f->form == FRAMING_SSE)
		return f->sse.dropped;
	if (f->form == FRAMING_VALUES)
		return f->values.dropped;
	return f->form == FRAMING_AWS ? f->aws.dropped : 0;
}

void framing_release(struct framing *f)
{
	if (f->form == FRAMING_SSE)
		sse_release(&f->sse);
	else if (f->form == FRAMING_VALUES)
		json_stream_release(&f->values);
	else if (f->form == FRAMING_AWS)
		eventstream_release(&f->aws);
	f->form = FRAMING_UNKNOWN;
}
