/* SPDX-License-Identifier: Apache-2.0 */
#include <zlib.h>

#include "proto/eventstream.h"

enum {
	PRELUDE = 12,
	CRC = 4,
};

void eventstream_init(struct eventstream *s,
                      void (*on_message)(void *, uint64_t, const struct eventstream_message *), void *ctx)
{
	*s = (struct eventstream){.on_message = on_message, .ctx = ctx};
}

void eventstream_release(struct eventstream *s)
{
	buf_release(&s->held);
}

static uint32_t be32(const char *p)
{
	const unsigned char *b = (const unsigned char *)p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool crc_is(const char *p, size_t n)
{
	return crc32(0, (const Bytef *)p, (uInt)n) == be32(p + n);
}

/* Length of a header's value by its type; SIZE_MAX when the rest does not hold it. */
static size_t value_length(unsigned char type, struct slice rest, size_t *ret_prefix)
{
	static const size_t fixed[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
	bool counted = type == 6 || type == 7; /* bytes, string */
	size_t n;

	if (type >= sizeof(fixed) / sizeof(*fixed) || (counted && rest.n < 2))
		return SIZE_MAX;
	*ret_prefix = counted ? 2 : 0;
	n = counted ? (size_t)(unsigned char)rest.p[0] << 8 | (unsigned char)rest.p[1] : fixed[type];
	return *ret_prefix + n <= rest.n ? n : SIZE_MAX;
}

static void set(struct eventstream_message *m, struct slice name, struct slice value)
{
	const struct {
		struct slice name, *field;
	} known[] = {
	    {SLICE(":message-type"), &m->message_type},     {SLICE(":event-type"), &m->event_type},
	    {SLICE(":exception-type"), &m->exception_type}, {SLICE(":error-code"), &m->error_code},
	    {SLICE(":error-message"), &m->error_message},   {SLICE(":content-type"), &m->content_type},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (slice_eq(name, known[i].name))
			*known[i].field = value;
}

static void headers(struct eventstream_message *m, struct slice rest)
{
	while (rest.n >= 2) {
		size_t n = (unsigned char)rest.p[0], prefix;
		struct slice name;
		unsigned char type;

		if (rest.n < 1 + n + 1)
			return;
		name = slice_of(rest.p + 1, n);
		type = (unsigned char)rest.p[1 + n];
		rest = slice_from(rest, 1 + n + 1);
		n = value_length(type, rest, &prefix);
		if (n == SIZE_MAX)
			return;
		if (type == 7)
			set(m, name, slice_of(rest.p + prefix, n));
		rest = slice_from(rest, prefix + n);
	}
}

static void report(struct eventstream *s, uint64_t ts, const char *p, size_t total)
{
	size_t n_headers = be32(p + 4);
	struct eventstream_message m = {
	    .payload = slice_of(p + PRELUDE + n_headers, total - PRELUDE - n_headers - CRC)};

	if (!crc_is(p, total - CRC)) {
		s->dropped++;
		return;
	}
	headers(&m, slice_of(p + PRELUDE, n_headers));
	s->on_message(s->ctx, ts, &m);
}

static bool is_prelude(const char *p)
{
	size_t total = be32(p), n_headers = be32(p + 4);

	return total <= EVENTSTREAM_MAX && n_headers <= EVENTSTREAM_HEADERS_MAX &&
	       total >= PRELUDE + n_headers + CRC && crc_is(p, 8);
}

/*
 * Reports the messages that `bytes` holds, of which the first `before` came in
 * an earlier feed; returns how many of its bytes are used up.
 */
static size_t take(struct eventstream *s, uint64_t ts, struct slice bytes, size_t before)
{
	size_t at = 0;

	while (bytes.n - at >= PRELUDE) {
		const char *p = bytes.p + at;

		if (!is_prelude(p)) {
			s->dropped += !s->resync;
			s->resync = true;
			at++;
			continue;
		}
		if (bytes.n - at < be32(p))
			break;
		s->resync = false;
		s->used = at + be32(p) - before;
		report(s, ts, p, be32(p));
		at += be32(p);
	}
	return at;
}

void eventstream_feed(struct eventstream *s, uint64_t ts, struct slice bytes)
{
	size_t used, before = s->held.n;

	if (!before) {
		used = take(s, ts, bytes, 0);
		if (used < bytes.n)
			buf_addslice(&s->held, slice_from(bytes, used));
		return;
	}

	buf_addslice(&s->held, bytes);
	used = take(s, ts, buf_slice(&s->held), before);
	if (!used)
		return;
	memmove(s->held.p, s->held.p + used, s->held.n - used);
	s->held.n -= used;
	/* A stream that is idle between two messages must not hold the largest one. */
	if (!s->held.n && s->held.cap > 65536)
		buf_release(&s->held);
}

void eventstream_gap(struct eventstream *s)
{
	s->dropped++;
	buf_release(&s->held);
	s->resync = true;
}

bool eventstream_finish(struct eventstream *s)
{
	bool cut = s->held.n > 0;

	buf_release(&s->held);
	return cut;
}
