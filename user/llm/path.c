/* SPDX-License-Identifier: Apache-2.0 */
#include "llm/path.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct slice decoded(struct arena *a, struct slice s)
{
	struct slice copy = arena_dup(a, s);
	char *out = (char *)(uintptr_t)copy.p;
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		bool escape = s.p[i] == '%' && i + 2 < s.n;
		int high = escape ? hex_digit(s.p[i + 1]) : -1, low = escape ? hex_digit(s.p[i + 2]) : -1;

		if (high >= 0 && low >= 0) {
			out[n++] = (char)(high << 4 | low);
			i += 2;
		} else {
			out[n++] = s.p[i];
		}
	}
	out[n] = 0;
	return slice_of(out, n);
}

struct slice path_after(struct arena *a, struct slice path, struct slice before, const char *stops)
{
	const char *at = NULL;
	struct slice rest = path;
	size_t n = 0;

	for (const char *p; (p = slice_find(rest, before)); rest = slice_from(path, (size_t)(at - path.p)))
		at = p + before.n;
	if (!at)
		return (struct slice){0};
	rest = slice_from(path, (size_t)(at - path.p));
	while (n < rest.n && !(rest.p[n] && strchr(stops, rest.p[n])))
		n++;
	return n ? decoded(a, slice_of(rest.p, n)) : (struct slice){0};
}
