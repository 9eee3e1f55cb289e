/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <yyjson.h>

#include "base/alloc.h"
#include "base/log.h"
#include "sink/otlp_json.h"
#include "sink/otlp_json_parts.h"
#include "store/json_text.h"

struct otlp_json {
	const struct resource *resource;
	yyjson_mut_doc *doc; /* NULL between requests */
	yyjson_mut_val *resources;
	struct group {
		struct resource_place place;
		yyjson_mut_val *spans;
	} *groups; /* one a place; memory of the arena */
	size_t n_groups;
	struct arena arena;
	size_t n;
};

yyjson_mut_val *otlp_json_decimal(yyjson_mut_doc *d, bool negative, uint64_t magnitude)
{
	struct buf b = {0};

	buf_addf(&b, "%s%llu", negative ? "-" : "", (unsigned long long)magnitude);
	yyjson_mut_val *v = yyjson_mut_strncpy(d, buf_str(&b), b.n);
	buf_release(&b);
	return v;
}

/* {"stringValue": …} */
static yyjson_mut_val *any(yyjson_mut_doc *d, const char *type, yyjson_mut_val *v)
{
	yyjson_mut_val *obj = yyjson_mut_obj(d);

	yyjson_mut_obj_add_val(d, obj, type, v);
	return obj;
}

static yyjson_mut_val *array(yyjson_mut_doc *d, const struct slice *v, size_t n)
{
	yyjson_mut_val *values = yyjson_mut_arr(d);

	for (size_t i = 0; i < n; i++)
		yyjson_mut_arr_append(values, any(d, "stringValue", json_text(d, v[i])));
	yyjson_mut_val *obj = yyjson_mut_obj(d);
	yyjson_mut_obj_add_val(d, obj, "values", values);
	return any(d, "arrayValue", obj);
}

yyjson_mut_val *otlp_json_value(yyjson_mut_doc *d, const struct otlp_attr *a)
{
	const struct attr *v = &a->v;

	switch (a->type) {
	case ATTR_STR:
		return any(d, "stringValue", json_text(d, v->str));
	case ATTR_INT:
		return any(d, "intValue",
		           otlp_json_decimal(d, v->i < 0, v->i < 0 ? 0 - (uint64_t)v->i : (uint64_t)v->i));
	case ATTR_DOUBLE:
		return any(d, "doubleValue", yyjson_mut_real(d, v->d));
	case ATTR_BOOL:
		return any(d, "boolValue", yyjson_mut_bool(d, v->b));
	case ATTR_STRS:
		break;
	}
	return array(d, v->strs.v, v->strs.n);
}

void otlp_json_attr(yyjson_mut_doc *d, yyjson_mut_val *attrs, const char *key, yyjson_mut_val *value)
{
	yyjson_mut_val *kv = yyjson_mut_obj(d);

	yyjson_mut_obj_add_str(d, kv, "key", key);
	yyjson_mut_obj_add_val(d, kv, "value", value);
	yyjson_mut_arr_append(attrs, kv);
}

yyjson_mut_val *otlp_json_resource(yyjson_mut_doc *d, const struct resource *r,
                                   const struct resource_place *place)
{
	yyjson_mut_val *attrs = yyjson_mut_arr(d), *obj = yyjson_mut_obj(d);
	struct otlp_text v[RESOURCE_MAX];
	size_t n = resource_texts(r, place, v);

	for (size_t i = 0; i < n; i++)
		otlp_json_attr(d, attrs, v[i].name, any(d, "stringValue", json_text(d, v[i].value)));
	yyjson_mut_obj_add_val(d, obj, "attributes", attrs);
	return obj;
}

/* The frame: {"resourceSpans":[{"resource":…,"scopeSpans":[{"scope":…,"spans":[]}]}]} */
static void start(struct otlp_json *o)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(d);

	o->resources = yyjson_mut_obj_add_arr(d, root, "resourceSpans");
	yyjson_mut_doc_set_root(d, root);
	o->doc = d;
}

/* The spans of the place where `s` was. */
static yyjson_mut_val *spans_of(struct otlp_json *o, const struct span *s)
{
	struct resource_place place = resource_place(s);
	yyjson_mut_doc *d = o->doc;

	for (size_t i = 0; i < o->n_groups; i++)
		if (resource_place_same(&o->groups[i].place, &place))
			return o->groups[i].spans;
	struct group *g = arena_push(&o->arena, &o->groups, &o->n_groups, sizeof(*g));
	yyjson_mut_val *rs = yyjson_mut_arr_add_obj(d, o->resources);

	g->place = resource_place_dup(&o->arena, &place);
	yyjson_mut_obj_add_val(d, rs, "resource", otlp_json_resource(d, o->resource, &place));
	yyjson_mut_val *ss = yyjson_mut_arr_add_obj(d, yyjson_mut_obj_add_arr(d, rs, "scopeSpans"));
	yyjson_mut_val *scope = yyjson_mut_obj_add_obj(d, ss, "scope");
	yyjson_mut_obj_add_str(d, scope, "name", "spantap");
	yyjson_mut_obj_add_str(d, scope, "version", SPANTAP_VERSION);
	g->spans = yyjson_mut_obj_add_arr(d, ss, "spans");
	return g->spans;
}

