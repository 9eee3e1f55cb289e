/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conversation.h - which conversation a call belongs to.
 *
 * LLM APIs resend the whole conversation with each request.  A message is
 * taken as its parts; each part gives a link (a keyed hash of its canonical
 * form), and the links make a chain: chain[i] = H(chain[i-1], link[i]).  A
 * call that has ended leaves heads: the chain of its input, and that of its
 * input with its answer.  The next request of the conversation begins with one
 * of them; the longest match wins.  A request that is the same as an earlier
 * one, to the last part, is another sample of it and continues what that one
 * continued.
 *
 * Canonical: what clients change when they echo a message is left out - outer
 * white space, reasoning (also in <think> tags), empty parts, tool ids, the spelling of JSON, how
 * parts are spread over messages, and what the provider ran itself (other
 * providers, asked to go on, know no such tools).  System and developer messages are left out
 * too, because agents rewrite them (date, open files).
 *
 * APIs that keep the conversation resend nothing: there a request names the
 * response or the conversation that it continues.  Such names are heads too,
 * and so are the ids of tool calls that cannot have been counted: a history that
 * was rewritten still holds them.
 *
 * The key is that of the store, or random for each run (heads.h): links are
 * never shown, and ids do not depend on them.
 */
#ifndef SPANTAP_CONVERSATION_H
#define SPANTAP_CONVERSATION_H

#include "base/hash.h"
#include "span/links.h"
#include "span/tools.h"

#define HEADS_MAX         100000           /* then the one not used for longest is forgotten */
#define HEAD_OWNERS_MAX   4                /* conversations that reach the same chain; the latest are kept */
#define CONVERSATIONS_MAX 4096             /* open; then the least active one is closed */
#define CONVERSATION_IDLE 1800000000000ull /* ns */
#define TELLING_RUN       8              /* letters and digits, mixed, without a break: no number, no name */
#define CHAIN_IDS_MAX     64             /* of tool calls, the latest ones */
#define CHAIN_IDS_NEAR    16             /* a result stands that near to its call */
#define RETRY_WINDOW      60000000000ull /* ns in which the same messages are a retry of a failed call */
#define INTERVALS_MAX     4096           /* of a turn's model and tool time; then neighbours are joined */

/* The id of a tool call, where it first stands. */
struct chain_id {
	size_t at; /* parts up to and with it */
	struct slice id;
};

struct chain {
	struct link *v; /* v[i]: parts 0..i */
	size_t n;
	size_t answered; /* parts up to and with the first one of the assistant or of a tool; 0: none */
	size_t news;     /* parts up to and with the last one of the assistant */
	bool new_prompt; /* behind that, the user says something */
	struct chain_id ids[CHAIN_IDS_MAX]; /* a ring of the latest telling ones */
	size_t n_ids;
};

struct chain_key {
	struct hash_key hash;
	struct links *links; /* of messages that were hashed before; NULL: each is hashed */
};

/* Whether this id of a tool call can stand for that one call alone: not "call_0", not "functions.shell:3". */
bool id_tells(struct slice id);

/* Lengthens the chain by messages, which outlive it; memory of `a`. */
void chain_extend(struct chain *c, const struct chain_key *key, struct arena *a, const struct llm_message *m,
                  size_t n);

/* Of a tool's arguments, JSON in any spelling; none and {} are the same. */
struct link arguments_link(const struct chain_key *key, struct slice json);

struct interval {
	uint64_t start, end;
};

struct intervals {
	struct interval *v;
	size_t n, cap;
};

void intervals_add(struct intervals *iv, uint64_t start, uint64_t end);
uint64_t intervals_union(struct intervals *iv); /* ns covered; sorts */

/*
 * How the time of a turn was spent.  Each moment counts once: for the model
 * while a call is on its way, else for the tools while one is known to run, else
 * for nobody while what a tool does is not known, else as waiting while a tool
 * that was asked for has not begun (for approval, in a queue), else for the
 * agent itself.
 */
enum spending { SPENT_MODEL, SPENT_TOOL, SPENT_UNKNOWN, SPENT_WAITING, SPENDINGS };

struct time_split {
	uint64_t ns[SPENDINGS], agent;
};

struct time_split time_split(struct intervals *v /* [SPENDINGS] */, uint64_t start, uint64_t end);

struct flight;
struct conversation;
LIST_HEAD(flight_list, flight);

/*
 * One turn of the agent: from the user's words to an answer without tool calls, and a new prompt.  Samples
 * of one prompt that are on their way at the same time are one turn.
 */
