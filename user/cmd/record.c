/* SPDX-License-Identifier: Apache-2.0 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "cmd/capture_options.h"
#include "cmd/config.h"
#include "probe/features.h"
#include "store/store.h"

static const char usage[] =
    "usage: spantap record [options]\n"
    "\n"
    "Follows processes that run already and those that match later, with all their\n"
    "descendants, until SIGINT or SIGTERM. Several rules: what matches any of them.\n"
    "Without a rule: the whole host.\n"
    "\n"
    "  --config FILE         options from a file, by their long names: lines KEY = VALUE. What the\n"
    "                        command line says of a key replaces what FILE says of it; one of\n"
    "                        --pid to --container replaces all of these, --otlp all endpoints.\n"
    "                        SIGHUP reads FILE again\n"
    "  --check-config        say OK, or each error; record nothing\n"
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

/* Values above all characters, and above all of options. */
enum { OPTION_CONFIG = 0x300, OPTION_CHECK, OPTION_VALUES };

static const struct option options[] = {CAPTURE_OPTIONS,
                                        {"config", required_argument, NULL, OPTION_CONFIG},
                                        {"check-config", no_argument, NULL, OPTION_CHECK},
                                        {"pid", required_argument, NULL, 'p'},
                                        {"cgroup", required_argument, NULL, 'g'},
                                        {"comm", required_argument, NULL, 'n'},
                                        {"exe", required_argument, NULL, 'e'},
                                        {"container", required_argument, NULL, 'd'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

static const char *const command_line_only[] = {"config", "check-config", "help", NULL};

/* What was asked for: a configuration of the capture, and what its strings and rules live in. */
struct asked {
	struct capture cap;
	struct selection selection;
	struct arena texts;
};

/* The command line; the file is read anew with each SIGHUP. */
struct call {
	int argc;
	char **argv;
	const char *file; /* NULL: there is none */
	bool check;
	bool given[OPTION_VALUES]; /* on the command line */
	struct asked *first;       /* what recording began with; what cannot change is of it */
	struct asked *last, *stale; /* the one that was asked for last, and before */
};

struct reading {
	const struct call *call;
	struct asked *to;
	bool again; /* it is not the first time */
};

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

/* Of the endpoints of spans; metrics have one of their own. */
static bool is_otlp(int opt)
{
	return opt >= OTLP_OPTION_URL && opt < OTLP_OPTION_END && opt != OTLP_OPTION_METRICS;
}

static bool rules_given(const struct call *call)
{
	for (int opt = 0; opt < OPTION_VALUES; opt++)
		if (call->given[opt] && rule_of(opt) >= 0)
			return true;
	return false;
}

/* False: wrong, and said. */
static bool take(struct asked *a, int opt)
{
	struct buf error = {0};
	bool ok = true;
	int code = 0;

	if (rule_of(opt) < 0)
		return capture_option(&cmd_record, opt, &a->cap, &code) || !code;
	if (!select_add(&a->selection, (enum select_by)rule_of(opt), optarg, &error)) {
		cmd_usage_error(&cmd_record, "%s", buf_str(&error));
		ok = false;
	}
	buf_release(&error);
	return ok;
}

static bool take_line(void *ctx, int opt)
{
	const struct reading *r = ctx;
	bool replaced = rule_of(opt) >= 0 ? rules_given(r->call)
			: is_otlp(opt)    ? r->call->given[OTLP_OPTION_URL]
					  : r->call->given[opt];

	return replaced || take(r->to, opt);
}

/* A header, user name and password of a URL, and the path of a webhook, as chat services give them. */
static bool holds_key(int opt, const char *value)
{
	bool is_url = opt == OTLP_OPTION_URL || opt == OTLP_OPTION_METRICS;

	return opt == OTLP_OPTION_HEADER || opt == METRICS_OPTION_WEBHOOK || (is_url && value && strchr(value, '@'));
}

/* Settings of endpoints without an endpoint of their own would be those of none. */
static int check_otlp(const struct call *call, const struct asked *a)
{
	if (!a->cap.out.n_endpoints || call->given[OTLP_OPTION_URL])
		return CMD_OK;
	for (int opt = OTLP_OPTION_URL; opt < OTLP_OPTION_END; opt++)
		if (is_otlp(opt) && call->given[opt])
			return cmd_usage_error(&cmd_record,
					       "--otlp-... on the command line is of an --otlp there: those of '%s' have settings of their own",
					       call->file);
	return CMD_OK;
}

static int read_file(const struct reading *r)
{
	const struct config config = {.cmd = &cmd_record,
				      .path = r->call->file,
				      .options = options,
				      .not_here = command_line_only,
				      .texts = &r->to->texts,
				      .take = take_line,
				      .secret = holds_key,
				      .ctx = (void *)(uintptr_t)r};
	int code = r->call->file ? config_read(&config) : CMD_OK;

	return code ? code : check_otlp(r->call, r->to);
}

/* A process that a rule named may have ended since: these rules are kept as they are. */
static int read_command_line(const struct reading *r)
{
	const struct call *call = r->call;
	int opt, code = CMD_OK;

	optind = 0; /* begin again: getopt(3), "Notes" */
	while ((opt = cmd_option(&cmd_record, call->argc, call->argv, "o:", options)) != -1)
		if (opt != OPTION_CONFIG && opt != OPTION_CHECK && !(r->again && rule_of(opt) >= 0) && !take(r->to, opt))
			code = CMD_USAGE;
	return code;
}

static void asked_free(struct asked *a)
{
	if (!a)
		return;
	select_release(&a->selection);
	arena_release(&a->cap.out.texts);
	buf_release(&a->cap.out.rules);
	arena_release(&a->texts);
	free(a);
}

/* What belongs to it. */
static int finish(struct asked *a)
{
	uid_t uid = cmd_user();
	const struct passwd *pw = getpwuid(uid);
	int code = capture_options_check(&cmd_record, &a->cap);

	if (code)
		return code;
	if (uid != getuid() && !pw)
		return cmd_usage_error(&cmd_record, "SUDO_UID is %u, but there is no such user",
		                       (unsigned)uid);
	if (!a->cap.out.sink.store_dir && uid == 0)
		a->cap.out.sink.store_dir = RECORD_STORE;
	return outputs_finish(&cmd_record, &a->cap.out, uid, uid == getuid() ? getgid() : pw->pw_gid);
}

/* All of the command line and the file. NULL: each error was said. */
static struct asked *ask(const struct call *call)
{
	struct asked *a = xcalloc(1, sizeof(*a));
	struct reading r = {call, a, call->first != NULL};
	int code;

	a->cap = (struct capture){
	    .out = {.sink = {.content = CONTENT_REDACTED, .tree_file = "", .retain_bytes = RETAIN_BYTES, .continuous = true}, .sample = {.share = 1}},
	    .llm_only = true};
	code = read_file(&r);
	code |= read_command_line(&r);
	if (code || finish(a)) {
		asked_free(a);
		return NULL;
	}
	a->cap.selection = r.again && rules_given(call) ? NULL : &a->selection;
	return a;
}

static const struct capture *ask_again(void *ctx)
{
	struct call *call = ctx;
	struct asked *next = ask(call);

	if (!next)
		return NULL;
	asked_free(call->stale);
	call->stale = call->last;
	call->last = next;
	return &next->cap;
}

static int run_call(struct call *call)
{
	struct buf lacks = {0};
	int code = CMD_USAGE;

	call->first = ask(call);
	if (call->check && call->first)
		printf("%s: OK\n", call->file ? call->file : "command line");
	if (call->check || !call->first)
		return call->first ? CMD_OK : CMD_USAGE;
	if (!features_capable(&lacks)) {
		code = cmd_failed(&cmd_record, "%s", buf_str(&lacks));
	} else {
		call->first->cap.again = call->file ? ask_again : NULL;
		call->first->cap.again_ctx = call;
		code = capture_record(&call->first->cap) ? CMD_FAILED : CMD_OK;
	}
	buf_release(&lacks);
	return code;
}

static int run(int argc, char **argv)
{
	static struct call call;
	int opt;

	call.argc = argc;
	call.argv = argv;
	while ((opt = cmd_option(&cmd_record, argc, argv, "o:", options)) != -1) {
		if (opt == CMD_OPTION_HELP || opt == CMD_OPTION_WRONG)
			return opt == CMD_OPTION_HELP ? CMD_OK : CMD_USAGE;
		if (opt == OPTION_CONFIG)
			call.file = optarg;
		call.check |= opt == OPTION_CHECK;
		call.given[opt] = true;
	}
	if (optind < argc)
		return cmd_usage_error(&cmd_record, "unexpected argument '%s'", argv[optind]);
	return run_call(&call);
}

const struct cmd cmd_record = {"record", "record processes that run already, a container, or the whole host",
                               usage, run};
