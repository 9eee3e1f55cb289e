/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/map.h"
#include "span/sample.h"

struct waiting {
	STAILQ_ENTRY(waiting) next;
	bool call;
	struct buf span; /* encoded */
};

enum decision { UNDECIDED, KEPT, DROPPED };

#define IDS_MAX  8  /* conversations of one trace whose later traces are known by their ids */
#define ID_BYTES 16 /* of spantap's own ids of conversations, in hex */

struct trace {
	TAILQ_ENTRY(trace) lru, undecided;
	uint8_t id[16];
	char ids[IDS_MAX][ID_BYTES];
	size_t n_ids;
	enum decision decision;
	double share;       /* when it began */
	const char *reason; /* of KEPT */
	STAILQ_HEAD(, waiting) spans;
	uint64_t bytes;
};

struct sampler {
	struct sample_conf conf;
	void (*span)(void *ctx, const struct span *s);
	void *ctx;
	struct map traces;
	struct map decided;            /* id of a conversation -> why it is kept, or `dropped` */
	TAILQ_HEAD(, trace) lru;       /* the longest silent first */
	TAILQ_HEAD(, trace) undecided; /* the oldest first */
	struct sample_stats stats;
};

struct sampler *sampler_new(const struct sample_conf *conf, void (*span)(void *ctx, const struct span *s),
                            void *ctx)
{
	struct sampler *m = xcalloc(1, sizeof(*m));

	m->conf = *conf;
	m->span = span;
	m->ctx = ctx;
	TAILQ_INIT(&m->lru);
	TAILQ_INIT(&m->undecided);
	return m;
}

void sampler_share(struct sampler *m, double share)
{
	m->conf.share = share;
}

static const char dropped[] = "";

/* What was decided of a trace goes for the conversations in it, which may go on in another one. */
static void note_decision(struct sampler *m, const struct trace *t, const char *id)
{
	const char *what = t->decision == KEPT ? t->reason : dropped;

	if (m->decided.n >= SAMPLE_TRACES_MAX) {
		map_release(&m->decided);
		m->decided = (struct map){0};
	}
	map_put(&m->decided, id, ID_BYTES, (void *)what);
}

static void note_id(struct sampler *m, struct trace *t, const struct span *s)
{
	const struct attr *a = span_get(s, ATTR_CONVERSATION_ID);

	if (!a || a->str.n != ID_BYTES)
		return;
	for (size_t i = 0; i < t->n_ids; i++)
		if (memcmp(t->ids[i], a->str.p, ID_BYTES) == 0)
			return;
	if (t->n_ids < IDS_MAX)
		memcpy(t->ids[t->n_ids++], a->str.p, ID_BYTES);
	if (t->decision != UNDECIDED)
		note_decision(m, t, a->str.p);
}

static void decide(struct sampler *m, struct trace *t, enum decision what)
{
	*(what == KEPT ? &m->stats.kept : &m->stats.dropped) += 1;
	m->stats.held -= !STAILQ_EMPTY(&t->spans);
	t->decision = what;
	TAILQ_REMOVE(&m->undecided, t, undecided);
	for (size_t i = 0; i < t->n_ids; i++)
		note_decision(m, t, t->ids[i]);
}

double sampler_now(const struct sampler *m)
{
	return m->conf.share;
}

static bool in_share(const uint8_t id[16], double share)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 8; i++)
		v = v << 8 | id[i];
	return (double)v < ldexp(share, 64);
}

/* With what says that it was chosen. `s` keeps what it owns. */
static void hand_on(const struct sampler *m, const struct trace *t, const struct span *s)
{
	struct span marked = *s;

	if (t->share >= 1) {
		m->span(m->ctx, s);
		return;
	}
	marked.attrs = xcalloc(s->n_attrs + 2, sizeof(*marked.attrs));
	memcpy(marked.attrs, s->attrs, s->n_attrs * sizeof(*marked.attrs));
	marked.attrs[marked.n_attrs++] = (struct attr){.key = ATTR_SAMPLE_SHARE, .d = t->share};
	marked.attrs[marked.n_attrs++] =
	    (struct attr){.key = ATTR_SAMPLE_REASON, .str = slice_str(t->reason)};
	m->span(m->ctx, &marked);
	free(marked.attrs);
}

static void waiting_free(struct sampler *m, struct trace *t, struct waiting *w)
{
	STAILQ_REMOVE_HEAD(&t->spans, next);
	t->bytes -= w->span.n;
	m->stats.held_bytes -= w->span.n;
	buf_release(&w->span);
	free(w);
}

