/* SPDX-License-Identifier: Apache-2.0 */
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "probe/attach.h"
#include "probe/discover.h"
#include "probe/features.h"

static const char usage[] = "usage: spantap doctor\n"
			    "\n"
			    "Says what this kernel and this user can do, which TLS libraries were found, what would\n"
			    "not work, and why. Exit code 0: 'spantap run' works here; 1: it does not.\n";

static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};

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

/* Whether each read and write costs the traced process one trap or a single step more (target/site.h). */
static const char *site_words(const struct target *t)
{
	if (target_is_slow(t))
		return "slow site: the function's first instruction is single-stepped";
	return t->internal ? "fast site in the function that SSL_write and SSL_write_ex share"
			   : "fast site at the function's start";
}

static void report_library(void *ctx, const char *path, const struct target *t)
{
	struct buf *out = ctx;

	if (t->err)
		buf_addf(out, "  FAIL %s: %s\n", path, strerror(-t->err));
	else if (t->lib)
		buf_addf(out, "  ok   %s  %s, %s%s\n", path,
			 t->lib == EV_LIB_OPENSSL ? "OpenSSL" : "BoringSSL or an old OpenSSL", site_words(t),
			 t->offset[TARGET_FREE] ? "" : "; no SSL_free: connections end with their process");
}

static int run(int argc, char **argv)
{
	struct buf out = {0};
	struct utsname u;
	bool ok = true;

	switch (cmd_option(&cmd_doctor, argc, argv, "h", options)) {
	case -1:
		break;
	case CMD_OPTION_HELP:
		return CMD_OK;
	default:
		return CMD_USAGE;
	}
	uname(&u);
	buf_addf(&out, "kernel %s %s\n", u.release, u.machine);
	for (const struct feature *f = features; f->name; f++)
		ok &= report_feature(&out, f);
	buf_adds(&out, "TLS libraries\n");
	size_t before = out.n;
	discover_libraries(report_library, &out);
	if (out.n == before)
		buf_adds(&out, "  none in the usual places; programs that bring their own are found when they run\n");
	buf_addf(&out, "%s\n", ok ? "spantap run works here" : "spantap run does not work here, see FAIL above");
	int code = cmd_output(&cmd_doctor, &out);
	buf_release(&out);
	return code ? code : ok ? CMD_OK : CMD_FAILED;
}

const struct cmd cmd_doctor = {"doctor", "say what works on this host, and why not", usage, run};
