/* SPDX-License-Identifier: Apache-2.0 */
/*
 * figure.h - one measured quantity over the rounds of a run.
 *
 * The 25th percentile is the figure: what disturbs a measurement on a shared
 * machine only ever adds.  The spread is always printed beside it.
 */
#ifndef SPANTAP_BENCH_FIGURE_H
#define SPANTAP_BENCH_FIGURE_H

#include <stddef.h>

#define FIGURE_ROUNDS_MAX 1001

struct figure {
	double v[FIGURE_ROUNDS_MAX];
	size_t n;
};

void figure_add(struct figure *f, double v); /* what is above FIGURE_ROUNDS_MAX is not kept */
/* The value below which `percent` of the rounds lie; 0 when there are none. */
double figure_at(const struct figure *f, unsigned percent);
/* Prints "min p25 median max". */
void figure_print_spread(const struct figure *f);

/* A positive number from the environment, or `otherwise`. */
unsigned long figure_parameter(const char *name, unsigned long otherwise);

#endif
