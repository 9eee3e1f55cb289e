/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/harness/figure.h"

void figure_add(struct figure *f, double v)
{
	if (f->n < FIGURE_ROUNDS_MAX)
		f->v[f->n++] = v;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double figure_at(const struct figure *f, unsigned percent)
{
	double sorted[FIGURE_ROUNDS_MAX];

	if (!f->n)
		return 0;
	memcpy(sorted, f->v, f->n * sizeof(*sorted));
	qsort(sorted, f->n, sizeof(*sorted), compare);
	return sorted[(f->n - 1) * percent / 100];
}

void figure_print_spread(const struct figure *f)
{
	printf("%8.0f %8.0f %8.0f %8.0f", figure_at(f, 0), figure_at(f, 25), figure_at(f, 50),
	       figure_at(f, 100));
}

unsigned long figure_parameter(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);
	unsigned long n = text ? strtoul(text, NULL, 10) : 0;

	return n ? n : otherwise;
}
