/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_proto.h - spans as an OTLP ExportTraceServiceRequest in protobuf; the same spans as otlp_json.h gives. */
#ifndef SPANTAP_OTLP_PROTO_H
#define SPANTAP_OTLP_PROTO_H

#include "sink/otlp_attrs.h"
#include "sink/resource.h"

struct otlp_proto; /* one request under construction */

/* `resource` is borrowed, and may be NULL. */
struct otlp_proto *otlp_proto_new(const struct resource *resource);
/* Copies what it needs. */
void otlp_proto_add(struct otlp_proto *o, const struct span *s, bool content, enum otlp_profile profile);
size_t otlp_proto_count(const struct otlp_proto *o); /* spans since the last write */
/* Appends the request and starts a new one; nothing when there are no spans. */
void otlp_proto_write(struct otlp_proto *o, struct buf *out);
void otlp_proto_free(struct otlp_proto *o); /* accepts NULL */

/* An ExportTraceServiceResponse: how many spans were refused, and why. -EBADMSG when it is none. */
int otlp_proto_response(struct slice body, uint64_t *ret_rejected, struct buf *ret_message);

#endif
