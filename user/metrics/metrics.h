/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - the numbers that spantap offers to monitoring: one table of
 * metrics, one registry of their series, two writers (openmetrics.h, and
 * sink/otlp_metrics.h).
 *
 * Names, units, attributes and bucket boundaries of gen_ai.* and mcp.* are
 * those of the OpenTelemetry semantic conventions v1.41 (those marked "later"
 * in metrics.def came after it); spantap.* are ours.  What is not known has no
 * series: it is absent, never 0.
 *
 * A series is a metric with a set of labels; an absent slice is an absent
 * label.  Labels that come from traffic (a model, an agent, a host) are
 * bounded: METRIC_SERIES_MAX series of a metric, then what is new is counted
 * in the series whose labels from traffic are all "other", and that is counted
 * in METRIC_FOLDED.  All sums are cumulative since registry_start().
 *
 * Spans are counted as sink gets them: of conversations that --sample,
 * --max-cpu or --max-memory left out nothing is in gen_ai.*, mcp.* and the
 * counts of spans and calls, and no value is weighted by spantap.sample.share;
 * what was left out is METRIC_LEFT_OUT (those that may still be: _UNDECIDED),
 * and the share of now METRIC_SHARE.
 */
#ifndef SPANTAP_METRICS_H
#define SPANTAP_METRICS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"

#define METRIC_SERIES_MAX                                                                                    \
	200                  /* of one metric: what a dashboard can show; a histogram is then 1 MB of text   \
	                      */
#define METRIC_OTHERS_MAX 56 /* beyond them, with all labels from traffic "other"; then all labels are */
#define METRIC_LABELS_MAX 10
#define METRIC_BOUNDS_MAX 16
#define METRIC_LABEL_MAX  128 /* bytes of a value; a longer one is cut */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_label {
	const char *name; /* as the conventions have it */
	bool traffic;     /* its values come from traffic */
	bool integer;     /* where attributes have types */
};

struct metric_bounds {
	const double *v; /* upper, inclusive; the bucket above the last has none */
	size_t n;
};

struct metric_def {
	const char *name; /* as OpenTelemetry writes it */
	enum metric_type type;
	const char *unit; /* UCUM: "s", "By", "{token}", "" */
	const struct metric_bounds *bounds;
	const char *help;                              /* one sentence without a full stop */
	struct metric_label labels[METRIC_LABELS_MAX]; /* up to one without name */
};

enum metric {
#define METRIC(key, ...) METRIC_##key,
#include "metrics/metrics.def"
#undef METRIC
	METRICS
};

extern const struct metric_def metric_defs[METRICS];
/* The boundaries of times between chunks, for who counts them at the source (span.h). */
extern const struct metric_bounds metric_call_seconds;

size_t metric_n_labels(const struct metric_def *def);

/* A call that a bucket's value was measured at. */
struct exemplar {
	double value;
	uint64_t wall; /* ns since the epoch; 0: there is none */
	uint8_t trace[16], id[8];
};

struct histogram {
	uint64_t count;
	double sum;
	uint64_t buckets[METRIC_BOUNDS_MAX + 1]; /* each its own, not cumulated */
	struct exemplar exemplars[METRIC_BOUNDS_MAX + 1];
};

struct series {
	struct slice labels[METRIC_LABELS_MAX]; /* as the def has them */
	uint64_t created;                       /* ns since the epoch: from when on it counts; 0: not known */
	double value;                           /* of a counter or gauge; NAN: not known at present */
	struct histogram *histogram;
};

struct family {
	struct map by_labels;
	struct series **v; /* in the order in which they came */
	size_t n, cap;
};

struct registry;

/* `start`: ns since the epoch, from when on it counts. */
struct registry *registry_new(uint64_t start);
void registry_free(struct registry *r); /* accepts NULL */
uint64_t registry_start(const struct registry *r);
const struct family *registry_family(const struct registry *r, enum metric m);

/* `labels`: metric_n_labels() of them. A value that is no number, or that a counter cannot have, changes
 * nothing. */
void registry_add(struct registry *r, enum metric m, const struct slice *labels, double by);
/* A gauge, or a counter that is counted elsewhere, there since `created` (0: not known). */
void registry_set(struct registry *r, enum metric m, const struct slice *labels, double value,
                  uint64_t created);
/* What was set is not known any more: writers leave it out until it is set again. */
void registry_unset(struct registry *r, enum metric m, const struct slice *labels);
/* Whether there is something to be written. */
bool series_known(const struct series *s);
/* `times` equal values; `at` may be NULL. */
void registry_observe(struct registry *r, enum metric m, const struct slice *labels, double value,
                      uint64_t times, const struct exemplar *at);
/* Values counted by bucket elsewhere: as many counts as there are bounds, and one. */
void registry_observe_buckets(struct registry *r, enum metric m, const struct slice *labels,
                              const uint32_t *counts, double sum);

/* The form in which sink hands it on (board.h). -EBADMSG: it is none, *ret is untouched. */
void registry_encode(struct buf *out, const struct registry *r);
int registry_decode(struct slice in, struct registry **ret);

#endif
