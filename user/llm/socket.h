/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socket.h - the calls of one WebSocket (OpenAI responses, realtime).
 *
 * A message of the client begins a call, events of the server answer it; the
 * row's message() says which is which.  The APIs answer one request at a time,
 * in order, so that a new request proves that the answers before it are over,
 * even where their end was lost.  A client that has been seen to send a request
 * before the last answer ended gives no such proof: after a hole its calls are
 * marked as not certain until the socket ends.
 */
#ifndef SPANTAP_LLM_SOCKET_H
#define SPANTAP_LLM_SOCKET_H

#include "llm/pending.h"

#define SOCKET_OPEN_MAX 16 /* calls in work on one socket; with one more the oldest ends, incomplete */

/* carrier: the pending of the upgrade request; model: what its target says, absent when nothing. */
struct socket *socket_new(struct pending *carrier, struct slice model);
void socket_message(struct socket *s, enum ev_dir dir, uint64_t ts, struct slice text);
void socket_gap(struct socket *s, enum ev_dir dir, uint64_t ts);
/* Ends the calls still open. Returns whether there was any call at all. */
bool socket_end(struct socket *s, uint64_t ts);
void socket_free(struct socket *s); /* accepts NULL; calls still open are gone */

#endif
