/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource.h - what an OTLP resource says: where spans come from.
 *
 * Of the host, the same for all: service.name, host.name, host.arch, os.type,
 * os.name, os.version, and telemetry.sdk.*.  Over them go the variables of the
 * OpenTelemetry specification ("Environment variables", "Resource SDK"):
 *
 *   OTEL_RESOURCE_ATTRIBUTES  name=value,name=value; ',' '=' '%' in them percent-encoded.  As the
 *                             specification asks, a list with an error in it counts as a whole for nothing
 *   OTEL_SERVICE_NAME         before a service.name of the list; else it is "spantap"
 *
 * Not host.id: machine-id(5) is not to leave the host unasked; whoever wants it names it in the variable.
 *
 * Of the traced process: its container and pod.  They are attributes of spans
 * in the store; in OTLP the spans of one place form a ResourceSpans with these
 * as attributes of the resource, too, because there they are looked for.
 */
#ifndef SPANTAP_RESOURCE_H
#define SPANTAP_RESOURCE_H

#include "span/span.h"

#define RESOURCE_GIVEN_MAX 64         /* attributes of the variable */
#define RESOURCE_LIST_MAX  (16 << 10) /* its bytes */
#define RESOURCE_PLACE     4          /* attributes of a place */
#define RESOURCE_MAX       (RESOURCE_GIVEN_MAX + RESOURCE_PLACE + 12)

struct otlp_text {
	const char *name;
	struct slice value;
};

struct resource;

/* Of this host and environment, as they are now. NULL below: only what is known without looking. */
struct resource *resource_new(void);
void resource_free(struct resource *r); /* accepts NULL */

/* Whether OTEL_RESOURCE_ATTRIBUTES has this form; *ret_error: what is wrong (one line). */
bool resource_check(const char *list, struct buf *ret_error);

/* Where the process of a span runs; texts of the span, absent when not known. */
struct resource_place {
	struct slice v[RESOURCE_PLACE];
};
struct resource_place resource_place(const struct span *s);
bool resource_place_same(const struct resource_place *a, const struct resource_place *b);
struct resource_place resource_place_dup(struct arena *a, const struct resource_place *p);

/* Everything to be said of a place; borrowed from both. How many. */
size_t resource_texts(const struct resource *r, const struct resource_place *p,
                      struct otlp_text ret[RESOURCE_MAX]);

#endif
