/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/call_ref.h"

bool call_ref_parse(const char *s, struct call_ref *ret)
{
	const char *mark = strrchr(s, '#');

	*ret = (struct call_ref){.id = slice_of(s, mark ? (size_t)(mark - s) : strlen(s))};
	return !mark || (slice_u64(slice_str(mark + 1), &ret->number) && ret->number > 0);
}

const struct span *call_ref_find(const struct span *v, size_t n, uint64_t number)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].kind == SPAN_CHAT && --number == 0)
			return &v[i];
	return NULL;
}
