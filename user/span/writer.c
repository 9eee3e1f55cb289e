/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <sodium.h>

#include "base/text.h"
#include "span/personal.h"
#include "span/writer.h"

static yyjson_mut_val *str(struct writer *w, struct slice text)
{
	struct buf masked = {0}, valid = {0};
	struct slice s = content_clean(w->c, text, &masked, &valid);
	yyjson_mut_val *v = yyjson_mut_strncpy(w->doc, s.n ? s.p : "", s.n);

	buf_release(&masked);
	buf_release(&valid);
	return v;
}

/* The same for what lives as long as the document. */
static yyjson_mut_val *kept_str(struct writer *w, struct slice text)
{
	struct buf masked = {0}, valid = {0};
	struct slice s = content_clean(w->c, text, &masked, &valid);
	yyjson_mut_val *v = s.n && s.p == text.p ? yyjson_mut_strn(w->doc, s.p, s.n)
	                                         : yyjson_mut_strncpy(w->doc, s.n ? s.p : "", s.n);

	buf_release(&masked);
	buf_release(&valid);
	return v;
}

static void add(struct writer *w, yyjson_mut_val *obj, const char *key, yyjson_mut_val *v)
{
	yyjson_mut_obj_add(obj, yyjson_mut_str(w->doc, key), v);
}

static void add_str(struct writer *w, yyjson_mut_val *obj, const char *key, struct slice text)
{
	if (text.p)
		add(w, obj, key, str(w, text));
}

void content_shape(const struct content *c, yyjson_mut_doc *doc, yyjson_mut_val *obj, struct slice text)
{
	unsigned char h[crypto_generichash_BYTES_MIN];
	struct buf b = {0};

	crypto_generichash(h, sizeof(h), (const unsigned char *)(text.p ? text.p : ""), text.n, c->key,
	                   sizeof(c->key));
	text_hex(&b, h, 8);
	yyjson_mut_obj_add_uint(doc, obj, "length", text.n);
	yyjson_mut_obj_add_strncpy(doc, obj, "hash", b.p, b.n);
	buf_release(&b);
}

static yyjson_mut_val *shape_of(struct writer *w, struct slice text)
{
	yyjson_mut_val *obj = yyjson_mut_obj(w->doc);

	content_shape(w->c, w->doc, obj, text);
	return obj;
}

/* A text that the schema requires under `key`. */
static void add_text(struct writer *w, yyjson_mut_val *obj, const char *key, struct slice text)
{
	if (w->shape) {
		add(w, obj, key, yyjson_mut_str(w->doc, "[withheld]"));
		content_shape(w->c, w->doc, obj, text);
	} else {
		add(w, obj, key, kept_str(w, text));
	}
}

static yyjson_mut_val *mask_of(struct writer *w, const char *label)
{
	struct buf b = {0};

	buf_addf(&b, "[masked:%s]", label);
	yyjson_mut_val *mask = yyjson_mut_strncpy(w->doc, b.p, b.n);
	buf_release(&b);
	w->c->masks++;
	return mask;
}

const char *content_number_label(const struct content *c, struct slice digits, const char *credential)
{
	if (credential && strcmp(credential, "password") == 0)
		return credential;
	return (content_mode(c) & REDACT_CARD) && personal_card(digits, 0) == digits.n ? "card" : NULL;
}

yyjson_mut_val *writer_masked(struct writer *w, yyjson_val *v, const char *credential, unsigned depth)
{
	if (depth > CONTENT_DEPTH_MAX)
		return mask_of(w, "too_deep");
	if (yyjson_is_str(v)) {
		struct slice s = slice_of(yyjson_get_str(v), yyjson_get_len(v));

		if (!credential || s.n == 0 || slice_starts(s, SLICE("[masked:")))
			return str(w, s);
		return mask_of(w, credential);
	}
	if (yyjson_is_raw(v)) {
		struct slice s = slice_of(yyjson_get_raw(v), yyjson_get_len(v));
		const char *label = content_number_label(w->c, s, credential);

		return label ? mask_of(w, label) : yyjson_val_mut_copy(w->doc, v);
	}
	if (yyjson_is_arr(v)) {
		yyjson_mut_val *arr = yyjson_mut_arr(w->doc), *item;
		size_t i, n;
		yyjson_val *x;

		yyjson_arr_foreach(v, i, n, x)
		{
			item = writer_masked(w, x, credential, depth + 1);
			yyjson_mut_arr_append(arr, item);
		}
		return arr;
	}
	if (yyjson_is_obj(v)) {
		yyjson_mut_val *obj = yyjson_mut_obj(w->doc);
		size_t i, n;
		yyjson_val *k, *x;

		yyjson_obj_foreach(v, i, n, k, x)
		{
			struct slice key = slice_of(yyjson_get_str(k), yyjson_get_len(k));
			const char *label = redact_key(key);

			yyjson_mut_obj_add(obj, str(w, key),
			                   writer_masked(w, x, label ? label : credential, depth + 1));
		}
		return obj;
	}
	return yyjson_val_mut_copy(w->doc, v);
}

