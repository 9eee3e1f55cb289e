/* SPDX-License-Identifier: Apache-2.0 */
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/target_report.h"
#include "probe/attach.h"
#include "probe/places.h"
#include "probe/features.h"
#include "target/unsupported.h"

static const char usage[] =
    "usage: spantap doctor [--exe FILE [--json]]\n"
    "\n"
    "Says what this kernel and this user can do, which TLS libraries were found, what would\n"
    "not work, and why. Exit code 0: 'spantap run' works here; 1: it does not.\n"
    "\n"
    "  --exe FILE   what was found in this program or library, and where probes would go;\n"
    "               exit code 1: no TLS library that is known\n"
    "  --json       that as an object\n";

static const struct option options[] = {{"exe", required_argument, NULL, 'e'},
                                        {"json", no_argument, NULL, 'j'},
                                        {"help", no_argument, NULL, 'h'},
                                        {NULL, 0, NULL, 0}};

static bool report_feature(struct buf *out, const struct feature *f)
{
	struct buf detail = {0};
	int have = f->probe(&detail);

	buf_addf(out, "  %-4s %s", have == 1 ? "ok" : f->need == FEATURE_REQUIRED ? "FAIL" : "less", f->name);
	if (f->since)
		buf_addf(out, "  (Linux %s)", f->since);
	buf_addc(out, '\n');
	if (have != 1 && detail.n) {
		buf_adds(out, "         ");
		text_escape(out, buf_slice(&detail));
		buf_addc(out, '\n');
	}
	if (have != 1)
		buf_addf(out, "         %s\n", f->without);
	buf_release(&detail);
	return have == 1 || f->need == FEATURE_OPTIONAL;
}

static void report_library(void *ctx, const char *path, const struct target *t)
{
	target_report_line(ctx, path, t);
}

static void report_unsupported(struct buf *out)
{
	const char *last = "";

	buf_adds(out, "TLS that is not captured\n");
	for (const struct unsupported *u = unsupported; u->what; u++) {
		if (strcmp(u->what, last) != 0)
			buf_addf(out, "  %s\n         %s\n", u->what, u->why);
		last = u->what;
	}
}

static int report_file(const char *path, bool json)
{
	struct attacher *a = attacher_new(NULL);
	struct buf out = {0};
	struct target t;

	attacher_inspect(a, path, &t);
	attacher_free(a);
	if (json) {
		yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);

		json_write(&out, d, target_report_json(d, path, &t));
	} else {
		target_report(&out, path, &t);
	}
	int code = cmd_output(&cmd_doctor, &out);
	buf_release(&out);
	return code ? code : t.lib ? CMD_OK : CMD_FAILED;
}

static int run(int argc, char **argv)
{
	struct buf out = {0};
	struct utsname u;
	const char *exe = NULL;
	bool ok = true, json = false;
	int c;

	while ((c = cmd_option(&cmd_doctor, argc, argv, "", options)) != -1) {
		switch (c) {
		case 'e':
			exe = optarg;
			break;
		case 'j':
			json = true;
			break;
		case CMD_OPTION_HELP:
			return CMD_OK;
		default:
			return CMD_USAGE;
		}
	}
	if (optind < argc)
		return cmd_usage_error(&cmd_doctor, "unexpected argument '%s'", argv[optind]);
	if (json && !exe)
		return cmd_usage_error(&cmd_doctor, "--json needs --exe");
	if (exe)
		return report_file(exe, json);
	uname(&u);
	buf_addf(&out, "kernel %s %s\n", u.release, u.machine);
	for (const struct feature *f = features; f->name; f++)
		ok &= report_feature(&out, f);
	buf_adds(&out, "TLS libraries\n");
	size_t before = out.n;
	places_report(report_library, &out);
	if (out.n == before)
		buf_adds(
		    &out,
		    "  none in the usual places; programs that bring their own are found when they run\n");
	report_unsupported(&out);
	buf_addf(&out, "%s\n",
	         ok ? "spantap run works here" : "spantap run does not work here, see FAIL above");
	int code = cmd_output(&cmd_doctor, &out);
	buf_release(&out);
	return code ? code : ok ? CMD_OK : CMD_FAILED;
}

const struct cmd cmd_doctor = {"doctor", "say what works on this host, and why not", usage, run};
