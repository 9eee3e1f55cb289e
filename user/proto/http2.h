/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http2.h - HTTP/2 (RFC 9113) overheard on both directions of a connection, by TLS or with prior knowledge.
 *
 * Each request is an exchange; several are open at once.  protocol is "h2",
 * stream the stream id, request_offset that of its HEADERS frame; :method,
 * :path and :status are where HTTP/1 has them, :authority is given as a field
 * "host".  Interim responses are read and not reported.
 *
 * Marks of this protocol, beside those of proto.h:
 *
 *   gRPC           exchanges of content-type application/grpc* are reported
 *                  without bodies, DAMAGE_ENCODING
 *   reset          RST_STREAM before the response ended: DAMAGE_CUT.  Behind a
 *                  whole response (RFC 9113 8.1) only the request is marked
 *   GOAWAY         streams above the last that the server took: DAMAGE_CUT
 *   head unknown   a field that refers to a block that was not seen is left out
 *                  and the head is marked.  method and target may be absent:
 *                  the bodies of such an exchange are whole nevertheless, and
 *                  what it is must be told by their shape
 *   no request     frames of a stream whose HEADERS were not seen: an exchange
 *                  without method.  request_offset is that of the first frame,
 *                  with EXCHANGE_NO_REQUEST if it is one of the response
 *
 * A hole of `n` bytes over frames that are not known may have taken frames of
 * any stream: each that may have lost one is marked and counts all n.
 *
 * Known limits: PUSH_PROMISE and pushed streams are not reported; a connection
 * upgraded from HTTP/1 is not recognised.
 */
#ifndef SPANTAP_HTTP2_H
#define SPANTAP_HTTP2_H

#include "proto/protos.h"

extern const struct protocol http2_protocol;

#endif
