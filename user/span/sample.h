/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.h - whole conversations kept, or nothing of them: between the span
 * trees and what writes them.
 *
 * The unit is the trace: a conversation with its sub-agents.  Whether it is
 * kept is decided when its first span comes, by its trace id, which is a hash
 * (span.h): those below share x 2^64 are.  The same id is decided the same way
 * on every host and in every run with the same share, and a smaller share keeps
 * a subset of what a larger one keeps.
 *
 * The spans of the others wait here.  An error, a call or turn that took long
 * or a dear conversation gives them free and keeps all that comes of the trace;
 * else they are dropped with the conversation's root, which is its last span,
 * or when what waits would exceed SAMPLE_HELD_BYTES, the oldest trace first.
 * What is dropped is dropped whole, and counted.
 *
 * On spans of a trace that had a chance below 1, spantap.sample.share is that
 * chance (the weight of a span in a sum is 1/share, unless its reason is another
 * than "share": these are all kept), and spantap.sample.reason one of "share",
 * "error", "slow", "cost".
 *
 * A conversation that goes on in another trace is decided as before, while the
 * latest SAMPLE_TRACES_MAX are remembered.  What goes on after decode crashed or
 * spantap was restarted, or after so many others, is decided anew: what its
 * share kept is kept again, what a rule kept may lack its end.
 */
#ifndef SPANTAP_SAMPLE_H
#define SPANTAP_SAMPLE_H

#include "span/span.h"

#define SAMPLE_TRACES_MAX 65536       /* remembered: 20 MiB */
#define SAMPLE_HELD_BYTES (64u << 20) /* of encoded spans that wait */

struct sample_conf {
	double share;  /* of conversations, 0 to 1 */
	uint64_t slow; /* ns, of a call or turn; 0: no rule */
	double cost;   /* of the calls of one trace together, in the unit of llm/price.h; 0: no rule */
};

struct sample_stats {
	uint64_t kept, dropped; /* traces decided; dropped: whole */
	uint64_t dropped_spans, dropped_calls;
	uint64_t held, held_bytes; /* traces that wait, and their spans' size */
};

struct sampler;

struct sampler *sampler_new(const struct sample_conf *conf, void (*span)(void *ctx, const struct span *s),
                            void *ctx);
/* Of traces that begin from now on. */
void sampler_share(struct sampler *m, double share);
double sampler_now(const struct sampler *m); /* the share of those that begin now */
/* Handed on, held, or dropped. */
void sampler_add(struct sampler *m, const struct span *s);
/* The capture has ended: what waits is dropped. */
void sampler_finish(struct sampler *m);
const struct sample_stats *sampler_stats(const struct sampler *m);
void sampler_free(struct sampler *m);

#endif
