/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gemini's generateContent and streamGenerateContent, at the Gemini API, on
 * Vertex AI, at gateways, and in the envelope of Code Assist, which Gemini CLI
 * uses after a login: {"model","project","request":{…}} and {"response":{…}}.
 *
 * A stream is a run of whole responses whose parts continue each other, as
 * server-sent events or as the elements of one array; nothing marks its end
 * but the reason to stop.  Usage is a running total.
 */
#include "llm/gemini.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_ends(t->path, SLICE(":generateContent")) ||
	               slice_ends(t->path, SLICE(":streamGenerateContent"))
	           ? API_YES
	           : API_NO;
}

static void from_path(struct llm_call *call, const struct api_target *t)
{
	call->stream = slice_ends(t->path, SLICE(":streamGenerateContent"));
	if (!slice_find(t->path, SLICE("/v1internal:")))
		gemini_path(call, t);
}

/* ---- request ---- */

static struct slice output_type(yyjson_val *config)
{
	struct slice mime = json_str(gemini_get(config, "responseMimeType"));
	yyjson_val *v;
	size_t i, n;

	yyjson_arr_foreach(gemini_get(config, "responseModalities"), i, n, v)
	{
		if (slice_caseeq(json_str(v), SLICE("audio")))
			return SLICE("speech");
		if (slice_caseeq(json_str(v), SLICE("image")))
			return SLICE("image");
	}
	if (slice_eq(mime, SLICE("application/json")))
		return SLICE("json");
	return mime.n ? SLICE("text") : (struct slice){0};
}

static void parameters(struct llm_call *call, yyjson_val *config)
{
	yyjson_val *v;
	size_t i, n;

	call->max_tokens = json_int(gemini_get(config, "maxOutputTokens"));
	call->choice_count = json_int(gemini_get(config, "candidateCount"));
	call->seed = json_int(json_get(config, "seed"));
	call->temperature = json_num(json_get(config, "temperature"));
	call->top_p = json_num(gemini_get(config, "topP"));
	call->top_k = json_num(gemini_get(config, "topK"));
	call->frequency_penalty = json_num(gemini_get(config, "frequencyPenalty"));
	call->presence_penalty = json_num(gemini_get(config, "presencePenalty"));
	call->output_type = output_type(config);
	call->reasoning_effort = json_str(gemini_get(gemini_get(config, "thinkingConfig"), "thinkingLevel"));
	call->reasoning_budget = json_int(gemini_get(gemini_get(config, "thinkingConfig"), "thinkingBudget"));
	yyjson_arr_foreach(gemini_get(config, "stopSequences"), i, n, v) call_stop(call, json_str(v));
}

static void function_def(struct llm_call *call, yyjson_val *f)
{
	yyjson_val *schema = json_get(f, "parameters");

	if (!schema)
		schema = gemini_get(f, "parametersJsonSchema");
	call_tool(call, (struct llm_tool_def){
	                    .type = SLICE("function"),
	                    .name = json_get_str(f, "name"),
	                    .description = json_get_str(f, "description"),
	                    .parameters = json_raw(&call->arena, schema),
	                });
}

/* A tool is an object with one field a kind: functionDeclarations, or a tool that the provider runs. */
static void tool(struct llm_call *call, yyjson_val *v)
{
	yyjson_val *functions = gemini_get(v, "functionDeclarations"), *key, *value;
	size_t i, n;

	yyjson_arr_foreach(functions, i, n, value) if (yyjson_is_obj(value)) function_def(call, value);
	if (yyjson_is_obj(functions))
		function_def(call, functions);
	yyjson_obj_foreach(v, i, n, key, value) if (value != functions)
	    call_tool(call, (struct llm_tool_def){.type = json_str(key)});
}

static void message(struct llm_call *call, struct llm_messages *list, yyjson_val *content, struct slice role)
{
	struct slice said = json_get_str(content, "role");
	struct llm_message *m;

	if (slice_eq(said, SLICE("model")))
		role = SLICE("assistant");
	else if (!role.n)
		role = said.n ? said : SLICE("user");
	m = call_message(call, list, role);
	if (m)
		gemini_content(call, m, content);
}

