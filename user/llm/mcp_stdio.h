/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_stdio.h - the MCP session of one server that is run as a child: its
 * standard input and output, a message a line.
 *
 * The session is one channel from the first message to the last; requests are
 * reported when they are answered, cancelled, or the session ends.  The client
 * speaks first; when its first message is no request of MCP (or A2A), something
 * else is spoken here, and the session is given up.
 */
#ifndef SPANTAP_MCP_STDIO_H
#define SPANTAP_MCP_STDIO_H

#include "llm/pending.h"

/* carrier: the pending of the exchange whose messages these are. */
struct mcp_stdio *mcp_stdio_new(struct pending *carrier);
/* False: this is no MCP; nothing was reported, and nothing will be. */
bool mcp_stdio_message(struct mcp_stdio *s, enum ev_dir dir, uint64_t ts, struct slice text);
/* A line of `n` bytes is missing, or several: a request that is not known, or the answer to one that waits.
 */
void mcp_stdio_gap(struct mcp_stdio *s, enum ev_dir dir, uint64_t ts, uint64_t n);
void mcp_stdio_end(struct mcp_stdio *s, uint64_t ts);
size_t mcp_stdio_held(const struct mcp_stdio *s);
void mcp_stdio_free(struct mcp_stdio *s); /* accepts NULL */

#endif
