/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunked.h - what stands between the data of a chunked body (RFC 9112 7.1).
 *
 * Sizes and chunk extensions are read and dropped; the data stays with the
 * caller, who can skip it where it is missing, and so does the trailer section.  A bare LF
 * is taken for a line end.
 */
#ifndef SPANTAP_CHUNKED_H
#define SPANTAP_CHUNKED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Zero-filled: before the first size. */
struct chunked {
	uint64_t left; /* bytes of data that come next */
	uint64_t size; /* private, as the rest: of the chunk, as far as read */
	uint8_t phase, digits;
	bool saw_cr;
};

enum chunked_result {
	CHUNKED_MORE,
	CHUNKED_DATA,
	CHUNKED_TRAILERS,
	CHUNKED_SIZE_INVALID,
	CHUNKED_DATA_LONGER
};

/* Takes bytes off *in (left is 0) until data or trailers come (field lines, and an empty one), it is invalid,
 * or *in is empty. */
enum chunked_result chunked_take(struct chunked *c, struct slice *in);
/* n bytes of data, at most `left`, have passed. */
void chunked_pass(struct chunked *c, uint64_t n);

#endif
