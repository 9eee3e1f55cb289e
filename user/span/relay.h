/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - one call that is seen several times: by the client, by the server
 * on the same host (a gateway, a local model), and by the client that the
 * gateway is to the next one.
 *
 *   client a ─▶ gateway: server side b, which sends it on as c
 *   a is a call of its conversation; b hangs below a, and c below b
 *
 * b is a when the request is the same (SHA-256 of the body), a is on its way,
 * and one of them has a loopback peer.  c is b when the same process serves b,
 * and the request is the same, or says the same: gateways change the model and
 * add parameters.  A relayed call adds nothing to its turn, neither tokens nor
 * tools: its first sight has.  It is handed downstream when the call above it is.
 */
#ifndef SPANTAP_RELAY_H
#define SPANTAP_RELAY_H

#include "span/assembler.h"

#define RELAYS_MAX       64  /* below one call; more attempts of a gateway stand for themselves */
#define RELAY_CANDIDATES 256 /* calls on their way that are considered, the latest ones */

/* The call has begun. Whether another one stands above it. */
bool relay_begin(struct spans *sp, struct flight *f);
/* A relayed call has ended. True: it waits for the one above. */
bool relay_end(struct flight *f);
/* `f` is about to go: those below it join its conversation. */
void relays_leave(struct spans *sp, struct flight *f);
/* The capture ends: those that wait stand for themselves. */
void relays_finish(struct spans *sp);

#endif
