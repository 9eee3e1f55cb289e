/* SPDX-License-Identifier: Apache-2.0 */
/*
 * websocket.h - messages of an upgraded connection (RFC 6455), overheard.
 *
 * Fragments are joined, masks and permessage-deflate removed; control frames
 * are read past.  Text is not checked for UTF-8.  A message is reported when
 * its last byte was seen; one body_gap() stands for each message that cannot
 * be reported, at its end, its n the bytes of payload that it had.  They are:
 *
 *   - a message with a hole in the payload of a frame; the length of the frame
 *     is known, so the next one is exact;
 *   - with context takeover, every compressed message of that direction from
 *     then on: what it refers to is not known (permessage_deflate.h);
 *   - one that is longer than WEBSOCKET_MESSAGE_MAX, or broken.
 *
 * A hole over the header of a frame (or a frame that cannot be one) loses the
 * boundary of that direction: one body_gap() with n 0 stands for all messages
 * until it is found again.  Any byte behind the hole may then begin a frame;
 * one did when it is followed by WEBSOCKET_PROOF headers in a row that are
 * right, and masked as this direction must be.  Random bytes pass for a header
 * once in a hundred; but what begins at a wrong place may end at a right one,
 * so what precedes the last proof is not reported.  A message that quotes so
 * many frames behind a hole is taken for them.
 *
 * A connection joined late, or an extension that is not known, gives no message.
 */
#ifndef SPANTAP_WEBSOCKET_H
#define SPANTAP_WEBSOCKET_H

#include "proto/proto.h"

#define WEBSOCKET_MESSAGE_MAX (16u << 20) /* bytes of one message: what the largest public APIs accept */
#define WEBSOCKET_SKIM_MAX                                                                                   \
	(256u << 20) /* bytes inflated of a message that is too long, to keep the context */
#define WEBSOCKET_PROOF 5

struct websocket;

/* Whether the exchange, its response just complete, hands the connection over to WebSocket. */
bool websocket_begins(const struct exchange *x);
/* The next byte of each direction begins a frame. Events go to ev with ctx, and never are request(),
 * response() or end(). */
struct websocket *websocket_new(const struct proto_events *ev, void *ctx, struct exchange *x);
void websocket_feed(struct websocket *w, enum ev_dir dir, uint64_t ts, struct slice bytes);
/* n may be 0: where a frame begins is not known. */
void websocket_gap(struct websocket *w, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause);
/* The connection ended (complete: no byte is missing): marks what is unfinished in the exchange. */
void websocket_finish(struct websocket *w, bool complete);
void websocket_free(struct websocket *w);

#endif
