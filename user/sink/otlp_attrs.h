/* SPDX-License-Identifier: Apache-2.0 */
/*
 * otlp_attrs.h - a span's attributes as a backend gets them.
 *
 * What attrs.def names, and what some backends read under names of their own:
 * one table (otlp_attrs.c), a row an addition.  A profile says for which
 * backend; OTLP_COMMON has the additions that cost next to nothing and that
 * one backend or another reads where the conventions' attribute is not read.
 */
#ifndef SPANTAP_OTLP_ATTRS_H
#define SPANTAP_OTLP_ATTRS_H

#include "span/span.h"

#ifndef SPANTAP_VERSION
#define SPANTAP_VERSION "0.1.0"
#endif

enum otlp_profile {
	OTLP_PLAIN, /* the conventions alone */
	OTLP_COMMON,
	OTLP_LANGFUSE,
	OTLP_PHOENIX,   /* also OpenInference's input.value and output.value */
	OTLP_LANGSMITH, /* also the legacy gen_ai.prompt and gen_ai.completion */
	OTLP_SIGNOZ,
	OTLP_TEMPO, /* texts above its default limit of 2,048 bytes are left out: cut, they would be no JSON any more */
	OTLP_PROFILES
};

/* -1 for a word that is no profile: plain common langfuse phoenix langsmith signoz tempo. */
int otlp_profile_parse(struct slice word);
const char *otlp_profile_name(enum otlp_profile p);

struct otlp_attr {
	const char *name;
	enum attr_type type;
	struct attr v; /* its key counts for nothing */
};

struct otlp_attrs {
	struct otlp_attr *v; /* memory of the arena, texts of it or of the span */
	size_t n;
	uint32_t dropped; /* texts that were too long for the backend */
};

/*
 * `content`: whether attributes that hold content may be in it.  LOCAL ones,
 * and doubles that are no number, never are.
 */
void otlp_attrs(struct otlp_attrs *ret, const struct span *s, bool content, enum otlp_profile profile, struct arena *a);

/*
 * Whether it has a price, be it known or not: calls of models, but not those that only count tokens, relay what
 * is counted elsewhere, or failed without reporting any use.
 */
bool otlp_billed(const struct span *s);
/* US dollars by list price; false: not known. Only of whole calls: what was cut off may have cost more. */
bool otlp_cost(const struct span *s, double *ret);

/* SpanKind of the protocol. */
enum { OTLP_INTERNAL = 1, OTLP_SERVER = 2, OTLP_CLIENT = 3 };
int otlp_kind(const struct span *s);
/* StatusCode of the protocol; 0: not set. */
int otlp_status(const struct span *s);
/* ns since the epoch: the start as dated when it happened, and the duration; 0 when the start is not known. */
uint64_t otlp_end(const struct span *s);

#endif
