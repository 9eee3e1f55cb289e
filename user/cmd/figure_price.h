/* SPDX-License-Identifier: Apache-2.0 */
/* figure_price.h - the price of a call that statistics read. */
#ifndef SPANTAP_FIGURE_PRICE_H
#define SPANTAP_FIGURE_PRICE_H

#include "base/map.h"
#include "llm/price.h"
#include "store/figures.h"

/* Why a call has no price. The first ones are enum price_state. */
enum figure_unpriced { WHY_FAILED = PRICE_STATES, WHY_TIER, WHYS };

/* Rows that were looked up; zero-filled at first. */
struct figure_prices {
	struct map models; /* "provider\0model" to its row */
	struct buf key;
};

/* False: it costs nothing and is no call to price (no call, or one that only counts tokens). */
bool figure_billed(const struct store_figure *f);
/* PRICE_KNOWN and *ret, or why it is not known. */
int figure_price(struct figure_prices *prices, const struct store_figure *f, struct price *ret);
void figure_prices_release(struct figure_prices *prices);

#endif
