/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/text.h"
#include "llm/llm.h"
#include "llm/print.h"

void print_str(struct buf *out, const char *key, struct slice v)
{
	if (!v.p)
		return;
	buf_addf(out, " %s=\"", key);
	text_escape(out, v);
	buf_addc(out, '"');
}

static void add_int(struct buf *out, const char *key, int64_t v)
{
	if (v != LLM_NONE)
		buf_addf(out, " %s=%" PRId64, key, v);
}

static void add_num(struct buf *out, const char *key, double v)
{
	if (!isnan(v))
		buf_addf(out, " %s=%g", key, v);
}

static void add_list(struct buf *out, const char *key, const struct slice *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		print_str(out, key, v[i]);
}

static void add_part(struct buf *out, const struct llm_part *part)
{
	static const char *const kinds[] = {
	    [LLM_TEXT] = "text",           [LLM_REASONING] = "reasoning",
	    [LLM_TOOL_CALL] = "tool_call", [LLM_TOOL_RESULT] = "tool_result",
	    [LLM_MEDIA] = "media",         [LLM_OTHER] = "other",
	};

	buf_addf(out, "    %s", kinds[part->kind]);
	print_str(out, "id", part->id);
	print_str(out, "name", part->name);
	if (part->is_error)
		buf_adds(out, " error");
	if (part->is_server)
		buf_adds(out, " server");
	if (part->bytes)
		buf_addf(out, " bytes=%" PRIu64, part->bytes);
	if (part->text.p) {
		buf_adds(out, " \"");
		text_escape(out, part->text);
		buf_addc(out, '"');
	}
	buf_addc(out, '\n');
}

static void add_messages(struct buf *out, const char *what, const struct llm_messages *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct llm_message *m = &list->v[i];

		buf_addf(out, "  %s", what);
		print_str(out, "role", m->role);
		print_str(out, "finish", m->finish_reason);
		buf_addc(out, '\n');
		for (size_t k = 0; k < m->n_parts; k++)
			add_part(out, &m->parts[k]);
	}
}

static void add_request(struct buf *out, const struct llm_call *call)
{
	buf_adds(out, "  request");
	print_str(out, "model", call->request_model);
	buf_adds(out, call->stream ? " stream" : "");
	add_int(out, "max_tokens", call->max_tokens);
	add_int(out, "choices", call->choice_count);
	add_int(out, "seed", call->seed);
	add_num(out, "temperature", call->temperature);
	add_num(out, "top_p", call->top_p);
	add_num(out, "top_k", call->top_k);
	add_num(out, "frequency_penalty", call->frequency_penalty);
	add_num(out, "presence_penalty", call->presence_penalty);
	add_list(out, "stop", call->stop_sequences, call->n_stop_sequences);
	print_str(out, "output", call->output_type);
	print_str(out, "tier", call->request_service_tier);
	print_str(out, "effort", call->reasoning_effort);
	add_int(out, "budget", call->reasoning_budget);
	print_str(out, "prompt", call->prompt_id);
	print_str(out, "prompt_version", call->prompt_version);
	print_str(out, "guardrail", call->guardrail);
	print_str(out, "agent", call->agent_id);
	print_str(out, "previous", call->previous_response_id);
	print_str(out, "conversation", call->conversation_id);
	buf_adds(out, call->warm_up ? " warm-up" : "");
	add_int(out, "dimensions", call->dimensions);
	add_list(out, "encoding", call->encoding_formats, call->n_encoding_formats);
	add_int(out, "inputs", call->input_count);
	print_str(out, "data_source", call->data_source);
	print_str(out, "query", call->query);
	buf_addf(out, " bytes=%" PRIu64, call->request_bytes);
	print_str(out, "sha256", call->request_sha256);
	buf_addc(out, '\n');

	add_messages(out, "system", &call->system);
	add_messages(out, "input", &call->input);
	for (size_t i = 0; i < call->n_tools; i++) {
		buf_adds(out, "  tool");
		print_str(out, "type", call->tools[i].type);
		print_str(out, "name", call->tools[i].name);
		print_str(out, "description", call->tools[i].description);
		print_str(out, "parameters", call->tools[i].parameters);
		buf_addc(out, '\n');
	}
}

static void add_documents(struct buf *out, const struct llm_call *call)
{
	for (size_t i = 0; i < call->n_documents; i++) {
		const struct llm_document *d = &call->documents[i];

		buf_adds(out, "  document");
		print_str(out, "id", d->id);
		add_num(out, "score", d->score);
		print_str(out, "text", d->text);
		buf_addc(out, '\n');
	}
}

