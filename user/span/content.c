/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>
#include <stdlib.h>
#include <yyjson.h>

#include "base/text.h"
#include "span/content.h"
#include "span/personal.h"

void content_init(struct content *c, enum content_level level, unsigned redact)
{
	*c = (struct content){.level = level, .redact = redact};
	randombytes_buf(c->key, sizeof(c->key));
}

static unsigned mode(const struct content *c)
{
	return c->level == CONTENT_FULL ? REDACT_CREDENTIALS : REDACT_SECRETS | c->redact;
}

/* The place where the text is remembered, its hash in `h`; NULL: too short to be. */
static uint8_t *known_place(struct content *c, struct slice text, uint8_t h[16])
{
	size_t at;

	if (text.n < CONTENT_KNOWN_TEXT)
		return NULL;
	crypto_generichash(h, 16, (const unsigned char *)text.p, text.n, c->key, sizeof(c->key));
	memcpy(&at, h, sizeof(at));
	return c->known[at % CONTENT_KNOWN_MAX];
}

/* `text` masked and valid UTF-8: itself when it is so already, else made of `masked` and `valid`. */
static struct slice clean(struct content *c, struct slice text, struct buf *masked, struct buf *valid)
{
	uint8_t h[16], *known = known_place(c, text, h);

	if (known && memcmp(known, h, sizeof(h)) == 0)
		return text;

	size_t masks = redact_changes(masked, text, mode(c));
	c->masks += masks;
	if (masks)
		text = buf_slice(masked);
	if (text_valid(text) < text.n) {
		text_utf8(valid, text);
		text = buf_slice(valid);
	} else if (known && !masks) {
		memcpy(known, h, sizeof(h));
	}
	return text;
}

static struct slice clean_dup(struct content *c, struct arena *a, struct slice text)
{
	struct buf masked = {0}, valid = {0};

	if (!text.p)
		return text;
	text = arena_dup(a, clean(c, text, &masked, &valid));
	buf_release(&masked);
	buf_release(&valid);
	return text;
}

/* One JSON text being built. */
struct writer {
	struct content *c;
	yyjson_mut_doc *doc;
	bool shape;
};

static yyjson_mut_val *str(struct writer *w, struct slice text)
{
	struct buf masked = {0}, valid = {0};
	struct slice s = clean(w->c, text, &masked, &valid);
	yyjson_mut_val *v = yyjson_mut_strncpy(w->doc, s.n ? s.p : "", s.n);

	buf_release(&masked);
	buf_release(&valid);
	return v;
}

/* The same for what lives as long as the document. */
static yyjson_mut_val *kept_str(struct writer *w, struct slice text)
{
	struct buf masked = {0}, valid = {0};
	struct slice s = clean(w->c, text, &masked, &valid);
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

/* A number as it was written: a password is one too, and so is a card's. */
static yyjson_mut_val *masked_number(struct writer *w, yyjson_val *v, const char *credential)
{
	struct slice s = slice_of(yyjson_get_raw(v), yyjson_get_len(v));

	if (credential && strcmp(credential, "password") == 0)
		return mask_of(w, credential);
	if ((mode(w->c) & REDACT_CARD) && personal_card(s, 0) == s.n)
		return mask_of(w, "card");
	return yyjson_val_mut_copy(w->doc, v);
}

/* A copy of JSON from traffic: strings under credential-like keys masked, all others cleaned. */
static yyjson_mut_val *masked_json(struct writer *w, yyjson_val *v, const char *credential, unsigned depth)
{
	if (depth > CONTENT_DEPTH_MAX)
		return mask_of(w, "too_deep");
	if (yyjson_is_str(v)) {
		struct slice s = slice_of(yyjson_get_str(v), yyjson_get_len(v));

		if (!credential || s.n == 0 || slice_starts(s, SLICE("[masked:")))
			return str(w, s);
		return mask_of(w, credential);
	}
	if (yyjson_is_raw(v))
		return masked_number(w, v, credential);
	if (yyjson_is_arr(v)) {
		yyjson_mut_val *arr = yyjson_mut_arr(w->doc), *item;
		size_t i, n;
		yyjson_val *x;

		yyjson_arr_foreach(v, i, n, x)
		{
			item = masked_json(w, x, credential, depth + 1);
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
			                   masked_json(w, x, label ? label : credential, depth + 1));
		}
		return obj;
	}
	return yyjson_val_mut_copy(w->doc, v);
}