static bool shape(yyjson_val *body)
{
	return yyjson_is_arr(json_get(yyjson_arr_get_first(json_get(body, "contents")), "parts"));
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	yyjson_val *envelope = yyjson_is_obj(json_get(body, "request")) ? body : NULL, *v;
	yyjson_val *inner = envelope ? json_get(body, "request") : body;
	yyjson_val *contents = json_get(inner, "contents"), *list = json_get(inner, "tools");
	yyjson_val *system = gemini_get(inner, "systemInstruction");
	size_t i, n;

	if (envelope) {
		call->request_model = json_get_str(envelope, "model");
		call->session_key = json_str(gemini_get(inner, "sessionId"));
	}
	parameters(call, gemini_get(inner, "generationConfig"));
	if (system && !yyjson_is_null(system))
		message(call, &call->system, system, SLICE("system"));
	if (yyjson_is_obj(contents) || yyjson_is_str(contents))
		message(call, &call->input, contents, (struct slice){0});
	yyjson_arr_foreach(contents, i, n, v) message(call, &call->input, v, (struct slice){0});
	if (yyjson_is_obj(list))
		tool(call, list);
	yyjson_arr_foreach(list, i, n, v) tool(call, v);
	return contents != NULL;
}

/* ---- response ---- */

/* Text and thinking continue the block in front of them when that is of the same kind. */
static void take_text(struct answer *a, struct answer_choice *c, enum llm_part_kind kind, struct slice text)
{
	struct answer_block *last = c->n ? &c->blocks[c->n - 1] : NULL;

	if (!text.n)
		return;
	if (!last || last->kind != kind)
		last = answer_block(a, c, kind, (int64_t)c->n);
	if (last)
		answer_append(a, last, text);
}

static void take_block(struct answer *a, struct answer_choice *c, struct llm_part part)
{
	struct arena *arena = &a->call->arena;
	struct answer_block *b = answer_block(a, c, part.kind, (int64_t)c->n);

	if (!b)
		return;
	b->id = arena_dup(arena, part.id);
	b->name = arena_dup(arena, part.name);
	b->initial = part.text;
	b->is_server = part.is_server;
	b->bytes = part.bytes;
	a->carried = true;
}

/*
 * A call whose arguments are streamed: the first piece has the name, the
 * following ones partialArgs; willContinue is false or absent in the last.
 * The pieces are kept as they came, one a line: they are JSON paths with
 * values, no prefix of the arguments.
 */
static bool take_partial_call(struct answer *a, struct answer_choice *c, yyjson_val *f)
{
	yyjson_val *pieces = gemini_get(f, "partialArgs");
	struct answer_block *last = c->n ? &c->blocks[c->n - 1] : NULL;

	if (json_get_str(f, "name").n || !last || last->kind != LLM_TOOL_CALL)
		return false;
	if (!last->text.n)
		answer_append(a, last, last->initial);
	if (last->text.n && pieces)
		answer_append(a, last, SLICE("\n"));
	answer_append(a, last, json_raw(&a->call->arena, pieces));
	return true;
}

static void take_part(struct answer *a, struct answer_choice *c, yyjson_val *v)
{
	yyjson_val *asked = gemini_get(v, "functionCall"), *pieces = gemini_get(asked, "partialArgs");
	struct llm_part part;

	if (asked && take_partial_call(a, c, asked))
		return;
	part = gemini_part(&a->call->arena, v);
	if (part.kind == LLM_TEXT || part.kind == LLM_REASONING) {
		take_text(a, c, part.kind, part.text);
		return;
	}
	if (part.kind == LLM_MEDIA)
		part.text = arena_dup(&a->call->arena, part.text);
	if (pieces)
		part.text = json_raw(&a->call->arena, pieces);
	take_block(a, c, part);
}

static void take_candidate(struct answer *a, yyjson_val *v, size_t at)
{
	yyjson_val *reason = gemini_get(v, "finishReason"), *part;
	int64_t index = json_get_int(v, "index");
	struct answer_choice *c = answer_choice(a, index == LLM_NONE ? (int64_t)at : index);
	size_t i, n;

	if (!c)
		return;
	yyjson_arr_foreach(json_get(json_get(v, "content"), "parts"), i, n, part) take_part(a, c, part);
	if (yyjson_is_raw(reason)) /* enum-encoding=int */
		answer_stop(a, c->index, slice_of(yyjson_get_raw(reason), yyjson_get_len(reason)));
	else if (yyjson_is_str(reason))
		answer_stop(a, c->index, json_str(reason));
}

