/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "metrics/metrics.h"
#include "span/emit.h"

static bool is_openai(const struct llm_call *call)
{
	return call->api && strncmp(call->api, "openai.", 7) == 0;
}

static void set_request(struct spans *sp, struct span *s, const struct llm_call *call)
{
	emit_set_label(sp, s, ATTR_REQUEST_MODEL, call->request_model);
	if (call->stream)
		span_set_bool(s, ATTR_REQUEST_STREAM, true);
	emit_set_count(s, ATTR_REQUEST_MAX_TOKENS, call->max_tokens);
	if (call->choice_count != 1)
		emit_set_count(s, ATTR_REQUEST_CHOICE_COUNT, call->choice_count);
	emit_set_count(s, ATTR_REQUEST_SEED, call->seed);
	span_set_double(s, ATTR_REQUEST_TEMPERATURE, call->temperature);
	span_set_double(s, ATTR_REQUEST_TOP_P, call->top_p);
	span_set_double(s, ATTR_REQUEST_TOP_K, call->top_k);
	span_set_double(s, ATTR_REQUEST_FREQUENCY_PENALTY, call->frequency_penalty);
	span_set_double(s, ATTR_REQUEST_PRESENCE_PENALTY, call->presence_penalty);
	emit_set_strs(sp, s, ATTR_REQUEST_STOP_SEQUENCES, call->stop_sequences, call->n_stop_sequences);
	emit_set_label(sp, s, ATTR_REQUEST_REASONING, call->reasoning_effort);
	emit_set_label(sp, s, ATTR_REQUEST_PREVIOUS_RESPONSE, call->previous_response_id);
	emit_set_strs(sp, s, ATTR_REQUEST_ENCODING_FORMATS, call->encoding_formats, call->n_encoding_formats);
	emit_set_count(s, ATTR_EMBEDDINGS_DIMENSION_COUNT, call->dimensions);
	emit_set_count(s, ATTR_CALL_INPUT_COUNT, call->input_count);
	emit_set_label(sp, s, ATTR_DATA_SOURCE_ID, call->data_source);
	emit_set_label(sp, s, ATTR_OUTPUT_TYPE, call->output_type);
	emit_set_count(s, ATTR_REQUEST_REASONING_BUDGET, call->reasoning_budget);
	emit_set_label(sp, s, ATTR_PROMPT_NAME, call->prompt_id);
	emit_set_label(sp, s, ATTR_PROMPT_VERSION, call->prompt_version);
	emit_set_label(sp, s, ATTR_AGENT_ID, call->agent_id);
	emit_set_label(sp, s, ATTR_BEDROCK_GUARDRAIL, call->guardrail);
	if (call->api && strcmp(call->api, "bedrock.retrieve") == 0)
		emit_set_label(sp, s, ATTR_BEDROCK_KNOWLEDGE_BASE, call->data_source);
	/* As the conventions have it: "auto" is what is asked for without asking. */
	if (!is_openai(call))
		emit_set_label(sp, s, ATTR_CALL_REQUEST_SERVICE_TIER, call->request_service_tier);
	else if (!slice_eq(call->request_service_tier, SLICE("auto")))
		emit_set_label(sp, s, ATTR_OPENAI_REQUEST_SERVICE_TIER, call->request_service_tier);
	emit_set_peer(sp, s, &call->conn, call->server_address, call->server_port);
	emit_set_label(sp, s, ATTR_USER_AGENT, call->user_agent);
	emit_set_label(sp, s, ATTR_TRACEPARENT, call->traceparent);
	emit_set_traceparent(s, call->traceparent);
}

static const char *openai_api_type(const char *api)
{
	if (!api || strncmp(api, "openai.", 7) != 0)
		return NULL;
	if (strcmp(api + 7, "chat") == 0)
		return "chat_completions";
	return strcmp(api + 7, "responses") == 0 ? "responses" : NULL;
}

static void set_server_time(struct span *s, enum attr_key key, int64_t ns)
{
	if (ns != LLM_NONE)
		span_set_double(s, key, (double)ns / 1e9);
}

static const enum attr_key details[LLM_DETAILS] = {
    [LLM_TEXT_INPUT] = ATTR_USAGE_TEXT_INPUT,
    [LLM_IMAGE_INPUT] = ATTR_USAGE_IMAGE_INPUT,
    [LLM_AUDIO_INPUT] = ATTR_USAGE_AUDIO_INPUT,
    [LLM_VIDEO_INPUT] = ATTR_USAGE_VIDEO_INPUT,
    [LLM_TEXT_OUTPUT] = ATTR_USAGE_TEXT_OUTPUT,
    [LLM_IMAGE_OUTPUT] = ATTR_USAGE_IMAGE_OUTPUT,
    [LLM_AUDIO_OUTPUT] = ATTR_USAGE_AUDIO_OUTPUT,
    [LLM_TOOL_INPUT] = ATTR_USAGE_TOOL_INPUT,
    [LLM_CACHE_CREATION_1H] = ATTR_USAGE_CACHE_CREATION_1H,
    [LLM_PREDICTION_ACCEPTED] = ATTR_USAGE_PREDICTION_ACCEPTED,
    [LLM_PREDICTION_REJECTED] = ATTR_USAGE_PREDICTION_REJECTED,
    [LLM_WEB_SEARCHES] = ATTR_USAGE_WEB_SEARCHES,
    [LLM_WEB_FETCHES] = ATTR_USAGE_WEB_FETCHES,
    [LLM_SERVER_TOOLS] = ATTR_USAGE_SERVER_TOOLS,
};

