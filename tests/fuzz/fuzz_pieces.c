/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <yyjson.h>

#include "llm/pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Pieces are in order and within the text; of JSON, each is one value. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice json = slice_of(data, size);
	struct arena a = {0};
	struct pieces p = pieces_find(&a, json);
	yyjson_doc *doc = size ? yyjson_read(json.p, json.n, YYJSON_READ_NUMBER_AS_RAW) : NULL;
	struct hash_key key = {.poly = {1}};
	size_t at = 0;

	pieces_hash(&p, json, &key);
	for (size_t i = 0; i < p.n; i++) {
		if (p.v[i].from < at || p.v[i].to <= p.v[i].from || p.v[i].to > size)
			abort();
		at = p.v[i].to;
		if (!doc)
			continue;
		yyjson_doc *one =
		    yyjson_read(json.p + p.v[i].from, p.v[i].to - p.v[i].from, YYJSON_READ_NUMBER_AS_RAW);
		if (!one)
			abort();
		yyjson_doc_free(one);
	}
	yyjson_doc_free(doc);
	arena_release(&a);
	return 0;
}
