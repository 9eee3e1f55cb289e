/* SPDX-License-Identifier: Apache-2.0 */
/*
 * figures.h - what statistics read of the store: one figure a span, in the
 * order in which they were written.
 *
 * Turns, calls and tools are read, nothing else.  Unknown is LLM_NONE, NAN or
 * an absent slice, never 0.
 */
#ifndef SPANTAP_FIGURES_H
#define SPANTAP_FIGURES_H

#include "store/store.h"

struct store_figure {
	enum span_kind kind; /* SPAN_TURN, SPAN_CHAT or SPAN_TOOL */
	uint8_t trace[16];
	uint64_t start_wall, duration; /* ns */
	bool failed, complete;         /* complete: nothing is missing from the span */
	struct slice agent, command;   /* command: what the capture ran */
	/* Calls. */
	struct slice provider, model; /* as it answered, else as it was asked for */
	struct slice request_model, host, operation, service_tier;
	struct llm_usage usage;
	double first_token; /* ns from the request to the first chunk of a stream */
	double chunk_gap;   /* ns between two of its chunks, on average; of complete calls only */
	/* Tools. */
	struct slice tool;
};

/*
 * Calls each() for every figure that began at `since` or later and before
 * `until` (ns since the epoch); its slices live during the call.  0 or -errno;
 * one transaction: all comes from one moment.
 */
int store_figures(struct store *st, uint64_t since, uint64_t until,
                  void (*each)(void *ctx, const struct store_figure *f), void *ctx);
/* The same for one conversation. */
int store_figures_of(struct store *st, const uint8_t trace[16],
                     void (*each)(void *ctx, const struct store_figure *f), void *ctx);

#endif
