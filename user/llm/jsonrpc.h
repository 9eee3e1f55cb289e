/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jsonrpc.h - JSON-RPC 2.0 (jsonrpc.org/specification), whatever carries it.
 *
 * A value is one message, or an array of them (a batch).  Over HTTP a body or
 * an event is a value; over stdio a line is (json_stream.h reads those).
 */
#ifndef SPANTAP_JSONRPC_H
#define SPANTAP_JSONRPC_H

#include "llm/json.h"

#define JSONRPC_BATCH_MAX 256 /* messages of a batch; further ones are not read */

enum jsonrpc_kind {
	JSONRPC_NONE,         /* not JSON-RPC 2.0 */
	JSONRPC_REQUEST,      /* id, method */
	JSONRPC_NOTIFICATION, /* method: nothing answers it */
	JSONRPC_RESULT,       /* id, result */
	JSONRPC_ERROR,        /* id, absent when the request could not be read */
};

/* Slices and values point into the document. */
struct jsonrpc_message {
	enum jsonrpc_kind kind;
	struct slice id; /* of a number its digits; "1" and 1 are taken for the same */
	struct slice method;
	yyjson_val *params, *result, *error;
};

struct jsonrpc_message jsonrpc_read(yyjson_val *v);

/* Whether a value is a message or a batch of nothing else. */
bool jsonrpc_is(yyjson_val *v);

/* How many messages a value has, and the nth of them. */
size_t jsonrpc_count(yyjson_val *v);
yyjson_val *jsonrpc_at(yyjson_val *v, size_t n);

#endif
