/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/text.h"
#include "store/db.h"
#include "store/json_text.h"
#include "store/value.h"

static yyjson_mut_val *value(yyjson_mut_doc *doc, const struct attr *a)
{
	switch (attr_defs[a->key].type) {
	case ATTR_STR:
		return json_text(doc, a->str);
	case ATTR_INT:
		return yyjson_mut_sint(doc, a->i);
	case ATTR_DOUBLE:
		return isfinite(a->d) ? yyjson_mut_real(doc, a->d) : NULL;
	case ATTR_BOOL:
		return yyjson_mut_bool(doc, a->b);
	case ATTR_STRS:
		break;
	}
	yyjson_mut_val *arr = yyjson_mut_arr(doc);
	for (size_t i = 0; i < a->strs.n; i++)
		yyjson_mut_arr_append(arr, json_text(doc, a->strs.v[i]));
	return arr;
}

/* Beside the attributes, under a name that none of them has. */
#define LINKS "spantap.links"

static void write_links(yyjson_mut_doc *doc, yyjson_mut_val *obj, const struct span *s)
{
	yyjson_mut_val *arr = s->n_links ? yyjson_mut_obj_add_arr(doc, obj, LINKS) : NULL;

	for (size_t i = 0; i < s->n_links; i++) {
		const struct span_link *l = &s->links[i];
		yyjson_mut_val *v = yyjson_mut_arr_add_obj(doc, arr);

		yyjson_mut_obj_add_val(doc, v, "trace", json_hex(doc, l->trace, sizeof(l->trace)));
		yyjson_mut_obj_add_val(doc, v, "span", json_hex(doc, l->id, sizeof(l->id)));
		yyjson_mut_obj_add_val(doc, v, "evidence", json_text(doc, l->evidence));
		if (isfinite(l->confidence))
			yyjson_mut_obj_add_real(doc, v, "confidence", l->confidence);
	}
}

void span_json_write(struct buf *out, const struct span *s)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *obj = yyjson_mut_obj(doc);

	for (size_t i = 0; i < s->n_attrs; i++) {
		yyjson_mut_val *v = value_is(s, &s->attrs[i]) ? NULL : value(doc, &s->attrs[i]);

		if (v)
			yyjson_mut_obj_add_val(doc, obj, attr_defs[s->attrs[i].key].name, v);
	}
	write_links(doc, obj, s);
	size_t n = 0;
	char *json = yyjson_mut_val_write(obj, 0, &n);
	if (json)
		buf_add(out, json, n);
	else
		buf_adds(out, "{}");
	free(json);
	yyjson_mut_doc_free(doc);
}

static int key_of(const char *name)
{
	for (int k = 0; k < ATTR_KEYS; k++)
		if (strcmp(attr_defs[k].name, name) == 0)
			return k;
	return -1;
}

static struct slice str(yyjson_val *v)
{
	return yyjson_is_str(v) ? slice_of(yyjson_get_str(v), yyjson_get_len(v)) : (struct slice){0};
}

static void set_strs(struct span *s, enum attr_key key, yyjson_val *arr)
{
	size_t n = yyjson_arr_size(arr), i, max;
	struct slice *v = arena_alloc(&s->arena, (n ? n : 1) * sizeof(*v));
	yyjson_val *e;

	yyjson_arr_foreach(arr, i, max, e) v[i] = str(e);
	span_set_strs(s, key, v, n);
}

static void set(struct span *s, enum attr_key key, yyjson_val *v)
{
	switch (attr_defs[key].type) {
	case ATTR_STR:
		span_set_str(s, key, str(v));
		break;
	case ATTR_INT:
		if (yyjson_is_int(v))
			span_set_int(s, key, yyjson_get_sint(v));
		break;
	case ATTR_DOUBLE:
		if (yyjson_is_num(v))
			span_set_double(s, key, yyjson_get_num(v));
		break;
	case ATTR_BOOL:
		if (yyjson_is_bool(v))
			span_set_bool(s, key, yyjson_get_bool(v));
		break;
	case ATTR_STRS:
		if (yyjson_is_arr(v))
			set_strs(s, key, v);
		break;
	}
}

static void read_links(struct span *s, yyjson_val *arr)
{
	size_t i, max;
	yyjson_val *v;

	yyjson_arr_foreach(arr, i, max, v)
	{
		uint8_t trace[16], id[8];
		yyjson_val *confidence = yyjson_obj_get(v, "confidence");

		if (text_unhex(str(yyjson_obj_get(v, "trace")), trace, sizeof(trace)) &&
		    text_unhex(str(yyjson_obj_get(v, "span")), id, sizeof(id)))
			span_add_link(s, trace, id, str(yyjson_obj_get(v, "evidence")),
			              yyjson_is_num(confidence) ? yyjson_get_num(confidence) : NAN);
	}
}

int span_json_read(struct span *s, struct slice json)
{
	yyjson_doc *doc = yyjson_read(json.p ? json.p : "", json.n, 0);
	yyjson_val *root = yyjson_doc_get_root(doc), *k, *v;
	size_t i, max;

	if (!yyjson_is_obj(root)) {
		yyjson_doc_free(doc);
		return -EBADMSG;
	}
	yyjson_obj_foreach(root, i, max, k, v)
	{
		int key = key_of(yyjson_get_str(k));

		if (strcmp(yyjson_get_str(k), LINKS) == 0)
			read_links(s, v);
		else if (key >= 0)
			set(s, (enum attr_key)key, v);
	}
	yyjson_doc_free(doc);
	return 0;
}