/* A prompt that was refused has no candidates; the feedback is the answer. */
static void take_refusal(struct answer *a, yyjson_val *feedback)
{
	struct answer_choice *c = gemini_get(feedback, "blockReason") ? answer_choice(a, 0) : NULL;

	if (!c)
		return;
	take_block(a, c,
	           (struct llm_part){
	               .kind = LLM_OTHER,
	               .name = SLICE("promptFeedback"),
	               .text = json_raw(&a->call->arena, feedback),
	           });
	a->finished = true;
}

/* A list of {modality, tokenCount}; a modality's word, or its number (enum-encoding=int). */
static void take_modalities(struct llm_call *call, yyjson_val *list, bool output)
{
	static const struct {
		const char *word;
		int64_t number;
		enum llm_detail input, output;
	} modalities[] = {
	    {"TEXT", 1, LLM_TEXT_INPUT, LLM_TEXT_OUTPUT},
	    {"IMAGE", 2, LLM_IMAGE_INPUT, LLM_IMAGE_OUTPUT},
	    {"VIDEO", 3, LLM_VIDEO_INPUT, LLM_DETAILS},
	    {"AUDIO", 4, LLM_AUDIO_INPUT, LLM_AUDIO_OUTPUT},
	};
	size_t i, n;
	yyjson_val *v;

	yyjson_arr_foreach(list, i, n, v) for (size_t k = 0; k < sizeof(modalities) / sizeof(*modalities); k++)
	{
		enum llm_detail d = output ? modalities[k].output : modalities[k].input;

		if (d != LLM_DETAILS &&
		    (slice_caseeq(json_get_str(v, "modality"), slice_str(modalities[k].word)) ||
		     json_get_int(v, "modality") == modalities[k].number))
			answer_tokens(&call->details[d], json_int(gemini_get(v, "tokenCount")));
	}
}

/* Thoughts are not among the candidates' tokens; the total is the sum of all. */
static void take_usage(struct answer *a, yyjson_val *v)
{
	struct llm_usage *raw = &a->usage, *u = &a->call->usage;

	answer_tokens(&raw->input, json_int(gemini_get(v, "promptTokenCount")));
	answer_tokens(&raw->output, json_int(gemini_get(v, "candidatesTokenCount")));
	answer_tokens(&raw->cache_read, json_int(gemini_get(v, "cachedContentTokenCount")));
	answer_tokens(&raw->reasoning, json_int(gemini_get(v, "thoughtsTokenCount")));

	*u = *raw;
	if (raw->reasoning != LLM_NONE)
		u->output = raw->reasoning + (raw->output == LLM_NONE ? 0 : raw->output);
	take_modalities(a->call, gemini_get(v, "promptTokensDetails"), false);
	take_modalities(a->call, gemini_get(v, "candidatesTokensDetails"), true);
	answer_tokens(&a->call->details[LLM_TOOL_INPUT], json_int(gemini_get(v, "toolUsePromptTokenCount")));
	answer_once(a, &a->call->service_tier, json_str(gemini_get(v, "serviceTier")));
}

static void take_response(struct answer *a, yyjson_val *body)
{
	yyjson_val *inner = yyjson_is_obj(json_get(body, "response")) ? json_get(body, "response") : body, *v;
	size_t i, n;

	answer_once(a, &a->call->response_id, json_str(gemini_get(inner, "responseId")));
	answer_once(a, &a->call->response_model, json_str(gemini_get(inner, "modelVersion")));
	yyjson_arr_foreach(json_get(inner, "candidates"), i, n, v) take_candidate(a, v, i);
	take_refusal(a, gemini_get(inner, "promptFeedback"));
	take_usage(a, gemini_get(inner, "usageMetadata"));
	gemini_error(a, body);
}

/* Without alt=sse a stream is an array; an error is one too, of one element. */
static void response(struct answer *a, yyjson_val *body)
{
	size_t i, n;
	yyjson_val *v;

	if (yyjson_is_obj(body))
		take_response(a, body);
	yyjson_arr_foreach(body, i, n, v) take_response(a, v);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	(void)name;
	take_response(a, data);
}

const struct llm_api gemini_generate_api = {
    .name = "gemini.generate",
    .provider = "gcp.gemini",
    .operation = "generate_content",
    .fit = fit,
    .shape = shape,
    .request = request,
    .messages = "contents",
    .path = from_path,
    .response = response,
    .event = event,
};
