/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/sent.h"

#include "base/hash.h"
#include "base/text.h"

int sent_body(struct store *st, const uint8_t span[8], struct buf *out, bool *ret_same)
{
	struct buf digest = {0}, wanted = {0};
	int r = store_value(st, span, ATTR_REQUEST_BODY, out);

	if (r)
		return r;
	struct hash h = hash_bytes(buf_slice(out));
	text_hex(&digest, h.b, sizeof(h.b));
	*ret_same = store_value(st, span, ATTR_CALL_REQUEST_SHA256, &wanted) == 0 &&
	            slice_eq(buf_slice(&digest), buf_slice(&wanted));
	buf_release(&digest);
	buf_release(&wanted);
	return 0;
}
