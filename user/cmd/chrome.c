/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/text.h"
#include "cmd/chrome.h"
#include "cmd/json.h"
#include "store/json_text.h"

struct row {
	enum span_kind kind;
	unsigned number; /* among the rows of its kind, from 1 */
	uint64_t free_at;
};

struct rows {
	struct row *v;
	size_t n, cap;
};

static const char *const row_names[SPAN_KINDS] = {"conversation", "turns", "model calls", "tools",
                                                  "processes", "MCP", "HTTP"};

/* The row of the kind that is free; the spans come in order of their start. */
static size_t take(struct rows *rows, const struct span *s)
{
	unsigned number = 1;

	for (size_t i = 0; i < rows->n; i++) {
		struct row *row = &rows->v[i];

		if (row->kind != s->kind)
			continue;
		number++;
		if (row->free_at <= s->start) {
			row->free_at = s->end;
			return i;
		}
	}
	xgrow(&rows->v, &rows->cap, rows->n + 1, sizeof(struct row));
	rows->v[rows->n] = (struct row){s->kind, number, s->end};
	return rows->n++;
}

/* Rows are shown by kind, then by number. */
static uint64_t tid(const struct row *row)
{
	return (uint64_t)row->kind * 100000 + row->number;
}

static void add_us(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, uint64_t ns)
{
	struct buf b = {0};

	buf_addf(&b, "%llu.%03llu", (unsigned long long)(ns / 1000), (unsigned long long)(ns % 1000));
	yyjson_mut_obj_add_val(d, o, key, yyjson_mut_rawncpy(d, buf_str(&b), b.n));
	buf_release(&b);
}

static void add_event(struct buf *out, yyjson_mut_doc *d, yyjson_mut_val *event)
{
	size_t n = 0;
	char *json = yyjson_mut_val_write(event, YYJSON_WRITE_ESCAPE_UNICODE, &n);

	if (json) {
		buf_add(out, json, n);
		buf_adds(out, ",\n");
	}
	free(json);
	yyjson_mut_doc_free(d);
}

static void add_span(struct buf *out, uint64_t pid, const struct row *row, const struct span *s)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(d);

	yyjson_mut_obj_add_str(d, o, "ph", "X");
	yyjson_mut_obj_add_val(d, o, "name", json_text(d, s->name));
	yyjson_mut_obj_add_str(d, o, "cat", span_kind_name(s->kind));
	yyjson_mut_obj_add_uint(d, o, "pid", pid);
	yyjson_mut_obj_add_uint(d, o, "tid", tid(row));
	add_us(d, o, "ts", s->start_wall);
	add_us(d, o, "dur", s->end > s->start ? s->end - s->start : 0);
	yyjson_mut_obj_add_val(d, o, "args", json_span(d, s));
	add_event(out, d, o);
}

/* Metadata: names and order of processes and threads. */
static void add_name(struct buf *out, const char *what, uint64_t pid, uint64_t thread, struct slice name,
                     uint64_t order)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(d), *args = yyjson_mut_obj(d);

	yyjson_mut_obj_add_str(d, o, "ph", "M");
	yyjson_mut_obj_add_str(d, o, "name", what);
	yyjson_mut_obj_add_uint(d, o, "pid", pid);
	yyjson_mut_obj_add_uint(d, o, "tid", thread);
	if (name.p)
		yyjson_mut_obj_add_val(d, args, "name", json_text(d, name));
	else
		yyjson_mut_obj_add_uint(d, args, "sort_index", order);
	yyjson_mut_obj_add_val(d, o, "args", args);
	add_event(out, d, o);
}

static void add_process(struct buf *out, uint64_t pid, const struct store_conversation *c,
                        const struct span *s)
{
	struct buf name = {0};

	buf_addslice(&name, c && c->agent.n ? c->agent : c && c->command.n ? c->command : SLICE("?"));
	buf_addc(&name, ' ');
	text_hex(&name, s->trace, 4);
	if (c && c->text.n) {
		buf_adds(&name, ": ");
		text_line(&name, c->text, 60);
	}
	add_name(out, "process_name", pid, 0, buf_slice(&name), 0);
	add_name(out, "process_sort_index", pid, 0, (struct slice){0}, pid);
	buf_release(&name);
}

void chrome_add(struct buf *out, uint64_t pid, const struct store_conversation *c, const struct span *v,
                size_t n)
{
	struct rows rows = {0};
	struct buf name = {0};

	if (n)
		add_process(out, pid, c, v);
	for (size_t i = 0; i < n; i++) {
		size_t row = take(&rows, &v[i]);

		add_span(out, pid, &rows.v[row], &v[i]);
	}
	for (size_t i = 0; i < rows.n; i++) {
		buf_clear(&name);
		buf_adds(&name, row_names[rows.v[i].kind]);
		if (rows.v[i].number > 1)
			buf_addf(&name, " %u", rows.v[i].number);
		add_name(out, "thread_name", pid, tid(&rows.v[i]), buf_slice(&name), 0);
		add_name(out, "thread_sort_index", pid, tid(&rows.v[i]), (struct slice){0}, tid(&rows.v[i]));
	}
	buf_release(&name);
	free(rows.v);
}
