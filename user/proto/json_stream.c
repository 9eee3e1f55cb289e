/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_stream.h"

void json_stream_init(struct json_stream *s, void (*on_value)(void *, uint64_t, struct slice), void *ctx)
{
	*s = (struct json_stream){.on_value = on_value, .ctx = ctx};
}

void json_stream_release(struct json_stream *s)
{
	buf_release(&s->value);
}

static void clear(struct json_stream *s)
{
	/* A stream that is idle between two values must not hold the largest one. */
	if (s->value.cap > 65536)
		buf_release(&s->value);
	buf_clear(&s->value);
	s->depth = 0;
	s->in_string = s->escape = s->oversize = false;
}

static void keep(struct json_stream *s, const char *from, const char *to)
{
	size_t n = (size_t)(to - from);

	if (s->oversize || !n)
		return;
	if (s->value.n + n > JSON_STREAM_MAX) {
		buf_release(&s->value);
		s->oversize = true;
		return;
	}
	buf_add(&s->value, from, n);
}

/* The value ends before `to`; it began at `from` or in an earlier feed. */
static void report(struct json_stream *s, uint64_t ts, const char *from, const char *to)
{
	if (s->value.n || s->oversize)
		keep(s, from, to);
	else if ((size_t)(to - from) > JSON_STREAM_MAX)
		s->oversize = true;

	if (s->oversize)
		s->dropped++;
	else
		s->on_value(s->ctx, ts,
		            s->value.n ? buf_slice(&s->value) : slice_of(from, (size_t)(to - from)));
	clear(s);
}

static void broken(struct json_stream *s)
{
	s->dropped += s->depth > 0;
	clear(s);
	s->resync = true;
	s->line_begins = true;
}

/* One byte of a string; false when it ends the line, which no string holds. */
static bool in_string(struct json_stream *s, char c)
{
	if (c == '\n')
		return false;
	if (s->escape)
		s->escape = false;
	else if (c == '\\')
		s->escape = true;
	else if (c == '"')
		s->in_string = false;
	return true;
}

/* A byte between values; true when a value begins with it. */
static bool between(struct json_stream *s, char c)
{
	bool first = !s->started;

	if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
		return false;
	s->started = true;
	if (first && c == '[') {
		s->array = true;
		return false;
	}
	s->ended = s->ended || (s->array && c == ']');
	s->in_string = c == '"';
	return c == '{' || c == '[';
}

void json_stream_feed(struct json_stream *s, uint64_t ts, struct slice bytes)
{
	const char *from = bytes.p, *end = bytes.p + bytes.n; /* from: of the value in work */

	for (const char *p = bytes.p; p < end; p++) {
		if (s->resync) {
			bool begins = s->line_begins && *p == '{';

			s->line_begins = *p == '\n';
			if (!begins)
				continue;
			s->resync = false;
			s->started = true;
		}
		if (s->in_string) {
			if (!in_string(s, *p))
				broken(s);
		} else if (!s->depth) {
			if (between(s, *p)) {
				s->depth = 1;
				from = p;
			}
		} else if (*p == '"') {
			s->in_string = true;
		} else if (*p == '{' || *p == '[') {
			s->depth++;
		} else if ((*p == '}' || *p == ']') && --s->depth == 0) {
			s->used = (size_t)(p + 1 - bytes.p);
			report(s, ts, from, p + 1);
		}
	}
	if (s->depth)
		keep(s, from, end);
}

void json_stream_gap(struct json_stream *s)
{
	s->dropped++;
	clear(s);
	s->resync = s->started = true;
	s->line_begins = false;
}

bool json_stream_finish(struct json_stream *s)
{
	bool cut = s->depth || (s->array && !s->ended);

	clear(s);
	return cut;
}
