/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.h - what stats and cost sum up by, and which spans.
 *
 * By model or host, calls are counted; by tool, tools; else all.
 */
#ifndef SPANTAP_GROUP_H
#define SPANTAP_GROUP_H

#include "base/arena.h"
#include "base/map.h"
#include "cmd/cmd.h"
#include "store/figures.h"

enum group_by { GROUP_ALL, GROUP_DAY, GROUP_MODEL, GROUP_AGENT, GROUP_HOST, GROUP_CONVERSATION, GROUP_TOOL };

struct group_options {
	const char *store;
	enum cmd_format format;
	enum group_by by;
	uint64_t since, until; /* ns since the epoch */
};

#define GROUP_USAGE                                                                                          \
	"  --since T    calls that began at T or later; --until T: before T.  T is a day (2026-11-25),\n"    \
	"               a time (2026-11-25T14:30, local; with Z: UTC), or an age (30m, 12h, 7d)\n"           \
	"  --store DIR  the store to read (default: " CMD_STORE_DEFAULT ")\n"

/* Reads the options; `tools`: whether --by tool is one. 0, CMD_OPTION_HELP or CMD_OPTION_WRONG or CMD_USAGE.
 */
int group_parse(const struct cmd *cmd, int argc, char **argv, bool tools, struct group_options *o);

/* "day", "model", …; "total" for GROUP_ALL. */
const char *group_name(enum group_by by);

/*
 * Appends the name of the group that `f` belongs to, as in traffic; nothing
 * when it is not known.  False: the figure is not counted by this.
 */
bool group_of(struct buf *out, enum group_by by, const struct store_figure *f);

/*
 * Groups by name.  Each begins with `struct group`; its size is that of new
 * elements, zero-filled.
 */
struct group {
	struct slice name; /* empty: not known */
	uint64_t spans;    /* counted into it; the caller does */
};

struct groups {
	struct map map;
	struct arena arena;
	struct group **v;
	size_t n, cap;
	size_t size; /* of an element */
};

void *groups_get(struct groups *g, struct slice name);
/* Days in their order, others by how many spans they hold. */
void groups_sort(struct groups *g, enum group_by by);
void groups_release(struct groups *g);

#endif
