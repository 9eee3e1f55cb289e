/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "span/escapes.h"
#include "span/secrets.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character that an escape at s[0] stands for, and its length; 0: none that is to be undone. */
static char undone(struct slice s, size_t *ret_n)
{
	if (s.n >= 2 && s.p[1] == '/') {
		*ret_n = 2;
		return '/';
	}
	if (s.n < 6 || s.p[1] != 'u' || s.p[2] != '0' || s.p[3] != '0')
		return 0;

	int high = hex(s.p[4]), low = hex(s.p[5]);
	char c = high < 0 || low < 0 ? '\0' : (char)(high * 16 + low);
	*ret_n = 6;
	return char_set(c) || (c > ' ' && strchr(":@?&%,~!", c)) ? c : '\0';
}

bool escapes_undo(struct buf *out, struct slice in)
{
	size_t copied = 0, begun = out->n, n;
	const char *p = in.n ? memchr(in.p, '\\', in.n) : NULL;

	while (p) {
		size_t i = (size_t)(p - in.p);
		char c = undone(slice_from(in, i), &n);

		if (c) {
			buf_add(out, in.p + copied, i - copied);
			buf_addc(out, c);
			copied = i + n;
		}
		i += c ? n : 2; /* what is escaped is no escape itself */
		p = i < in.n ? memchr(in.p + i, '\\', in.n - i) : NULL;
	}
	if (!copied)
		return false;
	buf_add(out, in.p + copied, in.n - copied);
	return out->n > begun;
}
