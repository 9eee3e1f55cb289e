/* SPDX-License-Identifier: Apache-2.0 */
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/capture_options.h"
#include "probe/features.h"
#include "store/store.h"

static const char usage[] =
    "usage: spantap record [options]\n"
    "\n"
    "Follows processes that run already and those that match later, with all their\n"
    "descendants, until SIGINT or SIGTERM. Several rules: what matches any of them.\n"
    "Without a rule: the whole host.\n"
    "\n"
    "  --pid PID             this process; may be given more than once, as all rules\n"
    "  --cgroup PATH         the processes of a cgroup and of those below it\n"
    "  --comm NAME           processes of this name (as ps -o comm shows it)\n"
    "  --exe PATTERN         processes that execute this file: a path, a pattern with * ? [],\n"
    "                        or without a slash its base name\n"
    "  --container ID        the processes of a container whose id begins so\n"
    "\n" CAPTURE_USAGE "\n"
    "There is no tree without -o. As root, unless called through sudo, the store is\n" RECORD_STORE
    " by default. 'spantap status' says what is recorded now.\n"
    "\n"
    "Exit code: 0 ended by a signal, everything written; 1 it failed; 2 wrong options.\n";

static const struct option options[] = {CAPTURE_OPTIONS,
                                        {"pid", required_argument, NULL, 'p'},
                                        {"cgroup", required_argument, NULL, 'g'},
                                        {"comm", required_argument, NULL, 'n'},
                                        {"exe", required_argument, NULL, 'e'},
                                        {"container", required_argument, NULL, 'd'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

/* The rule that an option makes, -1: it makes none. */
static int rule_of(int opt)
{
	switch (opt) {
	case 'p':
		return SELECT_BY_PID;
	case 'g':
		return SELECT_BY_CGROUP;
	case 'n':
		return SELECT_BY_COMM;
	case 'e':
		return SELECT_BY_EXE;
	case 'd':
		return SELECT_BY_CONTAINER;
	default:
		return -1;
	}
}

static int parse(int argc, char **argv, struct capture *cap)
{
	int opt, code = 0;

	while ((opt = cmd_option(&cmd_record, argc, argv, "o:", options)) != -1) {
		struct buf error = {0};

		if (opt == CMD_OPTION_HELP || opt == CMD_OPTION_WRONG)
			return opt;
		if (rule_of(opt) >= 0) {
			if (!select_add(cap->selection, (enum select_by)rule_of(opt), optarg, &error))
				return cmd_usage_error(&cmd_record, "%s", buf_str(&error));
		} else if (!capture_option(&cmd_record, opt, cap, &code) && code) {
			return code;
		}
	}
	if (optind < argc)
		return cmd_usage_error(&cmd_record, "unexpected argument '%s'", argv[optind]);
	return capture_options_check(&cmd_record, cap);
}

static int run(int argc, char **argv)
{
	struct selection selection = {0};
	struct capture cap = {.out = {.sink = {.content = CONTENT_REDACTED, .tree_file = "", .retain_bytes = RETAIN_BYTES}, .sample = {.share = 1}},
	                      .selection = &selection,
	                      .llm_only = true};
	struct buf lacks = {0};
	uid_t uid = cmd_user();
	const struct passwd *pw = getpwuid(uid);
	int code = parse(argc, argv, &cap);

	if (code)
		return code == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
	if (uid != getuid() && !pw)
		return cmd_usage_error(&cmd_record, "SUDO_UID is %u, but there is no such user",
		                       (unsigned)uid);
	if (!cap.out.sink.store_dir && uid == 0)
		cap.out.sink.store_dir = RECORD_STORE;
	code = outputs_finish(&cmd_record, &cap.out, uid, uid == getuid() ? getgid() : pw->pw_gid);
	if (code)
		return code;
	if (!features_capable(&lacks))
		return cmd_failed(&cmd_record, "%s", buf_str(&lacks));
	return capture_record(&cap) ? CMD_FAILED : CMD_OK;
}

const struct cmd cmd_record = {"record", "record processes that run already, a container, or the whole host",
                               usage, run};
