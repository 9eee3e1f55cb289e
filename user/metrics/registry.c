/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "metrics/metrics.h"

#define VERSION 1

struct registry {
	uint64_t start;
	struct family families[METRICS];
	struct arena arena; /* labels, series */
};

struct registry *registry_new(uint64_t start)
{
	struct registry *r = xcalloc(1, sizeof(*r));

	r->start = start;
	return r;
}

void registry_free(struct registry *r)
{
	if (!r)
		return;
	for (int m = 0; m < METRICS; m++) {
		map_release(&r->families[m].by_labels);
		free(r->families[m].v);
	}
	arena_release(&r->arena);
	free(r);
}

uint64_t registry_start(const struct registry *r)
{
	return r->start;
}

const struct family *registry_family(const struct registry *r, enum metric m)
{
	return &r->families[m];
}

/* --- series --- */

static struct slice clip(struct slice s)
{
	if (s.n <= METRIC_LABEL_MAX)
		return s;
	s.n = METRIC_LABEL_MAX;
	while (s.n > METRIC_LABEL_MAX - 4 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
		s.n--; /* not within a character */
	return s;
}

static bool is_plain(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return true;
}

/*
 * As it may be shown on a terminal.  Not left to the writers: two values that
 * look the same must be one series, or a scraper refuses them all.
 */
static struct slice clean(struct arena *scratch, struct slice s)
{
	struct buf escaped = {0};

	s = clip(s);
	if (is_plain(s))
		return s;
	text_escape(&escaped, s);
	s = arena_dup(scratch, clip(buf_slice(&escaped)));
	buf_release(&escaped);
	return s;
}

static void make_key(struct buf *key, const struct slice *labels, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_addc(key, labels[i].p ? (char)labels[i].n : (char)0xff);
		buf_addslice(key, labels[i]);
	}
}

static struct series *add_series(struct registry *r, enum metric m, const struct slice *labels,
                                 const struct buf *key)
{
	const struct metric_def *def = &metric_defs[m];
	struct family *f = &r->families[m];
	struct series *s = arena_alloc(&r->arena, sizeof(*s));

	for (size_t i = 0; i < metric_n_labels(def); i++)
		s->labels[i] = arena_dup(&r->arena, labels[i]);
	s->created = r->start;
	if (def->type == METRIC_HISTOGRAM)
		s->histogram = arena_alloc(&r->arena, sizeof(*s->histogram));
	xgrow(&f->v, &f->cap, f->n + 1, sizeof(*f->v));
	f->v[f->n++] = s;
	map_put(&f->by_labels, key->p ? key->p : "", key->n, s);
	return s;
}

static struct series *find(struct registry *r, enum metric m, struct slice *labels, size_t most)
{
	struct family *f = &r->families[m];
	struct buf key = {0};

	make_key(&key, labels, metric_n_labels(&metric_defs[m]));
	struct series *s = map_get(&f->by_labels, key.p ? key.p : "", key.n);
	if (!s && f->n < most)
		s = add_series(r, m, labels, &key);
	buf_release(&key);
	return s;
}

/* Where others of its kind are counted together, and that it is. */
static struct series *stand_in(struct registry *r, enum metric m, struct slice *labels, size_t n)
{
	const struct metric_def *def = &metric_defs[m];

	for (size_t i = 0; i < n; i++)
		if (def->labels[i].traffic)
			labels[i] = SLICE("other");
	struct series *s = find(r, m, labels, METRIC_SERIES_MAX + METRIC_OTHERS_MAX - 1);
	for (size_t i = 0; !s && i < n; i++)
		labels[i] = SLICE("other");
	if (!s)
		s = find(r, m, labels, METRIC_SERIES_MAX + METRIC_OTHERS_MAX);
	if (m != METRIC_FOLDED)
		registry_add(r, METRIC_FOLDED, (struct slice[]){slice_str(def->name)}, 1);
	return s;
}

/* The series of these labels, or the one that stands for it. */
static struct series *series_of(struct registry *r, enum metric m, const struct slice *given)
{
	const struct metric_def *def = &metric_defs[m];
	struct slice labels[METRIC_LABELS_MAX] = {{NULL, 0}};
	struct arena scratch = {0};
	size_t n = metric_n_labels(def);

	for (size_t i = 0; i < n; i++)
		labels[i] = clean(&scratch, given[i]);
	struct series *s = find(r, m, labels, METRIC_SERIES_MAX);
	if (!s)
		s = stand_in(r, m, labels, n);
	arena_release(&scratch);
	return s;
}

void registry_add(struct registry *r, enum metric m, const struct slice *labels, double by)
{
	if (isfinite(by) && by >= 0)
		series_of(r, m, labels)->value += by;
}

void registry_set(struct registry *r, enum metric m, const struct slice *labels, double value,
                  uint64_t created)
{
	if (!isfinite(value) || (value < 0 && metric_defs[m].type == METRIC_COUNTER))
		return;
	struct series *s = series_of(r, m, labels);
	s->value = value;
	s->created = created;
}

void registry_unset(struct registry *r, enum metric m, const struct slice *labels)
{
	struct slice copy[METRIC_LABELS_MAX] = {{NULL, 0}};
	struct arena scratch = {0};

	for (size_t i = 0; i < metric_n_labels(&metric_defs[m]); i++)
		copy[i] = clean(&scratch, labels[i]);
	struct series *s = find(r, m, copy, 0);
	if (s)
		s->value = NAN;
	arena_release(&scratch);
}

