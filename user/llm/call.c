/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/call.h"
#include "llm/repeat.h"

struct llm_call *call_new(void)
{
	struct llm_call *call = xcalloc(1, sizeof(*call));

	call->server_port = call->max_tokens = call->choice_count = call->seed = LLM_NONE;
	call->dimensions = call->input_count = call->output_count = LLM_NONE;
	call->cost = NAN;
	call->temperature = call->top_p = call->top_k = NAN;
	call->frequency_penalty = call->presence_penalty = NAN;
	call->server_time = (struct llm_server_time){LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE};
	call->reasoning_budget = LLM_NONE;
	for (size_t i = 0; i < LLM_DETAILS; i++)
		call->details[i] = LLM_NONE;
	call->usage = (struct llm_usage){LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE};
	return call;
}

void llm_call_free(struct llm_call *call)
{
	if (!call)
		return;

	struct arena arena = call->arena;
	buf_release(&call->body);
	for (size_t i = 0; i < call->n_repeated; i++)
		if (call->repeated[i])
			repeat_unref(call->repeated[i]);
	arena_release(&arena);
	free(call);
}

struct llm_message *call_message(struct llm_call *call, struct llm_messages *list, struct slice role)
{
	if (list->n >= CALL_MESSAGES_MAX)
		return NULL;

	struct llm_message *m = arena_push(&call->arena, &list->v, &list->n, sizeof(*m));
	m->role = role;
	return m;
}

void call_part(struct llm_call *call, struct llm_message *m, struct llm_part part)
{
	if (m->n_parts < CALL_PARTS_MAX)
		*(struct llm_part *)arena_push(&call->arena, &m->parts, &m->n_parts, sizeof(part)) = part;
}

void call_text(struct llm_call *call, struct llm_message *m, enum llm_part_kind kind, struct slice text)
{
	if (text.n)
		call_part(call, m, (struct llm_part){.kind = kind, .text = text});
}

void call_tool(struct llm_call *call, struct llm_tool_def tool)
{
	if (call->n_tools < CALL_TOOLS_MAX)
		*(struct llm_tool_def *)arena_push(&call->arena, &call->tools, &call->n_tools, sizeof(tool)) =
		    tool;
}

void call_stop(struct llm_call *call, struct slice stop)
{
	if (stop.p && call->n_stop_sequences < CALL_PARTS_MAX)
		*(struct slice *)arena_push(&call->arena, &call->stop_sequences, &call->n_stop_sequences,
		                            sizeof(stop)) = stop;
}

void call_document(struct llm_call *call, struct slice id, double score, struct slice text)
{
	if (call->n_documents < CALL_PARTS_MAX)
		*(struct llm_document *)arena_push(&call->arena, &call->documents, &call->n_documents,
		                                   sizeof(struct llm_document)) = (struct llm_document){
		    .id = arena_dup(&call->arena, id), .score = score, .text = arena_dup(&call->arena, text)};
}

void call_encoding_format(struct llm_call *call, struct slice format)
{
	if (format.p && call->n_encoding_formats < CALL_PARTS_MAX)
		*(struct slice *)arena_push(&call->arena, &call->encoding_formats, &call->n_encoding_formats,
		                            sizeof(format)) = format;
}

void call_chunk(struct llm_call *call, uint64_t ts)
{
	call->n_chunks++;
	if (!call->first_token)
		call->first_token = ts;
	if (call->n_chunk_at < LLM_CHUNKS_MAX)
		*(uint64_t *)arena_push(&call->arena, &call->chunk_at, &call->n_chunk_at, sizeof(ts)) = ts;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

bool llm_chunk_gap(const struct llm_call *call, unsigned percent, uint64_t *ret_ns)
{
	size_t n = call->n_chunk_at ? call->n_chunk_at - 1 : 0;
	uint64_t *gaps;

	if (!n)
		return false;
	gaps = xmalloc(n * sizeof(*gaps));
	for (size_t i = 0; i < n; i++) {
		uint64_t from = call->chunk_at[i], to = call->chunk_at[i + 1];

		gaps[i] = to > from ? to - from : 0;
	}
	qsort(gaps, n, sizeof(*gaps), by_size);
	size_t at = (n * percent + 99) / 100;
	*ret_ns = gaps[at ? at - 1 : 0];
	free(gaps);
	return true;
}

void call_media_url(struct llm_call *call, struct llm_message *m, struct slice modality, struct slice url)
{
	struct llm_part part = {.kind = LLM_MEDIA, .name = modality};

	if (slice_starts(url, SLICE("data:"))) {
		struct slice rest = slice_from(url, 5), head, type;

		part.bytes = url.n;
		if (slice_cut(&rest, ',', &head)) {
			part.bytes = rest.n;
			if (slice_cut(&head, ';', &type) && type.n && type.n < 128)
				part.name = type;
		}
	} else {
		part.text = url;
	}
	call_part(call, m, part);
}

void call_error(struct llm_call *call, struct slice type, struct slice message)
{
	if (call->error_type.p || call->error_message.p)
		return;
	if (type.n)
		call->error_type = arena_dup(&call->arena, type);
	if (message.n)
		call->error_message = arena_dup(&call->arena, message);
}
