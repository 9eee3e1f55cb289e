/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/call.h"

struct llm_call *call_new(void)
{
	struct llm_call *call = xcalloc(1, sizeof(*call));

	call->server_port = call->max_tokens = call->choice_count = call->seed = LLM_NONE;
	call->temperature = call->top_p = call->top_k = NAN;
	call->frequency_penalty = call->presence_penalty = NAN;
	call->usage = (struct llm_usage){LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE, LLM_NONE};
	return call;
}

void llm_call_free(struct llm_call *call)
{
	if (!call)
		return;

	struct arena arena = call->arena;
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
