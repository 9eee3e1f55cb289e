/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp_place.c - MCP requests, and which tool call each is made for.
 *
 * An agent offers its model the tools of MCP servers under names of its own,
 * which end with the server's name for the tool (mcp__files__read, files.read),
 * and hands on the arguments as they are.  So a request whose tool and
 * arguments are those of an open call is made for it.  What matches no call
 * belongs to the turn of its process, or of the nearest agent above it.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/mcp.h"
#include "span/assembler.h"

#define SLICES 17 /* of a request */

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool same_name(struct slice called, struct slice tool)
{
	if (!tool.n || !slice_ends(called, tool))
		return false;
	return called.n == tool.n || !is_alnum(called.p[called.n - tool.n - 1]);
}

static bool may_ask(const struct tool *t, const struct mcp_request *m)
{
	uint64_t from = t->streamed ? t->streamed : t->asked;

	return from <= m->request_start && (!t->answered || t->answered >= m->request_start) &&
	       same_name(t->name, m->tool);
}

struct match {
	struct tool *tool;
	bool same_arguments, shared;
};

/* Of several: the same arguments, then one that no request was made for, then the earlier. */
static struct match find_call(struct spans *sp, struct process *agent, const struct mcp_request *m)
{
	struct link arguments = arguments_link(&sp->heads.key, m->arguments);
	struct match best = {0};
	unsigned looked_at = 0;
	struct tool *t;

	TAILQ_FOREACH_REVERSE(t, &agent->tools, tool_list, in_agent)
	{
		if (++looked_at > CANDIDATES_MAX)
			break;
		if (!may_ask(t, m))
			continue;

		bool same = link_eq(t->arguments_link, arguments);
		if (best.tool && best.same_arguments && !same)
			continue;
		best.shared = best.tool && same == best.same_arguments;
		if (!best.tool || same != best.same_arguments || t->requests <= best.tool->requests)
			best.tool = t;
		best.same_arguments = same;
	}
	return best;
}

static struct link_reason reason(const struct match *match)
{
	if (!match->same_arguments)
		return (struct link_reason){match->shared ? "mcp_tool_shared" : "mcp_tool",
		                            match->shared ? 0.4 : 0.7};
	return match->shared ? (struct link_reason){"mcp_arguments_shared", 0.5}
	                     : (struct link_reason){"mcp_arguments", 0.95};
}

static struct mcp_place in_call(struct tool *t, const struct mcp_request *m, struct link_reason why)
{
	t->requests++;
	t->started = t->started && t->started < m->request_start ? t->started : m->request_start;
	t->ended = t->ended > m->end ? t->ended : m->end;
	return (struct mcp_place){.conversation = t->turn->conversation,
	                          .trace = t->turn->trace,
	                          .parent = t->id,
	                          .why = why,
	                          .in_tool = true};
}

/* Below the turn that was open when the request was made. */
static struct mcp_place in_turn(const struct conversation *c, uint64_t ts, struct link_reason why)
{
	struct mcp_place place = {.conversation = c, .trace = c->trace, .parent = c->root, .why = why};
	struct turn *t;

	TAILQ_FOREACH(t, &c->turns, in_conversation)
	{
		if (t->start > ts)
			continue;
		place.trace = t->trace;
		place.parent = t->id;
	}
	return place;
}

static struct mcp_place mcp_place(struct spans *sp, const struct mcp_request *m)
{
	struct process *p = process_find(&sp->processes, &m->conn.id.proc), *agent = process_agent(p);
	struct match match = agent ? find_call(sp, agent, m) : (struct match){0};
	struct conversation *c = agent ? agents_conversation(sp, agent, m->request_start) : NULL;
	struct span_id own = id_mcp(sp->conf.instance, m);

	if (match.tool)
		return in_call(match.tool, m, reason(&match));
	if (c && m->request_start < c->start)
		return (struct mcp_place){.conversation = c,
		                          .trace = c->trace,
		                          .parent = c->root,
		                          .why = {"before_first_call", 0.5}};
	if (!c)
		return (struct mcp_place){.trace = id_trace(&own)};
	return in_turn(c, m->request_start, (struct link_reason){p == agent ? "process" : "lineage", 0.5});
}

/* ---- until it is their time ---- */

/* A request and its slices' bytes. */
struct mcp_record {
	struct ev_head head;
	struct mcp_request request;
	char bytes[];
};

