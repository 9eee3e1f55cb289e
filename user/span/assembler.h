/* SPDX-License-Identifier: Apache-2.0 */
/*
 * assembler.h - the state that these files share:
 *
 *   spans.c    what happens, in the order of its time stamps: calls and processes
 *              come and go
 *   turns.c    conversations and turns begin and end
 *   join.c     turns in the trace of an instrumented client
 *   locate.c   which conversation a call belongs to
 *   compacted.c  a conversation whose history was replaced by a summary
 *   relay.c    one call that is seen several times
 *   side.c     calls that serve a conversation without being part of it
 *   heads.c    what is remembered of conversations, kept outside
 *   answers.c  tool calls: asked by an answer, answered by a later request
 *   place.c    where the runs of processes hang, decided when a tool is answered
 *              or a turn ends, because only then all candidates are known
 *   mcp_place.c  where MCP requests hang
 *   http_place.c  which HTTP requests are a tool's, and where they hang
 *   emit*.c    final spans, built and handed downstream
 */
#ifndef SPANTAP_ASSEMBLER_H
#define SPANTAP_ASSEMBLER_H

#include "span/conversation.h"
#include "span/reorder.h"

#define HELD_MAX       10000 /* runs without a parent span; beyond it the oldest is placed with what is known */
#define HELD_BYTES_MAX (64u << 20) /* of their argv */

#define ORPHANS_MAX       4096        /* runs with no agent above them yet; then the oldest is given up */
#define ORPHANS_BYTES_MAX (16u << 20) /* of their argv */

#define EARLY_BYTES_MAX (16u << 20)
#define EARLY_MAX       256            /* MCP requests of processes that have made no call yet */
#define EARLY_WAIT      60000000000ull /* ns until such a request is taken to belong to no conversation */

#define GONE_MAX 4096          /* processes that have ended whose requests may still be on their way */
#define GONE_NS  3000000000ull /* for so long: longer than a connection waits for its last bytes (stream.h) */

#define CANDIDATES_MAX 64 /* open tool calls of an agent that are considered for a run, the latest ones */

#define CONN_FLIGHTS_MAX 256 /* latest calls of which one may be on a connection that has just begun */

/* Where the arguments of open tool calls are looked for in the prompt of a new conversation. */
#define PROMPT_TEXTS_MAX 4     /* the latest ones */
#define PROMPT_BYTES_MAX 16384 /* of each, twice the longest argument: searching hostile ones takes time */
#define PROMPT_MATCH_MIN 12    /* bytes: a short argument stands in many a prompt by chance */

/* A call between begin() and end(). */
struct flight {
	struct llm_call *call;
	struct process *process;
	struct conversation *conversation; /* NULL: not found yet */
	struct turn *turn;
	struct span_id chat;
	struct span_id continues; /* the call whose messages it repeats; zero: none, or not known */
	uint64_t begun;           /* where its begin stands among what happens */
	struct chain chain;
	const char *kind;  /* spantap.call.kind */
	bool aside;        /* it belongs to a conversation without being part of what is said */
	bool relay, ended; /* relay: another sight of one call (relay.h); ended: with `up`, or parked */
	struct flight *up; /* the call above a relayed one, while it is on its way */
	struct span_id above;
	struct flight_list relays;
	unsigned n_relays;
	bool side;               /* it may be a side call (side.h) */
	struct link system, tip; /* tip: while it is parked, of the chain with its answer */
	size_t tip_at;           /* parts of that; 0: no answer */
	struct link_reason why;
	struct arena arena;
	LIST_ENTRY(flight) in_conversation;
	LIST_ENTRY(flight) in_all;
	LIST_ENTRY(flight) in_relays;
	TAILQ_ENTRY(flight) parked;
};

struct spans {
	struct span_conf conf;
	const struct span_events *ev;
	void *ctx;
	struct content content;
	struct reorder reorder;
	struct processes processes;
	struct heads heads;
	struct map by_serial; /* open conversations */
	TAILQ_HEAD(gone_list, gone) gone; /* in order of their end */
	size_t n_gone;
	struct conversation_list lru;
	TAILQ_HEAD(, flight) sides; /* parked, the oldest first */
	size_t n_sides, side_bytes;
	struct map joins; /* by the trace id that spans say; see join.h */
	TAILQ_HEAD(, join) join_list;
	size_t join_bytes;
	struct map tool_ids; /* call id → open tools, chained by next_same_id */
	struct flight_list flights;
	struct run_list held, running, orphans;
	TAILQ_HEAD(, early) early; /* MCP requests, the oldest first */
	size_t n_early, early_bytes, n_orphans, orphan_bytes;
	uint64_t serial, life_lost, now;
	size_t n_tools, tool_bytes, held_bytes;
	bool finished, pressed;
	struct span_stats stats;
};

static inline uint64_t flight_start(const struct flight *f)
{
	return f->call->request_start ? f->call->request_start : f->call->end;
}

/* spans.c: the process, entered when it was not known; one that its id shows to be gone is ended. */
struct process *enter_process(struct spans *sp, const struct ev_proc *id, uint64_t ts);

/* locate.c */
struct found {
	bool any, retry, again; /* again: retry, what was only prepared is asked now, or the turn goes on */
	bool aside;             /* a side call */
	struct owner owner;
	size_t at; /* parts of the chain that speak for it */
	struct link_reason why;
};

