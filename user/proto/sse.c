/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/sse.h"

void sse_init(struct sse *s, void (*on_event)(void *, uint64_t, struct slice, struct slice), void *ctx)
{
	*s = (struct sse){.on_event = on_event, .ctx = ctx};
}

void sse_release(struct sse *s)
{
	buf_release(&s->line);
	buf_release(&s->data);
	buf_release(&s->event);
}

static void clear_event(struct sse *s)
{
	/* A stream that is idle between two events must not hold the largest one. */
	if (s->data.cap > 65536)
		buf_release(&s->data);
	buf_clear(&s->data);
	buf_clear(&s->event);
	s->has_data = s->oversize = s->resync = false;
}

static void dispatch(struct sse *s, uint64_t ts)
{
	if (s->oversize)
		s->dropped++;
	else if (s->has_data && !s->resync)
		s->on_event(s->ctx, ts, s->event.n ? buf_slice(&s->event) : slice_of(NULL, 0),
		            slice_of(buf_slice(&s->data).p, s->data.n - 1));
	clear_event(s);
}

static void too_long(struct sse *s)
{
	buf_release(&s->data);
	s->has_data = false;
	s->oversize = true;
}

static void field(struct sse *s, struct slice name, struct slice value)
{
	if (slice_eq(name, SLICE("data"))) {
		buf_reserve(&s->data, value.n + 1);
		buf_addslice(&s->data, value);
		buf_addc(&s->data, '\n');
		s->has_data = true;
	} else if (slice_eq(name, SLICE("event"))) {
		buf_clear(&s->event);
		buf_addslice(&s->event, value);
	}
	/* "id" and "retry" steer a reconnecting client; there is nothing to report. */
}

static void process_line(struct sse *s, uint64_t ts, struct slice line)
{
	const char *colon;
	struct slice value = SLICE("");

	if (!s->started && line.n <= SSE_EVENT_MAX && slice_starts(line, SLICE("\xef\xbb\xbf")))
		line = slice_from(line, 3);
	s->started = true;
	if (!line.n) {
		dispatch(s, ts);
		return;
	}
	if (!s->resync && !s->oversize && s->data.n + line.n > SSE_EVENT_MAX)
		too_long(s);
	if (s->resync || s->oversize)
		return;
	colon = memchr(line.p, ':', line.n);
	if (colon) {
		value = slice_from(line, (size_t)(colon - line.p) + 1);
		line.n = (size_t)(colon - line.p);
		if (value.n && *value.p == ' ')
			value = slice_from(value, 1);
	}
	if (line.n)
		field(s, line, value);
}

/* Keeps the beginning of a line; of a line that is dropped, only that it is not empty. */
static void keep(struct sse *s, struct slice part)
{
	if (!part.n)
		return;
	if (!s->resync && !s->oversize && s->line.n + s->data.n + part.n > SSE_EVENT_MAX)
		too_long(s);
	if (s->resync || s->oversize) {
		buf_release(&s->line);
		buf_addc(&s->line, ':');
		return;
	}
	buf_addslice(&s->line, part);
}

static void end_line(struct sse *s, uint64_t ts, struct slice part)
{
	if (!s->line.n) {
		process_line(s, ts, part);
		return;
	}
	keep(s, part);
	process_line(s, ts, buf_slice(&s->line));
	if (s->line.cap > 65536)
		buf_release(&s->line);
	buf_clear(&s->line);
}

/* The next `c` at or behind p, remembered in *ret so that each byte is looked at once for each kind of line
 * end. */
static const char *next(const char *p, const char *end, char c, const char **ret)
{
	if (*ret < p) {
		*ret = memchr(p, c, (size_t)(end - p));
		if (!*ret)
			*ret = end;
	}
	return *ret;
}

void sse_feed(struct sse *s, uint64_t ts, struct slice bytes)
{
	const char *p = bytes.p, *end = bytes.p + bytes.n, *lf = NULL, *cr = NULL;

	while (p < end) {
		const char *eol;

		if (s->skip_lf) {
			s->skip_lf = false;
			if (*p == '\n') {
				p++;
				continue;
			}
		}
		eol = next(p, end, '\n', &lf);
		if (next(p, end, '\r', &cr) < eol)
			eol = cr;
		if (eol == end) {
			keep(s, slice_of(p, (size_t)(end - p)));
			return;
		}
		s->skip_lf = *eol == '\r';
		s->used = (size_t)(eol + 1 - bytes.p);
		end_line(s, ts, slice_of(p, (size_t)(eol - p)));
		p = eol + 1;
	}
}

void sse_gap(struct sse *s)
{
	if (!s->resync)
		s->dropped++;
	clear_event(s);
	s->resync = s->started = true;
	s->skip_lf = false;
	/* Whether the hole ended inside a line is not known: the next line end closes a line, not an event.
	 */
	buf_release(&s->line);
	buf_addc(&s->line, ':');
}

bool sse_finish(struct sse *s)
{
	bool cut =
	    !s->resync && (s->has_data || s->oversize || s->event.n || (s->line.n && s->line.p[0] != ':'));

	clear_event(s);
	buf_clear(&s->line);
	s->skip_lf = false;
	return cut;
}