const char *llm_detail_name(enum llm_detail d)
{
	static const char *const names[LLM_DETAILS] = {
	    [LLM_TEXT_INPUT] = "text_input",
	    [LLM_IMAGE_INPUT] = "image_input",
	    [LLM_AUDIO_INPUT] = "audio_input",
	    [LLM_VIDEO_INPUT] = "video_input",
	    [LLM_TEXT_OUTPUT] = "text_output",
	    [LLM_IMAGE_OUTPUT] = "image_output",
	    [LLM_AUDIO_OUTPUT] = "audio_output",
	    [LLM_TOOL_INPUT] = "tool_input",
	    [LLM_CACHE_CREATION_1H] = "cache_creation_1h",
	    [LLM_PREDICTION_ACCEPTED] = "prediction_accepted",
	    [LLM_PREDICTION_REJECTED] = "prediction_rejected",
	    [LLM_WEB_SEARCHES] = "web_searches",
	    [LLM_WEB_FETCHES] = "web_fetches",
	    [LLM_SERVER_TOOLS] = "server_tools",
	};

	return names[d];
}

static void add_server_time(struct buf *out, const struct llm_server_time *t)
{
	if (t->total == LLM_NONE && t->load == LLM_NONE && t->input == LLM_NONE && t->output == LLM_NONE &&
	    t->queue == LLM_NONE)
		return;
	buf_adds(out, "  server");
	add_int(out, "total", t->total);
	add_int(out, "load", t->load);
	add_int(out, "input", t->input);
	add_int(out, "output", t->output);
	add_int(out, "queue", t->queue);
	buf_addc(out, '\n');
}

static void add_response(struct buf *out, const struct llm_call *call)
{
	buf_adds(out, "  response");
	if (call->status)
		buf_addf(out, " status=%u", call->status);
	print_str(out, "id", call->response_id);
	print_str(out, "model", call->response_model);
	print_str(out, "request_id", call->request_id);
	print_str(out, "tier", call->service_tier);
	print_str(out, "fingerprint", call->system_fingerprint);
	print_str(out, "conversation", call->response_conversation);
	print_str(out, "state", call->response_status);
	add_list(out, "finish", call->finish_reasons, call->n_finish_reasons);
	add_int(out, "outputs", call->output_count);
	add_num(out, "cost", call->cost);
	print_str(out, "framing", slice_str(call->framing));
	buf_addf(out, " chunks=%" PRIu64 " bytes=%" PRIu64 "\n", call->n_chunks, call->response_bytes);

	buf_adds(out, "  usage");
	add_int(out, "input", call->usage.input);
	add_int(out, "output", call->usage.output);
	add_int(out, "cache_read", call->usage.cache_read);
	add_int(out, "cache_creation", call->usage.cache_creation);
	add_int(out, "reasoning", call->usage.reasoning);
	for (int i = 0; i < LLM_DETAILS; i++)
		if (call->details[i] > 0)
			add_int(out, llm_detail_name((enum llm_detail)i), call->details[i]);
	buf_addc(out, '\n');
	add_messages(out, "output", &call->output);
	add_documents(out, call);
	if (call->error_type.p) {
		buf_adds(out, "  error");
		print_str(out, "type", call->error_type);
		print_str(out, "message", call->error_message);
		buf_addc(out, '\n');
	}
}

void print_time(struct buf *out, const char *key, uint64_t at, uint64_t zero)
{
	if (at)
		buf_addf(out, " %s=%" PRId64, key, (int64_t)(at - zero));
	else
		buf_addf(out, " %s=-", key);
}

static void add_gap(struct buf *out, const char *key, const struct llm_call *call, unsigned percent)
{
	uint64_t ns;

	if (llm_chunk_gap(call, percent, &ns))
		buf_addf(out, " %s=%" PRIu64, key, ns);
}

void llm_call_print(struct buf *out, const struct llm_call *call)
{
	uint64_t zero = call->request_start;

	buf_addf(out, "call %s %s %s", call->api, call->provider, call->operation);
	print_str(out, "server", call->server_address);
	add_int(out, "port", call->server_port);
	print_str(out, "agent", call->user_agent);
	print_str(out, "traceparent", call->traceparent);
	print_str(out, "session", call->session_key);
	buf_adds(out, call->is_server ? " as-server" : "");
	buf_adds(out, call->request_only ? " request-only\n" : "\n");
	add_request(out, call);
	add_response(out, call);

	buf_adds(out, "  time");
	print_time(out, "sent", call->request_end, zero);
	print_time(out, "response", call->response_start, zero);
	print_time(out, "head", call->response_head, zero);
	print_time(out, "first_token", call->first_token, zero);
	add_gap(out, "gap_p50", call, 50);
	add_gap(out, "gap_p95", call, 95);
	print_time(out, "end", call->end, zero);
	buf_addc(out, '\n');
	add_server_time(out, &call->server_time);
	if (call->state == LLM_COMPLETE)
		buf_adds(out, "  complete\n");
	else
		buf_addf(out, "  incomplete lost=%" PRIu64 " \"%s\"\n", call->lost_bytes,
		         call->why_incomplete);
}
