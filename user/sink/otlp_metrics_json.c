/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/log.h"
#include "sink/otlp_json_parts.h"
#include "sink/otlp_metrics.h"
#include "store/json_text.h"

#define CUMULATIVE 2 /* AggregationTemporality of the protocol */

static void add_time(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, uint64_t ns)
{
	yyjson_mut_obj_add_val(d, o, key, otlp_json_decimal(d, false, ns));
}

static void add_attributes(yyjson_mut_doc *d, yyjson_mut_val *point, const struct metric_def *def,
                           const struct series *s)
{
	yyjson_mut_val *attrs = yyjson_mut_obj_add_arr(d, point, "attributes");

	for (size_t i = 0; i < metric_n_labels(def); i++) {
		struct otlp_attr attr = {def->labels[i].name, ATTR_STR, {.str = s->labels[i]}};
		uint64_t number;

		if (!s->labels[i].p)
			continue;
		if (def->labels[i].integer && slice_u64(s->labels[i], &number) && number <= INT64_MAX) {
			attr.type = ATTR_INT;
			attr.v.i = (int64_t)number;
		}
		otlp_json_attr(d, attrs, attr.name, otlp_json_value(d, &attr));
	}
}

static void add_exemplar(yyjson_mut_doc *d, yyjson_mut_val *list, const struct exemplar *e)
{
	yyjson_mut_val *o = yyjson_mut_arr_add_obj(d, list);

	add_time(d, o, "timeUnixNano", e->wall);
	yyjson_mut_obj_add_real(d, o, "asDouble", e->value);
	yyjson_mut_obj_add_val(d, o, "spanId", json_hex(d, e->id, sizeof(e->id)));
	yyjson_mut_obj_add_val(d, o, "traceId", json_hex(d, e->trace, sizeof(e->trace)));
}

static void add_histogram(yyjson_mut_doc *d, yyjson_mut_val *point, const struct metric_def *def,
                          const struct histogram *h)
{
	yyjson_mut_val *counts, *bounds, *exemplars;

	add_time(d, point, "count", h->count);
	yyjson_mut_obj_add_real(d, point, "sum", h->sum);
	counts = yyjson_mut_obj_add_arr(d, point, "bucketCounts");
	bounds = yyjson_mut_obj_add_arr(d, point, "explicitBounds");
	exemplars = yyjson_mut_obj_add_arr(d, point, "exemplars");
	for (size_t i = 0; i <= def->bounds->n; i++) {
		yyjson_mut_arr_append(counts, otlp_json_decimal(d, false, h->buckets[i]));
		if (i < def->bounds->n)
			yyjson_mut_arr_add_real(d, bounds, def->bounds->v[i]);
		if (h->exemplars[i].wall)
			add_exemplar(d, exemplars, &h->exemplars[i]);
	}
}

static void add_metric(yyjson_mut_doc *d, yyjson_mut_val *list, const struct metric_def *def,
                       const struct family *f, uint64_t now)
{
	static const char *const kinds[] = {
	    [METRIC_COUNTER] = "sum", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
	yyjson_mut_val *metric = yyjson_mut_arr_add_obj(d, list);

	yyjson_mut_obj_add_str(d, metric, "name", def->name);
	yyjson_mut_obj_add_str(d, metric, "description", def->help);
	yyjson_mut_obj_add_str(d, metric, "unit", def->unit);
	yyjson_mut_val *data = yyjson_mut_obj_add_obj(d, metric, kinds[def->type]);
	if (def->type != METRIC_GAUGE)
		yyjson_mut_obj_add_int(d, data, "aggregationTemporality", CUMULATIVE);
	if (def->type == METRIC_COUNTER)
		yyjson_mut_obj_add_bool(d, data, "isMonotonic", true);
	yyjson_mut_val *points = yyjson_mut_obj_add_arr(d, data, "dataPoints");
	for (size_t i = 0; i < f->n; i++) {
		const struct series *s = f->v[i];

		if (!series_known(s))
			continue;
		yyjson_mut_val *point = yyjson_mut_arr_add_obj(d, points);

		add_attributes(d, point, def, s);
		if (def->type != METRIC_GAUGE)
			add_time(d, point, "startTimeUnixNano", s->created);
		add_time(d, point, "timeUnixNano", now);
		if (s->histogram)
			add_histogram(d, point, def, s->histogram);
		else
			yyjson_mut_obj_add_real(d, point, "asDouble", s->value);
	}
}

void otlp_metrics_json(struct buf *out, const struct registry *r, uint64_t now,
                       const struct resource *resource)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(d);
	yyjson_mut_val *rm = yyjson_mut_arr_add_obj(d, yyjson_mut_obj_add_arr(d, root, "resourceMetrics"));
	size_t n = 0;

	yyjson_mut_doc_set_root(d, root);
	yyjson_mut_obj_add_val(d, rm, "resource",
	                       otlp_json_resource(d, resource, &(struct resource_place){0}));
	yyjson_mut_val *sm = yyjson_mut_arr_add_obj(d, yyjson_mut_obj_add_arr(d, rm, "scopeMetrics"));
	yyjson_mut_val *scope = yyjson_mut_obj_add_obj(d, sm, "scope");
	yyjson_mut_obj_add_str(d, scope, "name", "spantap");
	yyjson_mut_obj_add_str(d, scope, "version", SPANTAP_VERSION);
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(d, sm, "metrics");
	for (int m = 0; m < METRICS; m++)
		if (registry_family(r, (enum metric)m)->n)
			add_metric(d, list, &metric_defs[m], registry_family(r, (enum metric)m), now);
	char *json = yyjson_mut_write(d, 0, &n);
	if (!json)
		die(EXIT_SPANTAP, "out of memory");
	buf_add(out, json, n);
	free(json);
	yyjson_mut_doc_free(d);
}
