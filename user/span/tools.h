/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.h - tool calls between the answer that asks for them and the request
 * that brings their results.
 *
 *   asked     the response that holds the call has ended
 *   started   the first process, MCP or HTTP request or sub-agent that hangs directly below the call
 *   ended     the exit of the last such process or the answer of the last such request, else answered
 *   answered  the request that carries the result began
 *
 * A process belongs to a call when a string among the call's arguments stands
 * in the process's argv: agents hand `command` to a shell, alone or within a
 * script of their own (a snapshot to source, traps), as it is or quoted for
 * `eval`, and behind wrappers (timeout, a sandbox), which all leave its text in
 * one argument.  How it is quoted differs (\' '\'' '"'"' \"), so what is quoting to
 * some shell is left out on both sides.  A new conversation of the same process whose prompt holds such
 * a string is a sub-agent's, begun by the call.
 */
#ifndef SPANTAP_TOOLS_H
#define SPANTAP_TOOLS_H

#include "span/content.h"
#include "span/processes.h"

#define TOOLS_MAX        8192         /* open calls; then the least active conversation is closed */
#define TOOLS_BYTES_MAX  (256u << 20) /* of what they hold */
#define TOOL_STRINGS_MAX 16   /* argument strings that are looked for in argv, the longest first found */
#define TOOL_STRING_MAX  8192 /* bytes of one, the first ones: argv holds no more than EV_ARGV_MAX */

struct turn;

struct tool {
	struct span_id id, chat; /* chat: the call whose answer asks for it */
	struct turn *turn;
	struct process *agent;
	struct slice call_id, name;                                     /* as on the wire */
	struct slice arguments;                                         /* as the span shows them */
	struct slice label;                                             /* the name, cleaned */
	struct slice shown_id;                                          /* the call id, cleaned */
	struct slice description;                                       /* as its definition has it, where shown */
	struct slice strings[TOOL_STRINGS_MAX], bare[TOOL_STRINGS_MAX]; /* bare: without quoting */
	size_t n_strings;
	struct link arguments_link;
	uint64_t streamed; /* the response had begun: an agent may start a tool before it ends */
	uint64_t asked, started, ended, answered;
	unsigned running;              /* direct processes that have not ended */
	bool claimed;                  /* a process was matched to it that has no matched process above */
	unsigned requests;             /* MCP and HTTP requests made for it, not by a process of its own */
	bool delegated;                /* a sub-agent was begun by it */
	const struct llm_part *result; /* only while it is being answered */
	const char *damaged;           /* static text: why what is known of it may be wrong; NULL: nothing */
	uint64_t masks, lost_seen;
	struct arena arena;

	TAILQ_ENTRY(tool) in_turn, in_agent;
	struct tool *next_same_id;
};

/* The references are taken; lists are the caller's. */
struct tool *tool_new(struct content *c, struct turn *turn, struct process *agent,
                      const struct llm_part *part);
void tool_free(struct tool *t);
/*
 * How many bytes of the call's arguments stand in the texts, argv or a prompt;
 * 0: no evidence.  bare: the texts without quoting; NULL: there is none in them.
 */
size_t tool_match(const struct tool *t, const struct slice *texts, const struct slice *bare, size_t n);

#endif
