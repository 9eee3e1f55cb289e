/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/figure_price.h"

static const char no_model;

static const struct price_model *look_up(struct figure_prices *prices, struct slice provider,
                                         struct slice model)
{
	buf_clear(&prices->key);
	buf_addslice(&prices->key, provider);
	buf_addc(&prices->key, '\0');
	buf_addslice(&prices->key, model);
	const void *found = map_get(&prices->models, prices->key.p, prices->key.n);
	if (!found) {
		const struct price_model *m = price_find(provider, model);

		found = m ? (const void *)m : &no_model;
		map_put(&prices->models, prices->key.p, prices->key.n, (void *)found);
	}
	return found == &no_model ? NULL : found;
}

/* The model that answered; where the list does not know that name, the one that was asked for. */
static const struct price_model *model_of(struct figure_prices *prices, const struct store_figure *f)
{
	const struct price_model *m = look_up(prices, f->provider, f->model);

	return m ? m : look_up(prices, f->provider, f->request_model);
}

int figure_price(struct figure_prices *prices, const struct store_figure *f, struct price *ret)
{
	if (!price_usual_tier(f->service_tier))
		return WHY_TIER;
	enum price_state s = price_calc(model_of(prices, f), f->start_wall, &f->usage, ret);
	return f->failed && s != PRICE_KNOWN && f->usage.input < 0 ? WHY_FAILED : (int)s;
}

/* Counting the tokens of a text is free of charge, where it is offered. */
bool figure_billed(const struct store_figure *f)
{
	return f->kind == SPAN_CHAT && !slice_eq(f->operation, SLICE("count_tokens"));
}

void figure_prices_release(struct figure_prices *prices)
{
	map_release(&prices->models);
	buf_release(&prices->key);
}
