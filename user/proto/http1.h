/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1.h - HTTP/1.0 and 1.1 (RFC 9112) overheard on both directions of a connection.
 *
 * Known limits: the trailer section is skipped, not reported; what follows an
 * upgrade to anything but WebSocket (websocket.h), or an accepted CONNECT, is
 * passed over.
 */
#ifndef SPANTAP_HTTP1_H
#define SPANTAP_HTTP1_H

#include "proto/protos.h"

extern const struct protocol http1_protocol;

#endif
