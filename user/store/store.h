/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - the spans on disk: a directory with one SQLite database.
 *
 *   DIR/            0700, belongs to the user who writes it
 *   DIR/spantap.db  0600, WAL mode; a span is written once and never changed
 *   DIR/lock        held by the one writer (flock), its process id inside
 *   DIR/views       0600, who has looked at conversations, until the next writer takes it (views.h)
 *   DIR/status.json 0600, what the writer's capture says of itself, see store_status()
 *
 * One process writes, any number read, also at the same time: a reader sees
 * what was committed before its query began.  When store_commit() has returned
 * 0, the spans inserted before it survive a crash of the process and of the
 * host (synchronous=FULL: the log is on disk).
 *
 * A batch is whole or not there.  After a failed insert the batch is dropped,
 * further inserts fail with the same error, and so does the commit that ends
 * the batch: what was not stored is never acknowledged.
 *
 * Long texts are kept as lists of pieces, each piece once (value.h, block.h),
 * and read back byte by byte.  All other text in the database is valid UTF-8:
 * other bytes are replaced by U+FFFD.
 *
 * Functions return 0 or a negative errno; store_error() then says what and why.
 */
#ifndef SPANTAP_STORE_H
#define SPANTAP_STORE_H

#include <sys/types.h>

#include "span/span.h"

struct store;

#define RECORD_STORE "/var/lib/spantap" /* of `spantap record` as root */
#define STORE_STATUS "status.json"

enum store_mode { STORE_READ, STORE_WRITE };

#define STORE_SCHEMA 2 /* PRAGMA user_version of the databases that we write */

/*
 * Appends the default directory of user `uid`: $XDG_STATE_HOME/spantap or
 * ~/.local/state/spantap.  The environment counts only when `uid` runs this
 * process; under sudo it may be root's, so another user's home is looked up.
 * -ENOENT when the user has no home directory.
 */
int store_default_dir(struct buf *out, uid_t uid);

/*
 * STORE_WRITE creates what is missing and brings an older schema up to date in
 * one transaction.  On failure *ret is untouched and ret_error holds a message:
 *   -EBUSY            another process writes; its id is in the message
 *   -EPROTONOSUPPORT  the schema is newer (or, for a reader, older) than ours
 *   -EPERM            the directory belongs to someone else or others may write to it
 *   -ENOENT           STORE_READ: there is no store
 */
int store_open(const char *dir, enum store_mode mode, struct store **ret, struct buf *ret_error);
const char *store_error(const struct store *st); /* of the last call that failed */
void store_close(struct store *st);              /* accepts NULL; an open batch is dropped */

/*
 * What the capture that writes (or wrote last) says of itself, as a JSON
 * object; *ret_writer: the process that writes, 0: none does.  0 or -errno
 * with a message in ret_error; -ENOENT: no capture ever wrote here.
 */
int store_status(const char *dir, struct buf *out, pid_t *ret_writer, struct buf *ret_error);

/* Writing. Spans belong to the capture begun last. */
int store_capture_begin(struct store *st, const uint8_t instance[16], const char *command, uint64_t wall_ns);
/* The level at which its spans are made: exporters hand no content on above theirs. */
int store_capture_content(struct store *st, enum content_level level);
int store_insert(struct store *st, const struct span *s); /* 1: a span of this id is there already, ignored */
int store_commit(struct store *st);

struct store_counter {
	const char *name;
	uint64_t value;
	bool is_loss; /* recorded as an audit event of its own when not 0 */
};

/* Ends the capture with its counters and commits. */
int store_capture_end(struct store *st, uint64_t wall_ns, const struct store_counter *v, size_t n);

/*
 * Audit events, rows of the table audit_event: capture_begin, watch_begin, config, attach,
 * detach, loss, degraded, retention, view, capture_end (which takes off all
 * probes).  `detail` is a JSON object. Part of the open batch, and lost with
 * it; "degraded" says from when to when that was so.  Who looks at
 * conversations is noted beside the database first (views.h).
 */
int store_audit(struct store *st, uint64_t wall_ns, const char *kind, struct slice detail);

/*
 * For a capture that is to watch all the time: until when one of its kind did
 * before.  To be asked before store_capture_begin().
 */
struct store_watched {
	uint64_t until; /* ns since the epoch; 0: none is known */
	bool ended;     /* as it should; else it was killed, and `until` is its last sign of life */
	bool still;     /* it is the same capture: only its sink was started again */
};

int store_watched(struct store *st, const uint8_t instance[16], struct store_watched *ret);
/* From now on it watches: an audit event, which says since when nobody did. */
int store_watch_begin(struct store *st, const uint8_t instance[16], const struct store_watched *before, uint64_t wall_ns);

struct store_limits {
	uint64_t age_ns; /* conversations that ended longer ago are erased; 0: never */
	uint64_t bytes;  /* when the database is larger, the oldest are erased; 0: never */
};

