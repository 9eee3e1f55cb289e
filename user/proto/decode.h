/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode.h - Content-Encoding, removed incrementally (RFC 9110 8.4).
 *
 * A decoder is fed compressed bytes in any cut and hands out what can be
 * decoded so far, at once (a compressed event stream is flushed per event):
 *
 *   gzip, x-gzip  RFC 1952, several members; padding behind the last is ignored
 *   deflate       RFC 1950, and raw RFC 1951 as some servers send it
 *   br            RFC 7932 (windows up to 16 MiB, as that RFC has them)
 *   zstd          RFC 8878, several frames, windows up to 8 MiB
 *
 * A list ("gzip, br": br was applied last) is undone from its end.  "identity"
 * and empty elements change nothing.
 */
#ifndef SPANTAP_DECODE_H
#define SPANTAP_DECODE_H

#include "base/slice.h"

#define DECODE_CODINGS_MAX     4  /* of one body; each is a chance to expand a thousandfold */
#define DECODE_ZSTD_WINDOW_LOG 23 /* 8 MiB: what RFC 9659 lets a sender use, and browsers and curl accept */

/*
 * What each coding of a body may expand to: this much, and beyond it so many
 * times what came in.  Bodies are kept up to 64 MiB downstream; brotli alone
 * expands a few bytes to 16 MiB, and that work would be ours.
 */
#define DECODE_FREE      (64u << 20)
#define DECODE_RATIO_MAX 256

struct decoder;

typedef void (*decoder_out)(void *ctx, struct slice bytes);

/* NULL when a coding of the list (any case) is not known, or there are too many. Absent passes bytes through.
 */
struct decoder *decoder_new(struct slice codings, decoder_out out, void *ctx);
/* 0, or -EBADMSG once the data is broken (sticky: later bytes are ignored). */
int decoder_feed(struct decoder *d, struct slice bytes);
/* 0 when the compressed data ended where it should, -EBADMSG when it was cut. */
int decoder_finish(struct decoder *d);
void decoder_free(struct decoder *d);

#endif
