/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "sink/otlp_json.h"
#include "sink/otlp_pb.h"
#include "sink/otlp_proto.h"

struct otlp_proto {
	const struct resource *resource;
	struct arena arena; /* everything of the request */
	struct group {
		struct resource_place place;
		Otlp__Span **spans;
		size_t n;
	} *groups; /* one a place */
	size_t n_groups;
	size_t n;
};

struct otlp_proto *otlp_proto_new(const struct resource *resource)
{
	struct otlp_proto *o = xcalloc(1, sizeof(*o));

	o->resource = resource;
	return o;
}

ProtobufCBinaryData otlp_pb_bytes(struct arena *a, const void *p, size_t n)
{
	struct slice copy = arena_dup(a, slice_of(p, n));

	return (ProtobufCBinaryData){copy.n, (uint8_t *)(uintptr_t)copy.p};
}

/* Valid UTF-8, as a field of type string must be. */
static ProtobufCBinaryData utf8(struct arena *a, struct slice s)
{
	struct buf b = {0};

	if (text_valid(s) == s.n)
		return otlp_pb_bytes(a, s.p, s.n);
	text_utf8(&b, s);
	ProtobufCBinaryData r = otlp_pb_bytes(a, b.p, b.n);
	buf_release(&b);
	return r;
}

Otlp__AnyValue *otlp_pb_text(struct arena *a, struct slice s)
{
	Otlp__AnyValue *v = arena_alloc(a, sizeof(*v));

	otlp__any_value__init(v);
	v->value_case = OTLP__ANY_VALUE__VALUE_STRING_VALUE;
	v->string_value = utf8(a, s);
	return v;
}

static Otlp__AnyValue *any_texts(struct arena *a, const struct slice *texts, size_t n)
{
	Otlp__AnyValue *v = arena_alloc(a, sizeof(*v));

	otlp__any_value__init(v);
	v->value_case = OTLP__ANY_VALUE__VALUE_ARRAY_VALUE;
	v->array_value = arena_alloc(a, sizeof(*v->array_value));
	otlp__array_value__init(v->array_value);
	v->array_value->n_values = n;
	v->array_value->values = arena_alloc(a, (n + 1) * sizeof(*v->array_value->values));
	for (size_t i = 0; i < n; i++)
		v->array_value->values[i] = otlp_pb_text(a, texts[i]);
	return v;
}

Otlp__AnyValue *otlp_pb_value(struct arena *a, const struct otlp_attr *attr)
{
	Otlp__AnyValue *v;

	if (attr->type == ATTR_STR)
		return otlp_pb_text(a, attr->v.str);
	if (attr->type == ATTR_STRS)
		return any_texts(a, attr->v.strs.v, attr->v.strs.n);
	v = arena_alloc(a, sizeof(*v));
	otlp__any_value__init(v);
	if (attr->type == ATTR_INT) {
		v->value_case = OTLP__ANY_VALUE__VALUE_INT_VALUE;
		v->int_value = attr->v.i;
	} else if (attr->type == ATTR_DOUBLE) {
		v->value_case = OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE;
		v->double_value = attr->v.d;
	} else {
		v->value_case = OTLP__ANY_VALUE__VALUE_BOOL_VALUE;
		v->bool_value = attr->v.b;
	}
	return v;
}

Otlp__KeyValue *otlp_pb_key_value(struct arena *a, const char *key, Otlp__AnyValue *value)
{
	Otlp__KeyValue *kv = arena_alloc(a, sizeof(*kv));

	otlp__key_value__init(kv);
	kv->key = (char *)(uintptr_t)key; /* static text */
	kv->value = value;
	return kv;
}

static void set_attributes(Otlp__Span *span, const struct otlp_attrs *list, struct arena *a)
{
	span->attributes = arena_alloc(a, (list->n + 1) * sizeof(*span->attributes));
	span->n_attributes = list->n;
	for (size_t i = 0; i < list->n; i++)
		span->attributes[i] = otlp_pb_key_value(a, list->v[i].name, otlp_pb_value(a, &list->v[i]));
	span->dropped_attributes_count = list->dropped;
}

static void set_links(Otlp__Span *span, const struct span *s, struct arena *a)
{
	span->links = arena_alloc(a, (s->n_links + 1) * sizeof(*span->links));
	span->n_links = s->n_links;
	for (size_t i = 0; i < s->n_links; i++) {
		const struct span_link *l = &s->links[i];
		Otlp__Link *link = arena_alloc(a, sizeof(*link));
		const struct otlp_attr confidence = {NULL, ATTR_DOUBLE, {.d = l->confidence}};

		otlp__link__init(link);
		link->trace_id = otlp_pb_bytes(a, l->trace, sizeof(l->trace));
		link->span_id = otlp_pb_bytes(a, l->id, sizeof(l->id));
		link->attributes = arena_alloc(a, 2 * sizeof(*link->attributes));
		link->attributes[link->n_attributes++] =
		    otlp_pb_key_value(a, attr_defs[ATTR_LINK_EVIDENCE].name, otlp_pb_text(a, l->evidence));
		if (isfinite(l->confidence))
			link->attributes[link->n_attributes++] =
			    otlp_pb_key_value(a, attr_defs[ATTR_LINK_CONFIDENCE].name, otlp_pb_value(a, &confidence));
		span->links[i] = link;
	}
}

