/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/http2_frame.h"

/* Larger than any payload that servers and clients of today ask for (default 16 KiB, Go 1 MiB). */
#define DATA_MAX  (1u << 20)
#define BLOCK_MAX (64u << 10)
/* Of other types: ALTSVC, ORIGIN and the like are short; what is longer is text read as a frame. */
#define UNKNOWN_MAX (64u << 10)

enum place { ON_CONNECTION, ON_STREAM };

static const struct rule {
	uint8_t flags;
	uint8_t place;
	uint32_t min, max; /* length */
	uint32_t multiple; /* of which the length is one */
} rules[] = {
    [FRAME_DATA] = {FLAG_END_STREAM | FLAG_PADDED, ON_STREAM, 0, DATA_MAX, 1},
    [FRAME_HEADERS] = {FLAG_END_STREAM | FLAG_END_HEADERS | FLAG_PADDED | FLAG_PRIORITY, ON_STREAM, 1,
                       BLOCK_MAX, 1},
    [FRAME_PRIORITY] = {0, ON_STREAM, 5, 5, 1},
    [FRAME_RST_STREAM] = {0, ON_STREAM, 4, 4, 1},
    [FRAME_SETTINGS] = {FLAG_ACK, ON_CONNECTION, 0, 64 * 6, 6},
    [FRAME_PUSH_PROMISE] = {FLAG_END_HEADERS | FLAG_PADDED, ON_STREAM, 5, BLOCK_MAX, 1},
    [FRAME_PING] = {FLAG_ACK, ON_CONNECTION, 8, 8, 1},
    [FRAME_GOAWAY] = {0, ON_CONNECTION, 8, 4096, 1},
    [FRAME_WINDOW_UPDATE] = {0, ON_STREAM, 4, 4, 1}, /* or on the connection */
    [FRAME_CONTINUATION] = {FLAG_END_HEADERS, ON_STREAM, 0, BLOCK_MAX, 1},
};

/* NULL for a type that is not RFC 9113's. */
static const struct rule *rule_of(const struct frame *f)
{
	return f->type < sizeof(rules) / sizeof(*rules) ? &rules[f->type] : NULL;
}

struct frame frame_parse(const char head[FRAME_HEAD])
{
	const uint8_t *b = (const uint8_t *)head;

	return (struct frame){
	    .length = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2],
	    .type = b[3],
	    .flags = b[4],
	    /* RFC 9113 4.1: the reserved bit is ignored. */
	    .stream = (uint32_t)(b[5] & 0x7f) << 24 | (uint32_t)b[6] << 16 | (uint32_t)b[7] << 8 | b[8],
	};
}

bool frame_valid(const struct frame *f)
{
	const struct rule *r = rule_of(f);

	if (!r)
		return f->length <= UNKNOWN_MAX;
	if (f->type != FRAME_WINDOW_UPDATE && (r->place == ON_STREAM) != (f->stream != 0))
		return false;
	if (r->min == r->max && f->length != r->min)
		return false;
	return f->length % r->multiple == 0 && (f->type != FRAME_GOAWAY || f->length >= r->min);
}

bool frame_plausible(const struct frame *f, uint32_t id_max)
{
	const struct rule *r = rule_of(f);

	if (!r || !frame_valid(f) || f->flags & ~r->flags)
		return false;
	if (f->length < r->min || f->length > r->max)
		return false;
	if (f->type == FRAME_SETTINGS && f->flags & FLAG_ACK && f->length)
		return false;
	if (!f->stream)
		return true;
	return f->stream & 1 && f->stream <= id_max;
}
