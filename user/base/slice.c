/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
	while (s.n && is_space(s.p[0]))
		s = slice_from(s, 1);
	while (s.n && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool slice_cut(struct slice *rest, char sep, struct slice *ret_part)
{
	if (!rest->p)
		return false;

	const char *end = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
	if (!end) {
		*ret_part = *rest;
		*rest = (struct slice){NULL, 0};
		return true;
	}
	*ret_part = slice_of(rest->p, (size_t)(end - rest->p));
	*rest = slice_from(*rest, ret_part->n + 1);
	return true;
}

bool slice_u64(struct slice s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return false;
	}
	*ret = v;
	return true;
}
