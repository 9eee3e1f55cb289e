/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "metrics/openmetrics.h"

const char *metrics_format_type(enum metrics_format f)
{
	return f == METRICS_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	                                : "text/plain; version=0.0.4; charset=utf-8";
}

/* RFC 9110, 12.4.2, as thousandths; without one it is 1. */
static int weight(struct slice params)
{
	struct slice part;
	char text[8] = "";

	while (slice_cut(&params, ';', &part)) {
		part = slice_trim(part);
		if (part.n < 3 || part.n > 2 + 5 || (part.p[0] | 32) != 'q' || part.p[1] != '=')
			continue;
		memcpy(text, part.p + 2, part.n - 2);
		double q = strtod(text, NULL);
		return q >= 0 && q <= 1 ? (int)(q * 1000) : 0;
	}
	return 1000;
}

enum metrics_format metrics_format_accepted(struct slice accept)
{
	int best[METRICS_FORMATS] = {0};
	struct slice item;

	while (slice_cut(&accept, ',', &item)) {
		struct slice params = item, type;

		slice_cut(&params, ';', &type);
		type = slice_trim(type);
		int w = weight(params), f = slice_caseeq(type, SLICE("application/openmetrics-text"))
		                                ? METRICS_OPENMETRICS
		                            : slice_caseeq(type, SLICE("text/plain")) ? METRICS_TEXT
		                                                                      : -1;
		if (f >= 0 && w > best[f])
			best[f] = w;
	}
	return best[METRICS_OPENMETRICS] > 0 && best[METRICS_OPENMETRICS] >= best[METRICS_TEXT]
	           ? METRICS_OPENMETRICS
	           : METRICS_TEXT;
}

/* --- words --- */

static const char *unit_word(const struct metric_def *def)
{
	return strcmp(def->unit, "s") == 0 ? "seconds" : strcmp(def->unit, "By") == 0 ? "bytes" : NULL;
}

static void add_name(struct buf *out, const char *name)
{
	for (; *name; name++)
		buf_addc(out, *name == '.' ? '_' : *name);
}

/* The family's name, without what its samples append. */
static void add_family(struct buf *out, const struct metric_def *def)
{
	const char *unit = unit_word(def);

	add_name(out, def->name);
	if (unit)
		buf_addf(out, "_%s", unit);
}

/* The shortest form that reads back as the same number. */
static void add_number(struct buf *out, double v)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	buf_adds(out, text);
}

/* A boundary: OpenMetrics wants a fraction, and it has to be the same in both formats. */
static void add_bound(struct buf *out, double v)
{
	add_number(out, v);
	if (v == floor(v))
		buf_adds(out, ".0");
}

static void add_seconds(struct buf *out, uint64_t wall)
{
	buf_addf(out, "%llu.%03u", (unsigned long long)(wall / 1000000000),
	         (unsigned)(wall % 1000000000 / 1000000));
}

static void add_value(struct buf *out, struct slice s)
{
	struct buf utf8 = {0};

	text_utf8(&utf8, s);
	for (size_t i = 0; i < utf8.n; i++) {
		if (utf8.p[i] == '\n')
			buf_adds(out, "\\n");
		else if (utf8.p[i] == '"' || utf8.p[i] == '\\')
			buf_addf(out, "\\%c", utf8.p[i]);
		else
			buf_addc(out, utf8.p[i]);
	}
	buf_release(&utf8);
}

/* {a="b",le="1.0"}; `le` NULL: without. */
static void add_labels(struct buf *out, const struct metric_def *def, const struct series *s,
                       const double *le)
{
	char sep = '{';

	for (size_t i = 0; i < metric_n_labels(def); i++) {
		if (!s->labels[i].p)
			continue;
		buf_addc(out, sep);
		add_name(out, def->labels[i].name);
		buf_adds(out, "=\"");
		add_value(out, s->labels[i]);
		buf_addc(out, '"');
		sep = ',';
	}
	if (le) {
		buf_addf(out, "%cle=\"", sep);
		if (isinf(*le))
			buf_adds(out, "+Inf");
		else
			add_bound(out, *le);
		buf_addc(out, '"');
		sep = ',';
	}
	if (sep == ',')
		buf_addc(out, '}');
	buf_addc(out, ' ');
}

