/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_channel.h - which answer belongs to which MCP request.
 *
 * A channel is what messages come on together: an HTTP exchange, or the standard
 * input and output of a server that is run as a child.  Requests wait on the channel that
 * they came on; where its end leaves them without an answer, they are handed to
 * an event stream of the same session, if one is open, because answers may come
 * there.  A session is one where both channels name the same one, or one posts
 * to the endpoint that the other's stream gave, or neither names any and both
 * are between the same process and the same URL.
 *
 * Knows nothing of HTTP; private to mcp.c and mcp_stdio.c.
 */
#ifndef SPANTAP_MCP_CHANNEL_H
#define SPANTAP_MCP_CHANNEL_H

#include "base/arena.h"
#include "llm/jsonrpc.h"
#include "llm/mcp.h"

#define MCP_OPEN_MAX  256         /* requests that wait on one channel; then the oldest is given up */
#define MCP_HELD_MAX  (16u << 20) /* bytes of requests that wait on one channel; the same */
#define MCP_TOTAL_MAX (64u << 20) /* of all channels; then those that come give way */
#define MCP_PEERS_MAX 64          /* servers whose names are remembered; then the oldest is forgotten */

struct mcp;
struct mcp_open;

struct mcp_channel {
	struct mcp *mcp; /* NULL until mcp_channel_open() */
	struct mcp_channel *prev, *next;
	/* What all requests of the channel have in common; slices live in `arena`. */
	struct mcp_request where;
	struct slice url;      /* host, port and path */
	struct slice target;   /* path and query */
	struct slice endpoint; /* that the stream names for POSTs */
	bool is_stream;        /* answers to requests of other channels may come here */
	bool is_lasting;       /* it is the whole session: nothing waits for its end */
	uint64_t seen;         /* messages of the client */
	struct slice *early;   /* answers that came before mcp_channel_open(), as JSON */
	size_t n_early;

	struct mcp_open *first; /* oldest first */
	size_t n_open;
	size_t held; /* bytes of what waits */
	struct arena arena;
};

struct mcp *mcp_new(void (*report)(void *ctx, const struct mcp_request *m), void *ctx);
void mcp_free(struct mcp *mcp); /* after its channels */

struct mcp_channel *mcp_channel_new(void);
void mcp_channel_free(struct mcp_channel *c); /* accepts NULL; what waits is dropped unreported */

/* From here on answers find their requests; `where`, url and target are filled. */
void mcp_channel_open(struct mcp *mcp, struct mcp_channel *c);
/* Whether a method is one of MCP's or A2A's. */
bool mcp_knows(const struct jsonrpc_message *m);

/*
 * A message or a batch that came between `start` and `end`.  Answers to requests
 * that are not known are ignored.  Nothing is reported before mcp_channel_open();
 * what came before it gets the times of `where`.
 */
void mcp_channel_take(struct mcp_channel *c, bool from_server, uint64_t start, uint64_t end, yyjson_val *v);
/* Whether a request of the client that came on it has no answer yet. */
bool mcp_channel_waits(const struct mcp_channel *c);

/* The status of the exchange, of its own requests. */
void mcp_channel_status(struct mcp_channel *c, uint16_t status);

/* How the channel's own requests ended that have no answer. */
struct mcp_ending {
	uint64_t end;
	const char *why;                        /* bytes are missing: no answer can be expected; NULL: none */
	struct slice error_code, error_message; /* the exchange failed as a whole */
	uint64_t lost_bytes;
};

/* Reports or hands on what waits, and notifications. The channel is closed, not freed. */
void mcp_channel_end(struct mcp_channel *c, const struct mcp_ending *e);

#endif