bool series_known(const struct series *s)
{
	return s->histogram || !isnan(s->value);
}

static size_t bucket_of(const struct metric_bounds *b, double value)
{
	size_t i = 0;

	while (i < b->n && value > b->v[i])
		i++;
	return i;
}

void registry_observe(struct registry *r, enum metric m, const struct slice *labels, double value,
                      uint64_t times, const struct exemplar *at)
{
	if (!isfinite(value) || value < 0 || !times)
		return;
	struct histogram *h = series_of(r, m, labels)->histogram;
	size_t i = bucket_of(metric_defs[m].bounds, value);

	h->count += times;
	h->sum += value * (double)times;
	h->buckets[i] += times;
	if (!at)
		return;
	h->exemplars[i] = *at;
	h->exemplars[i].value = value;
}

void registry_observe_buckets(struct registry *r, enum metric m, const struct slice *labels,
                              const uint32_t *counts, double sum)
{
	const struct metric_bounds *b = metric_defs[m].bounds;

	if (!isfinite(sum) || sum < 0)
		return;
	struct histogram *h = series_of(r, m, labels)->histogram;
	for (size_t i = 0; i <= b->n; i++) {
		h->count += counts[i];
		h->buckets[i] += counts[i];
	}
	h->sum += sum;
}

/* --- the form on the board: fixed-size numbers, as this host has them --- */

static void put(struct buf *out, const void *p, size_t n)
{
	buf_add(out, p, n);
}

#define PUT(out, v) put(out, &(v), sizeof(v))

static void put_histogram(struct buf *out, const struct histogram *h, size_t n)
{
	PUT(out, h->count);
	PUT(out, h->sum);
	for (size_t i = 0; i <= n; i++) {
		PUT(out, h->buckets[i]);
		PUT(out, h->exemplars[i].wall);
		if (h->exemplars[i].wall)
			PUT(out, h->exemplars[i]);
	}
}

static void put_series(struct buf *out, const struct series *s, const struct metric_def *def)
{
	for (size_t i = 0; i < metric_n_labels(def); i++) {
		buf_addc(out, s->labels[i].p ? (char)s->labels[i].n : (char)0xff);
		buf_addslice(out, s->labels[i]);
	}
	PUT(out, s->created);
	if (s->histogram)
		put_histogram(out, s->histogram, def->bounds->n);
	else
		PUT(out, s->value);
}

void registry_encode(struct buf *out, const struct registry *r)
{
	buf_addc(out, VERSION);
	buf_addc(out, METRICS);
	PUT(out, r->start);
	for (int m = 0; m < METRICS; m++) {
		const struct family *f = &r->families[m];
		uint16_t n = (uint16_t)f->n;

		PUT(out, n);
		for (size_t i = 0; i < f->n; i++)
			put_series(out, f->v[i], &metric_defs[m]);
	}
}

static bool get(struct slice *in, void *ret, size_t n)
{
	if (in->n < n)
		return false;
	memcpy(ret, in->p, n);
	*in = slice_from(*in, n);
	return true;
}

#define GET(in, v) get(in, &(v), sizeof(v))

static bool get_histogram(struct slice *in, struct histogram *h, size_t n)
{
	bool ok = GET(in, h->count) && GET(in, h->sum) && isfinite(h->sum);

	for (size_t i = 0; ok && i <= n; i++) {
		uint64_t wall = 0;

		ok = GET(in, h->buckets[i]) && GET(in, wall);
		if (ok && wall)
			ok = GET(in, h->exemplars[i]) && isfinite(h->exemplars[i].value);
	}
	return ok;
}

static bool get_labels(struct slice *in, struct slice *ret, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char len;

		if (!GET(in, len) || (len != 0xff && (len > METRIC_LABEL_MAX || len > in->n)))
			return false;
		ret[i] = len == 0xff ? (struct slice){NULL, 0} : slice_of(in->p, len);
		if (len != 0xff)
			*in = slice_from(*in, len);
	}
	return true;
}

static bool get_series(struct slice *in, struct registry *r, enum metric m)
{
	const struct metric_def *def = &metric_defs[m];
	struct slice labels[METRIC_LABELS_MAX] = {{NULL, 0}};

	if (!get_labels(in, labels, metric_n_labels(def)))
		return false;
	struct series *s = find(r, m, labels, METRIC_SERIES_MAX + METRIC_OTHERS_MAX);
	if (!s || !GET(in, s->created))
		return false;
	return s->histogram ? get_histogram(in, s->histogram, def->bounds->n)
	                    : GET(in, s->value) && !isinf(s->value);
}

int registry_decode(struct slice in, struct registry **ret)
{
	struct registry *r = registry_new(0);
	unsigned char version, metrics;
	bool ok = GET(&in, version) && GET(&in, metrics) && version == VERSION && metrics == METRICS &&
	          GET(&in, r->start);

	for (int m = 0; ok && m < METRICS; m++) {
		uint16_t n;

		ok = GET(&in, n) && n <= METRIC_SERIES_MAX + METRIC_OTHERS_MAX;
		for (size_t i = 0; ok && i < n; i++)
			ok = get_series(&in, r, (enum metric)m);
	}
	if (!ok || in.n) {
		registry_free(r);
		return -EBADMSG;
	}
	*ret = r;
	return 0;
}
