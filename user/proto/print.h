/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.h - the text form of the proto seam: goldens and `replay --until=proto`.
 *
 *   42 request POST /v1/messages http/1.1 dir=write start=7
 *   42 header content-length: 5
 *   42 request-body 5 bytes "hello"
 *   42 request-end ts=7
 *   42 response 200 start=9 head=9
 *   42 gap read 100 ts=11
 *   42 message write text 5 bytes "hello" ts=12
 *   42 end damage=response-body lost=100 cause=1 bytes=5/0 ts=12
 *
 * The number is request_offset ("none+N": a response without request, N its
 * own offset).  A body is printed in one line, up to the next gap or its end,
 * so the text does not depend on how the bytes were cut.  A message that is not
 * shown whole carries the CRC-32 of all its bytes.
 */
#ifndef SPANTAP_PROTO_PRINT_H
#define SPANTAP_PROTO_PRINT_H

#include "base/buf.h"
#include "proto/proto.h"

#define PROTO_PRINT_BODY_MAX 4096 /* bytes shown of one body or message; all are counted */

/* The context is a struct buf, to which the lines are appended. exchange.user is ours. */
extern const struct proto_events proto_print_events;

#endif