static void set_usage(struct span *s, const struct llm_call *call)
{
	emit_set_usage(s, &call->usage);
	for (size_t i = 0; i < LLM_DETAILS; i++)
		emit_set_count(s, details[i], call->details[i]);
}

static void set_response(struct spans *sp, struct span *s, const struct llm_call *call)
{
	emit_set_label(sp, s, ATTR_RESPONSE_ID, call->response_id);
	emit_set_label(sp, s, ATTR_RESPONSE_MODEL, call->response_model);
	emit_set_strs(sp, s, ATTR_RESPONSE_FINISH_REASONS, call->finish_reasons, call->n_finish_reasons);
	emit_set_label(sp, s, is_openai(call) ? ATTR_OPENAI_RESPONSE_SERVICE_TIER : ATTR_CALL_SERVICE_TIER,
	               call->service_tier);
	emit_set_label(sp, s, ATTR_OPENAI_SYSTEM_FINGERPRINT, call->system_fingerprint);
	emit_set_label(sp, s, ATTR_CALL_REQUEST_ID, call->request_id);
	emit_set_count(s, ATTR_CALL_OUTPUT_COUNT, call->output_count);
	emit_set_label(sp, s, ATTR_CALL_RESPONSE_STATUS, call->response_status);
	emit_set_label(sp, s, ATTR_CALL_CONVERSATION_ID,
	               call->response_conversation.n ? call->response_conversation : call->conversation_id);
	span_set_double(s, ATTR_CALL_COST, call->cost);
	set_server_time(s, ATTR_SERVER_TOTAL_TIME, call->server_time.total);
	set_server_time(s, ATTR_SERVER_LOAD_TIME, call->server_time.load);
	set_server_time(s, ATTR_SERVER_INPUT_TIME, call->server_time.input);
	set_server_time(s, ATTR_SERVER_OUTPUT_TIME, call->server_time.output);
	set_server_time(s, ATTR_SERVER_QUEUE_TIME, call->server_time.queue);
	if (call->status)
		span_set_int(s, ATTR_HTTP_STATUS, call->status);
}

static void own_text(struct span *s, enum attr_key key, struct content_text t)
{
	span_own_pieces(s, key, t.text, t.cuts, t.n_cuts);
}

static void set_head(struct spans *sp, struct span *s, const struct llm_call *call)
{
	struct slice query = content_label(&sp->content, &s->arena, call->target), path;

	emit_set_label(sp, s, ATTR_HTTP_METHOD, call->method);
	if (!query.p)
		return;
	span_set_str(s, ATTR_URL_SCHEME, slice_str(call->scheme));
	bool asks = slice_cut(&query, '?', &path) && path.p + path.n < query.p;
	span_own_str(s, ATTR_URL_PATH, path);
	if (asks)
		span_own_str(s, ATTR_URL_QUERY, query);
}

/* What is needed to make the request again. */
static void set_request_text(struct spans *sp, struct span *s, const struct llm_call *call)
{
	struct slice *headers = arena_alloc(&s->arena, (call->request_headers.n + 1) * sizeof(*headers));
	size_t n = content_headers(&sp->content, &s->arena, &call->request_headers, headers);

	if (n)
		span_set_strs(s, ATTR_REQUEST_HEADERS, headers, n);
	own_text(s, ATTR_REQUEST_BODY, content_body(&sp->content, &s->arena, call));
}

static void set_content(struct spans *sp, struct span *s, const struct llm_call *call, bool failed)
{
	struct content *c = &sp->content;

	own_text(s, ATTR_SYSTEM_INSTRUCTIONS, content_system(c, &s->arena, &call->system));
	own_text(s, ATTR_INPUT_MESSAGES, content_messages(c, &s->arena, &call->input, false, false));
	own_text(s, ATTR_OUTPUT_MESSAGES, content_messages(c, &s->arena, &call->output, true, failed));
	span_own_str(s, ATTR_RETRIEVAL_QUERY, content_result(c, &s->arena, call->query));
	own_text(s, ATTR_RETRIEVAL_DOCUMENTS,
	         content_documents(c, &s->arena, call->documents, call->n_documents));
	own_text(s, ATTR_TOOL_DEFINITIONS, content_tools(c, &s->arena, call->tools, call->n_tools));
}

