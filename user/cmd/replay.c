/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "cmd/outputs.h"
#include "cmd/until.h"
#include "daemon/recording.h"

static const char usage[] = "usage: spantap replay [options] FILE\n"
			    "\n"
			    "Decodes the raw events that 'spantap run --record FILE' kept: the same spans with the\n"
			    "same ids, without privileges and without the agent. Without --store and --otlp-file\n"
			    "it only prints the tree.\n"
			    "\n" OUTPUT_USAGE
			    "  --until SEAM          stop there and print what it gives, in clear, to stdout: " UNTIL_SEAMS
			    "\n";

static const struct option options[] = {OUTPUT_OPTIONS,
					 {"until", required_argument, NULL, 'u'},
					 {"help", no_argument, NULL, 'h'},
					 {NULL, 0, NULL, 0}};

/* Reads the head of the recording: its first record carries the capture's instance, from which all ids come. */
static int read_instance(int fd, uint8_t ret[16])
{
	struct buf rec = {0};
	int err = recording_open(fd);

	if (!err)
		err = recording_read(fd, &rec) == 1 ? 0 : -EBADMSG;
	const struct ev_mark *mark = (const void *)rec.p;
	if (!err && (rec.n < sizeof(*mark) || mark->head.type != EV_MARK || mark->what != EV_MARK_BEGIN))
		err = -EBADMSG;
	if (!err) {
		memcpy(ret, &mark->a, 8);
		memcpy(ret + 8, &mark->b, 8);
	}
	buf_release(&rec);
	return err;
}

static int unreadable(const char *path, int err)
{
	return cmd_failed(&cmd_replay, "'%s' is no recording of this version of spantap%s%s", path,
			  err == -EBADMSG ? "" : ": ", err == -EBADMSG ? "" : strerror(-err));
}

static int print_until(const char *seam, const char *path, int fd)
{
	int err = recording_open(fd);

	if (!err)
		err = until_print(seam, fd);
	return err ? unreadable(path, err) : CMD_OK;
}

static int run(int argc, char **argv)
{
	struct outputs out = {.sink = {.content = CONTENT_REDACTED}};
	const char *until = NULL;
	bool store = false;
	int opt, code = 0;

	while ((opt = cmd_option(&cmd_replay, argc, argv, "o:h", options)) != -1) {
		if (opt == CMD_OPTION_HELP)
			return CMD_OK;
		if (opt == CMD_OPTION_WRONG)
			return CMD_USAGE;
		if (opt == 'u' && !until_known(optarg))
			return cmd_usage_error(&cmd_replay, "unknown seam '%s'; known: " UNTIL_SEAMS, optarg);
		if (opt == 'u') {
			until = optarg;
			continue;
		}
		store |= opt == 's';
		if (!outputs_option(&cmd_replay, opt, &out, &code))
			return CMD_USAGE;
	}
	if (argc - optind != 1)
		return cmd_usage_error(&cmd_replay, "give one FILE");

	const char *path = argv[optind];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cmd_failed(&cmd_replay, "cannot open '%s': %s", path, strerror(errno));
	if (until)
		return print_until(until, path, fd);
	code = outputs_finish(&cmd_replay, &out, cmd_user(), getgid());
	if (code)
		return code;
	if (!store)
		out.sink.store_dir = NULL;
	int err = read_instance(fd, out.sink.instance);
	if (err)
		return unreadable(path, err);
	return capture_replay(&out, fd) ? CMD_FAILED : CMD_OK;
}

const struct cmd cmd_replay = {"replay", "decode a recording again, without privileges", usage, run};
