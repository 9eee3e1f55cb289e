/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "proto/http2_search.h"

/* -1: none begins at s.p, 1: one does, 0: *ret_need bytes would say more. */
static int chain(struct slice s, int frames, uint32_t id_max, size_t *ret_need)
{
	size_t at = 0;

	for (int i = 0; i < frames; i++) {
		struct frame f;

		*ret_need = at + FRAME_HEAD;
		if (*ret_need > FRAME_SEARCH_MAX)
			return -1;
		if (*ret_need > s.n)
			return 0;
		/* The sign bit is the reserved one, which every sender leaves unset. */
		f = frame_parse(s.p + at);
		if (s.p[at + 5] & 0x80 || !frame_plausible(&f, id_max))
			return -1;
		at += FRAME_HEAD + f.length;
	}
	return 1;
}

/*
 * Whether a whole header block begins at s.p, as chain(): each begins with a pseudo-header field, whose name
 * is in the static table (RFC 9113 8.3, RFC 7541 A), or with a size of the table.  Trailers do not, and need
 * a chain.
 */
static int head(struct slice s, uint32_t id_max, size_t *ret_need)
{
	struct frame f;
	size_t at = FRAME_HEAD;
	uint8_t c, name;

	*ret_need = FRAME_HEAD;
	if (s.n < FRAME_HEAD)
		return 0;
	f = frame_parse(s.p);
	if (s.p[5] & 0x80 || !frame_plausible(&f, id_max) || f.type != FRAME_HEADERS ||
	    !(f.flags & FLAG_END_HEADERS))
		return -1;
	at += (f.flags & FLAG_PADDED ? 1 : 0) + (f.flags & FLAG_PRIORITY ? 5 : 0);
	*ret_need = at + 1;
	if (at >= FRAME_HEAD + f.length)
		return -1;
	if (s.n <= at)
		return 0;
	c = (uint8_t)s.p[at];
	name = c & 0x80 ? c & 0x7f : c & 0x40 ? c & 0x3f : c & 0x0f;
	return (c & 0xe0) == 0x20 || (name >= 1 && name <= 14) ? 1 : -1;
}

/*
 * Where in `s` a chain may begin: its offset, s.n when nowhere.  *ret_sure: is, not may be; else *ret_need is
 * the length that `s` must have before more can be said.
 */
static size_t find(struct slice s, bool edge, uint32_t id_max, bool *ret_sure, size_t *ret_need)
{
	size_t need = 0;

	for (size_t i = 0; i < s.n; i++) {
		int frames = edge && !i ? FRAME_CHAIN_EDGE : FRAME_CHAIN;
		int found = edge && !i ? head(s, id_max, &need) : -1;

		if (found < 0)
			found = chain(slice_from(s, i), frames, id_max, &need);

		if (found < 0)
			continue;
		*ret_sure = found > 0;
		*ret_need = i + need;
		return i;
	}
	*ret_sure = false;
	*ret_need = s.n + 1;
	return s.n;
}

void frame_search_begin(struct frame_search *s, uint64_t offset, bool edge)
{
	frame_search_release(s);
	s->offset = offset;
	s->need = FRAME_HEAD;
	s->edge = edge;
}

size_t frame_search_held(const struct frame_search *s)
{
	return s->bytes.n - s->at;
}

static void hold(struct frame_search *s, uint64_t ts, struct slice bytes)
{
	if (!s->n_stamps || (s->stamps[s->n_stamps - 1].ts != ts && s->n_stamps < FRAME_STAMPS_MAX)) {
		xgrow(&s->stamps, &s->cap_stamps, s->n_stamps + 1, sizeof(*s->stamps));
		s->stamps[s->n_stamps++] = (struct frame_stamp){s->offset + frame_search_held(s), ts};
	}
	buf_addslice(&s->bytes, bytes);
}

/* Drops what is done with once it is much, so that each byte moves a few times at most. */
static void compact(struct frame_search *s)
{
	size_t old = 0;

	if (s->at < FRAME_SEARCH_MAX && s->at < s->bytes.n)
		return;
	s->bytes.n -= s->at;
	memmove(s->bytes.p, s->bytes.p + s->at, s->bytes.n);
	s->at = 0;
	while (old + 1 < s->n_stamps && s->stamps[old + 1].offset <= s->offset)
		old++;
	s->n_stamps = s->bytes.n ? s->n_stamps - old : 0;
	memmove(s->stamps, s->stamps + old, s->n_stamps * sizeof(*s->stamps));
}

bool frame_search_take(struct frame_search *s, uint64_t ts, uint32_t id_max, struct slice *in)
{
	size_t have = frame_search_held(s), n = s->need > have ? s->need - have : 0, skip;
	bool sure;

	n = in->n < n ? in->n : n;
	hold(s, ts, slice_of(in->p, n));
	*in = slice_from(*in, n);
	if (have + n < s->need)
		return false;
	skip = find(slice_from(buf_slice(&s->bytes), s->at), s->edge, id_max, &sure, &s->need);
	s->at += skip;
	s->offset += skip;
	s->need -= skip;
	s->edge = s->edge && !skip;
	if (!sure)
		compact(s);
	return sure;
}

bool frame_search_next(struct frame_search *s, uint64_t *ret_ts, struct slice *ret)
{
	size_t i = 0, n = frame_search_held(s);

	if (!n)
		return false;
	while (i + 1 < s->n_stamps && s->stamps[i + 1].offset <= s->offset)
		i++;
	if (i + 1 < s->n_stamps && s->stamps[i + 1].offset - s->offset < n)
		n = (size_t)(s->stamps[i + 1].offset - s->offset);
	*ret_ts = s->stamps[i].ts;
	*ret = slice_of(s->bytes.p + s->at, n);
	s->at += n;
	s->offset += n;
	return true;
}

void frame_search_release(struct frame_search *s)
{
	buf_release(&s->bytes);
	free(s->stamps);
	*s = (struct frame_search){0};
}
