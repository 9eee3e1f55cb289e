/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2_frame.h - frame headers (RFC 9113 4.1), and finding them where the boundary was lost.
 *
 * Frames carry no mark that could be searched for, but a header is nine bytes
 * of which most are fixed by its type: a length that fits the type, few flags,
 * a stream id that is zero or odd and not far from those seen.  Such a header
 * is called plausible.  One of 100 million runs of random bytes is, and no run
 * of text (the length of a plausible frame begins with a control character).
 */
#ifndef SPANTAP_HTTP2_FRAME_H
#define SPANTAP_HTTP2_FRAME_H

#include "base/slice.h"

#define FRAME_HEAD 9

#define HTTP2_PREFACE SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

enum frame_type {
	FRAME_DATA = 0,
	FRAME_HEADERS = 1,
	FRAME_PRIORITY = 2,
	FRAME_RST_STREAM = 3,
	FRAME_SETTINGS = 4,
	FRAME_PUSH_PROMISE = 5,
	FRAME_PING = 6,
	FRAME_GOAWAY = 7,
	FRAME_WINDOW_UPDATE = 8,
	FRAME_CONTINUATION = 9, /* others exist and are skipped (RFC 9113 5.5) */
};

enum frame_flag {
	FLAG_END_STREAM = 0x01, /* DATA, HEADERS */
	FLAG_ACK = 0x01,        /* SETTINGS, PING */
	FLAG_END_HEADERS = 0x04,
	FLAG_PADDED = 0x08,
	FLAG_PRIORITY = 0x20,
};

struct frame {
	uint32_t length; /* of the payload */
	uint8_t type, flags;
	uint32_t stream;
};

struct frame frame_parse(const char head[FRAME_HEAD]);
/* What no sender may send: a wrong length for the type, a stream where none may be or the reverse. */
bool frame_valid(const struct frame *f);
/* What a sender of today would send. id_max: the highest stream id that can be. */
bool frame_plausible(const struct frame *f, uint32_t id_max);

/*
 * So many plausible frames in a row prove a boundary: right behind a hole, where writers begin a frame with a
 * record, and anywhere.  One alone does not: a header shifted by a byte is often plausible too.  But a
 * HEADERS frame right behind a hole does if its block begins as that of a request or response: who asks may
 * say no more for long.
 */
#define FRAME_CHAIN_EDGE 2
#define FRAME_CHAIN      3
/* Bytes held to see them: three frames of the default maximum (16 KiB) and a rest. */
#define FRAME_SEARCH_MAX (64 * 1024)

/*
 * Where in `s` a chain of plausible frames may begin: its offset, s.n when nowhere.  edge: `s` begins right
 * behind a hole.  *ret_sure: is, not may be; else *ret_need is the length that `s` must have before more can
 * be said, and the bytes before the offset can be dropped.  Costs O(s.n).
 */
size_t frame_search(struct slice s, bool edge, uint32_t id_max, bool *ret_sure, size_t *ret_need);

#endif
