/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/slice.h"
#include "cmd/size.h"

bool size_read(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	size_t n = strlen(s);
	const char *unit = n ? strchr(units, s[n - 1]) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	uint64_t v;

	if (!slice_u64(slice_of(s, n - (unit != NULL)), &v) || v > UINT64_MAX >> shift)
		return false;
	*ret = v << shift;
	return true;
}
