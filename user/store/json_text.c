/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "store/json_text.h"

static yyjson_mut_val *take(yyjson_mut_doc *d, struct buf *b)
{
	yyjson_mut_val *v = yyjson_mut_strncpy(d, buf_str(b), b->n);

	buf_release(b);
	return v;
}

yyjson_mut_val *json_text(yyjson_mut_doc *d, struct slice s)
{
	struct buf b = {0};

	text_utf8(&b, s);
	return take(d, &b);
}

yyjson_mut_val *json_hex(yyjson_mut_doc *d, const void *p, size_t n)
{
	struct buf b = {0};

	text_hex(&b, p, n);
	return take(d, &b);
}
