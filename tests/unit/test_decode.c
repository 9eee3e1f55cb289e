/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <cmocka.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "proto/decode.h"

enum { RAW = -15, ZLIB = 15, GZ = 31 };

static void pack(struct buf *out, int window_bits, struct slice s)
{
	z_stream z = {.next_in = (unsigned char *)s.p, .avail_in = (unsigned)s.n};
	size_t bound = s.n + s.n / 100 + 200;

	buf_reserve(out, bound);
	z.next_out = (unsigned char *)out->p + out->n;
	z.avail_out = (unsigned)bound;
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->n += z.total_out;
	deflateEnd(&z);
}

static void collect(void *ctx, struct slice s)
{
	buf_addslice(ctx, s);
}

/* Feeds in pieces; returns what decoder_finish() says, or the first error. */
static int unpack(struct buf *ret, const char *encoding, struct slice s, size_t piece)
{
	struct decoder *d = decoder_new(slice_str(encoding), collect, ret);
	int r = 0;

	assert_non_null(d);
	while (s.n) {
		size_t n = s.n < piece ? s.n : piece;
		char *exact = xmalloc(n);

		memcpy(exact, s.p, n);
		if (decoder_feed(d, slice_of(exact, n)) < 0)
			r = -EBADMSG;
		free(exact);
		s = slice_from(s, n);
	}
	if (!r)
		r = decoder_finish(d);
	decoder_free(d);
	return r;
}

static void check(const char *encoding, struct slice packed, struct slice plain, int expected)
{
	for (size_t piece = 1; piece <= packed.n; piece += piece < 40 ? 1 : 97) {
		struct buf out = {0};

		assert_int_equal(unpack(&out, encoding, packed, piece), expected);
		if (!expected)
			assert_true(slice_eq(buf_slice(&out), plain));
		buf_release(&out);
	}
}

static void test_formats(void **state)
{
	struct buf plain = {0}, packed = {0};

	(void)state;
	for (int i = 0; i < 900; i++)
		buf_addf(&plain, "data: {\"i\": %d}\n\n", i * 7919 % 1000);
	pack(&packed, GZ, buf_slice(&plain));
	check("gzip", buf_slice(&packed), buf_slice(&plain), 0);
	check(" X-GZIP ", buf_slice(&packed), buf_slice(&plain), 0);
	check("gzip", slice_of(packed.p, packed.n - 1), buf_slice(&plain), -EBADMSG);
	packed.p[packed.n / 2] ^= 0x55;
	check("gzip", buf_slice(&packed), buf_slice(&plain), -EBADMSG);
	buf_clear(&packed);
	pack(&packed, ZLIB, buf_slice(&plain));
	check("deflate", buf_slice(&packed), buf_slice(&plain), 0);
	buf_clear(&packed);
	pack(&packed, RAW, buf_slice(&plain));
	check("deflate", buf_slice(&packed), buf_slice(&plain), 0);
	check("identity", buf_slice(&plain), buf_slice(&plain), 0);
	check("", buf_slice(&plain), buf_slice(&plain), 0);
	buf_release(&plain);
	buf_release(&packed);
}

static void test_members(void **state)
{
	struct buf packed = {0};

	(void)state;
	pack(&packed, GZ, SLICE("one "));
	pack(&packed, GZ, SLICE(""));
	pack(&packed, GZ, SLICE("two"));
	check("gzip", buf_slice(&packed), SLICE("one two"), 0);
	buf_adds(&packed, "padding");
	check("gzip", buf_slice(&packed), SLICE("one two"), 0);
	buf_release(&packed);
}

static void test_edges(void **state)
{
	struct buf out = {0};

	(void)state;
	assert_null(decoder_new(SLICE("br"), collect, &out));
	assert_null(decoder_new(SLICE("gzip, gzip"), collect, &out));
	assert_int_equal(unpack(&out, "gzip", SLICE(""), 1), 0);
	assert_int_equal(unpack(&out, "gzip", SLICE("plain text after all"), 100), -EBADMSG);
	assert_int_equal(unpack(&out, "deflate", SLICE("\x78"), 1), -EBADMSG);
	assert_int_equal(out.n, 0);
	decoder_free(NULL);
}

static void count(void *ctx, struct slice s)
{
	assert_true(s.n <= 1 << 16);
	*(size_t *)ctx += s.n;
}

/* billion_zeros: what is packed small must be handed out in small pieces. */
static void test_bomb(void **state)
{
	struct buf zeros = {0}, packed = {0};
	size_t n = 0;
	struct decoder *d = decoder_new(SLICE("gzip"), count, &n);

	(void)state;
	buf_reserve(&zeros, 32 << 20);
	memset(zeros.p, 0, 32 << 20);
	zeros.n = 32 << 20;
	pack(&packed, GZ, buf_slice(&zeros));
	assert_int_equal(decoder_feed(d, buf_slice(&packed)), 0);
	assert_int_equal(n, 32 << 20);
	decoder_free(d);
	buf_release(&zeros);
	buf_release(&packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_formats),
	    cmocka_unit_test(test_members),
	    cmocka_unit_test(test_edges),
	    cmocka_unit_test(test_bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
