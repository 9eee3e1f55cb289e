/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonlines.h - a message a line, as over standard input and output
 * (modelcontextprotocol.io, transports, stdio).
 *
 * Nothing in the bytes says where a connection of this kind begins; what
 * carries it does (EV_LIB_STDIO), so there is nothing to detect.  The whole
 * connection is one exchange of the protocol "jsonrpc", upgraded from its first
 * byte on, whose lines are its messages; empty ones are none.
 *
 * A hole damages the line that it falls into, and that one's end where it lies
 * in the hole: body_gap() stands for it.  Where the connection was joined late,
 * what a direction begins with may be the rest of a line; that is no message
 * unless it begins with a bracket.
 */
#ifndef SPANTAP_JSONLINES_H
#define SPANTAP_JSONLINES_H

#include "proto/protos.h"

#define JSONLINES_MAX                                                                                        \
	(16u << 20) /* bytes of one line, as of a WebSocket message; a longer one is given by body_gap() */
#define JSONLINES_IDLE_MAX 65536 /* bytes of memory that a direction keeps between two lines */

extern const struct protocol jsonlines_protocol;

#endif
