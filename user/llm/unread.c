/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/unread.h"

/* Where a batch is handed in: Anthropic, OpenAI and compatible ones, Mistral, Gemini, Vertex, Bedrock. */
static const char *const batch_paths[] = {
    "/v1/messages/batches",  "/v1/batches",          "/openai/batches",       "/v1/batch/jobs",
    ":batchGenerateContent", "/batchPredictionJobs", "/model-invocation-job",
};

static bool is_batch(const struct exchange *x)
{
	struct slice rest = x->target, path;

	if (!slice_eq(x->method, SLICE("POST")) || !slice_cut(&rest, '?', &path))
		return false;
	for (size_t i = 0; i < sizeof(batch_paths) / sizeof(*batch_paths); i++)
		if (slice_ends(path, slice_str(batch_paths[i])))
			return true;
	return false;
}

enum unread unread_kind(const struct exchange *x)
{
	struct slice type = http_header_get(&x->request_headers, SLICE("content-type"));

	if (slice_starts(type, SLICE("application/grpc")))
		return UNREAD_GRPC;
	return is_batch(x) ? UNREAD_BATCH : UNREAD_NONE;
}