static yyjson_doc *parse(struct slice text)
{
	if (text.n == 0)
		return NULL;
	return yyjson_read(text.p, text.n, YYJSON_READ_NUMBER_AS_RAW);
}

/* JSON if it is some, else a string. */
static yyjson_mut_val *json_or_str(struct writer *w, struct slice text)
{
	yyjson_doc *doc = parse(text);

	if (!doc)
		return str(w, text);

	yyjson_mut_val *v = masked_json(w, yyjson_doc_get_root(doc), NULL, 0);
	yyjson_doc_free(doc);
	return v;
}

static bool looks_like_json(struct slice text)
{
	text = slice_trim(text);
	return text.n && (text.p[0] == '{' || text.p[0] == '[');
}

static yyjson_mut_val *value(struct writer *w, struct slice text, bool json)
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
	yyjson_mut_val *arguments = value(w, p->text, true);

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
	yyjson_mut_val *response = value(w, p->text, looks_like_json(p->text));

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
	add(w, obj, "content", value(w, p->text, true));
}

static yyjson_mut_val *part(struct writer *w, const struct llm_part *p)
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

static yyjson_mut_val *parts(struct writer *w, const struct llm_message *m, yyjson_mut_val *arr)
{
	for (size_t i = 0; i < m->n_parts; i++)
		yyjson_mut_arr_append(arr, part(w, &m->parts[i]));
	return arr;
}

static yyjson_mut_val *messages(struct writer *w, const struct llm_messages *m, bool output, bool failed)
{
	yyjson_mut_val *arr = yyjson_mut_arr(w->doc);

	for (size_t i = 0; i < m->n; i++) {
		yyjson_mut_val *obj = yyjson_mut_obj(w->doc);

		add(w, obj, "role", str(w, m->v[i].role.p ? m->v[i].role : SLICE("unknown")));
		add(w, obj, "parts", parts(w, &m->v[i], yyjson_mut_arr(w->doc)));
		if (output)
			add(w, obj, "finish_reason", finish_reason(w, m->v[i].finish_reason, failed));
		yyjson_mut_arr_append(arr, obj);
	}
	return arr;
}

static yyjson_mut_val *definitions(struct writer *w, const struct llm_tool_def *v, size_t n)
{
	yyjson_mut_val *arr = yyjson_mut_arr(w->doc);

	for (size_t i = 0; i < n; i++) {
		yyjson_mut_val *obj = yyjson_mut_obj(w->doc);

		add(w, obj, "type", str(w, v[i].type.n ? v[i].type : SLICE("function")));
		add(w, obj, "name", str(w, v[i].name.p ? v[i].name : SLICE("")));
		if (w->shape) {
			add(w, obj, "description_shape", shape_of(w, v[i].description));
			add(w, obj, "parameters_shape", shape_of(w, v[i].parameters));
		} else {
			add_str(w, obj, "description", v[i].description);
			if (v[i].parameters.n)
				add(w, obj, "parameters", json_or_str(w, v[i].parameters));
		}
		yyjson_mut_arr_append(arr, obj);
	}
	return arr;
}

static yyjson_mut_val *documents(struct writer *w, const struct llm_document *v, size_t n)
{
	yyjson_mut_val *arr = yyjson_mut_arr(w->doc);

	for (size_t i = 0; i < n; i++) {
		yyjson_mut_val *obj = yyjson_mut_obj(w->doc);

		add_str(w, obj, "id", v[i].id);
		if (isfinite(v[i].score))
			add(w, obj, "score", yyjson_mut_real(w->doc, v[i].score));
		if (v[i].text.p)
			add_text(w, obj, "content", v[i].text);
		yyjson_mut_arr_append(arr, obj);
	}
	return arr;
}

/* What is to be written, in one of the forms above. */
struct source {
	const struct llm_messages *messages;
	const struct llm_tool_def *tools;
	size_t n_tools;
	const struct llm_document *documents;
	size_t n_documents;
	struct slice json, text; /* arguments; a result */
	bool output, failed, system;
};

static yyjson_mut_val *build(struct writer *w, const struct source *src)
{
	if (src->system) {
		yyjson_mut_val *arr = yyjson_mut_arr(w->doc);

		for (size_t i = 0; i < src->messages->n; i++)
			parts(w, &src->messages->v[i], arr);
		return arr;
	}
	if (src->messages)
		return messages(w, src->messages, src->output, src->failed);
	if (src->tools)
		return definitions(w, src->tools, src->n_tools);
	if (src->documents)
		return documents(w, src->documents, src->n_documents);
	return value(w, src->json.p ? src->json : src->text, src->json.p != NULL);
}

