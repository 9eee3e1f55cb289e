/* SPDX-License-Identifier: Apache-2.0 */
#include "sink/otlp_metrics.h"
#include "sink/otlp_pb.h"

#define CUMULATIVE 2 /* AggregationTemporality of the protocol */

static Otlp__KeyValue **attributes(struct arena *a, const struct metric_def *def, const struct series *s,
                                   size_t *ret_n)
{
	Otlp__KeyValue **v = arena_alloc(a, METRIC_LABELS_MAX * sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < metric_n_labels(def); i++) {
		uint64_t number;
		struct otlp_attr attr = {def->labels[i].name, ATTR_STR, {.str = s->labels[i]}};

		if (!s->labels[i].p)
			continue;
		if (def->labels[i].integer && slice_u64(s->labels[i], &number) && number <= INT64_MAX) {
			attr.type = ATTR_INT;
			attr.v.i = (int64_t)number;
		}
		v[n++] = otlp_pb_key_value(a, attr.name, otlp_pb_value(a, &attr));
	}
	*ret_n = n;
	return v;
}

static Otlp__Exemplar *exemplar(struct arena *a, const struct exemplar *e)
{
	Otlp__Exemplar *x = arena_alloc(a, sizeof(*x));

	otlp__exemplar__init(x);
	x->time_unix_nano = e->wall;
	x->value_case = OTLP__EXEMPLAR__VALUE_AS_DOUBLE;
	x->as_double = e->value;
	x->span_id = otlp_pb_bytes(a, e->id, sizeof(e->id));
	x->trace_id = otlp_pb_bytes(a, e->trace, sizeof(e->trace));
	return x;
}

static Otlp__HistogramDataPoint *histogram_point(struct arena *a, const struct metric_def *def,
                                                 const struct series *s, uint64_t now)
{
	Otlp__HistogramDataPoint *p = arena_alloc(a, sizeof(*p));
	const struct histogram *h = s->histogram;
	size_t n = def->bounds->n;

	otlp__histogram_data_point__init(p);
	p->attributes = attributes(a, def, s, &p->n_attributes);
	p->start_time_unix_nano = s->created;
	p->time_unix_nano = now;
	p->count = h->count;
	p->total_case = OTLP__HISTOGRAM_DATA_POINT__TOTAL_SUM;
	p->sum = h->sum;
	p->bucket_counts = (uint64_t *)(uintptr_t)h->buckets; /* only read */
	p->n_bucket_counts = n + 1;
	p->explicit_bounds = (double *)(uintptr_t)def->bounds->v;
	p->n_explicit_bounds = n;
	p->exemplars = arena_alloc(a, (n + 1) * sizeof(*p->exemplars));
	for (size_t i = 0; i <= n; i++)
		if (h->exemplars[i].wall)
			p->exemplars[p->n_exemplars++] = exemplar(a, &h->exemplars[i]);
	return p;
}

static Otlp__NumberDataPoint *number_point(struct arena *a, const struct metric_def *def,
                                           const struct series *s, uint64_t now)
{
	Otlp__NumberDataPoint *p = arena_alloc(a, sizeof(*p));

	otlp__number_data_point__init(p);
	p->attributes = attributes(a, def, s, &p->n_attributes);
	p->start_time_unix_nano = def->type == METRIC_COUNTER ? s->created : 0;
	p->time_unix_nano = now;
	p->value_case = OTLP__NUMBER_DATA_POINT__VALUE_AS_DOUBLE;
	p->as_double = s->value;
	return p;
}

static void set_histogram(struct arena *a, Otlp__Metric *metric, const struct metric_def *def,
                          const struct family *f, uint64_t now)
{
	Otlp__Histogram *h = arena_alloc(a, sizeof(*h));

	otlp__histogram__init(h);
	h->aggregation_temporality = CUMULATIVE;
	h->data_points = arena_alloc(a, f->n * sizeof(*h->data_points));
	for (; h->n_data_points < f->n; h->n_data_points++)
		h->data_points[h->n_data_points] = histogram_point(a, def, f->v[h->n_data_points], now);
	metric->data_case = OTLP__METRIC__DATA_HISTOGRAM;
	metric->histogram = h;
}

static void set_numbers(struct arena *a, Otlp__Metric *metric, const struct metric_def *def,
                        const struct family *f, uint64_t now)
{
	Otlp__NumberDataPoint **points = arena_alloc(a, f->n * sizeof(*points));

	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		if (series_known(f->v[i]))
			points[n++] = number_point(a, def, f->v[i], now);
	if (def->type == METRIC_GAUGE) {
		metric->data_case = OTLP__METRIC__DATA_GAUGE;
		metric->gauge = arena_alloc(a, sizeof(*metric->gauge));
		otlp__gauge__init(metric->gauge);
		metric->gauge->data_points = points;
		metric->gauge->n_data_points = n;
		return;
	}
	metric->data_case = OTLP__METRIC__DATA_SUM;
	metric->sum = arena_alloc(a, sizeof(*metric->sum));
	otlp__sum__init(metric->sum);
	metric->sum->aggregation_temporality = CUMULATIVE;
	metric->sum->is_monotonic = true;
	metric->sum->data_points = points;
	metric->sum->n_data_points = n;
}

static Otlp__Metric *metric_of(struct arena *a, const struct metric_def *def, const struct family *f,
                               uint64_t now)
{
	Otlp__Metric *metric = arena_alloc(a, sizeof(*metric));

	otlp__metric__init(metric);
	metric->name = (char *)(uintptr_t)def->name;
	metric->description = (char *)(uintptr_t)def->help;
	metric->unit = (char *)(uintptr_t)def->unit;
	if (def->type == METRIC_HISTOGRAM)
		set_histogram(a, metric, def, f, now);
	else
		set_numbers(a, metric, def, f, now);
	return metric;
}

void otlp_metrics_proto(struct buf *out, const struct registry *r, uint64_t now,
                        const struct resource *resource)
{
	Otlp__ExportMetricsServiceRequest request = OTLP__EXPORT_METRICS_SERVICE_REQUEST__INIT;
	Otlp__ResourceMetrics rm = OTLP__RESOURCE_METRICS__INIT, *resources = &rm;
	Otlp__ScopeMetrics sm = OTLP__SCOPE_METRICS__INIT, *scopes = &sm;
	Otlp__InstrumentationScope scope = OTLP__INSTRUMENTATION_SCOPE__INIT;
	struct arena a = {0};
	Otlp__Metric *metrics[METRICS];

	scope.name = (char *)(uintptr_t) "spantap";
	scope.version = (char *)(uintptr_t)SPANTAP_VERSION;
	sm.scope = &scope;
	sm.metrics = metrics;
	for (int m = 0; m < METRICS; m++)
		if (registry_family(r, (enum metric)m)->n)
			metrics[sm.n_metrics++] =
			    metric_of(&a, &metric_defs[m], registry_family(r, (enum metric)m), now);
	rm.resource = otlp_pb_resource(&a, resource, &(struct resource_place){0});
	rm.scope_metrics = &scopes;
	rm.n_scope_metrics = 1;
	request.resource_metrics = &resources;
	request.n_resource_metrics = 1;
	buf_reserve(out, otlp__export_metrics_service_request__get_packed_size(&request));
	out->n += otlp__export_metrics_service_request__pack(&request, (uint8_t *)out->p + out->n);
	arena_release(&a);
}
