/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proto.h - ordered bytes in, HTTP exchanges out.
 *
 * A proto_conn is fed both directions of one connection and finds out by its
 * first bytes which protocol it speaks and which side asks (an agent writes
 * requests, a gateway also reads them).  It reports exchanges: one request and
 * its response, bodies with Transfer-Encoding and Content-Encoding removed.
 *
 * Inputs are feed / gap / close, in any cut, gaps in the order of stream.h.  A gap damages the exchange it
 * falls into (exchange.lost_bytes, damage_*), then parsing resumes at the next
 * message that can be recognised; exchanges that no gap touches are exact.
 * No I/O, no clock, no globals.
 *
 * Protocols are rows of the table in protos.c.
 */
#ifndef SPANTAP_PROTO_H
#define SPANTAP_PROTO_H

#include "base/arena.h"
#include "stream/stream.h"

#define PROTO_HEAD_MAX     (256 * 1024) /* start line and headers of one message */
#define PROTO_HEADERS_MAX  256          /* header fields of one message; further ones are dropped, marked */
#define PROTO_TRAILERS_MAX (8 * 1024)   /* one trailer section (RFC 9110 6.5): a checksum, a status; a longer one is marked */
#define PROTO_PIPELINE_MAX 64           /* requests waiting for their response on one connection */

struct http_header {
	struct slice name; /* as sent; compare with slice_caseeq() */
	struct slice value;
};

struct http_headers {
	struct http_header *v;
	size_t n;
};

/* Value of the first header `name` (any case), absent when there is none. */
struct slice http_header_get(const struct http_headers *h, struct slice name);

enum exchange_damage {
	DAMAGE_NONE = 0,
	DAMAGE_REQUEST_HEAD = 1 << 0,  /* bytes of the request's head are missing */
	DAMAGE_REQUEST_BODY = 1 << 1,
	DAMAGE_RESPONSE_HEAD = 1 << 2,
	DAMAGE_RESPONSE_BODY = 1 << 3,
	DAMAGE_CUT = 1 << 4,           /* the connection or the capture ended before the response did */
	DAMAGE_SYNTAX = 1 << 5,        /* not valid HTTP; `why` says what */
	DAMAGE_ENCODING = 1 << 6,      /* Content-Encoding unknown, or the compressed data is broken */
	DAMAGE_LATE = 1 << 7,          /* the connection is older than the capture: the beginning is unknown */
	DAMAGE_FIELDS = 1 << 8,        /* header fields are not known (HTTP/2: they refer to lost ones), the content
	                                  coding may be among them; method, target and status are, and bodies as sent */
};

/* Set in request_offset of a response without request; the other bits are the response's offset in its direction. */
#define EXCHANGE_NO_REQUEST (UINT64_C(1) << 63)

/*
 * One request and its response. Owned by proto; what it points to lives in
 * `arena`, which is released after end().  Timestamps: 0 when not reached.
 */
struct exchange {
	const struct conn_info *conn;
	enum ev_dir request_dir;   /* EV_DIR_WRITE: the process is the client */
	uint32_t stream;           /* HTTP/2 stream id; 0 in HTTP/1 */
	uint64_t request_offset;   /* where the request (HTTP/2: its HEADERS frame) begins in its direction's byte stream */
	struct slice protocol;     /* "http/1.1", "http/1.0", "h2", "jsonrpc": static text */

	struct slice method, target; /* absent when the request was not seen */
	struct http_headers request_headers;
	uint16_t status;             /* 0: no response head seen */
	struct http_headers response_headers;
	/* RFC 9110 6.5, from request_end() and end() on: the trailer fields behind a body, empty mostly */
	struct http_headers request_trailers, response_trailers;
	bool upgraded;               /* from response() on. 101, or CONNECT accepted: what follows is no HTTP */

	uint64_t request_start;  /* first byte of the request */
	uint64_t request_end;    /* its last byte */
	uint64_t response_start; /* first byte of the final (not 1xx) response's head */
	uint64_t response_head;  /* last byte of that head */
	uint64_t response_end;   /* last byte of the response; of WebSocket: the last one in either direction */
	uint64_t message_start;  /* during message(): first byte of it; 0: not known */

	uint64_t request_body_bytes, response_body_bytes; /* decoded */
	uint64_t lost_bytes;     /* in both directions, known to be missing */
	unsigned damage;         /* enum exchange_damage */
	enum gap_cause cause;    /* of the first gap */
	const char *why;         /* static text: what the parser refused, or NULL */

	struct arena arena;
	void *user;              /* downstream's, NULL at request() */
};

/*
 * Downstream, in this order: request, request_body*, request_end, response,
 * response_body*, end.  request_end and the response's events may interleave
 * with the request's (a server may answer early).  end() comes exactly once
 * for each request(), always last; an exchange without damage is complete then.
 * request_end() comes only when the end of the request was seen.
 * Body slices are decoded content, valid during the call, in order; a hole in
 * a body is given by body_gap() at its place (n: transfer bytes missing, 0 when not known).
 *
 * An exchange that was upgraded to WebSocket (RFC 6455) goes on with message():
 * one whole message each, unmasked and decompressed, ts that of its last byte,
 * valid during the call; body_gap() stands for one that is missing (n: bytes of
 * its payload) or, n 0, for any number (websocket.h); end() comes when the
 * connection ends. message may be NULL.
 * A connection of JSON-RPC lines (jsonlines.h) is one exchange of the protocol
 * "jsonrpc", which has no head and goes on with message() at once.
 */
struct proto_events {
	void (*request)(void *ctx, struct exchange *x); /* request head complete, or response without request */
	void (*request_body)(void *ctx, struct exchange *x, uint64_t ts, struct slice s);
	void (*request_end)(void *ctx, struct exchange *x);
	void (*response)(void *ctx, struct exchange *x); /* final response head complete */
	void (*response_body)(void *ctx, struct exchange *x, uint64_t ts, struct slice s);
	void (*body_gap)(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, uint64_t n);
	void (*message)(void *ctx, struct exchange *x, enum ev_dir dir, uint64_t ts, struct slice s, bool text);
	void (*end)(void *ctx, struct exchange *x);
};

struct proto_conn;

/* `info` must outlive the connection. */
struct proto_conn *proto_open(const struct proto_events *ev, void *ctx, const struct conn_info *info);
void proto_feed(struct proto_conn *c, enum ev_dir dir, uint64_t ts, struct slice bytes);
void proto_gap(struct proto_conn *c, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause);
/* It speaks none of the protocols: nothing will be reported of it. */
bool proto_is_unknown(const struct proto_conn *c);
/* Ends what is open (close-delimited bodies end well if `complete`), frees. */
void proto_close(struct proto_conn *c, uint64_t ts, bool complete);

#endif
