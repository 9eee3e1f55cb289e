/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any cut must give the same values, with a gap too, and nothing but objects
 * and arrays.  The first byte says how the rest is cut, the second where the
 * gap is.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "llm/json.h"
#include "proto/json_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_value(void *ctx, uint64_t ts, struct slice value)
{
	struct buf *log = ctx;
	yyjson_doc *doc = json_read(value);

	(void)ts;
	if (value.n < 2 || (value.p[0] != '{' && value.p[0] != '[') ||
	    (doc && !yyjson_is_ctn(yyjson_doc_get_root(doc))))
		abort();
	yyjson_doc_free(doc);
	buf_addf(log, "%zu:", value.n);
	buf_addslice(log, value);
}

static void run(struct buf *log, struct slice s, size_t piece, size_t gap)
{
	struct json_stream js;
	size_t at = 0;

	json_stream_init(&js, on_value, log);
	while (at < s.n) {
		size_t n = s.n - at < piece ? s.n - at : piece;

		if (at < gap && at + n > gap)
			n = gap - at;
		json_stream_feed(&js, 1, slice_of(s.p + at, n));
		at += n;
		if (at == gap)
			json_stream_gap(&js);
	}
	buf_addf(log, "%d %d %d %llu", json_stream_finish(&js), js.array, js.ended,
	         (unsigned long long)js.dropped);
	json_stream_release(&js);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = {0}, cut = {0};
	struct slice s = {(const char *)data + 2, size - 2};

	if (size < 2)
		return 0;
	run(&whole, s, SIZE_MAX, data[1]);
	run(&cut, s, 1u + data[0] % 16, data[1]);
	if (!slice_eq(buf_slice(&whole), buf_slice(&cut)))
		abort();
	buf_release(&whole);
	buf_release(&cut);
	return 0;
}
