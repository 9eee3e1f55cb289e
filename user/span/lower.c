/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <yyjson.h>

#include "span/lower.h"

#define WITHHELD  "[withheld]"
#define DEPTH_MAX 4 /* of parts, and of what they wrap */

/* Of a string its text; of anything else its JSON. */
static void add_shape_of(yyjson_mut_doc *d, yyjson_mut_val *o, const struct content *c, yyjson_val *v)
{
	size_t n = 0;
	char *json = yyjson_is_str(v) ? NULL : yyjson_val_write(v, 0, &n);

	content_shape(c, d, o, json ? slice_of(json, n) : slice_of(yyjson_get_str(v), yyjson_get_len(v)));
	free(json);
}

static yyjson_mut_val *shape_of(yyjson_mut_doc *d, const struct content *c, yyjson_val *v)
{
	yyjson_mut_val *o = yyjson_mut_obj(d);

	add_shape_of(d, o, c, v);
	return o;
}

static bool is_one_of(yyjson_val *key, const char *const *words)
{
	for (; *words; words++)
		if (yyjson_equals_str(key, *words))
			return true;
	return false;
}

/* Members that say what a thing is, not what was said. */
static const char *const kept[] = {
    "type",     "id",    "name",   "role", "finish_reason", "modality", "mime_type",
    "is_error", "score", "length", "hash", "redacted",      NULL};
/* Texts that the schemas require. */
static const char *const required[] = {"content", "uri", "file_id", NULL};
/* Values of any kind. */
static const char *const values[] = {"arguments", "response", NULL};
/* Objects of such members. */
static const char *const wrapped[] = {"server_tool_call", "server_tool_call_response", "description_shape",
                                      "parameters_shape", NULL};

static yyjson_mut_val *shape_object(yyjson_mut_doc *d, const struct content *c, yyjson_val *v,
                                    unsigned depth);

static yyjson_mut_val *shape_array(yyjson_mut_doc *d, const struct content *c, yyjson_val *v, unsigned depth)
{
	yyjson_mut_val *arr = yyjson_mut_arr(d);
	size_t i, n;
	yyjson_val *x;

	yyjson_arr_foreach(v, i, n, x) if (yyjson_is_obj(x))
	    yyjson_mut_arr_append(arr, shape_object(d, c, x, depth + 1));
	return arr;
}

/* Message, part, document, tool definition: all of them are known members or left out. */
static yyjson_mut_val *shape_object(yyjson_mut_doc *d, const struct content *c, yyjson_val *v, unsigned depth)
{
	yyjson_mut_val *o = yyjson_mut_obj(d);
	size_t i, n;
	yyjson_val *key, *x;

	yyjson_obj_foreach(v, i, n, key, x)
	{
		const char *name = yyjson_get_str(key);

		if (is_one_of(key, kept) && !yyjson_is_ctn(x)) {
			yyjson_mut_obj_add(o, yyjson_mut_strcpy(d, name), yyjson_val_mut_copy(d, x));
		} else if (is_one_of(key, required) && yyjson_is_str(x)) {
			yyjson_mut_obj_add(o, yyjson_mut_strcpy(d, name), yyjson_mut_str(d, WITHHELD));
			if (!yyjson_equals_str(x, WITHHELD)) /* else its length and hash stand beside it */
				add_shape_of(d, o, c, x);
		} else if (is_one_of(key, values) || is_one_of(key, required)) {
			yyjson_mut_obj_add(o, yyjson_mut_strcpy(d, name), shape_of(d, c, x));
		} else if (yyjson_equals_str(key, "description")) {
			yyjson_mut_obj_add_val(d, o, "description_shape", shape_of(d, c, x));
		} else if (yyjson_equals_str(key, "parameters")) {
			yyjson_mut_obj_add_val(d, o, "parameters_shape", shape_of(d, c, x));
		} else if (yyjson_equals_str(key, "parts") && depth < DEPTH_MAX) {
			yyjson_mut_obj_add_val(d, o, "parts", shape_array(d, c, x, depth));
		} else if (is_one_of(key, wrapped) && yyjson_is_obj(x) && depth < DEPTH_MAX) {
			yyjson_mut_obj_add(o, yyjson_mut_strcpy(d, name), shape_object(d, c, x, depth + 1));
		}
	}
	return o;
}

/* Absent when there is no shape of it. */
static struct slice shape(struct span *s, const struct content *c, enum attr_key key, struct slice text)
{
	bool is_value = key == ATTR_TOOL_CALL_ARGUMENTS || key == ATTR_TOOL_CALL_RESULT;
	yyjson_doc *doc =
	    is_value ? NULL : yyjson_read(text.p ? text.p : "", text.n, YYJSON_READ_NUMBER_AS_RAW);
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = NULL;
	struct slice ret = {NULL, 0};
	size_t n = 0;

	if (is_value) {
		root = yyjson_mut_obj(d);
		content_shape(c, d, root, text);
	} else if (yyjson_is_arr(yyjson_doc_get_root(doc))) {
		root = shape_array(d, c, yyjson_doc_get_root(doc), 0);
	}
	yyjson_mut_doc_set_root(d, root);
	char *json = root ? yyjson_mut_write(d, 0, &n) : NULL;
	if (json)
		ret = arena_dup(&s->arena, slice_of(json, n));
	free(json);
	yyjson_mut_doc_free(d);
	yyjson_doc_free(doc);
	return ret;
}

/* False: there is nothing of it at the lower level. */
static bool lower(struct span *s, struct content *c, struct attr *a)
{
	if (c->level == CONTENT_NONE || attr_defs[a->key].local)
		return false;
	if (attr_defs[a->key].type == ATTR_STRS) {
		struct slice *v = arena_alloc(&s->arena, (a->strs.n + 1) * sizeof(*v));
		bool ok = content_argv(c, &s->arena, a->strs.v, a->strs.n, v);

		a->strs.v = v;
		return ok;
	}
	a->str =
	    c->level == CONTENT_SHAPE ? shape(s, c, a->key, a->str) : content_result(c, &s->arena, a->str);
	a->cuts = NULL;
	a->n_cuts = 0;
	return a->str.p != NULL;
}

void span_lower(struct span *s, struct content *c, enum content_level from)
{
	size_t n = 0;

	if (c->level >= from)
		return;
	for (size_t i = 0; i < s->n_attrs; i++)
		if (!attr_defs[s->attrs[i].key].content || lower(s, c, &s->attrs[i]))
			s->attrs[n++] = s->attrs[i];
	s->n_attrs = n;
	if (s->status_message.p)
		s->status_message = content_error(c, &s->arena, s->status_message);
}
