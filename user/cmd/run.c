/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/capture_options.h"
#include "probe/features.h"
#include "span/redact.h"

static const char usage[] =
    "usage: spantap run [options] -- CMD [ARG...]\n"
    "\n"
    "Runs CMD and shows what it and its descendants said to language models, and the\n"
    "processes that came of it, as a tree on stderr when CMD has ended. Stdin and\n"
    "stdout are CMD's alone; CMD is neither changed nor slowed down noticeably.\n"
    "\n" CAPTURE_USAGE
    "  --no-hold             programs do not wait, before they begin, until they have their probes:\n"
    "                        what they say in their first milliseconds may be missed\n"
    "  --user NAME           run CMD as this user (default: who called sudo, else yourself)\n"
    "\n"
    "Exit code: CMD's own, 128+N when signal N ended it; 125 spantap failed before CMD\n"
    "started (CMD was not started then), 126 CMD is not executable, 127 not found.\n";

static const struct option options[] = {CAPTURE_OPTIONS,
					{"user", required_argument, NULL, 'u'},
					{"no-hold", no_argument, NULL, 'W'},
					{"help", no_argument, NULL, 'h'},
					{NULL, 0, NULL, 0}};

/* Who CMD runs as and the outputs belong to: --user, else who called sudo, else ourselves. */
static int find_user(const char *name, struct capture *cap)
{
	const char *sudo_uid = getenv("SUDO_UID");
	uint64_t uid = 0;
	struct passwd *pw = NULL;

	cap->cmd_uid = getuid();
	cap->cmd_gid = getgid();
	if (name) {
		pw = getpwnam(name);
		if (!pw)
			return cmd_usage_error(&cmd_run, "there is no user '%s'", name);
	} else if (geteuid() == 0 && sudo_uid && slice_u64(slice_str(sudo_uid), &uid) && uid != 0) {
		pw = getpwuid((uid_t)uid);
		if (!pw)
			return cmd_usage_error(&cmd_run, "SUDO_UID is %s, but there is no such user", sudo_uid);
	}
	if (pw && pw->pw_uid != getuid()) {
		cap->user = strdup(pw->pw_name);
		cap->cmd_uid = pw->pw_uid;
		cap->cmd_gid = pw->pw_gid;
		cap->cmd_home = strdup(pw->pw_dir);
	}
	return 0;
}

/* CMD as one line, masked, for headings; only its name where argv is not kept. */
static const char *command_line(const struct outputs *out, char *const *argv)
{
	static struct buf line;
	struct arena a = {0};
	struct slice args[64] = {{NULL, 0}}, masked[64];
	size_t n = 0;

	if (out->sink.content < CONTENT_REDACTED)
		return basename(argv[0]);
	for (; argv[n] && n < 64; n++)
		args[n] = slice_str(argv[n]);
	redact_argv(&a, args, n, masked, REDACT_SECRETS | out->redact);
	for (size_t i = 0; i < n && line.n < 4096; i++) {
		if (i)
			buf_addc(&line, ' ');
		buf_addslice(&line, masked[i]);
	}
	arena_release(&a);
	return buf_str(&line);
}

static int run(int argc, char **argv)
{
	struct capture cap = {.out = {.sink = {.content = CONTENT_REDACTED, .retain_bytes = RETAIN_BYTES}, .sample = {.share = 1}}};
	const char *user = NULL;
	int opt, code = 0;

	while ((opt = cmd_option(&cmd_run, argc, argv, "+o:h", options)) != -1) {
		if (opt == CMD_OPTION_HELP)
			return CMD_OK;
		if (opt == CMD_OPTION_WRONG)
			return EXIT_SPANTAP;
		if (capture_option(&cmd_run, opt, &cap, &code))
			continue;
		if (code)
			return EXIT_SPANTAP;
		if (opt == 'W')
			cap.no_hold = true;
		else
			user = optarg;
	}
	if (!argv[optind]) {
		cmd_usage_error(&cmd_run, "no CMD given");
		return EXIT_SPANTAP;
	}
	if (capture_options_check(&cmd_run, &cap))
		return EXIT_SPANTAP;
	cap.argv = argv + optind;
	if (find_user(user, &cap) || outputs_finish(&cmd_run, &cap.out, cap.cmd_uid, cap.cmd_gid))
		return EXIT_SPANTAP;
	struct buf lacks = {0};
	if (!features_capable(&lacks)) {
		log_warn("%s", buf_str(&lacks));
		return EXIT_SPANTAP;
	}
	cap.out.sink.command = command_line(&cap.out, cap.argv);
	return capture_run(&cap);
}

const struct cmd cmd_run = {"run", "trace a command and what it starts; the tree appears at the end", usage, run};
