/* SPDX-License-Identifier: Apache-2.0 */
/*
 * price_table.h - the table that tools/prices writes.  Private to price.c.
 *
 * A match is alternatives, one a line; an alternative is terms with a blank
 * between them, and all must hold.  A term is one character and a text:
 *   =  equals   ^  begins with   $  ends with   *  contains
 *   ~  matches the POSIX extended regular expression   !  does not match it
 * Texts are in lower case, as the name is made before it is compared.
 */
#ifndef SPANTAP_PRICE_TABLE_H
#define SPANTAP_PRICE_TABLE_H

#include "llm/price.h"

/* US dollars for a million tokens; `tiered` instead when the call's input is longer than `above` (not 0). */
struct price_rate {
	bool given;
	double usd;
	uint32_t above;
	double tiered;
};

struct price_rates {
	struct price_rate input, output, cache_read, cache_write, cache_write_1h, output_reasoning;
	double request; /* US dollars for the call itself */
};

/* When rates hold; of a model's periods the last that fits does, else the first. */
struct price_period {
	enum {
		PRICE_ALWAYS,
		PRICE_SINCE, /* from = seconds since the epoch */
		PRICE_DAILY, /* from, to = seconds since midnight UTC; it may wrap around */
	} kind;
	int64_t from, to;
	uint16_t rates; /* index of price_rates */
};

struct price_model {
	const char *id, *match;
	uint16_t period, n_periods; /* of price_periods */
};

struct price_provider {
	const char *id;
	const char *match;     /* of other names for it */
	const char *fallbacks; /* providers whose models it sells too; ids with a blank between them */
	uint16_t model, n_models;
};

extern const struct price_rates price_rates[];
extern const struct price_period price_periods[];
extern const struct price_model price_models[];
extern const struct price_provider price_providers[];
extern const size_t price_providers_n;

#endif
