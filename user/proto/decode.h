/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.h - Content-Encoding, removed incrementally.
 *
 * A decoder is fed compressed bytes in any cut and hands out what can be
 * decoded so far, at once (a gzip'd event stream is flushed per event).
 * gzip and x-gzip (several members), deflate (zlib, and raw as some servers
 * send it), identity.
 */
#ifndef SPANTAP_DECODE_H
#define SPANTAP_DECODE_H

#include "base/slice.h"

struct decoder;

typedef void (*decoder_out)(void *ctx, struct slice bytes);

/* NULL when the encoding (one header value, any case) is not known. Absent or "identity" pass bytes through. */
struct decoder *decoder_new(struct slice content_encoding, decoder_out out, void *ctx);
/* 0, or -EBADMSG once the data is broken (sticky: later bytes are ignored). */
int decoder_feed(struct decoder *d, struct slice bytes);
/* 0 when the compressed data ended where it should, -EBADMSG when it was cut. */
int decoder_finish(struct decoder *d);
void decoder_free(struct decoder *d);

#endif
