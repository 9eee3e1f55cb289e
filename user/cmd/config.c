/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf.h"
#include "base/text.h"
#include "cmd/config.h"

struct reading {
	const struct config *c;
	bool open; /* everybody may read the file */
	bool wrong, told_open;
};

/* FILE:LINE: KEY, while an option is looked at. */
static void set_place(const struct reading *r, unsigned line, struct slice key, struct buf *place)
{
	text_escape(place, slice_str(r->c->path));
	if (line)
		buf_addf(place, ":%u", line);
	if (key.n)
		buf_adds(place, ": ");
	text_escape(place, key);
	cmd_place(buf_str(place));
}

static void say(struct reading *r, unsigned line, struct slice key, const char *what)
{
	struct buf place = {0};

	r->wrong = true;
	set_place(r, line, key, &place);
	cmd_usage_error(r->c->cmd, "%s", what);
	cmd_place(NULL);
	buf_release(&place);
}

static const struct option *find(const struct config *c, struct slice key)
{
	for (const struct option *o = c->options; o->name; o++)
		if (slice_eq(key, slice_str(o->name)))
			return o;
	return NULL;
}

static bool is_one_of(struct slice word, const char *const *words)
{
	for (; *words; words++)
		if (slice_caseeq(word, slice_str(*words)))
			return true;
	return false;
}

/* What is wrong with the form of the line, NULL: nothing. *ret_take: it says something. */
static const char *check_form(const struct config *c, const struct option *o, struct slice key,
                              struct slice value, bool *ret_take)
{
	static const char *const yes[] = {"yes", "true", "on", "1", NULL}, *const no[] = {"no", "false",
	                                                                                  "off", "0", NULL};

	*ret_take = true;
	if (is_one_of(key, c->not_here))
		return "belongs on the command line: take it out of the file";
	if (!o)
		return "unknown key: the keys are the long names of the options, without --";
	if (o->has_arg == required_argument)
		return value.p ? NULL : "needs a value: write KEY = VALUE";
	if (!value.p || is_one_of(value, yes))
		return NULL;
	*ret_take = false;
	return is_one_of(value, no) ? NULL : "is yes or no";
}

static void on_entry(void *ctx, unsigned line, struct slice key, struct slice value)
{
	struct reading *r = ctx;
	const struct config *c = r->c;
	const struct option *o = find(c, key);
	struct buf place = {0};
	bool take;
	const char *what = check_form(c, o, key, value, &take);

	if (what) {
		say(r, line, key, what);
		return;
	}
	if (!take)
		return;
	optarg = (char *)(uintptr_t)arena_dup(c->texts, value).p;
	set_place(r, line, key, &place);
	r->wrong |= !c->take(c->ctx, o->val);
	cmd_place(NULL);
	buf_release(&place);
	if (r->open && !r->told_open && c->secret && c->secret(o->val, optarg)) {
		r->told_open = true;
		say(r, line, key,
		    "holds a key, but everybody may read the file: chmod o-r, or put the key into a file of "
		    "its own");
	}
}

static void on_error(void *ctx, unsigned line, const char *what)
{
	say(ctx, line, (struct slice){NULL, 0}, what);
}

int config_read(const struct config *c)
{
	static const struct conf_events events = {on_entry, on_error};
	struct reading r = {.c = c};
	struct buf text = {0}, error = {0};

	if (conf_read(c->path, cmd_user(), &text, &r.open, &error)) {
		cmd_usage_error(c->cmd, "%s", buf_str(&error));
		r.wrong = true;
	} else {
		conf_parse(buf_slice(&text), &events, &r);
	}
	buf_release(&text);
	buf_release(&error);
	return r.wrong ? CMD_USAGE : CMD_OK;
}
