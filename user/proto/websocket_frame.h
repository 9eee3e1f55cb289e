/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket_frame.h - the header of a WebSocket frame (RFC 6455 5.2) and the mask of its payload.
 *
 * Why not wslay: it plays one end of a connection (it insists on who masks,
 * queues answers to pings and closes) and has no way past a hole in a payload
 * of known length.  What remains of it then is this header.
 */
#ifndef SPANTAP_WEBSOCKET_FRAME_H
#define SPANTAP_WEBSOCKET_FRAME_H

#include "base/buf.h"

enum ws_opcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8, /* from here on: control frames, which may stand inside a message */
	WS_PING = 9,
	WS_PONG = 10,
};

#define WS_RSV1        4 /* of rsv: the message is compressed (RFC 7692) */
#define WS_CONTROL_MAX 125

struct ws_frame {
	bool fin, masked;
	uint8_t rsv, opcode;
	uint8_t mask[4];
	uint64_t length; /* of the payload */
};

/* A header in the making. Zero-filled: none. */
struct ws_header {
	uint8_t n, bytes[14];
};

/* Takes bytes off *in until the header is complete: true, with the header in *ret; or *in is empty: false. */
bool ws_header_take(struct ws_header *h, struct slice *in, struct ws_frame *ret);

/*
 * NULL, or a static text: what RFC 6455 5.2 and 5.5 do not allow in any frame,
 * except that a length may be written longer than needed.
 */
const char *ws_frame_refusal(const struct ws_frame *f, bool rsv1_allowed);

static inline bool ws_is_control(const struct ws_frame *f)
{
	return f->opcode >= WS_CLOSE;
}

/* (Un)masks n bytes in place, the first of which is at `at` in the payload. */
void ws_mask(char *p, size_t n, const struct ws_frame *f, uint64_t at);

#endif
