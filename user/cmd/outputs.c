/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "cmd/outputs.h"
#include "sink/resource.h"
#include "span/redact.h"
#include "span/rules.h"
#include "store/store.h"


static bool level(const struct cmd *cmd, enum content_level *ret, int *ret_code)
{
	int l = content_level_parse(slice_str(optarg));

	if (l < 0)
		*ret_code = cmd_usage_error(cmd, "'%s' is no content level: none, shape, redacted or full", optarg);
	else
		*ret = (enum content_level)l;
	return l >= 0;
}

static bool redact(const struct cmd *cmd, unsigned *ret, int *ret_code)
{
	struct slice wrong = {NULL, 0};
	bool ok = redact_words(slice_str(optarg), ret, &wrong);

	if (!ok)
		*ret_code = cmd_usage_error(cmd, "--redact knows email and card, not '%.*s'", (int)wrong.n, wrong.p);
	return ok;
}

static bool rule(const struct cmd *cmd, struct outputs *o, int *ret_code)
{
	size_t before = o->rules.n;
	struct buf error = {0};

	buf_addf(&o->rules, "%s\n", optarg);
	struct rules *r = rules_new(buf_slice(&o->rules), &error);
	if (!r) {
		*ret_code = cmd_usage_error(cmd, "%s", buf_str(&error));
		o->rules.n = before;
	}
	buf_release(&error);
	rules_free(r);
	return *ret_code == 0;
}

bool outputs_option(const struct cmd *cmd, int opt, struct outputs *o, int *ret_code)
{
	switch (opt) {
	case 'o':
		o->sink.tree_file = optarg;
		return true;
	case 's':
		o->sink.store_dir = optarg;
		return true;
	case 'c':
		return level(cmd, &o->sink.content, ret_code);
	case 'O':
		o->sink.otlp_file = optarg;
		return true;
	case 'C':
		o->otlp_content_given = true;
		return level(cmd, &o->sink.otlp_file_content, ret_code);
	case 'j':
		o->join_traces = true;
		return true;
	case 'M':
		return redact(cmd, &o->redact, ret_code);
	case OUTPUT_OPTION_RULE:
		return rule(cmd, o, ret_code);
	case 'v':
		o->verbose = true;
		return true;
	default:
		return otlp_option(cmd, opt, o, ret_code);
	}
}

static void read_line(const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, ret, size - 1) : 0;

	if (fd >= 0)
		close(fd);
	ret[n > 0 ? n : 0] = '\0';
}

/* H(machine-id, boot-id, capture start): no two captures have the same. */
static void make_instance(uint8_t ret[16])
{
	char machine[64], boot[64];
	uint64_t now = clock_boot_ns();

	read_line("/etc/machine-id", machine, sizeof(machine));
	read_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot));
	struct hash h = HASH(slice_str(machine), slice_str(boot), slice_of(&now, sizeof(now)));
	memcpy(ret, h.b, 16);
}

static void look_at_terminal(struct sink_conf *s)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
	bool tty = !s->tree_file && isatty(STDERR_FILENO);
	struct winsize w;

	s->color = tty && term && strcmp(term, "dumb") != 0 && !(no_color && *no_color);
	s->columns = tty && ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

int outputs_finish(const struct cmd *cmd, struct outputs *o, uid_t uid, gid_t gid)
{
	struct buf ignored = {0};

	o->uid = uid;
	o->gid = gid;
	int code = otlp_finish(cmd, o);
	if (code)
		return code;
	for (size_t i = 0; i < o->n_endpoints; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(o->endpoints[i].url, o->endpoints[k].url) == 0)
				return cmd_usage_error(cmd, "--otlp '%s' is given twice", o->endpoints[i].url);
	enum content_level shown = o->otlp_content_given ? o->sink.otlp_file_content : CONTENT_SHAPE;
	for (size_t i = 0; i < o->n_endpoints; i++)
		o->endpoints[i].content = shown < o->sink.content ? shown : o->sink.content;
	if (!o->otlp_content_given)
		o->sink.otlp_file_content = o->sink.content;
	if (o->sink.otlp_file_content > o->sink.content)
		return cmd_usage_error(cmd, "--otlp-content %s is above --content %s",
				       content_level_name(o->sink.otlp_file_content), content_level_name(o->sink.content));
	if (o->redact && o->sink.content == CONTENT_FULL)
		return cmd_usage_error(cmd, "--redact masks at --content redacted, full keeps what was said");
	if (!o->sink.store_dir) {
		struct buf dir = {0};

		if (store_default_dir(&dir, uid))
			return cmd_usage_error(cmd, "user %u has no home directory: give --store DIR", (unsigned)uid);
		o->sink.store_dir = arena_dup(&o->texts, buf_slice(&dir)).p;
		buf_release(&dir);
	}
	if (!resource_check(getenv("OTEL_RESOURCE_ATTRIBUTES"), &ignored))
		log_warn("%s", buf_str(&ignored));
	buf_release(&ignored);
	make_instance(o->sink.instance);
	look_at_terminal(&o->sink);
	log_verbose(o->verbose);
	return 0;
}
