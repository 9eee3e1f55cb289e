/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/chunked.h"

enum phase {
	FIRST,     /* the first digit of a size */
	SIZE,      /* further digits */
	EXTENSION, /* up to LF */
	DATA_END,  /* CR LF behind the data */
};

#define DIGITS_MAX 15 /* a size of 2^60 does not come */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void expect(struct chunked *c, enum phase phase)
{
	c->phase = phase;
	c->saw_cr = false;
}

/* CR before a line end, once. */
static bool is_cr(struct chunked *c, char b)
{
	if (b != '\r' || c->saw_cr)
		return false;
	return c->saw_cr = true;
}

static enum chunked_result size_end(struct chunked *c)
{
	c->left = c->size;
	return c->left ? CHUNKED_DATA : CHUNKED_TRAILERS;
}

static enum chunked_result size_byte(struct chunked *c, char b)
{
	int digit = hex_digit(b);

	if (digit >= 0 && (c->phase == FIRST || c->digits < DIGITS_MAX)) {
		c->size = c->phase == FIRST ? (uint64_t)digit : c->size << 4 | (uint64_t)digit;
		c->digits = c->size ? c->digits + 1 : 0;
		c->phase = SIZE;
		return CHUNKED_MORE;
	}
	if (c->phase == SIZE && b == '\n')
		return size_end(c);
	if (c->phase == FIRST || (b != ';' && b != ' ' && b != '\t' && b != '\r'))
		return CHUNKED_SIZE_INVALID;
	c->phase = EXTENSION;
	return CHUNKED_MORE;
}

static enum chunked_result byte(struct chunked *c, char b)
{
	switch ((enum phase)c->phase) {
	case FIRST:
	case SIZE:
		return size_byte(c, b);
	case EXTENSION:
		return b == '\n' ? size_end(c) : CHUNKED_MORE;
	case DATA_END:
		if (b == '\n')
			expect(c, FIRST);
		else if (!is_cr(c, b))
			return CHUNKED_DATA_LONGER;
		return CHUNKED_MORE;
	}
	return CHUNKED_MORE;
}

enum chunked_result chunked_take(struct chunked *c, struct slice *in)
{
	enum chunked_result r = CHUNKED_MORE;

	while (in->n && r == CHUNKED_MORE) {
		r = byte(c, *in->p);
		*in = slice_from(*in, 1);
	}
	return r;
}

void chunked_pass(struct chunked *c, uint64_t n)
{
	c->left -= n;
	if (c->left)
		return;
	c->digits = 0;
	expect(c, DATA_END);
}
