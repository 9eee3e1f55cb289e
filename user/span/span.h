/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span.h - LLM calls and process events in, span trees out.
 *
 *   conversation ─ turn (invoke_agent) ─┬─ chat (or embeddings, retrieval, …)
 *                                       └─ execute_tool ─┬─ process ─ process …
 *                                                        ├─ mcp
 *                                                        └─ http
 *
 * Each span is handed downstream once, when it is final; its parent's id is
 * known before the parent is final.  Ids are deterministic and content-free
 * (H = SHA-256 cut to the id's size):
 *   instance = H(machine-id, boot-id, capture start), given by the caller
 *   chat     = H(instance, connection, stream, request offset)
 *   process  = H(boot-id… of the instance, tgid, start, time of the exec)
 *   tool     = H(chat, index)     turn = H(first chat of the turn, "turn")
 *   conversation = H(its first chat, "conversation")    trace = H(its first chat, "trace")
 *   mcp      = H(instance, connection, stream, request offset, JSON-RPC id, method, end)
 *   http     = H(instance, connection, stream, request offset)
 */
#ifndef SPANTAP_SPAN_H
#define SPANTAP_SPAN_H

#include "base/buf.h"
#include "base/clock.h"
#include "llm/llm.h"

enum span_kind { SPAN_CONVERSATION, SPAN_TURN, SPAN_CHAT, SPAN_TOOL, SPAN_PROCESS, SPAN_MCP, SPAN_HTTP, SPAN_KINDS };

const char *span_kind_name(enum span_kind k); /* conversation turn chat tool process mcp http */

enum span_status { SPAN_UNSET, SPAN_OK, SPAN_ERROR };

/* Attribute names, types and whether they hold content: the one table, attrs.def. */
enum attr_type { ATTR_STR, ATTR_INT, ATTR_DOUBLE, ATTR_BOOL, ATTR_STRS /* string array */ };

#define LOCAL 2 /* in attrs.def: content that only the store keeps, never an export of spans */

enum attr_key {
#define ATTR(key, name, type, content) ATTR_##key,
#include "span/attrs.def"
#undef ATTR
	ATTR_KEYS
};

struct attr_def {
	const char *name;
	enum attr_type type;
	bool content; /* prompts, answers, arguments, results: subject to --content */
	bool local;   /* only for the store */
};

extern const struct attr_def attr_defs[ATTR_KEYS];

struct attr {
	enum attr_key key;
	union {
		struct {
			struct slice str;
			/*
			 * Where a long text falls into pieces that other spans repeat (a message, a
			 * tool definition): ascending offsets inside the text. The store keeps equal
			 * pieces once; a text without cuts is one piece.
			 */
			const uint32_t *cuts;
			size_t n_cuts;
		};
		int64_t i;
		double d;
		bool b;
		struct {
			struct slice *v;
			size_t n;
		} strs;
	};
};

#define SPAN_LINKS_MAX 32 /* of one span */

/* Another span that belongs to this one without being its parent, perhaps of a foreign trace. */
struct span_link {
	uint8_t trace[16], id[8];
	struct slice evidence; /* what says so: traceparent, earlier, … */
	double confidence;
};

/*
 * The times between the chunks of a streamed answer, counted by bucket, for the
 * metric of them; not kept in the store.
 */
#define SPAN_GAPS 15 /* buckets: one more than metric_call_seconds has bounds */
struct span_gaps {
	uint32_t counts[SPAN_GAPS];
	double sum; /* s */
};

struct span {
	uint8_t trace[16], id[8], parent[8]; /* parent all zero: a root */
	enum span_kind kind;
	struct slice name;
	uint64_t start, end; /* boot ns */
	uint64_t start_wall; /* ns since the epoch, by the clock sample current at start */
	enum span_status status;
	struct slice status_message;
	struct attr *attrs;
	size_t n_attrs;
	struct span_link *links;
	size_t n_links;
	struct span_gaps *gaps; /* NULL: there were none */
	struct arena arena; /* owns name, attributes, links */
};

void span_release(struct span *s);
void span_set_str(struct span *s, enum attr_key key, struct slice v); /* copies; absent slices are not set */
void span_own_str(struct span *s, enum attr_key key, struct slice v); /* `v` lives as long as `s`: in s->arena */
/* As span_own_str(), `cuts` lies in s->arena too. */
void span_own_pieces(struct span *s, enum attr_key key, struct slice v, const uint32_t *cuts, size_t n_cuts);
void span_set_int(struct span *s, enum attr_key key, int64_t v);
void span_set_double(struct span *s, enum attr_key key, double v); /* NAN is not set */
void span_set_bool(struct span *s, enum attr_key key, bool v);
void span_set_strs(struct span *s, enum attr_key key, const struct slice *v, size_t n);
const struct attr *span_get(const struct span *s, enum attr_key key); /* NULL when not set */

/* Beyond SPAN_LINKS_MAX nothing is added. */
void span_add_link(struct span *s, const uint8_t trace[16], const uint8_t id[8], struct slice evidence,
                   double confidence);

/* Wire form between decode and sink; decode returns 0 or -EBADMSG and then *ret holds nothing. */
void span_encode(struct buf *out, const struct span *s);
int span_decode(struct slice in, struct span *ret);

/* The text form: the golden format of this seam. Times relative to `zero`. */
void span_print(struct buf *out, const struct span *s, uint64_t zero);
void span_print_value(struct buf *out, const struct attr *a); /* its value alone, text escaped */

enum content_level { CONTENT_NONE, CONTENT_SHAPE, CONTENT_REDACTED, CONTENT_FULL };

/* -1 for a word that is no level. */
int content_level_parse(struct slice word);
const char *content_level_name(enum content_level level);

struct span_conf {
	uint8_t instance[16];
	enum content_level content;
	unsigned redact;               /* at CONTENT_REDACTED and below, bits of enum redact_mode (redact.h) */
	const struct clock_map *clock; /* borrowed, outlives the assembler */
	bool join_traces;              /* turns join the trace of an instrumented client (join.h) */
	const uint8_t *link_key; /* 32 bytes of the store, copied (heads.h); NULL: random, of this run */
};

struct head_record;

struct span_events {
	void (*span)(void *ctx, const struct span *s); /* final; borrowed during the call */
	/* To be kept for later runs (heads.h). NULL: they are not. */
	void (*head)(void *ctx, const struct head_record *h);
	/* A call continues what is not known: heads at these links would tell. NULL: there are none. */
	void (*want)(void *ctx, const uint8_t (*links)[16], size_t n);
};

struct spans;
struct yyjson_mut_doc;
struct yyjson_mut_val;

struct span_stats {
	uint64_t spans;              /* handed downstream */
	uint64_t unlinked_processes; /* execs with no agent above them, or none with an open conversation: not
	                                emitted */
	uint64_t pressed;            /* of the spans: made without content, by spans_press() */
	uint64_t open_conversations, open_tools, held_processes, live_processes;
};

struct spans *spans_new(const struct span_conf *conf, const struct span_events *ev, void *ctx);
/* Before the first call: as span_conf.join_traces. */
void spans_join_traces(struct spans *sp);
extern const struct llm_events spans_llm_events; /* context: struct spans */
void spans_fork(struct spans *sp, const struct ev_fork *rec);
/* `rec` has argv, cwd and cgroup behind it; checked by the caller. */
void spans_exec(struct spans *sp, const struct ev_exec *rec);
void spans_exit(struct spans *sp, const struct ev_exit *rec);
/* More has become known of a connection: calls on it that are not final yet show it. */
void spans_conn(struct spans *sp, const struct conn_info *info);
/*
 * Whether to leave out content for want of processor time or memory: spans that are
 * made meanwhile have none and say so (spantap.content.dropped).
 */
void spans_press(struct spans *sp, bool on);
/* Process records were lost: `total` so far. Spans that are open from now on say so. */
void spans_life_lost(struct spans *sp, uint64_t total);
/* Payload of this process was lost at `ts`: turns that it may belong to say so. */
void spans_traffic_lost(struct spans *sp, const struct ev_proc *proc, uint64_t ts);
/* So many bytes more passed on a connection of this process that was left alone: the program's span says so. */
void spans_left_alone(struct spans *sp, const struct ev_proc *proc, uint64_t bytes, uint64_t ts);
/* Time passed: closes what is idle, bounded work. */
void spans_tick(struct spans *sp, uint64_t now);
/* The capture ends: everything open is emitted, marked incomplete where it is. */
void spans_finish(struct spans *sp, uint64_t now);
const struct span_stats *spans_stats(struct spans *sp);
/*
 * Adds "in_flight": N and "flights": [{"agent", "pid", "model", "began"}], the
 * calls under way, latest first, SPANS_LIVE_MAX at most.  agent: its name, else
 * that of its program; null for what is not known; began: ns since the epoch.
 */
#define SPANS_LIVE_MAX 128
void spans_live_json(const struct spans *sp, struct yyjson_mut_doc *doc, struct yyjson_mut_val *root);
void spans_free(struct spans *sp);

#endif
