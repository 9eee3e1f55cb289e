/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "sink/otlp_json.h"
#include "sink/otlp_proto.h"
#include "sink/pods.h"
#include "sink/resource.h"
#include "otlp.pb-c.h"

static const struct resource_place nowhere;

/* "name=value|" of an environment; of these names only. */
static void expect(const char *list, const char *service, const char *names, const char *wanted)
{
	struct otlp_text v[RESOURCE_MAX];
	struct buf got = {0};

	setenv("OTEL_RESOURCE_ATTRIBUTES", list ? list : "", 1);
	setenv("OTEL_SERVICE_NAME", service ? service : "", 1);
	struct resource *r = resource_new();
	size_t n = resource_texts(r, &nowhere, v);
	for (size_t i = 0; i < n; i++)
		if (strstr(names, v[i].name))
			buf_addf(&got, "%s=%.*s|", v[i].name, (int)v[i].value.n, v[i].value.p);
	assert_string_equal(buf_str(&got), wanted);
	buf_release(&got);
	resource_free(r);
}

static void test_environment(void **state)
{
	(void)state;
	expect(NULL, NULL, "service.name os.type", "service.name=spantap|os.type=linux|");
	expect(NULL, "fleet", "service.name", "service.name=fleet|");
	expect("service.name=a", NULL, "service.name", "service.name=a|");
	expect("service.name=a", "b", "service.name", "service.name=b|");
	expect(" k = v , os.type=plan9,", NULL, "k os.type", "os.type=plan9|k=v|");
	expect("k=a%2Cb%3Dc%20%25%C3%A9", NULL, "k", "k=a,b=c %\xc3\xa9|");
	expect("a%2Cb=x=y", NULL, "a,b", "a,b=x=y|");
	expect("k=1,k=2", NULL, "k", "k=2|");
	expect("k=", NULL, "k", "k=|");
	expect("telemetry.sdk.name=x", NULL, "telemetry.sdk.name", "telemetry.sdk.name=spantap|");
}

/* With an error in it, it counts as a whole for nothing. */
static void test_environment_wrong(void **state)
{
	static const char *const wrong[] = {"k=v,x", "k=v,=x", "k=%",        "k=v%4",
	                                    "k=%zz", "k=%FF",  "k=v,k2=%00", "k"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct buf error = {0};

		assert_false(resource_check(wrong[i], &error));
		assert_true(error.n > 20);
		expect(wrong[i], NULL, "k k2", "");
		buf_release(&error);
	}
	struct buf many = {0}, error = {0};
	for (int i = 0; i < RESOURCE_GIVEN_MAX + 1; i++)
		buf_addf(&many, "k%d=v,", i);
	assert_false(resource_check(buf_str(&many), &error));
	buf_clear(&many);
	for (int i = 0; i < RESOURCE_LIST_MAX + 1; i++)
		buf_addc(&many, 'k');
	assert_false(resource_check(buf_str(&many), &error));
	assert_true(resource_check(NULL, &error) && resource_check("", &error));
	buf_release(&many);
	buf_release(&error);
}

static struct span make(uint8_t id, const char *container, const char *pod)
{
	struct span s = {.kind = SPAN_CHAT};

	memset(s.id, id, sizeof(s.id));
	memset(s.trace, 1, sizeof(s.trace));
	s.name = SLICE("chat");
	span_set_str(&s, ATTR_CONTAINER_ID, slice_str(container));
	span_set_str(&s, ATTR_K8S_POD_UID, slice_str(pod));
	return s;
}

static const char *text_of(yyjson_val *attrs, const char *key)
{
	size_t i, n;
	yyjson_val *kv;

	yyjson_arr_foreach(
	    attrs, i, n,
	    kv) if (strcmp(yyjson_get_str(yyjson_obj_get(kv, "key")), key) ==
	            0) return yyjson_get_str(yyjson_obj_get(yyjson_obj_get(kv, "value"), "stringValue"));
	return "";
}

static void add_text(struct buf *out, const char *container, const char *pod, size_t spans)
{
	buf_addf(out, "%s/%s:%zu ", container, pod, spans);
}

static void shape_of_json(struct buf *json, struct buf *out)
{
	yyjson_doc *doc = yyjson_read(json->p, json->n, 0);
	yyjson_val *rs;
	size_t i, n;

	yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "resourceSpans"), i, n, rs)
	{
		yyjson_val *attrs = yyjson_obj_get(yyjson_obj_get(rs, "resource"), "attributes");
		yyjson_val *ss = yyjson_arr_get(yyjson_obj_get(rs, "scopeSpans"), 0);

		assert_string_equal(text_of(attrs, "service.name"), "spantap");
		assert_string_equal(yyjson_get_str(yyjson_obj_get(yyjson_obj_get(ss, "scope"), "name")),
		                    "spantap");
		add_text(out, text_of(attrs, "container.id"), text_of(attrs, "k8s.pod.uid"),
		         yyjson_arr_size(yyjson_obj_get(ss, "spans")));
	}
	yyjson_doc_free(doc);
}