struct otlp_json *otlp_json_new(const struct resource *resource)
{
	struct otlp_json *o = xcalloc(1, sizeof(*o));

	o->resource = resource;
	return o;
}

static yyjson_mut_val *status(yyjson_mut_doc *d, const struct span *s, bool content)
{
	yyjson_mut_val *obj = yyjson_mut_obj(d);

	if (s->status == SPAN_UNSET)
		return obj;
	if (s->status_message.n && content)
		yyjson_mut_obj_add_val(d, obj, "message", json_text(d, s->status_message));
	yyjson_mut_obj_add_int(d, obj, "code", otlp_status(s));
	return obj;
}

static yyjson_mut_val *parent(yyjson_mut_doc *d, const struct span *s)
{
	static const uint8_t root[8];
	bool is_root = memcmp(s->parent, root, sizeof(root)) == 0;

	return is_root ? yyjson_mut_str(d, "") : json_hex(d, s->parent, sizeof(s->parent));
}

/* The conventions' place for what belongs together without being parent and child. */
static void add_links(yyjson_mut_doc *d, yyjson_mut_val *obj, const struct span *s)
{
	yyjson_mut_val *links = s->n_links ? yyjson_mut_obj_add_arr(d, obj, "links") : NULL;

	for (size_t i = 0; i < s->n_links; i++) {
		const struct span_link *l = &s->links[i];
		yyjson_mut_val *v = yyjson_mut_arr_add_obj(d, links);

		yyjson_mut_obj_add_val(d, v, "traceId", json_hex(d, l->trace, sizeof(l->trace)));
		yyjson_mut_obj_add_val(d, v, "spanId", json_hex(d, l->id, sizeof(l->id)));
		yyjson_mut_val *attrs = yyjson_mut_obj_add_arr(d, v, "attributes");
		otlp_json_attr(d, attrs, attr_defs[ATTR_LINK_EVIDENCE].name,
		         any(d, "stringValue", json_text(d, l->evidence)));
		if (isfinite(l->confidence))
			otlp_json_attr(d, attrs, attr_defs[ATTR_LINK_CONFIDENCE].name,
			         any(d, "doubleValue", yyjson_mut_real(d, l->confidence)));
	}
}

void otlp_json_add(struct otlp_json *o, const struct span *s, bool content, enum otlp_profile profile)
{
	struct arena arena = {0};
	struct otlp_attrs list;

	if (!o->doc)
		start(o);
	yyjson_mut_doc *d = o->doc;
	yyjson_mut_val *obj = yyjson_mut_arr_add_obj(d, spans_of(o, s));

	otlp_attrs(&list, s, content, profile, &arena);
	yyjson_mut_obj_add_val(d, obj, "traceId", json_hex(d, s->trace, sizeof(s->trace)));
	yyjson_mut_obj_add_val(d, obj, "spanId", json_hex(d, s->id, sizeof(s->id)));
	yyjson_mut_obj_add_val(d, obj, "parentSpanId", parent(d, s));
	yyjson_mut_obj_add_val(d, obj, "name", json_text(d, s->name));
	yyjson_mut_obj_add_int(d, obj, "kind", otlp_kind(s));
	yyjson_mut_obj_add_val(d, obj, "startTimeUnixNano", otlp_json_decimal(d, false, s->start_wall));
	yyjson_mut_obj_add_val(d, obj, "endTimeUnixNano", otlp_json_decimal(d, false, otlp_end(s)));
	yyjson_mut_val *attrs = yyjson_mut_obj_add_arr(d, obj, "attributes");
	for (size_t i = 0; i < list.n; i++)
		otlp_json_attr(d, attrs, list.v[i].name, otlp_json_value(d, &list.v[i]));
	if (list.dropped)
		yyjson_mut_obj_add_uint(d, obj, "droppedAttributesCount", list.dropped);
	add_links(d, obj, s);
	yyjson_mut_obj_add_val(d, obj, "status", status(d, s, content));
	arena_release(&arena);
	o->n++;
}

size_t otlp_json_count(const struct otlp_json *o)
{
	return o->n;
}

void otlp_json_write(struct otlp_json *o, struct buf *out)
{
	size_t n = 0;

	if (!o->doc)
		return;
	char *json = yyjson_mut_write(o->doc, 0, &n);
	if (!json)
		die(EXIT_SPANTAP, "out of memory");
	buf_add(out, json, n);
	buf_addc(out, '\n');
	free(json);
	yyjson_mut_doc_free(o->doc);
	arena_release(&o->arena);
	o->groups = NULL;
	o->n_groups = 0;
	o->doc = NULL;
	o->n = 0;
}

void otlp_json_free(struct otlp_json *o)
{
	if (!o)
		return;
	yyjson_mut_doc_free(o->doc);
	arena_release(&o->arena);
	free(o);
}
