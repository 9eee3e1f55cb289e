/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"
#include "cmd/group.h"
#include "cmd/when.h"

static const char *const names[] = {
    [GROUP_ALL] = "total",   [GROUP_DAY] = "day",   [GROUP_MODEL] = "model",
    [GROUP_AGENT] = "agent", [GROUP_HOST] = "host", [GROUP_CONVERSATION] = "conversation",
    [GROUP_TOOL] = "tool",
};

const char *group_name(enum group_by by)
{
	return names[by];
}

static bool parse_by(const char *s, bool tools, enum group_by *ret)
{
	for (int i = GROUP_DAY; i <= (tools ? GROUP_TOOL : GROUP_CONVERSATION); i++)
		if (strcmp(s, names[i]) == 0) {
			*ret = (enum group_by)i;
			return true;
		}
	return false;
}

static int parse_one(const struct cmd *cmd, int c, bool tools, struct group_options *o)
{
	switch (c) {
	case 's':
		o->store = optarg;
		return 0;
	case 'j':
		o->format = CMD_JSON;
		return 0;
	case 't':
		o->format = CMD_TSV;
		return 0;
	case 'b':
		if (parse_by(optarg, tools, &o->by))
			return 0;
		return cmd_usage_error(cmd, "'%s' is nothing to group by: day, model, agent, host, %s",
		                       optarg, tools ? "conversation or tool" : "or conversation");
	default:
		if (when_parse(optarg, clock_wall_ns(), c == 'S' ? &o->since : &o->until))
			return 0;
		return cmd_usage_error(cmd, "'%s' is no time: 2026-11-25, 2026-11-25T14:30 or 7d", optarg);
	}
}

int group_parse(const struct cmd *cmd, int argc, char **argv, bool tools, struct group_options *o)
{
	static const struct option longs[] = {
	    {"by", required_argument, NULL, 'b'},
	    {"since", required_argument, NULL, 'S'},
	    {"until", required_argument, NULL, 'U'},
	    {"store", required_argument, NULL, 's'},
	    {"json", no_argument, NULL, 'j'},
	    {"tsv", no_argument, NULL, 't'},
	    {0},
	};
	int c, r = 0;

	*o = (struct group_options){.until = UINT64_MAX};
	while (r == 0 && (c = cmd_option(cmd, argc, argv, "", longs)) != -1)
		r = c == CMD_OPTION_HELP || c == CMD_OPTION_WRONG ? c : parse_one(cmd, c, tools, o);
	if (r == 0 && optind < argc)
		r = cmd_usage_error(cmd, "unexpected argument '%s'", argv[optind]);
	if (r == 0 && o->since >= o->until)
		r = cmd_usage_error(cmd, "--since is not before --until");
	return r;
}

static void add_day(struct buf *out, uint64_t wall_ns)
{
	time_t t = (time_t)(wall_ns / 1000000000);
	struct tm tm;
	char s[32];

	if (wall_ns && localtime_r(&t, &tm) && strftime(s, sizeof(s), "%Y-%m-%d", &tm))
		buf_adds(out, s);
}

bool group_of(struct buf *out, enum group_by by, const struct store_figure *f)
{
	switch (by) {
	case GROUP_ALL:
		return true;
	case GROUP_DAY:
		add_day(out, f->start_wall);
		return true;
	case GROUP_AGENT:
		buf_addslice(out, f->agent.n ? f->agent : f->command);
		return true;
	case GROUP_CONVERSATION:
		text_hex(out, f->trace, sizeof(f->trace));
		return true;
	case GROUP_MODEL:
		buf_addslice(out, f->model);
		return f->kind == SPAN_CHAT;
	case GROUP_HOST:
		buf_addslice(out, f->host);
		return f->kind == SPAN_CHAT;
	case GROUP_TOOL:
		buf_addslice(out, f->tool);
		return f->kind == SPAN_TOOL;
	}
	return false;
}

void *groups_get(struct groups *g, struct slice name)
{
	struct group *found = map_get(&g->map, name.p, name.n);

	if (found)
		return found;
	found = arena_alloc(&g->arena, g->size);
	found->name = arena_dup(&g->arena, name);
	map_put(&g->map, name.p, name.n, found);
	xgrow(&g->v, &g->cap, g->n + 1, sizeof(struct group *));
	g->v[g->n++] = found;
	return found;
}

static int by_name(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
	size_t n = x->name.n < y->name.n ? x->name.n : y->name.n;
	int r = n ? memcmp(x->name.p, y->name.p, n) : 0;

	return r ? r : (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

static int by_spans(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;

	return x->spans == y->spans ? by_name(a, b) : x->spans < y->spans ? 1 : -1;
}

void groups_sort(struct groups *g, enum group_by by)
{
	if (g->n)
		qsort(g->v, g->n, sizeof(struct group *), by == GROUP_DAY ? by_name : by_spans);
}

void groups_release(struct groups *g)
{
	map_release(&g->map);
	arena_release(&g->arena);
	free(g->v);
}
