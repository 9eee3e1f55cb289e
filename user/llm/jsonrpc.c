/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/jsonrpc.h"

static struct slice id_text(yyjson_val *v)
{
	return yyjson_is_raw(v) ? slice_of(yyjson_get_raw(v), yyjson_get_len(v)) : json_str(v);
}

struct jsonrpc_message jsonrpc_read(yyjson_val *v)
{
	struct jsonrpc_message m = {
	    .id = id_text(json_get(v, "id")),
	    .method = json_get_str(v, "method"),
	    .params = json_get(v, "params"),
	    .result = json_get(v, "result"),
	    .error = json_get(v, "error"),
	};

	if (!slice_eq(json_get_str(v, "jsonrpc"), SLICE("2.0")))
		return m;
	if (m.method.n)
		m.kind = m.id.p ? JSONRPC_REQUEST : JSONRPC_NOTIFICATION;
	else if (m.error && !yyjson_is_null(m.error))
		m.kind = JSONRPC_ERROR;
	else if (m.result)
		m.kind = JSONRPC_RESULT;
	return m;
}

size_t jsonrpc_count(yyjson_val *v)
{
	size_t n = yyjson_is_arr(v) ? yyjson_arr_size(v) : 1;

	return n < JSONRPC_BATCH_MAX ? n : JSONRPC_BATCH_MAX;
}

yyjson_val *jsonrpc_at(yyjson_val *v, size_t n)
{
	return yyjson_is_arr(v) ? yyjson_arr_get(v, n) : v;
}

bool jsonrpc_is(yyjson_val *v)
{
	size_t n = jsonrpc_count(v);

	for (size_t i = 0; i < n; i++)
		if (!jsonrpc_read(jsonrpc_at(v, i)).kind)
			return false;
	return n > 0;
}
