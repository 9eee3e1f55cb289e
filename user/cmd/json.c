/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "cmd/json.h"
#include "store/json_text.h"

static yyjson_mut_val *text(yyjson_mut_doc *d, struct slice s)
{
	return s.p ? json_text(d, s) : yyjson_mut_null(d);
}

static yyjson_mut_val *texts(yyjson_mut_doc *d, const struct slice *v, size_t n)
{
	yyjson_mut_val *arr = yyjson_mut_arr(d);

	for (size_t i = 0; i < n; i++)
		yyjson_mut_arr_append(arr, text(d, v[i]));
	return arr;
}

static yyjson_mut_val *known(yyjson_mut_doc *d, int64_t n)
{
	return n < 0 ? yyjson_mut_null(d) : yyjson_mut_sint(d, n);
}

yyjson_mut_val *json_conversation(yyjson_mut_doc *d, const struct store_conversation *c)
{
	yyjson_mut_val *o = yyjson_mut_obj(d);

	yyjson_mut_obj_add_val(d, o, "trace_id", json_hex(d, c->trace, sizeof(c->trace)));
	yyjson_mut_obj_add_val(d, o, "conversation_id", text(d, c->id));
	yyjson_mut_obj_add_val(d, o, "agent", text(d, c->agent));
	yyjson_mut_obj_add_val(d, o, "command", text(d, c->command));
	yyjson_mut_obj_add_val(d, o, "models", texts(d, c->models, c->n_models));
	yyjson_mut_obj_add_uint(d, o, "start_unix_ns", c->start_wall);
	yyjson_mut_obj_add_uint(d, o, "duration_ns", c->duration);
	yyjson_mut_obj_add_uint(d, o, "turns", c->turns);
	yyjson_mut_obj_add_uint(d, o, "calls", c->calls);
	yyjson_mut_obj_add_uint(d, o, "tools", c->tools);
	yyjson_mut_obj_add_uint(d, o, "errors", c->errors);
	yyjson_mut_obj_add_val(d, o, "input_tokens", known(d, c->input_tokens));
	yyjson_mut_obj_add_val(d, o, "output_tokens", known(d, c->output_tokens));
	yyjson_mut_obj_add_uint(d, o, "calls_without_usage", c->calls_without_usage);
	yyjson_mut_obj_add_bool(d, o, "ended", c->ended);
	yyjson_mut_obj_add_bool(d, o, "complete", c->complete);
	yyjson_mut_obj_add_val(d, o, "first_text", text(d, c->text));
	return o;
}

static yyjson_mut_val *attr(yyjson_mut_doc *d, const struct attr *a)
{
	switch (attr_defs[a->key].type) {
	case ATTR_STR:
		return text(d, a->str);
	case ATTR_INT:
		return yyjson_mut_sint(d, a->i);
	case ATTR_DOUBLE:
		return isfinite(a->d) ? yyjson_mut_real(d, a->d) : yyjson_mut_null(d);
	case ATTR_BOOL:
		return yyjson_mut_bool(d, a->b);
	case ATTR_STRS:
		break;
	}
	return texts(d, a->strs.v, a->strs.n);
}

yyjson_mut_val *json_span(yyjson_mut_doc *d, const struct span *s)
{
	static const char *const status[] = {"unset", "ok", "error"};
	static const uint8_t root[8];
	yyjson_mut_val *o = yyjson_mut_obj(d);
	bool is_root = memcmp(s->parent, root, sizeof(root)) == 0;

	yyjson_mut_obj_add_val(d, o, "span_id", json_hex(d, s->id, sizeof(s->id)));
	yyjson_mut_obj_add_val(d, o, "parent_id",
	                       is_root ? yyjson_mut_null(d) : json_hex(d, s->parent, sizeof(s->parent)));
	yyjson_mut_obj_add_val(d, o, "trace_id", json_hex(d, s->trace, sizeof(s->trace)));
	yyjson_mut_obj_add_str(d, o, "kind", span_kind_name(s->kind));
	yyjson_mut_obj_add_val(d, o, "name", text(d, s->name));
	yyjson_mut_obj_add_uint(d, o, "start_unix_ns", s->start_wall);
	yyjson_mut_obj_add_uint(d, o, "start_boot_ns", s->start);
	yyjson_mut_obj_add_uint(d, o, "duration_ns", s->end > s->start ? s->end - s->start : 0);
	yyjson_mut_obj_add_str(d, o, "status", status[s->status]);
	yyjson_mut_obj_add_val(d, o, "status_message", text(d, s->status_message));
	yyjson_mut_val *attrs = yyjson_mut_obj_add_obj(d, o, "attributes");
	for (size_t i = 0; i < s->n_attrs; i++)
		yyjson_mut_obj_add_val(d, attrs, attr_defs[s->attrs[i].key].name, attr(d, &s->attrs[i]));
	return o;
}

void json_write(struct buf *out, yyjson_mut_doc *d, yyjson_mut_val *root)
{
	size_t n = 0;
	/* A terminal may obey C1 controls and bidirectional overrides; JSON itself does not escape them. */
	yyjson_write_flag safe = isatty(STDOUT_FILENO) ? YYJSON_WRITE_ESCAPE_UNICODE : 0;
	char *json = yyjson_mut_val_write(root, YYJSON_WRITE_PRETTY_TWO_SPACES | safe, &n);

	buf_add(out, json ? json : "", n);
	buf_addc(out, '\n');
	free(json);
	yyjson_mut_doc_free(d);
}