struct store_erased {
	uint64_t conversations, spans, blocks;
};

/*
 * One step of keeping to the limits, for the time between two batches: erases
 * the oldest conversation that is over them with its texts and its words in
 * the index, or gives some free pages back to the file system.  What another
 * conversation uses too stays, and so does what is still open: the
 * conversations of the present capture that have not ended.  Erased pages are
 * overwritten, words leave the index within an hour.  1: there is more to do; 0: nothing; or -errno.  Adds to *sum;
 * each conversation is an audit event.
 */
int store_retain(struct store *st, const struct store_limits *limits, uint64_t wall_ns,
                 struct store_erased *sum);

/* 32 random bytes, made with the store, which never leave it: what grouping hashes with. */
const uint8_t *store_key(const struct store *st);

/* What is known of the ends of conversations, so that the next capture can continue them. */
struct store_head {
	uint8_t link[32];
	struct slice state; /* says which conversation, in the form of who put it there */
	uint64_t last;      /* ns since the epoch */
};

#define STORE_HEADS_MAX 100000 /* the oldest are dropped */

int store_heads_put(struct store *st, const struct store_head *v, size_t n); /* part of the open batch */
/* From the newest to the oldest; slices live during the call. */
int store_heads_each(struct store *st, void (*each)(void *ctx, const struct store_head *h), void *ctx);

/* Reading. */
struct store_conversation {
	uint8_t trace[16];
	struct slice id;             /* gen_ai.conversation.id; absent when there is none */
	struct slice agent, command; /* absent when not known */
	struct slice *models;
	size_t n_models;     /* at most STORE_MODELS_MAX */
	struct slice text;   /* what the user said first, cut; absent when content was not kept */
	uint64_t start_wall; /* ns since the epoch */
	uint64_t duration;   /* ns */
	uint64_t turns, calls, tools, errors;
	int64_t input_tokens, output_tokens; /* sums of what is known, LLM_NONE when nothing is */
	uint64_t calls_without_usage;        /* not in the sums */
	bool ended;                          /* its last span was written */
	bool complete;                       /* nothing is missing from any of its spans */
};

#define STORE_MODELS_MAX 8
#define STORE_TEXT_MAX   400 /* bytes of store_conversation.text */

/* Which conversations are wanted: that began at `since` or later and before `until`, and for which `wanted` says yes. */
struct store_choice {
	uint64_t since, until; /* ns since the epoch */
	bool (*wanted)(void *ctx, const struct store_conversation *c); /* NULL: all; may read the store */
	void *ctx;
};

/* The newest `limit` ones of these, newest first; everything lives in `a`. */
int store_conversations(struct store *st, const struct store_choice *choice, size_t limit, struct arena *a,
                        struct store_conversation **ret, size_t *ret_n);
/* One of them, by its trace; -ENOENT when it has no call. */
int store_conversation(struct store *st, const uint8_t trace[16], struct arena *a,
                       struct store_conversation *ret);

/*
 * The conversation whose trace id (hex) or conversation id begins with `id`.
 * -ENOENT: none; -ENOTUNIQ: several, the message lists them.
 */
int store_find(struct store *st, struct slice id, uint8_t ret_trace[16]);

/* The ids of all traces, also of those without a call, oldest first; *ret is the caller's to free(). */
int store_traces(struct store *st, uint8_t (**ret)[16], size_t *ret_n);

/*
 * All spans of a trace in order of their start, texts in full, but without
 * attributes that are for the store alone (LOCAL in attrs.def); to be given
 * back with store_spans_free().
 */
int store_spans(struct store *st, const uint8_t trace[16], struct span **ret, size_t *ret_n);
void store_spans_free(struct span *v, size_t n);

/* The id of the `number`th call of a trace, from 1 as the tree counts; -ENOENT: it has less. */
int store_call(struct store *st, const uint8_t trace[16], uint64_t number, uint8_t ret_span[8]);
/* One text of one span, byte by byte, also if it is LOCAL (several strings: a line each); -ENOENT: the span has none. */
int store_value(struct store *st, const uint8_t span[8], enum attr_key key, struct buf *out);

struct store_hit {
	uint8_t trace[16], span[8]; /* the first span of the conversation that has the text */
	enum span_kind kind;
	uint64_t call; /* its number in the conversation, as store_call() counts; 0: it is no call */
	uint64_t start_wall;
	struct slice snippet; /* of the text, raw: the caller escapes */
};

/*
 * Where all words of `query` were said in one message, the newest first, one hit a message and
 * conversation, at most `limit`; everything lives in `a`. "Words in quotes" stand next to each other, case
 * and accents do not matter, nothing else in a query has a meaning. What is searched: search.h.
 */
int store_search(struct store *st, struct slice query, size_t limit, struct arena *a, struct store_hit **ret,
                 size_t *ret_n);

#endif
