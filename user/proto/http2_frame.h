/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2_frame.h - frame headers (RFC 9113 4.1), and what tells them from other bytes.
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

#endif
