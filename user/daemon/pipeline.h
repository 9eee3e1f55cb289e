/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline.h - records in, spans out: the stages wired together on one page (pipeline.c). */
#ifndef SPANTAP_PIPELINE_H
#define SPANTAP_PIPELINE_H

#include "daemon/verdict.h"
#include "span/heads.h"
#include "span/sample.h"

struct pipeline;

/* `redact`: as span_conf has it. `link_key`: 32 bytes, copied; NULL: random (span_conf). */
struct pipeline *pipeline_new(const uint8_t instance[16], enum content_level content, unsigned redact,
			      const uint8_t *link_key, const struct span_events *ev, void *ctx);
/* Before the first record: what an earlier run knew of conversations. */
void pipeline_head(struct pipeline *p, const struct head_record *h);
/* Before the first record: turns join the trace of an instrumented client (span/join.h). */
void pipeline_join_traces(struct pipeline *p);
/*
 * Before the first record: which conversations are kept.  EV_MARK_PRESSURE is
 * obeyed then: its first step leaves out content, each further one halves the share.
 */
void pipeline_sample(struct pipeline *p, const struct sample_conf *conf);
/* Verdicts on connections go to `judge` from now on (verdict.h, which says what llm_only is). */
void pipeline_judge(struct pipeline *p, void (*judge)(void *ctx, const struct verdict *v), void *ctx, bool llm_only);
/*
 * One record of a ring or a recording; `poison`: it crashed an earlier decode
 * and is treated as a hole.  0, or -EBADMSG for a record that is no valid one
 * (its type and sizes are checked here: recordings may come from anywhere).
 */
int pipeline_record(struct pipeline *p, const struct ev_head *rec, bool poison);
/* Time passed without records. */
void pipeline_tick(struct pipeline *p, uint64_t now);
/* The capture has ended at `ts`. */
void pipeline_finish(struct pipeline *p, uint64_t ts);

struct pipeline_stats {
	struct stream_stats stream;
	struct llm_stats llm;
	uint64_t records, bad_records, poisoned;
	uint64_t pressed;           /* spans without content, for want of processor time or memory */
	struct sample_stats sample; /* all zero without pipeline_sample() */
	uint64_t unknown; /* connections passed over: they speak no protocol known here */
};

/* What is around the pipeline, for its status. */
struct pipeline_queues {
	uint64_t began; /* s since the epoch */
	uint64_t journal_used, journal_bytes, outbox_used, outbox_bytes, shed_spans;
};

/*
 * Appends a JSON object: what verdicts_json() and spans_live_json() say, and
 * "began" (s), "totals" {records, bad_records, poisoned, holes, connections,
 * unknown_protocol, grpc, batches, shed_spans}, since this decode began,
 * "journal" and "outbox" {used, bytes}.
 */
void pipeline_status(const struct pipeline *p, const struct pipeline_queues *q, struct buf *out);
struct pipeline_stats pipeline_stats(const struct pipeline *p);
void pipeline_free(struct pipeline *p);

#endif