static void keep(struct sampler *m, struct trace *t, const char *reason)
{
	struct waiting *w;
	struct span s;

	t->reason = reason;
	decide(m, t, KEPT);
	while ((w = STAILQ_FIRST(&t->spans))) {
		if (span_decode(buf_slice(&w->span), &s) == 0) { /* it was encoded here */
			hand_on(m, t, &s);
			span_release(&s);
		}
		waiting_free(m, t, w);
	}
}

static void drop(struct sampler *m, struct trace *t)
{
	struct waiting *w;

	decide(m, t, DROPPED);
	while ((w = STAILQ_FIRST(&t->spans))) {
		m->stats.dropped_spans++;
		m->stats.dropped_calls += w->call;
		waiting_free(m, t, w);
	}
}

static void hold(struct sampler *m, struct trace *t, const struct span *s)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	span_encode(&w->span, s);
	w->call = s->kind == SPAN_CHAT;
	m->stats.held += STAILQ_EMPTY(&t->spans);
	STAILQ_INSERT_TAIL(&t->spans, w, next);
	t->bytes += w->span.n;
	m->stats.held_bytes += w->span.n;
	while (m->stats.held_bytes > SAMPLE_HELD_BYTES)
		drop(m, TAILQ_FIRST(&m->undecided));
}

/* The rule of the tail that this span meets; NULL: none. */
static const char *asks_to_stay(const struct sampler *m, const struct span *s)
{
	bool spoken = s->kind == SPAN_CHAT || s->kind == SPAN_TURN;

	if (s->status == SPAN_ERROR && s->kind != SPAN_PROCESS) /* many a program ends with 1 for "no" */
		return "error";
	return spoken && m->conf.slow && s->end - s->start >= m->conf.slow ? "slow" : NULL;
}

static void forget(struct sampler *m, struct trace *t)
{
	if (t->decision == UNDECIDED)
		drop(m, t);
	map_del(&m->traces, t->id, sizeof(t->id));
	TAILQ_REMOVE(&m->lru, t, lru);
	free(t);
}

/* As the conversation was decided before, or by its share. */
static void begin(struct sampler *m, struct trace *t, const struct span *s)
{
	const struct attr *id = span_get(s, ATTR_CONVERSATION_ID);
	const char *before = id ? map_get(&m->decided, id->str.p, id->str.n) : NULL;

	if (before == dropped)
		drop(m, t);
	else if (before || in_share(t->id, t->share))
		keep(m, t, before ? before : "share");
}

static struct trace *trace_of(struct sampler *m, const struct span *s)
{
	struct trace *t = map_get(&m->traces, s->trace, sizeof(s->trace));

	if (t) {
		TAILQ_REMOVE(&m->lru, t, lru);
	} else {
		if (m->traces.n >= SAMPLE_TRACES_MAX)
			forget(m, TAILQ_FIRST(&m->lru));
		t = xcalloc(1, sizeof(*t));
		memcpy(t->id, s->trace, sizeof(t->id));
		t->share = m->conf.share;
		STAILQ_INIT(&t->spans);
		TAILQ_INSERT_TAIL(&m->undecided, t, undecided);
		map_put(&m->traces, t->id, sizeof(t->id), t);
		begin(m, t, s);
	}
	TAILQ_INSERT_TAIL(&m->lru, t, lru);
	note_id(m, t, s);
	return t;
}

static bool is_root(const struct span *s)
{
	static const uint8_t none[sizeof(s->parent)];

	return memcmp(s->parent, none, sizeof(none)) == 0;
}

void sampler_add(struct sampler *m, const struct span *s)
{
	struct trace *t = trace_of(m, s);
	const char *reason = t->decision == UNDECIDED ? asks_to_stay(m, s) : NULL;

	if (reason)
		keep(m, t, reason);
	if (t->decision == KEPT) {
		hand_on(m, t, s);
	} else if (t->decision == DROPPED) {
		m->stats.dropped_spans++;
		m->stats.dropped_calls += s->kind == SPAN_CHAT;
	} else {
		hold(m, t, s);
		if (is_root(s) && t->decision == UNDECIDED)
			drop(m, t);
	}
}

void sampler_finish(struct sampler *m)
{
	while (!TAILQ_EMPTY(&m->undecided))
		drop(m, TAILQ_FIRST(&m->undecided));
}

const struct sample_stats *sampler_stats(const struct sampler *m)
{
	return &m->stats;
}

void sampler_free(struct sampler *m)
{
	if (!m)
		return;
	for (struct trace *t; (t = TAILQ_FIRST(&m->lru));)
		forget(m, t);
	map_release(&m->traces);
	map_release(&m->decided);
	free(m);
}
