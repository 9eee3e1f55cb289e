/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/capture_options.h"
#include "probe/load.h"

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
	default:
		return outputs_option(cmd, opt, &cap->out, ret_code);
	}
}

int capture_options_check(const struct cmd *cmd, const struct capture *cap)
{
	if (cap->out.record_file && cap->out.sink.content != CONTENT_FULL)
		return cmd_usage_error(
		    cmd, "--record keeps raw traffic with its secrets: it needs --content full");
	return 0;
}
