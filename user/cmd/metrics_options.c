/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/metrics_options.h"
#include "metrics/alert.h"

static int set_listen(const struct cmd *cmd, struct outputs *o)
{
	const char *why = NULL;

	if (!listen_parse(optarg, &o->metrics, &why))
		return cmd_usage_error(cmd, "--metrics '%s': %s", optarg, why);
	o->sink.metrics = true;
	return 0;
}

/* Rules are kept as lines of one text. */
static int add_alert(const struct cmd *cmd, struct outputs *o)
{
	struct slice rest = slice_str(o->sink.alerts), line;
	struct buf rules = {0}, error = {0};
	struct alert_rule rule;
	unsigned n = 0;

	if (alert_parse(slice_str(optarg), &rule, &error))
		return cmd_usage_error(cmd, "--alert '%s': %s", optarg, buf_str(&error));
	while (rest.n && slice_cut(&rest, '\n', &line))
		n++;
	if (n == ALERT_RULES_MAX)
		return cmd_usage_error(cmd, "more than %d rules", ALERT_RULES_MAX);
	buf_addf(&rules, "%s%s%s", n ? o->sink.alerts : "", n ? "\n" : "", rule.text);
	o->sink.alerts = arena_dup(&o->texts, buf_slice(&rules)).p;
	o->sink.metrics = true;
	buf_release(&rules);
	return 0;
}

static int set_webhook(const struct cmd *cmd, struct outputs *o)
{
	if (strncmp(optarg, "http://", 7) != 0 && strncmp(optarg, "https://", 8) != 0)
		return cmd_usage_error(cmd, "--alert-webhook '%s' is no http:// or https:// URL", optarg);
	o->webhook = optarg;
	return 0;
}

bool metrics_option(const struct cmd *cmd, int opt, struct outputs *o, int *ret_code)
{
	switch (opt) {
	case METRICS_OPTION_LISTEN:
		*ret_code = set_listen(cmd, o);
		break;
	case METRICS_OPTION_ALERT:
		*ret_code = add_alert(cmd, o);
		break;
	case METRICS_OPTION_WEBHOOK:
		*ret_code = set_webhook(cmd, o);
		break;
	default:
		return false;
	}
	return *ret_code == 0;
}

int metrics_options_check(const struct cmd *cmd, const struct outputs *o)
{
	if (o->webhook && !o->sink.alerts)
		return cmd_usage_error(cmd, "--alert-webhook has nothing to say without --alert");
	if (o->sink.alerts && strstr(o->sink.alerts, alert_subject_name(ALERT_TOOL_LOOP)) &&
	    o->sink.content == CONTENT_NONE)
		return cmd_usage_error(
		    cmd, "at --content none arguments of tools are not known: tool_loop needs shape or more");
	return 0;
}
