/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sent.h - the body of a call's request as the store has it, and whether that is what was sent.
 *
 * Credentials are masked in what is kept, at every content level.  The digest of
 * a span is that of the body before: it tells a body that can stand for the one
 * that was sent from one that cannot.
 */
#ifndef SPANTAP_SENT_H
#define SPANTAP_SENT_H

#include "store/store.h"

/* Appends the body to `out`, empty before. 0 or the error of store_value(); *ret_same: it is byte for byte as
 * it was sent. */
int sent_body(struct store *st, const uint8_t span[8], struct buf *out, bool *ret_same);

#define SENT_DIFFERS                                                                                         \
	"the body is not as it was sent, its SHA-256 differs: credentials or secrets are masked in it"

#endif
