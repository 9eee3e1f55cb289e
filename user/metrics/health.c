/* SPDX-License-Identifier: Apache-2.0 */
#include <yyjson.h>

#include "metrics/health.h"
#include "sink/otlp_attrs.h"

/* Numbers of the status: the object they are in, their key, and the value of the metric's one label. */
static const struct {
	const char *part, *object, *key;
	enum metric metric;
	const char *label; /* NULL: the metric has none */
} rows[] = {
    {"probe", "totals", "captured_bytes", METRIC_CAPTURED, NULL},
    {"probe", "totals", "ignored_bytes", METRIC_IGNORED, NULL},
    {"probe", "totals", "lost_bytes", METRIC_LOST, "ring_full"},
    {"probe", "totals", "too_long_bytes", METRIC_LOST, "too_long"},
    {"probe", "totals", "unreadable_bytes", METRIC_LOST, "unreadable"},
    {"probe", "totals", "life_lost", METRIC_LOST_RECORDS, "life_ring"},
    {"probe", "totals", "watch_lost", METRIC_LOST_RECORDS, "watch_ring"},
    {"probe", "totals", "not_told", METRIC_LOST_RECORDS, "not_told"},
    {"probe", "totals", "conn_untracked", METRIC_UNTRACKED, "connection"},
    {"probe", "totals", "call_untracked", METRIC_UNTRACKED, "call"},
    {"probe", "totals", "call_unreturned", METRIC_UNTRACKED, "call_unreturned"},
    {"probe", "totals", "proc_untracked", METRIC_UNTRACKED, "process"},
    {"probe", "totals", "wire_untracked", METRIC_UNTRACKED, "wire"},
    {"probe", "totals", "plain_untracked", METRIC_UNTRACKED, "plain_connection"},
    {"probe", "totals", "plain_early", METRIC_UNTRACKED, "plain_early"},
    {"probe", "totals", "decode_crashes", METRIC_CRASHES, NULL},
    {"probe", "totals", "processes_followed", METRIC_FOLLOWED, NULL},
    {"probe", "totals", "processes_unreadable", METRIC_PROCESSES_MISSED, "unreadable"},
    {"probe", "totals", "processes_ended_unseen", METRIC_PROCESSES_MISSED, "ended_unseen"},
    {"probe", "attached", "libraries", METRIC_LIBRARIES, "attached"},
    {"probe", "attached", "failed", METRIC_LIBRARIES, "failed"},
    {"probe", "attached", "unknown", METRIC_LIBRARIES, "not_inspected"},
    {"probe", "attached", "released", METRIC_LIBRARIES, "released"},
    {"probe", "data_ring", "used", METRIC_QUEUE_USED, "data_ring"},
    {"probe", "data_ring", "bytes", METRIC_QUEUE_SIZE, "data_ring"},
    {"probe", NULL, "alarms", METRIC_ALARMS, NULL},
    {"decode", "totals", "records", METRIC_RECORDS, NULL},
    {"decode", "totals", "bad_records", METRIC_RECORDS_REFUSED, "malformed"},
    {"decode", "totals", "poisoned", METRIC_RECORDS_REFUSED, "crashed"},
    {"decode", "totals", "holes", METRIC_HOLES, NULL},
    {"decode", "totals", "connections", METRIC_CONNECTIONS, NULL},
    {"decode", "totals", "unknown_protocol", METRIC_UNKNOWN_PROTOCOL, NULL},
    {"decode", "totals", "grpc", METRIC_UNREAD, "grpc"},
    {"decode", "totals", "batches", METRIC_UNREAD, "batch"},
    {"decode", "totals", "shed_spans", METRIC_SHED, NULL},
    {"decode", "limits", "conversations_left_out", METRIC_LEFT_OUT, "conversation"},
    {"decode", "limits", "calls_left_out", METRIC_LEFT_OUT, "call"},
    {"decode", "limits", "conversations_waiting", METRIC_UNDECIDED, NULL},
    {"decode", "limits", "spans_without_content", METRIC_PRESSED, NULL},
    {"decode", "limits", "share", METRIC_SHARE, NULL},
    {"decode", "limits", "pressure", METRIC_PRESSURE, NULL},
    {"decode", "journal", "used", METRIC_QUEUE_USED, "journal"},
    {"decode", "journal", "bytes", METRIC_QUEUE_SIZE, "journal"},
    {"decode", "outbox", "used", METRIC_QUEUE_USED, "outbox"},
    {"decode", "outbox", "bytes", METRIC_QUEUE_SIZE, "outbox"},
};

