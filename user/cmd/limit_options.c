/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "cmd/limit_options.h"
#include "cmd/size.h"

/* A decimal number from 0 to `max`, with nothing behind it but `unit` perhaps. */
static bool read_decimal(const char *s, double max, const char *unit, double *ret)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || !isfinite(v) || v < 0 || v > max || (*end && strcmp(end, unit) != 0))
		return false;
	*ret = v;
	return true;
}

static bool percent(const struct cmd *cmd, const char *option, double min, double max, double *ret,
                    int *ret_code)
{
	double v = 0;

	if (!read_decimal(optarg, max, "%", &v) || v < min)
		*ret_code =
		    cmd_usage_error(cmd, "%s: '%s' is no percentage from %g to %g", option, optarg, min, max);
	*ret = v / 100;
	return *ret_code == 0;
}

bool limit_option(const struct cmd *cmd, int opt, struct outputs *o, int *ret_code)
{
	double v = 0;

	switch (opt) {
	case OPT_MAX_CPU:
		return percent(cmd, "--max-cpu", 1, 100000, &o->budget.cpu, ret_code);
	case OPT_MAX_MEMORY:
		if (!size_read(optarg, &o->budget.memory) || o->budget.memory < BUDGET_MEMORY_MIN)
			*ret_code = cmd_usage_error(
			    cmd,
			    "--max-memory: '%s' is no number of bytes of at least %llu M: spantap's queue and what it "
			    "remembers have half of that",
			    optarg, BUDGET_MEMORY_MIN >> 20);
		return *ret_code == 0;
	case OPT_SAMPLE:
		return percent(cmd, "--sample", 0, 100, &o->sample.share, ret_code);
	case OPT_SAMPLE_SLOW:
		if (!read_decimal(optarg, 1e9, "s", &v) || v <= 0)
			*ret_code = cmd_usage_error(
			    cmd, "--sample-slow: '%s' is no number of seconds above 0", optarg);
		o->sample.slow = (uint64_t)(v * 1e9);
		return *ret_code == 0;
	default:
		return false;
	}
}

int limit_options_check(const struct cmd *cmd, const struct outputs *o)
{
	if (o->sample.slow && o->sample.share >= 1 && !o->budget.cpu && !o->budget.memory)
		return cmd_usage_error(
		    cmd, "--sample-slow says what to keep when not all is kept: give --sample, --max-cpu or "
		         "--max-memory too");
	if (o->join_traces && (o->sample.share < 1 || o->budget.cpu > 0 || o->budget.memory))
		return cmd_usage_error(cmd, "--join-traces spreads a conversation over others' traces: whole "
		                            "ones cannot be left out, "
		                            "as --sample, --max-cpu and --max-memory do");
	return 0;
}
