/* SPDX-License-Identifier: Apache-2.0 */
/*
 * price.h - what a call costs by its provider's price list.
 *
 * The list is a table written by tools/prices from a published package; the
 * figures are its list prices in US dollars, without discounts and without
 * what usage records do not count (searches, tokens of audio and images at
 * rates of their own).  An unknown price is never 0.
 *
 * Each token is paid for once: what came from the cache at the cache's rate,
 * what was written to it at the rate of writing, the rest of the input at the
 * input's rate, or all of it where the model has no such rate.  Reasoning is
 * part of the output.  Where the rate depends on the length of the context,
 * the length is that of the whole input, cached or not.
 */
#ifndef SPANTAP_PRICE_H
#define SPANTAP_PRICE_H

#include "llm/llm.h"

struct price_source {
	const char *name, *version, *date; /* the package, and when it was published: YYYY-MM-DD */
};

extern const struct price_source price_source;

enum price_state {
	PRICE_KNOWN,
	PRICE_NO_MODEL,  /* the provider, or its model, is not in the table */
	PRICE_NO_RATE,   /* it is, but has no price for tokens */
	PRICE_NO_USAGE,  /* the call did not report the tokens that are paid for */
	PRICE_BAD_USAGE, /* it reported more cached tokens than input, or more reasoning than output */
	PRICE_STATES
};

const char *price_state_name(enum price_state s); /* known no_model no_rate no_usage bad_usage */

/* US dollars. */
struct price {
	double input, cache_read, cache_write, output; /* input: what is in neither of the next two */
	double total;
	/*
	 * Cache writes count at the provider's usual rate.  Where another is asked for
	 * keeping them an hour, the call may cost so much more: usage does not tell.
	 */
	double hour_extra;
};

struct price_model;

#define PRICE_NAME_MAX 256 /* bytes of a model's name; longer ones are no model's */

/*
 * The row for `model` at `provider`, both as on the span (gen_ai.provider.name);
 * NULL when there is none.  A look-up is a walk over the provider's rows: keep
 * the result.
 */
const struct price_model *price_find(struct slice provider, struct slice model);

/*
 * The price of a call that began at `wall_ns` (since the epoch).  `m` may be
 * NULL.  *ret is set when the state is PRICE_KNOWN, else untouched.
 */
enum price_state price_calc(const struct price_model *m, uint64_t wall_ns, const struct llm_usage *u,
                            struct price *ret);
/* Whether the table's prices are those of calls that were served at `tier`, as the provider says it; absent: they are. */
bool price_usual_tier(struct slice tier);

#endif