static void set_gaps(struct span *s, const struct llm_call *call)
{
	if (call->n_chunk_at < 2)
		return;
	s->gaps = arena_alloc(&s->arena, sizeof(*s->gaps));
	for (size_t i = 1; i < call->n_chunk_at; i++) {
		double gap = emit_seconds(call->chunk_at[i - 1], call->chunk_at[i]);
		size_t bucket = 0;

		while (bucket < SPAN_GAPS - 1 && gap > metric_call_seconds.v[bucket])
			bucket++;
		s->gaps->counts[bucket]++;
		s->gaps->sum += gap;
	}
}

static void set_transport(struct spans *sp, struct span *s, const struct llm_call *call)
{
	uint64_t gap;

	span_set_str(s, ATTR_CALL_API, slice_str(call->api));
	emit_set_protocol(s, call->protocol);
	span_set_int(s, ATTR_CALL_REQUEST_BYTES, (int64_t)call->request_bytes);
	if (call->response_start)
		span_set_int(s, ATTR_CALL_RESPONSE_BYTES, (int64_t)call->response_bytes);
	emit_set_label(sp, s, ATTR_CALL_REQUEST_SHA256, call->request_sha256);
	if (call->n_chunks)
		span_set_int(s, ATTR_CALL_CHUNKS, (int64_t)call->n_chunks);
	if (call->framing)
		span_set_str(s, ATTR_CALL_FRAMING, slice_str(call->framing));
	if (llm_chunk_gap(call, 50, &gap))
		span_set_double(s, ATTR_CALL_CHUNK_GAP_P50, (double)gap / 1e9);
	if (llm_chunk_gap(call, 95, &gap))
		span_set_double(s, ATTR_CALL_CHUNK_GAP_P95, (double)gap / 1e9);
	set_gaps(s, call);
	if (call->request_only)
		span_set_bool(s, ATTR_CALL_REQUEST_ONLY, true);
	if (call->warm_up)
		span_set_bool(s, ATTR_CALL_WARM_UP, true);
	if (call->request_start && call->request_end)
		span_set_double(s, ATTR_CALL_SEND_TIME, emit_seconds(call->request_start, call->request_end));
	if (call->request_start && call->response_head)
		span_set_double(s, ATTR_CALL_HEADERS_TIME,
		                emit_seconds(call->request_start, call->response_head));
	if (call->stream && call->first_token && call->request_start)
		span_set_double(s, ATTR_TIME_TO_FIRST_CHUNK,
		                emit_seconds(call->request_start, call->first_token));
	if (call->conn.lib == EV_LIB_SOCKET)
		span_set_str(s, ATTR_NETWORK_TRANSPORT, emit_transport(&call->conn));
	emit_set_library(s, &call->conn);
}

/* error.type of a call that failed without saying why. */
static struct slice status_type(struct arena *a, const struct llm_call *call)
{
	char text[8];

	if (call->error_type.p || call->status < 400)
		return call->error_type.p ? call->error_type : SLICE("_OTHER");
	snprintf(text, sizeof(text), "%u", call->status);
	return arena_dup(a, slice_str(text));
}

void emit_chat(struct spans *sp, const struct flight *f)
{
	const struct llm_call *call = f->call;
	struct span s = emit_begin(sp, SPAN_CHAT, f->chat, f->turn->trace, f->relay ? f->above : f->turn->id);
	bool failed = call->error_type.p || call->error_message.p || call->status >= 400;

	/* A retrieval is of a data source, not of a model; neither need be known. */
	emit_set_name(sp, &s, call->operation ? call->operation : "chat",
	              call->request_model.n ? call->request_model : call->data_source);
	span_set_str(&s, ATTR_OPERATION_NAME, slice_str(call->operation));
	span_set_str(&s, ATTR_PROVIDER_NAME, slice_str(call->provider));
	emit_set_conversation(sp, &s, f->conversation);
	set_request(sp, &s, call);
	set_response(sp, &s, call);
	/* A relayed call is one that was counted. */
	if (!f->relay)
		set_usage(&s, call);
	set_transport(sp, &s, call);
	span_set_str(&s, ATTR_OPENAI_API_TYPE, slice_str(openai_api_type(call->api)));
	set_head(sp, &s, call);
	set_content(sp, &s, call, failed);
	set_request_text(sp, &s, call);
	span_set_str(&s, ATTR_CALL_KIND, slice_str(f->kind));
	if (call->is_server)
		span_set_str(&s, ATTR_CALL_SIDE, SLICE("server"));
	if (!id_none(f->continues))
		emit_set_id(&s, ATTR_CALL_CONTINUES, f->continues);
	emit_set_why(&s, f->why);
	emit_set_reason(&s, call->state == LLM_COMPLETE ? NULL
	                    : call->why_incomplete      ? call->why_incomplete
	                                                : "incomplete");
	/* What is missing behind the end of a complete call is none of it. */
	if (call->lost_bytes && call->state != LLM_COMPLETE)
		span_set_int(&s, ATTR_LOST_BYTES, (int64_t)call->lost_bytes);
	if (failed)
		emit_set_error(sp, &s, status_type(&s.arena, call), call->error_message);

	uint64_t start = call->request_start ? call->request_start : call->response_start;
	emit_end(sp, &s, start ? start : call->end, call->end);
}
