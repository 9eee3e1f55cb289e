/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2_stream.h - the streams of one HTTP/2 connection: one exchange each.
 *
 * A stream has two halves, request and response.  A half is done with
 * END_STREAM; when both are, the exchange is over.
 *
 * A hole in a direction that may hold whole frames touches every half of that
 * direction that is not done: its frames may be among what is missing.  A
 * touched half is marked when its loss is certain or can no longer be excluded,
 * which leaves one way out: a response whose head comes behind the hole had
 * nothing before it, and is exact.
 *
 * A half that was touched may never end (its END_STREAM was in the hole).  So
 * the exchange is over when the response is done and the request is done or
 * touched; and a touched stream that is silent for HTTP2_QUIET_NS is given up
 * when the next request begins.
 *
 * Ids whose beginning was not seen: those above the newest request, and those
 * that a hole in the requests may have taken (unseen_after, unseen_before).
 * Frames on them make an exchange without request head; frames on any other id
 * that is not open are the tail of a stream that is over, and are ignored.
 */
#ifndef SPANTAP_HTTP2_STREAM_H
#define SPANTAP_HTTP2_STREAM_H

#include "base/map.h"
#include "proto/decode.h"
#include "proto/hpack.h"
#include "proto/proto.h"

/* Servers commonly allow 100 to 250 at once. Beyond it a touched stream is given up, else the new one is. */
#define HTTP2_STREAMS_MAX 256
/* Streams that ended lately: what was under way when one was reset is no new stream. */
#define HTTP2_ENDED_MAX 64
/* Longer than servers keep silent within an answer (they send pings every 15 s or so). */
#define HTTP2_QUIET_NS 60000000000ull

struct http2_half {
	struct http2_stream *stream;
	bool is_request;
	bool head;                   /* its head was seen, or is lost for good; a response's final head */
	bool done;                   /* END_STREAM */
	bool touched;                /* frames may be missing; for a response without head: not marked yet */
	bool mute;                   /* its body is not reported */
	uint64_t ts;                 /* of the bytes that are being read */
	uint64_t body_bytes, length; /* DATA so far; content-length, UINT64_MAX without */
	uint64_t missed;             /* bytes of the holes that touched it and are not marked yet */
	enum gap_cause cause;
	struct decoder *decoder;
};

struct http2_stream {
	struct exchange x; /* first: what downstream sees */
	struct http2_stream *prev, *next;
	struct http2_streams *all;
	struct http2_half request, response;
	uint64_t last_ts;
};

struct http2_streams {
	const struct proto_events *ev;
	void *ctx;
	const struct conn_info *info;
	enum ev_dir request_dir;
	struct map by_id;
	struct http2_stream *first, *last; /* in the order of their beginning */
	struct http2_stream *recent;       /* asked for last: most frames follow one of the same stream */
	size_t n;
	bool late;       /* what is unseen is so because the connection is older than the capture */
	bool blind;      /* requests may have begun unseen since `newest` */
	uint32_t newest; /* highest id of a request seen */
	uint64_t
	    unread; /* bytes missing or not understood since then, in both directions; kept by the caller */
	uint32_t unseen_after, unseen_before;
	uint32_t ended[HTTP2_ENDED_MAX];
	unsigned n_ended;
};

struct http2_stream *http2_stream_get(struct http2_streams *ss, uint32_t id);
/* Whether a frame on `id`, which is not open, is of a stream whose beginning was not seen. */
bool http2_stream_unseen(const struct http2_streams *ss, uint32_t id);

/*
 * A request begins. `block` NULL: its head is lost.  Takes over `arena` (of the
 * block).  NULL when it was dropped, reported and marked (HTTP2_STREAMS_MAX).
 */
struct http2_stream *http2_stream_begin(struct http2_streams *ss, uint32_t id, uint64_t offset,
                                        uint64_t start_ts, uint64_t ts, struct hpack_block *block,
                                        struct arena *arena);
/* A stream whose request's head was not seen; offset: of the frame that shows it, in its direction. */
struct http2_stream *http2_stream_orphan(struct http2_streams *ss, uint32_t id, bool by_response,
                                         uint64_t offset, uint64_t ts);
/* The final head of the response, NULL: lost. `arena`: of the block, copied from. */
void http2_stream_respond(struct http2_stream *st, uint64_t start_ts, uint64_t ts,
                          const struct hpack_block *block);

/* The block behind a body, NULL: lost (RFC 9113 8.1). */
void http2_half_trailers(struct http2_half *h, const struct hpack_block *block);
void http2_half_body(struct http2_half *h, uint64_t ts, struct slice bytes);
/* A hole inside the body; n 0: its length is not known. `lost`: bytes to count. */
void http2_half_hole(struct http2_half *h, uint64_t ts, uint64_t n, uint64_t lost, enum gap_cause cause);
/* A hole that may hold frames of this half. */
void http2_half_touch(struct http2_half *h, uint64_t ts, uint64_t lost, enum gap_cause cause);
/* END_STREAM. May end and free the stream. */
void http2_half_end(struct http2_half *h, uint64_t ts);

/* n bytes are missing of what the caller marks. */
void http2_stream_lose(struct http2_stream *st, uint64_t n, enum gap_cause cause);
void http2_stream_mark(struct http2_stream *st, unsigned damage, const char *why);
/* RST_STREAM, GOAWAY, or the end of the connection: the stream is over, and marked unless it is whole. */
void http2_stream_abort(struct http2_stream *st, unsigned damage, const char *why);
void http2_streams_abort(struct http2_streams *ss, unsigned damage, const char *why);
void http2_streams_release(struct http2_streams *ss);

#endif
