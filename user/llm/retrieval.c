/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/retrieval.h"

struct slice retrieval_id(yyjson_val *v)
{
	return yyjson_is_raw(v) ? slice_of(yyjson_get_raw(v), yyjson_get_len(v)) : json_str(v);
}

struct slice retrieval_text(yyjson_val *fields)
{
	static const char *const names[] = {"page_content", "text", "document", "chunk_text", "content"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (yyjson_is_str(json_get(fields, names[i])))
			return json_get_str(fields, names[i]);
	return (struct slice){0};
}

void retrieval_count(struct answer *a, yyjson_val *list)
{
	int64_t *n = &a->call->output_count;

	if (yyjson_is_arr(list))
		*n = (*n == LLM_NONE ? 0 : *n) + (int64_t)yyjson_arr_size(list);
}
