/* SPDX-License-Identifier: Apache-2.0 */
/*
 * permessage_deflate.h - compressed WebSocket messages (RFC 7692).
 *
 * Both ends agree on it in the Sec-WebSocket-Extensions of the 101.  Unless
 * they agree on no_context_takeover, a message of one side may refer to all
 * earlier messages of that side: after a hole in one of them no later one can
 * be decoded, and zlib could not tell, as the data carries no checksum.
 */
#ifndef SPANTAP_PERMESSAGE_DEFLATE_H
#define SPANTAP_PERMESSAGE_DEFLATE_H

#include "base/buf.h"
#include "proto/proto.h"

enum pmd_side { PMD_CLIENT, PMD_SERVER }; /* whose messages */

struct pmd_agreed {
	bool on;
	struct {
		bool no_context_takeover;
		uint8_t window_bits; /* 9..15; 8 counts as 9, which is what zlib sends then */
	} side[2];
};

/*
 * Reads the head of the 101. 0, or -ENOTSUP: an extension or a parameter that
 * is not known was agreed on, so what the frames carry is not known either.
 */
int pmd_read(const struct http_headers *response, struct pmd_agreed *ret);

struct pmd_inflater;

/* NULL where zlib has no memory. */
struct pmd_inflater *pmd_inflater_new(unsigned window_bits);
/*
 * Inflates the next bytes of a message; `ended`: no more follow.  Appends to
 * *out, at most until it holds `max` bytes; what comes beyond is dropped, but
 * counted in *made (kept by the caller, 0 before a message).  0, -EBADMSG:
 * broken, or -E2BIG: *made reached `made_max`.  After an error, free it.
 */
int pmd_inflate(struct pmd_inflater *d, struct slice in, bool ended, struct buf *out, size_t max,
                uint64_t *made, uint64_t made_max);
void pmd_inflater_free(struct pmd_inflater *d);

#endif