/* Of the place where `s` was. */
static struct group *group_of(struct otlp_proto *o, const struct span *s)
{
	struct resource_place place = resource_place(s);

	for (size_t i = 0; i < o->n_groups; i++)
		if (resource_place_same(&o->groups[i].place, &place))
			return &o->groups[i];
	struct group *g = arena_push(&o->arena, &o->groups, &o->n_groups, sizeof(*g));
	g->place = resource_place_dup(&o->arena, &place);
	return g;
}

void otlp_proto_add(struct otlp_proto *o, const struct span *s, bool content, enum otlp_profile profile)
{
	static const uint8_t root[8];
	struct arena *a = &o->arena, scratch = {0};
	Otlp__Span *span = arena_alloc(a, sizeof(*span));
	struct otlp_attrs list;

	otlp__span__init(span);
	otlp_attrs(&list, s, content, profile, &scratch);
	span->trace_id = otlp_pb_bytes(a, s->trace, sizeof(s->trace));
	span->span_id = otlp_pb_bytes(a, s->id, sizeof(s->id));
	if (memcmp(s->parent, root, sizeof(root)))
		span->parent_span_id = otlp_pb_bytes(a, s->parent, sizeof(s->parent));
	span->name = utf8(a, s->name);
	span->kind = otlp_kind(s);
	span->start_time_unix_nano = s->start_wall;
	span->end_time_unix_nano = otlp_end(s);
	set_attributes(span, &list, a);
	set_links(span, s, a);
	span->status = arena_alloc(a, sizeof(*span->status));
	otlp__status__init(span->status);
	span->status->code = otlp_status(s);
	if (span->status->code && s->status_message.n && content)
		span->status->message = utf8(a, s->status_message);
	struct group *g = group_of(o, s);
	*(Otlp__Span **)arena_push(a, &g->spans, &g->n, sizeof(Otlp__Span *)) = span;
	o->n++;
	arena_release(&scratch);
}

size_t otlp_proto_count(const struct otlp_proto *o)
{
	return o->n;
}

Otlp__Resource *otlp_pb_resource(struct arena *a, const struct resource *r,
                                 const struct resource_place *place)
{
	Otlp__Resource *resource = arena_alloc(a, sizeof(*resource));
	struct otlp_text v[RESOURCE_MAX];
	size_t n = resource_texts(r, place, v);

	otlp__resource__init(resource);
	resource->attributes = arena_alloc(a, n * sizeof(*resource->attributes));
	resource->n_attributes = n;
	for (size_t i = 0; i < n; i++)
		resource->attributes[i] = otlp_pb_key_value(a, v[i].name, otlp_pb_text(a, v[i].value));
	return resource;
}

static Otlp__ResourceSpans *resource_spans(struct otlp_proto *o, const struct group *g)
{
	static Otlp__InstrumentationScope scope = OTLP__INSTRUMENTATION_SCOPE__INIT;
	Otlp__ResourceSpans *rs = arena_alloc(&o->arena, sizeof(*rs));
	Otlp__ScopeSpans *ss = arena_alloc(&o->arena, sizeof(*ss));

	scope.name = (char *)(uintptr_t)"spantap";
	scope.version = (char *)(uintptr_t)SPANTAP_VERSION;
	otlp__scope_spans__init(ss);
	ss->scope = &scope;
	ss->spans = g->spans;
	ss->n_spans = g->n;
	otlp__resource_spans__init(rs);
	rs->resource = otlp_pb_resource(&o->arena, o->resource, &g->place);
	rs->scope_spans = arena_alloc(&o->arena, sizeof(*rs->scope_spans));
	rs->scope_spans[0] = ss;
	rs->n_scope_spans = 1;
	return rs;
}

void otlp_proto_write(struct otlp_proto *o, struct buf *out)
{
	Otlp__ExportTraceServiceRequest request = OTLP__EXPORT_TRACE_SERVICE_REQUEST__INIT;

	if (!o->n)
		return;
	request.resource_spans = arena_alloc(&o->arena, o->n_groups * sizeof(*request.resource_spans));
	request.n_resource_spans = o->n_groups;
	for (size_t i = 0; i < o->n_groups; i++)
		request.resource_spans[i] = resource_spans(o, &o->groups[i]);

	size_t size = otlp__export_trace_service_request__get_packed_size(&request);
	buf_reserve(out, size);
	out->n += otlp__export_trace_service_request__pack(&request, (uint8_t *)out->p + out->n);
	arena_release(&o->arena);
	o->groups = NULL;
	o->n_groups = o->n = 0;
}

void otlp_proto_free(struct otlp_proto *o)
{
	if (!o)
		return;
	arena_release(&o->arena);
	free(o);
}

int otlp_proto_response(struct slice body, uint64_t *ret_rejected, struct buf *ret_message)
{
	Otlp__ExportTraceServiceResponse *r =
	    otlp__export_trace_service_response__unpack(NULL, body.n, (const uint8_t *)body.p);
	const Otlp__ExportTracePartialSuccess *partial = r ? r->partial_success : NULL;

	if (!r)
		return -EBADMSG;
	*ret_rejected = partial && partial->rejected_spans > 0 ? (uint64_t)partial->rejected_spans : 0;
	if (partial && partial->error_message)
		buf_adds(ret_message, partial->error_message);
	otlp__export_trace_service_response__free_unpacked(r, NULL);
	return 0;
}