/* --- samples --- */

static void add_exemplar(struct buf *out, const struct exemplar *e)
{
	buf_adds(out, " # {trace_id=\"");
	text_hex(out, e->trace, sizeof(e->trace));
	buf_adds(out, "\",span_id=\"");
	text_hex(out, e->id, sizeof(e->id));
	buf_adds(out, "\"} ");
	add_number(out, e->value);
	buf_addc(out, ' ');
	add_seconds(out, e->wall);
}

static void begin_sample(struct buf *out, const struct metric_def *def, const char *suffix,
                         const struct series *s, const double *le)
{
	add_family(out, def);
	buf_adds(out, suffix);
	add_labels(out, def, s, le);
}

static void add_created(struct buf *out, const struct metric_def *def, const struct series *s)
{
	begin_sample(out, def, "_created", s, NULL);
	add_seconds(out, s->created);
	buf_addc(out, '\n');
}

static void add_histogram(struct buf *out, const struct metric_def *def, const struct series *s,
                          enum metrics_format f)
{
	const struct histogram *h = s->histogram;
	uint64_t below = 0;

	for (size_t i = 0; i <= def->bounds->n; i++) {
		double le = i < def->bounds->n ? def->bounds->v[i] : INFINITY;

		below += h->buckets[i];
		begin_sample(out, def, "_bucket", s, &le);
		buf_addf(out, "%llu", (unsigned long long)below);
		if (f == METRICS_OPENMETRICS && h->exemplars[i].wall)
			add_exemplar(out, &h->exemplars[i]);
		buf_addc(out, '\n');
	}
	begin_sample(out, def, "_count", s, NULL);
	buf_addf(out, "%llu\n", (unsigned long long)h->count);
	begin_sample(out, def, "_sum", s, NULL);
	add_number(out, h->sum);
	buf_addc(out, '\n');
}

static void add_series(struct buf *out, const struct metric_def *def, const struct series *s,
                       enum metrics_format f)
{
	if (def->type == METRIC_HISTOGRAM) {
		add_histogram(out, def, s, f);
	} else {
		begin_sample(out, def, def->type == METRIC_COUNTER ? "_total" : "", s, NULL);
		add_number(out, s->value);
		buf_addc(out, '\n');
	}
	if (f == METRICS_OPENMETRICS && def->type != METRIC_GAUGE && s->created)
		add_created(out, def, s);
}

static void add_head(struct buf *out, const struct metric_def *def, enum metrics_format f)
{
	static const char *const types[] = {
	    [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
	const char *suffix = f == METRICS_TEXT && def->type == METRIC_COUNTER ? "_total" : "";

	buf_adds(out, "# HELP ");
	add_family(out, def);
	buf_addf(out, "%s %s\n# TYPE ", suffix, def->help);
	add_family(out, def);
	buf_addf(out, "%s %s\n", suffix, types[def->type]);
	if (f == METRICS_OPENMETRICS && unit_word(def)) {
		buf_adds(out, "# UNIT ");
		add_family(out, def);
		buf_addf(out, " %s\n", unit_word(def));
	}
}

void openmetrics_write(struct buf *out, const struct registry *r, enum metrics_format f)
{
	for (int m = 0; m < METRICS; m++) {
		const struct family *family = registry_family(r, (enum metric)m);

		if (family->n)
			add_head(out, &metric_defs[m], f);
		for (size_t i = 0; i < family->n; i++)
			if (series_known(family->v[i]))
				add_series(out, &metric_defs[m], family->v[i], f);
	}
	if (f == METRICS_OPENMETRICS)
		buf_adds(out, "# EOF\n");
}
