/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents of Amazon Bedrock: one input, and a stream whose chunks are the answer
 * as text in base64; between them are traces of what the agent did, whose
 * model calls Bedrock makes and pays for itself.
 */
#include <sodium.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "llm/bedrock.h"
#include "llm/path.h"

static enum api_fit fit(const struct api_target *t)
{
	return slice_find(t->path, SLICE("/agents/")) && slice_find(t->path, SLICE("/agentAliases/")) &&
	               slice_find(t->path, SLICE("/sessions/")) && slice_ends(t->path, SLICE("/text"))
	           ? API_YES
	           : API_NO;
}

static bool request(struct llm_call *call, yyjson_val *body)
{
	struct slice text = json_get_str(body, "inputText");
	struct llm_message *m = text.n ? call_message(call, &call->input, SLICE("user")) : NULL;

	if (m)
		call_text(call, m, LLM_TEXT, text);
	return yyjson_is_obj(body);
}

static void from_path(struct llm_call *call, const struct api_target *t)
{
	call->agent_id = path_after(&call->arena, t->path, SLICE("/agents/"), "/");
	call->conversation_id = path_after(&call->arena, t->path, SLICE("/sessions/"), "/");
}

static void response(struct answer *a, yyjson_val *body)
{
	bedrock_error(a, body);
}

static void event(struct answer *a, struct slice name, yyjson_val *data)
{
	struct slice b64 = json_get_str(data, "bytes");
	unsigned char *text;
	size_t n;

	if (!slice_eq(name, SLICE("chunk")) || !b64.n)
		return;
	text = xmalloc(b64.n);
	if (!sodium_base642bin(text, b64.n, b64.p, b64.n, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL))
		answer_add(a, 0, LLM_TEXT, 0, slice_of(text, n));
	free(text);
	a->finished = true; /* nothing says which chunk is the last */
}

const struct llm_api bedrock_agent_api = {
    .name = "bedrock.agent",
    .provider = "aws.bedrock",
    .operation = "invoke_agent",
    .fit = fit,
    .request = request,
    .path = from_path,
    .response = response,
    .event = event,
};
