/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pairing.h - which response belongs to which request on one HTTP/1 connection.
 *
 * HTTP/1 messages carry no numbers.  Two facts pair them:
 *
 *   ORDER  responses come in the order of the requests (RFC 9112 9.3.2);
 *   TURN   after a request with a non-idempotent method a client sends nothing
 *          until that request has been answered (same section).  Every LLM
 *          call is a POST, so it is a turn.
 *
 * `synced`: everything up to now is paired, or over and marked.  A connection
 * seen from its first byte begins synced, and ORDER keeps it so.  It ends with
 * a hole (or a syntax error) that may hide where a message begins.
 *
 * Holes are told when they happened (stream.h).  So one in the requests does
 * not end it if the last request is a turn that began synced, is the only one
 * waiting, and was not answered before the hole: all that is missing, and all
 * that still comes before the head of its final response, is of that request.
 * What is sent first behind that head is the next request, if no byte of the
 * requests is missing between the two.  The turn need not be an exchange: of its
 * head the method is enough.
 *
 * A hole in the responses does end it.  It comes back at a request that is
 * proved to follow a turn:
 *
 *   - it begins right behind the end of another request, no byte missing; or
 *     that one began synced and has a hole, but none since its answer began;
 *   - that one is a POST or PATCH;
 *   - the two are no quotations in one body: the head of a final response has
 *     been seen since the older one began; or the younger one is `turned`, which
 *     is that bytes of the responses, or a hole in them, came last before it; or
 *     no request boundary was lost since the connection was last synced.  (Then something of the response, if only
 *     a hole, must have shown since it began: a client that sends two requests
 *     before anything comes back does not keep TURN.)
 *
 * Then, by TURN, all that came before is over: the pipeline is empty, and the
 * next byte of the other direction begins the answer to this request.
 *
 * Until then every request is marked when it begins, and its response is the
 * guess that the client waits for each of them.  A response boundary lost
 * while exchanges are open marks them all.
 *
 * Theorem 1.  If the client keeps TURN, an exchange with DAMAGE_NONE is exact,
 * and no byte of it is missing, interim responses included.
 *
 * Theorem 2.  If it also waits for every response, asks with POST or PATCH,
 * sends a request whole before it is answered, and no body quotes the head of a
 * message, an exchange that no hole overlaps is marked only
 *
 *   - behind a hole in the requests that hid all of a request's method;
 *   - behind holes in both directions, if the requests' hole went on behind the
 *     beginning of the response, or it is not known whether it did;
 *   - as the first on a connection joined late;
 *
 * and then it is the first exchange behind that.  (Of a call that was lost, ring
 * full, the kernel side delivers the first bytes: bpf/events.h.  So the first
 * case is left to memory that could not be read, and to a decoder that crashed.)  It cannot be saved.  A hole
 * that hid a method may have held two GETs, one answered, and the next request
 * pipelined with the other, TURN kept: the response that comes next is then the
 * other's, and its bytes and times are what a client that waits would show.
 * The same may have been sent in a hole behind an answer, and where the head of
 * the answer was hidden it is not known what was sent behind it.
 *
 * A client that begins a request while an older one is unanswered was seen to
 * pipeline: after a loss it is never synced again, so that theorem 1 does not
 * rest on its manners.  What remains cannot be decided: a client that breaks
 * TURN, but only inside holes so far, looks byte for byte and stamp for stamp
 * like one that waits; so do two heads quoted back to back in one request body
 * behind a hole, if the first is a POST and a response begins between the two;
 * and so does a head quoted in the rest of a request that is still being sent
 * behind its answer, or behind an interim response that a hole hid, where a record
 * begins with the quotation.
 */
#ifndef SPANTAP_PAIRING_H
#define SPANTAP_PAIRING_H

#include "proto/decode.h"
#include "proto/proto.h"

/* An exchange whose end has not been reported. Owned by the pairing. */
struct open {
	struct exchange x; /* first: what downstream sees */
	struct open *next;
	bool request_done; /* its last byte was seen, or never will be */
	bool response_done;
	bool orphan; /* a response whose request was not seen */
	/* By direction: what removes the content coding, and whether it no longer can. */
	struct decoder *decoder[2];
	bool mute[2];
};

struct pairing {
	const struct proto_events *ev;
	void *ctx;
	const struct conn_info *info;
	int request_dir;           /* -1: not known yet */
	bool role_sure;            /* request_dir is proved */
	struct open *first, *last; /* in the order of the requests */
	size_t n_open;
	struct open *body[2]; /* by direction: whose body is being read; NULL also when it was given up */
	bool synced;
	bool late;      /* not synced because the connection is older than the capture */
	bool pipelines; /* seen: a request began while an older one was unanswered */
	bool turn; /* the last request is a POST or PATCH, and nothing but it can be missing since it began */
	bool turn_sure;     /* and it began when `synced` */
	bool turn_hurt;     /* and bytes of it are missing, its end is not known */
	bool turn_unseen;   /* and it is no exchange, because they are of its head */
	bool answered;      /* since the last request began: the head of a final response */
	bool moved;         /* since the last request began: a byte of a response, or a hole */
	bool asked_exactly; /* no boundary of a request was lost since it was last synced */
	bool request_seen;
	uint64_t lost; /* bytes that belong to no exchange yet */
	enum gap_cause lost_cause;
};

void pairing_init(struct pairing *p, const struct proto_events *ev, void *ctx, const struct conn_info *info,
                  bool from_start);

/*
 * A request begins. `searched`: its head was found by search, it may be a
 * quotation.  `turned`: a byte of the responses, or a hole, came last before it.  *ret_fresh: the next byte
 * of the other direction begins a message. The caller fills in the head, then calls pairing_asked().
 */
struct open *pairing_request(struct pairing *p, bool searched, bool turned, bool *ret_fresh);
void pairing_asked(struct pairing *p, struct open *o);
/* The head of a final response; `lost`: the boundary before it is not known. `offset` is the head's. */
struct open *pairing_response(struct pairing *p, bool lost, uint64_t offset);
/* Any byte of a response, or a hole. */
void pairing_response_moves(struct pairing *p);
/*
 * Bytes of a head are missing, but it is that of a POST or PATCH, and begins where
 * it must, or `turned`.  True: all up to its answer is that request, and if the
 * boundary of the responses was lost, the next byte there begins a message.
 */
bool pairing_turn_unseen(struct pairing *p, bool turned);
/* The end of the last request is not known, but nothing else is sent until its answer has come. */
bool pairing_in_turn(const struct pairing *p);

/* Where messages begin is not known any more; n bytes are missing that no body accounts for. */
void pairing_request_lost(struct pairing *p, uint64_t n, enum gap_cause cause);
void pairing_response_lost(struct pairing *p, uint64_t n, enum gap_cause cause);

/* The oldest exchange whose response has not ended. */
struct open *pairing_waiting(const struct pairing *p);
/* Ends all open exchanges but `but`, which may be NULL. */
void pairing_give_up(struct pairing *p, const struct open *but, const char *why);
/* Reports the end and frees `o`. */
void pairing_end(struct pairing *p, struct open *o);

void open_mark(struct open *o, unsigned damage, const char *why);
void open_lose(struct open *o, uint64_t n, enum gap_cause cause);

#endif
