/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unread.h - LLM traffic that is recognised and passed over.
 *
 * gRPC: Google's client libraries speak it to the same hosts as JSON; its
 * messages cannot be read without their descriptions.  Batches: a list of
 * requests is handed in, and answered within a day by a file; no call is made
 * on the wire.  Both are counted, so that it is never silent that models were
 * used.
 */
#ifndef SPANTAP_LLM_UNREAD_H
#define SPANTAP_LLM_UNREAD_H

#include "proto/proto.h"

enum unread { UNREAD_NONE, UNREAD_GRPC, UNREAD_BATCH };

/* By the head of the request. */
enum unread unread_kind(const struct exchange *x);

#endif
