/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_pb.h - parts that protobuf requests of spans and of metrics have in common; memory of the arena. */
#ifndef SPANTAP_OTLP_PB_H
#define SPANTAP_OTLP_PB_H

#include "base/arena.h"
#include "otlp.pb-c.h"
#include "sink/otlp_attrs.h"
#include "sink/resource.h"

ProtobufCBinaryData otlp_pb_bytes(struct arena *a, const void *p, size_t n);
Otlp__AnyValue *otlp_pb_text(struct arena *a, struct slice s);
Otlp__AnyValue *otlp_pb_value(struct arena *a, const struct otlp_attr *attr);
/* `key` is not copied. */
Otlp__KeyValue *otlp_pb_key_value(struct arena *a, const char *key, Otlp__AnyValue *value);
Otlp__Resource *otlp_pb_resource(struct arena *a, const struct resource *r,
                                 const struct resource_place *place);

#endif