struct turn {
	struct conversation *conversation;
	struct span_id id;
	struct trace_id trace; /* what its spans say (join.h) */
	uint64_t index;        /* from 1 */
	uint64_t start, end;
	struct link asked; /* chain of the call that began it; zero: none */
	unsigned flights;  /* calls not ended */
	bool closing;      /* the next turn has begun */
	bool asks_tools;   /* the last answer did */
	bool tools_seen;   /* something was seen of a tool while it ran */
	bool failed;
	bool late;           /* it began before its first call that was seen */
	const char *damaged; /* static text: why it is not whole; NULL: it is as far as known */
	struct slice error_type, error_message, provider, model;
	struct llm_usage usage;
	struct intervals spent[SPENDINGS];
	struct tool_list tools;
	uint64_t lost_seen;
	struct arena arena;
	TAILQ_ENTRY(turn) in_conversation;
};

#define SAID_LINES    2 /* of an answer, the longest ones: they tell a summary that comes again as a prompt */
#define SAID_LINE_MIN 32  /* bytes; shorter ones stand in many a text by chance */
#define SAID_LINE_MAX 256 /* the beginning is kept */

struct conversation {
	uint64_t serial;
	struct past *past;
	struct span_id id,
	    root; /* id: gen_ai.conversation.id; root: of the span, id of the nested parent if nested */
	struct span_id earlier_root; /* of the same conversation before it was idle; zero: none */
	struct trace_id earlier_trace;
	struct trace_id trace;
	bool nested, in_tool; /* in_tool: below a tool call of the same process */
	uint64_t outer;       /* in_tool: serial of the conversation with that call */
	bool offers_tools;    /* its calls do */
	struct link system;   /* hash of how its instructions begin; zero: none */
	size_t parts;         /* of the longest chain */
	struct {
		char text[SAID_LINE_MAX];
		size_t n;
	} said[SAID_LINES]; /* by the last answer */
	struct link_reason nested_why;
	struct slice session_key, agent_name;
	struct process *process; /* of the latest call */
	struct turn *turn;       /* current, or NULL between turns */
	TAILQ_HEAD(, turn) turns;
	struct flight_list flights;
	uint64_t start, end, last;
	struct llm_usage usage;
	struct link tip, failed_tip; /* chains of the last call: with its answer; of its input if it failed */
	struct span_id failed_continues; /* what the failed call continued */
	struct span_id last_chat;        /* the call that ended last */
	uint64_t failed_at;
	bool has_failed,
	    only_prepared; /* only_prepared: the last call was no attempt, its messages come again */
	uint64_t lost_seen;
	struct arena arena;
	TAILQ_ENTRY(conversation) lru;
};

TAILQ_HEAD(conversation_list, conversation);

/*
 * What is remembered of a conversation, also when it is closed: it lives as long as a head refers to it, so a
 * later turn counts on and names the conversation as before.  All zero `root`: nested, or not known.
 */
struct past {
	struct span_id id, root; /* of the latest span "conversation" */
	struct trace_id trace;
	uint64_t serial;        /* of the conversation while it is open; 0: closed */
	uint64_t turns;         /* so far */
	uint64_t last;          /* boot ns, 0: before this boot */
	struct ev_proc process; /* of the latest call */
	struct link session;    /* hash of the session key; zero: none */
	unsigned refs;
};

/* One who reached a head. */
struct owner {
	struct past *past;
	struct span_id chat; /* the call that reached it; zero: not known */
	bool asked;          /* by its messages alone; false: with its answer, or by a name */
	uint64_t used;
};

struct head {
	struct link at;
	struct owner owners[HEAD_OWNERS_MAX];
	size_t n;
	TAILQ_ENTRY(head) lru;
};

struct heads {
	struct map map;
	TAILQ_HEAD(, head) lru;
	struct map pasts; /* by the conversation's id */
	struct chain_key key;
	uint64_t clock;
};

/* `secret`: 32 bytes, of which the links' key is made; NULL: a random one. */
void heads_init(struct heads *hs, const uint8_t *secret);
void heads_release(struct heads *hs);
void heads_add(struct heads *hs, struct link at, const struct owner *o);
struct head *heads_find(struct heads *hs, struct link at);
/* Whether this conversation reached the head in the same way: then heads_add() would replace what is known.
 */
bool heads_knows(struct heads *hs, struct link at, const struct owner *o);
/* That of the conversation with this id, entered when it was not known; the reference is the caller's. */
struct past *past_get(struct heads *hs, struct span_id id);
struct past *past_ref(struct past *p);
void past_unref(struct heads *hs, struct past *p); /* accepts NULL */
/* Of a name that the provider gave: `kind` "response", "conversation" or "tool_call"; zero for an absent one.
 */
struct link name_link(const struct heads *hs, const char *kind, struct slice name);
/* Of how the instructions begin: agents write the date and open files further down. Zero: none. */
struct link system_link(const struct heads *hs, const struct llm_messages *system,
                        const struct llm_messages *input);
struct link session_link(const struct heads *hs, struct slice session_key);
bool link_eq(struct link a, struct link b);
bool link_none(struct link a);

#endif