yyjson_doc *content_parse(struct slice text)
{
	if (text.n == 0)
		return NULL;
	return yyjson_read(text.p, text.n, YYJSON_READ_NUMBER_AS_RAW);
}

/* JSON if it is some, else a string. */
static yyjson_mut_val *json_or_str(struct writer *w, struct slice text)
{
	yyjson_doc *doc = content_parse(text);

	if (!doc)
		return str(w, text);

	yyjson_mut_val *v = writer_masked(w, yyjson_doc_get_root(doc), NULL, 0);
	yyjson_doc_free(doc);
	return v;
}

bool content_looks_like_json(struct slice text)
{
	text = slice_trim(text);
	return text.n && (text.p[0] == '{' || text.p[0] == '[');
}

yyjson_mut_val *writer_value(struct writer *w, struct slice text, bool json)
{
	if (w->shape)
		return shape_of(w, text);
	return json ? json_or_str(w, text) : kept_str(w, text);
}

static void add_type(struct writer *w, yyjson_mut_val *obj, const char *type)
{
	add(w, obj, "type", yyjson_mut_str(w->doc, type));
}

static void tool_call(struct writer *w, yyjson_mut_val *obj, const struct llm_part *p)
{
	yyjson_mut_val *arguments = writer_value(w, p->text, true);

	add_type(w, obj, p->is_server ? "server_tool_call" : "tool_call");
	add_str(w, obj, "id", p->id);
	add(w, obj, "name", str(w, p->name.p ? p->name : SLICE("")));
	if (!p->is_server) {
		add(w, obj, "arguments", arguments);
		return;
	}
	yyjson_mut_val *call = yyjson_mut_obj(w->doc);
	add(w, call, "type", str(w, p->name.p ? p->name : SLICE("unknown")));
	add(w, call, "arguments", arguments);
	add(w, obj, "server_tool_call", call);
}

static void tool_result(struct writer *w, yyjson_mut_val *obj, const struct llm_part *p)
{
	yyjson_mut_val *response = writer_value(w, p->text, content_looks_like_json(p->text));

	add_type(w, obj, p->is_server ? "server_tool_call_response" : "tool_call_response");
	add_str(w, obj, "id", p->id);
	if (p->is_error)
		add(w, obj, "is_error", yyjson_mut_true(w->doc));
	if (!p->is_server) {
		add(w, obj, "response", response);
		return;
	}
	yyjson_mut_val *wrapped = yyjson_mut_obj(w->doc);
	add(w, wrapped, "type", str(w, p->name.p ? p->name : SLICE("unknown")));
	add(w, wrapped, "content", response);
	add(w, obj, "server_tool_call_response", wrapped);
}

/* name is "image" or "image/png"; text a uri, an id, or nothing when the data was inline. */
static void media(struct writer *w, yyjson_mut_val *obj, const struct llm_part *p)
{
	struct slice rest = p->name.p ? p->name : SLICE("unknown"), modality = rest;
	bool mime = memchr(rest.p, '/', rest.n) && slice_cut(&rest, '/', &modality);
	bool uri = slice_find(p->text, SLICE("://")) != NULL;

	if (p->text.n == 0) {
		add_type(w, obj, "media");
		add(w, obj, "modality", str(w, modality));
		if (p->bytes)
			add(w, obj, "length", yyjson_mut_uint(w->doc, p->bytes));
	} else {
		add_type(w, obj, uri ? "uri" : "file");
		add(w, obj, "modality", str(w, modality));
		add_text(w, obj, uri ? "uri" : "file_id", p->text);
	}
	if (mime)
		add_str(w, obj, "mime_type", p->name);
}

/* A provider's own part. Names of the schema's parts would promise fields that it does not have. */
static void other(struct writer *w, yyjson_mut_val *obj, const struct llm_part *p)
{
	static const char *const taken[] = {"text",
	                                    "reasoning",
	                                    "tool_call",
	                                    "tool_call_response",
	                                    "server_tool_call",
	                                    "server_tool_call_response",
	                                    "blob",
	                                    "file",
	                                    "uri"};
	struct slice type = p->name.n ? p->name : SLICE("generic");

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (slice_eq(type, slice_str(taken[i])))
			type = SLICE("generic");
	add(w, obj, "type", str(w, type));
	add(w, obj, "content", writer_value(w, p->text, true));
}

