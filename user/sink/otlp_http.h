/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_http.h - one OTLP/HTTP endpoint: a request body out, what became of it back.
 *
 * OTLP specification 1.3, "OTLP/HTTP": 200 is taken (with a partial success
 * some spans are refused for good and never sent again); 429, 502, 503, 504
 * and a broken connection are tried again, after Retry-After if there is one.
 * Our own: 413 asks for smaller bodies; 401, 403, 404, 407 and 408 are the
 * operator's to repair, so what was sent waits too; 500 as 503.  Redirects are
 * not followed: headers hold keys.
 */
#ifndef SPANTAP_OTLP_HTTP_H
#define SPANTAP_OTLP_HTTP_H

#include "sink/otlp_attrs.h"

enum otlp_encoding { OTLP_PROTOBUF, OTLP_JSON };

#define OTLP_HEADERS_MAX 32

struct otlp_endpoint {
	const char *url; /* whole: with /v1/traces */
	const char *headers[OTLP_HEADERS_MAX]; /* "name: value" */
	size_t n_headers;
	const char *ca, *certificate, *key; /* PEM files; NULL: the system's authorities, no client certificate */
	enum otlp_encoding encoding;
	enum otlp_profile profile;
	enum content_level content;
	bool gzip;
	unsigned timeout_ms; /* of one request */
};

enum otlp_outcome {
	OTLP_TAKEN,
	OTLP_TOO_LARGE,
	OTLP_REFUSED, /* the same body will never be taken */
	OTLP_LATER,
	OTLP_STOPPED, /* `go_on` said no */
};

struct otlp_result {
	enum otlp_outcome outcome;
	long status;          /* of HTTP; 0: there was no answer */
	uint64_t rejected;    /* spans, of OTLP_TAKEN */
	uint64_t sent;        /* bytes of the body, as compressed */
	uint64_t retry_after; /* ns that the endpoint asks for; 0: it does not say */
	struct buf message;   /* what it said, or why there was no answer; cut, from the network: to be escaped */
};

struct otlp_client;

/* NULL: *ret_error says why. `go_on` is asked several times a second while a request is under way. */
struct otlp_client *otlp_client_new(const struct otlp_endpoint *e, bool (*go_on)(void *ctx), void *ctx, struct buf *ret_error);
/* *ret is the caller's, its message reused. */
void otlp_client_post(struct otlp_client *c, struct slice body, struct otlp_result *ret);
void otlp_client_free(struct otlp_client *c); /* accepts NULL */

#endif