static struct slice write_json(struct content *c, struct arena *a, const struct source *src, bool shape)
{
	struct writer w = {.c = c, .doc = yyjson_mut_doc_new(NULL), .shape = shape};
	struct slice s = {NULL, 0};
	uint64_t masks = c->masks;
	size_t n = 0;

	yyjson_mut_doc_set_root(w.doc, build(&w, src));
	char *text = yyjson_mut_write(w.doc, 0, &n);
	yyjson_mut_doc_free(w.doc);
	if (text && n <= CONTENT_ATTR_MAX) {
		s = arena_dup(a, slice_of(text, n));
	} else if (text && !shape) {
		c->masks = masks;
		s = write_json(c, a, src, true);
	}
	free(text);
	return s;
}

static struct slice json_at_level(struct content *c, struct arena *a, const struct source *src)
{
	if (c->level == CONTENT_NONE)
		return (struct slice){NULL, 0};
	return write_json(c, a, src, c->level == CONTENT_SHAPE);
}

struct slice content_messages(struct content *c, struct arena *a, const struct llm_messages *m, bool output,
                              bool failed)
{
	if (m->n == 0)
		return (struct slice){NULL, 0};
	return json_at_level(c, a, &(struct source){.messages = m, .output = output, .failed = failed});
}

struct slice content_system(struct content *c, struct arena *a, const struct llm_messages *m)
{
	if (m->n == 0)
		return (struct slice){NULL, 0};
	return json_at_level(c, a, &(struct source){.messages = m, .system = true});
}

struct slice content_tools(struct content *c, struct arena *a, const struct llm_tool_def *v, size_t n)
{
	if (n == 0)
		return (struct slice){NULL, 0};
	return json_at_level(c, a, &(struct source){.tools = v, .n_tools = n});
}

struct slice content_documents(struct content *c, struct arena *a, const struct llm_document *v, size_t n)
{
	if (n == 0)
		return (struct slice){NULL, 0};
	return json_at_level(c, a, &(struct source){.documents = v, .n_documents = n});
}

struct slice content_arguments(struct content *c, struct arena *a, struct slice json)
{
	uint64_t masks = c->masks;

	if (!json.p || c->level == CONTENT_NONE)
		return (struct slice){NULL, 0};

	struct slice s = json_at_level(c, a, &(struct source){.json = json});
	if (c->level == CONTENT_SHAPE || c->masks != masks || json.n > CONTENT_ATTR_MAX)
		return s;
	yyjson_doc *doc = parse(json);
	bool valid = doc != NULL;
	yyjson_doc_free(doc);
	if (valid)
		return arena_dup(a, json); /* valid JSON is valid UTF-8 */
	return clean_dup(c, a, json);
}

struct slice content_result(struct content *c, struct arena *a, struct slice text)
{
	if (!text.p || c->level == CONTENT_NONE)
		return (struct slice){NULL, 0};
	if (c->level == CONTENT_SHAPE || text.n > CONTENT_ATTR_MAX)
		return write_json(c, a, &(struct source){.text = text}, true);
	if (looks_like_json(text)) {
		uint64_t masks = c->masks;
		struct slice s = json_at_level(c, a, &(struct source){.json = text});

		if (c->masks != masks)
			return s;
	}
	return clean_dup(c, a, text);
}

struct slice content_label(struct content *c, struct arena *a, struct slice text)
{
	return clean_dup(c, a, text);
}

struct slice content_error(struct content *c, struct arena *a, struct slice text)
{
	return c->level < CONTENT_REDACTED ? (struct slice){NULL, 0} : clean_dup(c, a, text);
}

bool content_argv(struct content *c, struct arena *a, const struct slice *argv, size_t n, struct slice *ret)
{
	if (c->level < CONTENT_REDACTED)
		return false;

	c->masks += redact_argv(a, argv, n, ret, mode(c));
	for (size_t i = 0; i < n; i++) {
		struct buf b = {0};

		text_utf8(&b, ret[i]);
		ret[i] = arena_dup(a, buf_slice(&b));
		buf_release(&b);
	}
	return true;
}

struct slice content_path(struct content *c, struct arena *a, struct slice path)
{
	return c->level < CONTENT_REDACTED ? (struct slice){NULL, 0} : clean_dup(c, a, path);
}
