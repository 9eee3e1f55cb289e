/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2_search.h - finding a frame where the boundary was lost.
 *
 * So many plausible frames in a row prove a boundary: FRAME_CHAIN_EDGE right
 * behind a hole, where writers begin a frame with a record, and FRAME_CHAIN
 * anywhere.  One alone does not: a header shifted by a byte is often plausible
 * too.  But a HEADERS frame right behind a hole does if its block begins as
 * that of a request or a response: who asks may say no more for long.
 *
 * Bytes are held until that is seen, each with its stamp.  Every byte is looked
 * at a few times at most, and the result is the same for every cut.
 */
#ifndef SPANTAP_HTTP2_SEARCH_H
#define SPANTAP_HTTP2_SEARCH_H

#include "base/buf.h"
#include "proto/http2_frame.h"

#define FRAME_CHAIN_EDGE 2
#define FRAME_CHAIN      3
/* Bytes held to see them: three frames of the default maximum (16 KiB) and a rest. */
#define FRAME_SEARCH_MAX (64 * 1024)
/* Stamps kept of them; what comes when there are so many shares the last. */
#define FRAME_STAMPS_MAX 64

struct frame_stamp {
	uint64_t offset, ts; /* from this byte on */
};

/* Zero-filled holds nothing. */
struct frame_search {
	struct buf bytes;
	uint64_t offset; /* of bytes.p[at] in its direction */
	size_t at,
	    need; /* private: what is before `at` is done with; so much must be there for a next look */
	bool edge;
	struct frame_stamp *stamps;
	size_t n_stamps, cap_stamps;
};

/* edge: the byte at `offset` is right behind a hole. */
void frame_search_begin(struct frame_search *s, uint64_t offset, bool edge);
/* Takes bytes off *in. True when a frame begins at s->offset; more may be held behind it than its header. */
bool frame_search_take(struct frame_search *s, uint64_t ts, uint32_t id_max, struct slice *in);
/* Bytes held. */
size_t frame_search_held(const struct frame_search *s);
/* Takes held bytes of one stamp; false when there are no more. They live until release. */
bool frame_search_next(struct frame_search *s, uint64_t *ret_ts, struct slice *ret);
void frame_search_release(struct frame_search *s);

#endif
