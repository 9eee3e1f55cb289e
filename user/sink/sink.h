/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.h - final spans in, outputs out.
 *
 * An exporter is one const struct sink_ops in its own file and one row in the
 * table of sinks.c.  Exporters see each span id once: the sink process drops
 * what it has seen (after a restart of decode, spans are sent again).
 */
#ifndef SPANTAP_SINK_H
#define SPANTAP_SINK_H

#include "span/span.h"

struct sink_conf {
	const char *store_dir;        /* NULL: no store */
	const char *otlp_file;        /* NULL: none */
	const char *tree_file;        /* NULL: stderr; "" : no tree */
	enum content_level otlp_file_content;
	enum content_level content;   /* the level at which the spans were made: nothing above it can be in them */
	bool continuous;              /* it is to watch all the time: when nobody did before is said */
	bool color;                   /* stderr is a terminal that shows colours */
	int columns;                  /* width of the terminal, 80 when unknown */
	uint64_t retain_age_ns, retain_bytes; /* struct store_limits; 0: no limit */
	const char *command;          /* what was run, already masked, for the heading; NULL for replay */
	uint8_t instance[16];
	bool metrics;                 /* are to be counted, and hung up on the board (metrics/board.h) */
	int board_fd;
	const char *alerts;           /* rules of --alert, one a line (metrics/alert.h); NULL: none */
};

/* What the capture as a whole lost or left out, printed under the tree and kept in the store. */
struct sink_summary {
	uint64_t captured_bytes, lost_bytes, too_long_bytes, unreadable_bytes, life_lost, conn_untracked, proc_untracked;
	uint64_t grpc, batches; /* recognised and not read: user/llm/unread.h */
	uint64_t call_untracked, call_unreturned, shed_spans, decode_crashes, tls_connections;
	uint64_t unknown_protocol; /* of the connections: passed over, neither HTTP/1 nor HTTP/2 by their first bytes */
	uint64_t plain_untracked, plain_early;
	uint64_t pressed_spans, sampled_out, sampled_calls; /* left out: span/sample.h */
	bool no_tls; /* no TLS library was found in any process: nothing could be captured */
};

struct sink_ops {
	const char *name;
	/* *ret_state NULL: `conf` does not ask for this exporter; the calls below then do nothing. */
	/* 0 and *ret_state, or -errno with *ret_error (static or malloc'ed text, never freed) saying what and why. */
	int (*open)(const struct sink_conf *conf, void **ret_state, const char **ret_error);
	int (*span)(void *state, const struct span *s); /* 0 or -errno */
	/*
	 * Makes everything durable; called at least once a second and before an acknowledgement.
	 * When it fails, nothing since the last commit is kept: the caller hands it over again.
	 */
	int (*commit)(void *state);
	/*
	 * Work that can wait, a small step of it, called while there is nothing to commit; NULL: there is none.
	 * 1: there is more, 0: not for the time being, or -errno.
	 */
	int (*rest)(void *state);
	/* The capture has ended; `s` may be NULL. */
	int (*finish)(void *state, const struct sink_summary *s);
	void (*close)(void *state); /* accepts NULL */
	/* Says more about the last failure than strerror(); NULL: there is no more to say. */
	const char *(*error)(void *state);
};

/* The store that an exporter of sink_store writes to; NULL: none. */
struct store *sink_store_of(void *state);

/* The processes are watched from now on: what the capture before left unwatched is kept and told. */
void sink_store_watch(void *state);
/* conf->retain_*: from now on; part of the open batch. 0 or -errno. */
int sink_store_retain(void *state, const struct sink_conf *conf);

/* Since when an exporter of sink_metrics counts, ns since the epoch: also by its predecessor in the same capture. */
uint64_t sink_metrics_start(void *state);
/* Once a second, where there are alerts; `say` gets lines for the operator. */
void sink_metrics_tick(void *state, uint64_t now, void (*say)(const char *line));
/* Hangs up what an exporter of sink_metrics has counted, with the rest of a notice (metrics/board.h). 0 or -errno. */
int sink_metrics_publish(void *state, struct slice status, struct slice exports);

extern const struct sink_ops sink_store, sink_otlp_file, sink_tree, sink_metrics;
/* All exporters that `conf` asks for are opened; NULL-terminated table in sinks.c. */
extern const struct sink_ops *const sinks[];

#endif
