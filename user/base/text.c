/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#define BAD 0xffffffffu

/* Decodes one character at s (s.n > 0), *ret_len bytes long; BAD and 1 when it is not UTF-8 (RFC 3629). */
static uint32_t decode(struct slice s, size_t *ret_len)
{
	const unsigned char *p = (const unsigned char *)s.p;
	uint32_t c = p[0], min;
	size_t n;

	*ret_len = 1;
	if (c < 0x80)
		return c;
	if (c >= 0xc2 && c <= 0xdf)
		n = 2, c &= 0x1f, min = 0x80;
	else if (c >= 0xe0 && c <= 0xef)
		n = 3, c &= 0x0f, min = 0x800;
	else if (c >= 0xf0 && c <= 0xf4)
		n = 4, c &= 0x07, min = 0x10000;
	else
		return BAD;
	if (s.n < n)
		return BAD;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return BAD;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return BAD;
	*ret_len = n;
	return c;
}

/* Characters that change how their neighbours are shown, or show nothing (Unicode 15, General_Category Cf and friends). */
static bool invisible(uint32_t c)
{
	return (c >= 0x80 && c <= 0x9f) || c == 0xad || c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
	       (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

static void escape_one(struct buf *out, uint32_t c, const char *p, size_t n)
{
	if (c == BAD)
		buf_addf(out, "\\x%02x", (unsigned char)p[0]);
	else if (c == '\n')
		buf_adds(out, "\\n");
	else if (c == '\t')
		buf_adds(out, "\\t");
	else if (c == '\r')
		buf_adds(out, "\\r");
	else if (c < 0x20 || c == 0x7f)
		buf_addf(out, "\\x%02x", c);
	else if (invisible(c))
		buf_addf(out, "\\u{%x}", c);
	else
		buf_add(out, p, n);
}

void text_escape(struct buf *out, struct slice s)
{
	while (s.n) {
		size_t n;
		uint32_t c = decode(s, &n);

		escape_one(out, c, s.p, n);
		s = slice_from(s, n);
	}
}

void text_line(struct buf *out, struct slice s, size_t columns)
{
	size_t width = 0, ellipsis_at = out->n;

	s = slice_trim(s);
	while (s.n) {
		size_t n, before = out->n;
		uint32_t c = decode(s, &n);

		if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
			while (s.n && (*s.p == ' ' || *s.p == '\n' || *s.p == '\t' || *s.p == '\r'))
				s = slice_from(s, 1);
			buf_addc(out, ' ');
			width++;
		} else {
			escape_one(out, c, s.p, n);
			/* Wide characters (CJK, emoji) take two columns. */
			width += out->n - before > n ? out->n - before : c >= 0x1100 ? 2 : 1;
			s = slice_from(s, n);
		}
		if (width > columns) {
			out->n = ellipsis_at;
			buf_adds(out, "…");
			return;
		}
		if (width < columns)
			ellipsis_at = out->n;
	}
}

size_t text_valid(struct slice s)
{
	size_t i = 0;

	while (i < s.n) {
		uint64_t eight;
		size_t n;

		if (s.n - i >= sizeof(eight)) {
			memcpy(&eight, s.p + i, sizeof(eight));
			if (!(eight & 0x8080808080808080ull)) {
				i += sizeof(eight);
				continue;
			}
		}
		if (decode(slice_from(s, i), &n) == BAD)
			break;
		i += n;
	}
	return i;
}

void text_utf8(struct buf *out, struct slice s)
{
	while (s.n) {
		size_t n = text_valid(s);

		buf_add(out, s.p, n);
		if (n < s.n) {
			buf_adds(out, "\xef\xbf\xbd");
			n++;
		}
		s = slice_from(s, n);
	}
}

void text_hex(struct buf *out, const void *p, size_t n)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%02x", b[i]);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_unhex(struct slice hex, void *ret, size_t n)
{
	uint8_t *at = ret;

	if (hex.n != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(hex.p[2 * i]), low = hex_digit(hex.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		at[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}
