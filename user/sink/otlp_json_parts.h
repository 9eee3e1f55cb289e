/* SPDX-License-Identifier: Apache-2.0 */
/* otlp_json_parts.h - parts that JSON requests of spans and of metrics have in common. */
#ifndef SPANTAP_OTLP_JSON_PARTS_H
#define SPANTAP_OTLP_JSON_PARTS_H

#include <yyjson.h>

#include "sink/otlp_attrs.h"
#include "sink/resource.h"

/* A 64-bit number: a string in the protocol. */
yyjson_mut_val *otlp_json_decimal(yyjson_mut_doc *d, bool negative, uint64_t magnitude);
yyjson_mut_val *otlp_json_value(yyjson_mut_doc *d, const struct otlp_attr *a);
/* Appends to `attrs`; `key` is not copied. */
void otlp_json_attr(yyjson_mut_doc *d, yyjson_mut_val *attrs, const char *key, yyjson_mut_val *value);
yyjson_mut_val *otlp_json_resource(yyjson_mut_doc *d, const struct resource *r,
                                   const struct resource_place *place);

#endif
