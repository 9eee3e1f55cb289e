/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/capture_options.h"
#include "cmd/size.h"
#include "probe/load.h"

#define DAY_NS 86400000000000ull

static bool retention(const struct cmd *cmd, int opt, struct sink_conf *s, int *ret_code)
{
	uint64_t v = 0;

	if (opt == 'Z' && !size_read(optarg, &s->retain_bytes))
		*ret_code = cmd_usage_error(cmd, "'%s' is no number of bytes", optarg);
	else if (opt == 'D' && (!slice_u64(slice_str(optarg), &v) || v > INT64_MAX / DAY_NS))
		*ret_code = cmd_usage_error(cmd, "'%s' is no number of days", optarg);
	else if (opt == 'D')
		s->retain_age_ns = v * DAY_NS;
	return *ret_code == 0;
}

bool capture_option(const struct cmd *cmd, int opt, struct capture *cap, int *ret_code)
{
	switch (opt) {
	case 'r':
		cap->out.record_file = optarg;
		return true;
	case 'R':
		cap->without |= LOADER_RETURN_PROBE | LOADER_SESSION;
		return true;
	case 'H':
		cap->llm_only = strcmp(optarg, "llm") == 0;
		if (!cap->llm_only && strcmp(optarg, "all") != 0)
			*ret_code = cmd_usage_error(cmd, "--http is 'all' or 'llm', not '%s'", optarg);
		return *ret_code == 0;
	case 'D':
	case 'Z':
		return retention(cmd, opt, &cap->out.sink, ret_code);
	case METRICS_OPTION_LISTEN:
	case METRICS_OPTION_ALERT:
	case METRICS_OPTION_WEBHOOK:
		return metrics_option(cmd, opt, &cap->out, ret_code);
	default:
		return limit_option(cmd, opt, &cap->out, ret_code) ||
		       (*ret_code == 0 && outputs_option(cmd, opt, &cap->out, ret_code));
	}
}

int capture_options_check(const struct cmd *cmd, const struct capture *cap)
{
	if (cap->out.record_file && cap->out.sink.content != CONTENT_FULL)
		return cmd_usage_error(
		    cmd, "--record keeps raw traffic with its secrets: it needs --content full");
	if (cap->out.record_file && cap->out.rules.n)
		return cmd_usage_error(cmd, "--record keeps raw traffic, --rule would not apply to it");

	int code = limit_options_check(cmd, &cap->out);
	return code ? code : metrics_options_check(cmd, &cap->out);
}