/* Every slice of a request that is kept. */
static void mcp_slices(struct mcp_request *m, struct slice *ret[static SLICES])
{
	struct slice *all[] = {&m->server_address, &m->user_agent,     &m->session_id,  &m->protocol_version,
	                       &m->server_name,    &m->server_version, &m->client_name, &m->id,
	                       &m->method,         &m->tool,           &m->prompt,      &m->resource_uri,
	                       &m->arguments,      &m->traceparent,    &m->result,      &m->error_code,
	                       &m->error_message};

	_Static_assert(sizeof(all) == SLICES * sizeof(all[0]), "SLICES");
	memcpy(ret, all, sizeof(all));
}

/* A copy that refers to its own bytes; it may be moved as long as its slices are set anew. */
static struct mcp_record *mcp_copy(const struct mcp_request *m, size_t *ret_size)
{
	struct mcp_request from = *m;
	struct slice *v[SLICES];
	size_t size = sizeof(struct mcp_record);

	mcp_slices(&from, v);
	for (size_t i = 0; i < SLICES; i++)
		size += v[i]->n;
	struct mcp_record *rec = xcalloc(1, size);
	char *at = rec->bytes;
	rec->head = (struct ev_head){.ts = m->end ? m->end : m->request_start};
	rec->request = *m;
	for (size_t i = 0; i < SLICES; i++) {
		memcpy(at, v[i]->n ? v[i]->p : "", v[i]->n);
		at += v[i]->n;
	}
	*ret_size = size;
	return rec;
}

/* Its slices refer to its own bytes, wherever it was moved. */
static void point(struct mcp_record *rec)
{
	struct slice *v[SLICES];
	const char *at = rec->bytes;

	mcp_slices(&rec->request, v);
	for (size_t i = 0; i < SLICES; i++) {
		v[i]->p = v[i]->p ? at : NULL;
		at += v[i]->n;
	}
}

void mcp_keep(struct spans *sp, const struct mcp_request *m)
{
	size_t size;
	struct mcp_record *rec = mcp_copy(m, &size);

	reorder_record(&sp->reorder, HAPPENS_MCP, &rec->head, size);
	free(rec);
}

/* A request of a process that has made no call yet, waiting for one. */
struct early {
	struct mcp_record *rec;
	size_t size;
	TAILQ_ENTRY(early) next;
};

static void emit(struct spans *sp, const struct mcp_record *rec)
{
	struct mcp_place place = mcp_place(sp, &rec->request);

	emit_mcp(sp, &rec->request, &place);
}

static void early_end(struct spans *sp, struct early *e)
{
	emit(sp, e->rec);
	TAILQ_REMOVE(&sp->early, e, next);
	sp->n_early--;
	sp->early_bytes -= e->size;
	free(e->rec);
	free(e);
}

static bool has_conversation(struct spans *sp, struct process *p)
{
	struct process *agent = process_agent(p);

	return agent && open_conversation(sp, agent->conversation);
}

/* What a client asks before there is a conversation; servers may never have one. */
static bool is_early(struct spans *sp, const struct mcp_request *m)
{
	return !m->is_server && !has_conversation(sp, process_find(&sp->processes, &m->conn.id.proc));
}

static void early_keep(struct spans *sp, const struct mcp_record *rec)
{
	struct early *e = xcalloc(1, sizeof(*e));

	e->rec = mcp_copy(&rec->request, &e->size);
	point(e->rec);
	TAILQ_INSERT_TAIL(&sp->early, e, next);
	sp->n_early++;
	sp->early_bytes += e->size;
	while (sp->n_early > EARLY_MAX || sp->early_bytes > EARLY_BYTES_MAX)
		early_end(sp, TAILQ_FIRST(&sp->early));
}

void mcp_take(struct spans *sp, struct ev_head *record)
{
	struct mcp_record *rec = (struct mcp_record *)(void *)record;

	point(rec);
	enter_process(sp, &rec->request.conn.id.proc, rec->head.ts);
	if (is_early(sp, &rec->request))
		early_keep(sp, rec);
	else
		emit(sp, rec);
}

void mcp_adopt(struct spans *sp, struct process *agent)
{
	struct early *e, *next;

	for (e = TAILQ_FIRST(&sp->early); e; e = next) {
		next = TAILQ_NEXT(e, next);
		if (process_agent(process_find(&sp->processes, &e->rec->request.conn.id.proc)) == agent)
			early_end(sp, e);
	}
}

void mcp_tick(struct spans *sp, uint64_t now, bool all)
{
	struct early *e;

	while ((e = TAILQ_FIRST(&sp->early)) && (all || e->rec->head.ts + EARLY_WAIT < now))
		early_end(sp, e);
}