/* Numbers of an exporter's note; the second label of EXPORT_SPANS. */
static const struct {
	const char *key;
	enum metric metric;
	const char *label;
} export_rows[] = {
    {"exported", METRIC_EXPORT_SPANS, "exported"}, {"rejected", METRIC_EXPORT_SPANS, "rejected"},
    {"refused", METRIC_EXPORT_SPANS, "refused"},   {"erased_before_export", METRIC_EXPORT_SPANS, "erased"},
    {"waiting", METRIC_EXPORT_WAITING, NULL},      {"cursor", METRIC_EXPORT_CURSOR, NULL},
    {"requests", METRIC_EXPORT_REQUESTS, NULL},    {"failures", METRIC_EXPORT_FAILURES, NULL},
    {"bytes", METRIC_EXPORT_SENT, NULL},
};

static yyjson_val *get(yyjson_val *o, const char *key)
{
	return yyjson_obj_get(o, key);
}

static struct slice text(yyjson_val *v)
{
	return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : (struct slice){NULL, 0};
}

/* ns of "began" (s since the epoch); 0: not said. */
static uint64_t began(yyjson_val *o)
{
	uint64_t s = yyjson_get_uint(get(o, "began"));

	return s < UINT64_MAX / 1000000000 ? s * 1000000000 : 0;
}

static void add_rows(struct registry *r, yyjson_val *root)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		yyjson_val *part = get(root, rows[i].part),
		           *o = rows[i].object ? get(part, rows[i].object) : part;
		yyjson_val *v = get(o, rows[i].key);

		if (yyjson_is_num(v))
			registry_set(r, rows[i].metric, (struct slice[]){slice_str(rows[i].label)},
			             yyjson_get_num(v), began(part));
	}
}

/* Followed processes with TLS, by what is seen of them; a list that is cut says nothing about all. */
static void add_processes(struct registry *r, yyjson_val *probe)
{
	size_t i, max, n[3] = {0};
	static const char *const states[] = {"attached", "unsupported", "no_plaintext"};
	yyjson_val *p, *list = get(probe, "processes");

	if (!yyjson_is_arr(list) || yyjson_get_uint(get(probe, "omitted")))
		return;
	yyjson_arr_foreach(list, i, max, p)
	{
		bool attached = false;
		size_t k, libraries;
		yyjson_val *l;

		yyjson_arr_foreach(get(p, "libraries"), k, libraries, l) attached |=
		    slice_eq(text(get(l, "state")), SLICE("attached"));
		n[0] += attached;
		n[1] += !attached && yyjson_arr_size(get(p, "unsupported")) > 0;
		n[2] += yyjson_is_obj(get(p, "alarm"));
	}
	for (i = 0; i < 3; i++)
		registry_set(r, METRIC_PROCESSES, (struct slice[]){slice_str(states[i])}, (double)n[i], 0);
}

/* "roles": [{"role", "began", "cpu" (s), "memory" (bytes)}] */
static void add_roles(struct registry *r, yyjson_val *probe)
{
	size_t i, max;
	yyjson_val *v;

	yyjson_arr_foreach(get(probe, "roles"), i, max, v)
	{
		struct slice role = text(get(v, "role"));
		yyjson_val *cpu = get(v, "cpu"), *memory = get(v, "memory");

		if (yyjson_is_num(cpu))
			registry_set(r, METRIC_ROLE_CPU, &role, yyjson_get_num(cpu), began(v));
		if (yyjson_is_num(memory))
			registry_set(r, METRIC_ROLE_MEMORY, &role, yyjson_get_num(memory), 0);
	}
}

static void add_export(struct registry *r, yyjson_val *e)
{
	struct slice url = text(get(e, "url")), labels[2] = {url, {NULL, 0}};
	yyjson_val *error = get(e, "error");

	if (!url.n)
		return;
	for (size_t i = 0; i < sizeof(export_rows) / sizeof(export_rows[0]); i++) {
		yyjson_val *v = get(e, export_rows[i].key);

		labels[1] = slice_str(export_rows[i].label);
		if (yyjson_is_num(v))
			registry_set(r, export_rows[i].metric, labels, yyjson_get_num(v), 0);
	}
	if (error)
		registry_set(r, METRIC_EXPORT_FAILING, &url, yyjson_is_str(error), 0);
}

void health_add(struct registry *r, struct slice status, struct slice exports)
{
	yyjson_doc *doc = yyjson_read(status.p, status.n, 0), *notes = yyjson_read(exports.p, exports.n, 0);
	yyjson_val *root = yyjson_doc_get_root(doc), *e, *failing = get(root, "failing");
	size_t i, max;

	registry_set(r, METRIC_BUILD, (struct slice[]){SLICE(SPANTAP_VERSION)}, 1, 0);
	add_rows(r, root);
	add_processes(r, get(root, "probe"));
	add_roles(r, get(root, "probe"));
	if (yyjson_is_obj(failing))
		registry_set(r, METRIC_SINKS_FAILING, NULL, (double)yyjson_obj_size(failing), 0);
	yyjson_arr_foreach(yyjson_doc_get_root(notes), i, max, e) add_export(r, e);
	yyjson_doc_free(doc);
	yyjson_doc_free(notes);
}
