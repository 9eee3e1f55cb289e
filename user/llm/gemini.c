/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>

#include "llm/gemini.h"
#include "llm/path.h"

#define NAME_MAX_BYTES 48 /* longer than any field name asked for here */

yyjson_val *gemini_get(yyjson_val *object, const char *name)
{
	yyjson_val *v = json_get(object, name);
	char snake[NAME_MAX_BYTES];
	size_t n = 0;

	if (v || !yyjson_is_obj(object))
		return v;
	for (const char *p = name; *p && n + 3 < sizeof(snake); p++) {
		if (isupper((unsigned char)*p))
			snake[n++] = '_';
		snake[n++] = (char)tolower((unsigned char)*p);
	}
	snake[n] = 0;
	return json_get(object, snake);
}

static struct slice get_str(yyjson_val *object, const char *name)
{
	return json_str(gemini_get(object, name));
}

/* Both sides of a function call may come without an id; then the name is all that joins them. */
static struct llm_part function_part(struct arena *a, yyjson_val *f, enum llm_part_kind kind,
                                     const char *content)
{
	return (struct llm_part){
	    .kind = kind,
	    .id = json_get_str(f, "id"),
	    .name = json_get_str(f, "name"),
	    .text = json_raw(a, json_get(f, content)),
	};
}

/* What the provider runs itself: code, or one of its tools, which has a type instead of a name. */
static struct llm_part server_part(struct arena *a, yyjson_val *v, enum llm_part_kind kind, const char *field)
{
	struct slice type = get_str(v, "toolType");

	return (struct llm_part){
	    .kind = kind,
	    .id = json_get_str(v, "id"),
	    .name = type.n ? type : slice_str(field),
	    .text = json_raw(a, v),
	    .is_server = true,
	};
}

static struct llm_part media_part(yyjson_val *inline_data, yyjson_val *file)
{
	return (struct llm_part){
	    .kind = LLM_MEDIA,
	    .name = get_str(inline_data ? inline_data : file, "mimeType"),
	    .text = get_str(file, "fileUri"),
	    .bytes = json_get_str(inline_data, "data").n,
	};
}

static struct llm_part other_part(struct arena *a, yyjson_val *v)
{
	struct llm_part part = {.kind = LLM_OTHER, .text = json_raw(a, v)};
	yyjson_val *key, *value;
	size_t i, n;

	yyjson_obj_foreach(v, i, n, key,
	                   value) if (!part.name.n && !slice_starts(json_str(key), SLICE("thought")))
	    part.name = json_str(key);
	return part.name.n ? part : (struct llm_part){.kind = LLM_TEXT};
}

struct llm_part gemini_part(struct arena *a, yyjson_val *v)
{
	static const struct {
		const char *field;
		enum llm_part_kind kind;
	} served[] = {
	    {"executableCode", LLM_TOOL_CALL},
	    {"codeExecutionResult", LLM_TOOL_RESULT},
	    {"toolCall", LLM_TOOL_CALL},
	    {"toolResponse", LLM_TOOL_RESULT},
	};
	yyjson_val *inline_data = gemini_get(v, "inlineData"), *file = gemini_get(v, "fileData");
	bool thought = yyjson_is_true(json_get(v, "thought"));

	if (yyjson_is_str(v) || json_get(v, "text"))
		return (struct llm_part){
		    .kind = thought ? LLM_REASONING : LLM_TEXT,
		    .text = yyjson_is_str(v) ? json_str(v) : json_get_str(v, "text"),
		};
	if (inline_data || file)
		return media_part(inline_data, file);
	if (gemini_get(v, "functionCall"))
		return function_part(a, gemini_get(v, "functionCall"), LLM_TOOL_CALL, "args");
	if (gemini_get(v, "functionResponse"))
		return function_part(a, gemini_get(v, "functionResponse"), LLM_TOOL_RESULT, "response");
	for (size_t i = 0; i < sizeof(served) / sizeof(*served); i++)
		if (gemini_get(v, served[i].field))
			return server_part(a, gemini_get(v, served[i].field), served[i].kind,
			                   served[i].field);
	return other_part(a, v);
}

static void part(struct llm_call *call, struct llm_message *m, yyjson_val *v)
{
	struct llm_part part_of = gemini_part(&call->arena, v);

	if (part_of.text.n || (part_of.kind != LLM_TEXT && part_of.kind != LLM_REASONING))
		call_part(call, m, part_of);
}

void gemini_content(struct llm_call *call, struct llm_message *m, yyjson_val *content)
{
	yyjson_val *parts = json_get(content, "parts"), *v;
	size_t i, n;

	if (yyjson_is_str(content) || yyjson_is_obj(parts) || yyjson_is_str(parts))
		part(call, m, parts ? parts : content);
	yyjson_arr_foreach(parts, i, n, v) part(call, m, v);
}

void gemini_path(struct llm_call *call, const struct api_target *t)
{
	bool vertex = slice_find(t->path, SLICE("/publishers/")) || slice_find(t->path, SLICE("/endpoints/"));

	if (!call->request_model.n)
		call->request_model = path_after(&call->arena, t->path, SLICE("/"), ":");
	if (vertex && slice_eq(slice_str(call->provider), SLICE("gcp.gemini")))
		call->provider = "gcp.vertex_ai";
}

void gemini_error(struct answer *a, yyjson_val *body)
{
	yyjson_val *error = json_get(yyjson_is_arr(body) ? yyjson_arr_get_first(body) : body, "error");
	yyjson_val *code = json_get(error, "code");
	struct slice type = json_get_str(error, "status");

	if (!error)
		return;
	if (!type.n && yyjson_is_raw(code))
		type = slice_of(yyjson_get_raw(code), yyjson_get_len(code));
	call_error(a->call, type, yyjson_is_str(error) ? json_str(error) : json_get_str(error, "message"));
}
