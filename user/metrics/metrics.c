/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/metrics.h"

#define BOUNDS(...)                                                                                          \
	{                                                                                                    \
		(const double[]){__VA_ARGS__}, sizeof((const double[]){__VA_ARGS__}) / sizeof(double)        \
	}

static const struct metric_bounds tokens =
    BOUNDS(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864);
const struct metric_bounds metric_call_seconds =
    BOUNDS(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92);
static const struct metric_bounds first_token_seconds =
    BOUNDS(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10);
static const struct metric_bounds output_token_seconds =
    BOUNDS(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5);
static const struct metric_bounds long_seconds =
    BOUNDS(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300);

#define L(text)                                                                                              \
	{                                                                                                    \
		text, false, false                                                                           \
	}
#define T(text)                                                                                              \
	{                                                                                                    \
		text, true, false                                                                            \
	}
#define N(text)                                                                                              \
	{                                                                                                    \
		text, true, true                                                                             \
	}

const struct metric_def metric_defs[METRICS] = {
#define METRIC(key, name_, type_, unit_, bounds_, help_, ...)                                                \
	[METRIC_##key] = {.name = name_,                                                                     \
	                  .type = type_,                                                                     \
	                  .unit = unit_,                                                                     \
	                  .bounds = bounds_,                                                                 \
	                  .help = help_,                                                                     \
	                  .labels = {__VA_ARGS__}},
#include "metrics/metrics.def"
#undef METRIC
};

size_t metric_n_labels(const struct metric_def *def)
{
	size_t n = 0;

	while (n < METRIC_LABELS_MAX && def->labels[n].name)
		n++;
	return n;
}