/* turns.c */
struct conversation *conversation_new(struct spans *sp, const struct flight *f, const struct owner *before);
/* Ends a conversation. Only at the end of the capture are there calls on their way. */
void conversation_close(struct spans *sp, struct conversation *c, uint64_t now);
struct turn *turn_new(struct spans *sp, struct conversation *c, const struct flight *f);
/* The next turn begins: this one is closed with its last call. */
void turn_leave(struct spans *sp, struct turn *t, uint64_t now);
void turn_close(struct spans *sp, struct turn *t, uint64_t now);
/* Closes the least active conversations without calls on their way until the limits are kept. */
void keep_limits(struct spans *sp, uint64_t now);
/* The agent by how its user agent begins; NULL: none that is known. */
const char *agent_of(const struct llm_call *call);
/* spans.c: an ended call that has joined is handed downstream and gone. */
void call_finish(struct spans *sp, struct flight *f);
/* spans.c: an ended call goes to this conversation, NULL: to one of its own; it is handed downstream and
 * gone. */
void call_settle(struct spans *sp, struct flight *f, struct conversation *c, const struct found *why);

/* `ended`: the call has ended, so the answer that it continues is no longer on its way. */
/* A call that says nothing in a conversation: it embeds, retrieves, judges, draws. */
bool is_aside(const struct llm_call *call);
/* Preparation: no attempt at an answer. */
bool is_preparation(const struct llm_call *call);
struct found find_conversation(struct spans *sp, const struct flight *f, bool ended);
struct conversation *open_conversation(struct spans *sp, uint64_t serial); /* NULL when it is closed */
/* The latest of an agent; of what began before its sub-agent did, the one that the sub-agent works for. */
struct conversation *agents_conversation(struct spans *sp, const struct process *agent, uint64_t began);
/* The open tool call of the same process that holds what this new conversation is told; NULL: none. */
struct tool *find_task(const struct flight *f);
struct owner owner_of(const struct conversation *c, struct span_id chat);

/* compacted.c: a conversation whose history was replaced by a summary. */
struct found find_compacted(struct spans *sp, const struct flight *f);

/* heads.c: hands a head downstream; asks for those of a call that nobody here knows. */
void heads_give(struct spans *sp, struct link at, const struct owner *o);
void heads_want(struct spans *sp, const struct flight *f);

/* answers.c */
/* Opens the tool calls of the answer; returns whether there are any. */
bool ask_tools(struct spans *sp, const struct flight *f);
/* The results that this request carries. Returns whether there was an open call for one. */
bool answer_tools(struct spans *sp, struct conversation *c, const struct flight *f);
/* An answer may come late: the next request may have begun before this one's last byte. */
void answer_from_flights(struct spans *sp, struct conversation *c);
/* Emits and forgets an open call; result NULL: it was never answered. */
void tool_close(struct spans *sp, struct tool *t, const struct llm_part *result, uint64_t now);

/* place.c */
/* With no agent above it, it waits for one. */
void runs_hold(struct spans *sp, struct run *r);
/* The process has made its first call: what ran below it until then is its. */
void runs_adopt(struct spans *sp, struct process *agent);
/* Places the held runs below `agent` that began up to `until`. */
void runs_place(struct spans *sp, struct process *agent, uint64_t until);
void runs_place_all(struct spans *sp);
/* exit NULL: another program took its place (lost: or the exit was not seen). */
void run_end(struct spans *sp, struct run *r, uint64_t ts, const struct ev_exit *exit, bool lost);
/* What is kept with the run, which is not placed yet, grew by so many bytes. */
void runs_grow(struct spans *sp, struct run *r, size_t bytes);
/* The tool call is about to go: runs below it keep their place. */
void runs_forget_tool(struct spans *sp, struct tool *t);

/* mcp_place.c */
struct mcp_place {
	const struct conversation *conversation; /* NULL: in none, a trace of its own */
	struct trace_id trace;
	struct span_id parent;
	struct link_reason why;
	bool in_tool;
};

/* A copy waits for its time among what happens. */
void mcp_keep(struct spans *sp, const struct mcp_request *m);
void mcp_take(struct spans *sp, struct ev_head *record); /* its time has come */
/* The process has a conversation: requests that it made before belong to it. */
void mcp_adopt(struct spans *sp, struct process *agent);
/* Time passed; all: the capture ends. */
void mcp_tick(struct spans *sp, uint64_t now, bool all);

/* http_place.c */
/* A copy waits for its time among what happens. */
void http_keep(struct spans *sp, const struct http_request *r);
void http_take(struct spans *sp, struct ev_head *record); /* its time has come */
/* Bytes that were not looked at, of what runs in this process. */
void http_left_alone(struct spans *sp, const struct ev_proc *proc, uint64_t bytes);
/* The run is placed, or given up: so are the requests that were made in it. */
void http_placed(struct spans *sp, struct run *r);
/* The process has ended: a request of it may end later. */
void http_gone(struct spans *sp, const struct process *p, uint64_t ts);
/* Time passed; all: the capture ends. */
void http_tick(struct spans *sp, uint64_t now, bool all);

/* emit.c, emit_call.c, emit_mcp.c, emit_http.c */
/* Where a request hangs that is a tool's. */
struct http_place {
	struct trace_id trace;
	struct span_id parent, conversation;
	const struct process *process; /* whose program made it */
	struct link_reason why;
};

void emit_http(struct spans *sp, const struct http_request *r, const struct http_place *place);
void emit_mcp(struct spans *sp, const struct mcp_request *m, const struct mcp_place *place);
void emit_chat(struct spans *sp, const struct flight *f);
void emit_tool(struct spans *sp, struct tool *t, const struct llm_part *result, uint64_t now);
void emit_turn(struct spans *sp, struct turn *t);
void emit_conversation(struct spans *sp, struct conversation *c);
void emit_run(struct spans *sp, struct run *r);
void usage_add(struct llm_usage *sum, const struct llm_usage *u);

#endif
