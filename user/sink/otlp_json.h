/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_json.h - spans as an OTLP ExportTraceServiceRequest in JSON.
 *
 * The rules of the OTLP/JSON encoding that differ from plain protobuf JSON:
 * trace and span ids are lower-case hexadecimal, enums are numbers; and as in
 * protobuf JSON, 64-bit integers are decimal strings.  A root has an empty
 * parentSpanId, as the Collector writes it.  Times are wall clock: the start
 * as dated when it happened, the end by adding the duration.  Doubles that are
 * no number are left out; text is made valid UTF-8.
 */
#ifndef SPANTAP_OTLP_JSON_H
#define SPANTAP_OTLP_JSON_H

#include "sink/otlp_attrs.h"
#include "sink/resource.h"

struct otlp_json; /* one request under construction */

/* `resource` is borrowed, and may be NULL. */
struct otlp_json *otlp_json_new(const struct resource *resource);
/* `content`: whether attributes that hold content, and the status text, are written. */
void otlp_json_add(struct otlp_json *o, const struct span *s, bool content, enum otlp_profile profile);
size_t otlp_json_count(const struct otlp_json *o); /* spans since the last write */
/*
 * Appends the request as one line, "\n" included, and starts a new one.
 * Nothing is appended when there are no spans.
 */
void otlp_json_write(struct otlp_json *o, struct buf *out);
void otlp_json_free(struct otlp_json *o); /* accepts NULL */

#endif
