/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <yyjson.h>

#include "store/messages.h"

static struct slice str(yyjson_val *obj, const char *key)
{
	yyjson_val *v = yyjson_obj_get(obj, key);

	return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : (struct slice){0};
}

static yyjson_doc *read_array(struct slice json)
{
	yyjson_doc *doc = json.n ? yyjson_read(json.p, json.n, 0) : NULL;

	if (yyjson_is_arr(yyjson_doc_get_root(doc)))
		return doc;
	yyjson_doc_free(doc);
	return NULL;
}

struct slice messages_cut(struct slice s, size_t max)
{
	if (s.n <= max)
		return s;
	s.n = max;
	while (s.n && (s.p[s.n] & 0xc0) == 0x80)
		s.n--;
	return s;
}

/* The first text of a message, preferably one that does not begin with a tag. */
static struct slice first_text(yyjson_val *message)
{
	struct slice found = {0};
	size_t i, max;
	yyjson_val *part;

	yyjson_arr_foreach(yyjson_obj_get(message, "parts"), i, max, part)
	{
		struct slice text = slice_trim(str(part, "content"));

		if (!slice_eq(str(part, "type"), SLICE("text")) || text.n == 0)
			continue;
		if (text.p[0] != '<')
			return text;
		if (!found.p)
			found = text;
	}
	return found;
}

void messages_user_text(struct buf *out, struct slice json, size_t max)
{
	yyjson_doc *doc = read_array(json);
	struct slice last = {0};
	size_t i, n;
	yyjson_val *m;

	yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, m)
	{
		if (!slice_eq(str(m, "role"), SLICE("user")))
			continue;
		struct slice text = first_text(m);
		if (text.p)
			last = text;
	}
	buf_addslice(out, messages_cut(last, max));
	yyjson_doc_free(doc);
}

void messages_answer(struct buf *out, struct slice json, size_t max)
{
	yyjson_doc *doc = read_array(json);

	buf_addslice(out, messages_cut(first_text(yyjson_arr_get_first(yyjson_doc_get_root(doc))), max));
	yyjson_doc_free(doc);
}

/* A value as text: strings as they are, anything else as indented JSON. */
static void add_value(struct buf *out, yyjson_val *v)
{
	if (yyjson_is_str(v)) {
		buf_add(out, yyjson_get_str(v), yyjson_get_len(v));
	} else if (v) {
		size_t n = 0;
		char *json = yyjson_val_write(v, YYJSON_WRITE_PRETTY_TWO_SPACES, &n);

		buf_add(out, json ? json : "", n);
		free(json);
	}
}

/* The keys under which parts of the known types hold their content, in the order in which they are shown. */
static const char *const content_keys[] = {
    "content", "arguments", "response", "server_tool_call", "server_tool_call_response", "uri", "file_id",
};

static void walk_part(yyjson_val *part, const struct messages_events *ev, void *ctx)
{
	struct buf content = {0}, label = {0};

	buf_addslice(&label, str(part, "name"));
	if (str(part, "id").n)
		buf_addf(&label, "%s%.*s", label.n ? " " : "", (int)str(part, "id").n, str(part, "id").p);
	for (size_t i = 0; i < sizeof(content_keys) / sizeof(content_keys[0]); i++)
		add_value(&content, yyjson_obj_get(part, content_keys[i]));
	if (content.n == 0)
		add_value(&content, part);
	ev->part(ctx, str(part, "type"), buf_slice(&label), buf_slice(&content));
	buf_release(&content);
	buf_release(&label);
}

bool messages_walk(struct slice json, const struct messages_events *ev, void *ctx)
{
	yyjson_doc *doc = read_array(json);
	size_t i, n, j, m;
	yyjson_val *message, *part;
	bool readable = doc != NULL;

	yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, message)
	{
		yyjson_val *parts = yyjson_obj_get(message, "parts");

		if (!parts) {
			walk_part(message, ev, ctx);
			continue;
		}
		ev->message(ctx, str(message, "role"), str(message, "finish_reason"));
		yyjson_arr_foreach(parts, j, m, part) walk_part(part, ev, ctx);
	}
	yyjson_doc_free(doc);
	return readable;
}