yyjson_mut_val *writer_part(struct writer *w, const struct llm_part *p)
{
	yyjson_mut_val *obj = yyjson_mut_obj(w->doc);

	switch (p->kind) {
	case LLM_TEXT:
	case LLM_REASONING:
		add_type(w, obj, p->kind == LLM_TEXT ? "text" : "reasoning");
		add_text(w, obj, "content", p->text);
		if (p->kind == LLM_REASONING && slice_eq(p->name, SLICE("redacted")))
			add(w, obj, "redacted", yyjson_mut_true(w->doc));
		break;
	case LLM_TOOL_CALL:
		tool_call(w, obj, p);
		break;
	case LLM_TOOL_RESULT:
		tool_result(w, obj, p);
		break;
	case LLM_MEDIA:
		media(w, obj, p);
		break;
	case LLM_OTHER:
		other(w, obj, p);
		break;
	}
	return obj;
}

static const struct {
	const char *raw, *semconv;
} finish_reasons[] = {
    {"stop", "stop"},
    {"end_turn", "stop"},
    {"stop_sequence", "stop"},
    {"completed", "stop"},
    {"complete", "stop"},
    {"length", "length"},
    {"max_tokens", "length"},
    {"max_output_tokens", "length"},
    {"model_context_window_exceeded", "length"},
    {"incomplete", "length"},
    {"content_filter", "content_filter"},
    {"content_filtered", "content_filter"},
    {"guardrail_intervened", "content_filter"},
    {"refusal", "content_filter"},
    {"safety", "content_filter"},
    {"recitation", "content_filter"},
    {"blocklist", "content_filter"},
    {"prohibited_content", "content_filter"},
    {"spii", "content_filter"},
    {"tool_calls", "tool_call"},
    {"tool_call", "tool_call"},
    {"tool_use", "tool_call"},
    {"function_call", "tool_call"},
    {"error", "error"},
    {"failed", "error"},
};

static yyjson_mut_val *finish_reason(struct writer *w, struct slice raw, bool failed)
{
	for (size_t i = 0; i < sizeof(finish_reasons) / sizeof(finish_reasons[0]); i++)
		if (slice_caseeq(raw, slice_str(finish_reasons[i].raw)))
			return yyjson_mut_str(w->doc, finish_reasons[i].semconv);
	if (raw.n)
		return str(w, raw);
	return yyjson_mut_str(w->doc, failed ? "error" : "unknown");
}

yyjson_mut_val *writer_message(struct writer *w, const struct llm_message *m, bool output, bool failed)
{
	yyjson_mut_val *obj = yyjson_mut_obj(w->doc), *arr = yyjson_mut_arr(w->doc);

	for (size_t i = 0; i < m->n_parts; i++)
		yyjson_mut_arr_append(arr, writer_part(w, &m->parts[i]));
	add(w, obj, "role", str(w, m->role.p ? m->role : SLICE("unknown")));
	add(w, obj, "parts", arr);
	if (output)
		add(w, obj, "finish_reason", finish_reason(w, m->finish_reason, failed));
	return obj;
}

yyjson_mut_val *writer_tool(struct writer *w, const struct llm_tool_def *t)
{
	yyjson_mut_val *obj = yyjson_mut_obj(w->doc);

	add(w, obj, "type", str(w, t->type.n ? t->type : SLICE("function")));
	add(w, obj, "name", str(w, t->name.p ? t->name : SLICE("")));
	if (w->shape) {
		add(w, obj, "description_shape", shape_of(w, t->description));
		add(w, obj, "parameters_shape", shape_of(w, t->parameters));
	} else {
		add_str(w, obj, "description", t->description);
		if (t->parameters.n)
			add(w, obj, "parameters", json_or_str(w, t->parameters));
	}
	return obj;
}

yyjson_mut_val *writer_document(struct writer *w, const struct llm_document *d)
{
	yyjson_mut_val *obj = yyjson_mut_obj(w->doc);

	add_str(w, obj, "id", d->id);
	if (isfinite(d->score))
		add(w, obj, "score", yyjson_mut_real(w->doc, d->score));
	if (d->text.p)
		add_text(w, obj, "content", d->text);
	return obj;
}