static void shape_of_proto(struct buf *body, struct buf *out)
{
	Otlp__ExportTraceServiceRequest *r =
	    otlp__export_trace_service_request__unpack(NULL, body->n, (const uint8_t *)body->p);

	assert_non_null(r);
	for (size_t i = 0; i < r->n_resource_spans; i++) {
		Otlp__Resource *resource = r->resource_spans[i]->resource;
		struct buf texts[2] = {{0}};

		for (size_t k = 0; k < resource->n_attributes; k++) {
			Otlp__KeyValue *kv = resource->attributes[k];
			int which = strcmp(kv->key, "container.id") == 0  ? 0
			            : strcmp(kv->key, "k8s.pod.uid") == 0 ? 1
			                                                  : -1;

			if (which >= 0)
				buf_add(&texts[which], kv->value->string_value.data,
				        kv->value->string_value.len);
		}
		assert_int_equal(r->resource_spans[i]->n_scope_spans, 1);
		assert_string_equal(r->resource_spans[i]->scope_spans[0]->scope->name, "spantap");
		add_text(out, buf_str(&texts[0]), buf_str(&texts[1]),
		         r->resource_spans[i]->scope_spans[0]->n_spans);
		buf_release(&texts[0]);
		buf_release(&texts[1]);
	}
	otlp__export_trace_service_request__free_unpacked(r, NULL);
}

/* The spans of one place stand below one resource; a second request begins anew. */
static void test_places(void **state)
{
	static const char *const of[][2] = {{NULL, NULL}, {"c1", "p1"}, {"c2", "p1"},
	                                    {"c1", "p1"}, {NULL, NULL}, {"c1", NULL}};
	const char *const wanted = "/:2 c1/p1:2 c2/p1:1 c1/:1 ";
	struct otlp_json *json = otlp_json_new(NULL);
	struct otlp_proto *proto = otlp_proto_new(NULL);

	(void)state;
	for (int round = 0; round < 2; round++) {
		struct buf body = {0}, shape = {0};

		for (uint8_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
			struct span s = make(i + 1, of[i][0], of[i][1]);

			otlp_json_add(json, &s, true, OTLP_PLAIN);
			otlp_proto_add(proto, &s, true, OTLP_PLAIN);
			span_release(&s);
		}
		assert_int_equal(otlp_proto_count(proto), 6);
		otlp_json_write(json, &body);
		shape_of_json(&body, &shape);
		assert_string_equal(buf_str(&shape), wanted);
		buf_clear(&body);
		buf_clear(&shape);
		otlp_proto_write(proto, &body);
		shape_of_proto(&body, &shape);
		assert_string_equal(buf_str(&shape), wanted);
		buf_release(&body);
		buf_release(&shape);
	}
	otlp_json_free(json);
	otlp_proto_free(proto);
}

#define UID "01234567-89ab-cdef-0123-456789abcdef"

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	(void)sb, (void)type, (void)ftw;
	return remove(path);
}

static void named(struct pods *p, const char *uid, uint64_t now, const char *wanted)
{
	struct span s = make(1, "c", uid);
	struct buf got = {0};

	pods_name(p, &s, now);
	const struct attr *ns = span_get(&s, ATTR_K8S_NAMESPACE_NAME),
	                  *name = span_get(&s, ATTR_K8S_POD_NAME);
	if (ns && name)
		buf_addf(&got, "%.*s/%.*s", (int)ns->str.n, ns->str.p, (int)name->str.n, name->str.p);
	assert_string_equal(buf_str(&got), wanted);
	assert_true(!ns == !name);
	buf_release(&got);
	span_release(&s);
}

static void test_pods(void **state)
{
	char dir[] = "/tmp/spantap-pods-XXXXXX", path[128];
	const uint64_t second = 1000000000;

	(void)state;
	assert_non_null(mkdtemp(dir));
	static const char *const names[] = {"default_web-0_" UID, "kube-system_" UID, "_x_y", "a_b_c_d",
	                                    "no"};
	for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	struct pods *p = pods_new(dir);
	named(p, UID, second, "");
	snprintf(path, sizeof(path), "%s/%s", dir, names[0]);
	assert_int_equal(mkdir(path, 0700), 0);
	named(p, UID, 2 * second, ""); /* not so soon again */
	named(p, UID, 2 * second + PODS_AGAIN_NS, "default/web-0");
	named(p, NULL, 3 * second + PODS_AGAIN_NS, "");
	named(p, "c", 99 * PODS_AGAIN_NS, "");
	pods_free(p);
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	p = pods_new(dir);
	named(p, UID, second, "");
	pods_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_environment),
	                                   cmocka_unit_test(test_environment_wrong),
	                                   cmocka_unit_test(test_places), cmocka_unit_test(test_pods)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
