/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <cmocka.h>
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "proto/decode.h"

enum { RAW = -15, ZLIB = 15, GZ = 31 };

static uint64_t rng = 88172645463325252u;

static unsigned rnd(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng >> 11) % n;
}

/* An encoder of one of the formats: each piece is flushed, so that it can be decoded when it is there. */
struct packer {
	z_stream z;
	BrotliEncoderState *br;
	ZSTD_CCtx *zstd;
};

static void packer_init(struct packer *p, const char *encoding, int window_bits)
{
	*p = (struct packer){0};
	if (!strcmp(encoding, "br"))
		p->br = BrotliEncoderCreateInstance(NULL, NULL, NULL);
	else if (!strcmp(encoding, "zstd"))
		p->zstd = ZSTD_createCCtx();
	else
		assert_int_equal(deflateInit2(&p->z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY),
		                 Z_OK);
}

static void pack_brotli(struct packer *p, struct buf *out, struct slice s, bool end)
{
	const uint8_t *in = (const uint8_t *)s.p;
	uint8_t piece[4096];
	BrotliEncoderOperation op = end ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_FLUSH;

	do {
		uint8_t *next = piece;
		size_t room = sizeof(piece);

		assert_true(BrotliEncoderCompressStream(p->br, op, &s.n, &in, &room, &next, NULL));
		buf_add(out, piece, sizeof(piece) - room);
	} while (s.n || BrotliEncoderHasMoreOutput(p->br));
}

static void pack_zstd(struct packer *p, struct buf *out, struct slice s, bool end)
{
	ZSTD_inBuffer in = {s.p, s.n, 0};
	char piece[4096];
	size_t left;

	do {
		ZSTD_outBuffer o = {piece, sizeof(piece), 0};

		left = ZSTD_compressStream2(p->zstd, &o, &in, end ? ZSTD_e_end : ZSTD_e_flush);
		assert_false(ZSTD_isError(left));
		buf_add(out, piece, o.pos);
	} while (left);
}

static void pack_piece(struct packer *p, struct buf *out, struct slice s, bool end)
{
	unsigned char piece[4096];

	if (p->br) {
		pack_brotli(p, out, s, end);
		return;
	}
	if (p->zstd) {
		pack_zstd(p, out, s, end);
		return;
	}
	p->z.next_in = (unsigned char *)s.p;
	p->z.avail_in = (unsigned)s.n;
	do {
		p->z.next_out = piece;
		p->z.avail_out = sizeof(piece);
		assert_int_not_equal(deflate(&p->z, end ? Z_FINISH : Z_SYNC_FLUSH), Z_STREAM_ERROR);
		buf_add(out, piece, sizeof(piece) - p->z.avail_out);
	} while (!p->z.avail_out);
}

static void packer_release(struct packer *p)
{
	BrotliEncoderDestroyInstance(p->br);
	ZSTD_freeCCtx(p->zstd);
	deflateEnd(&p->z);
}

static void pack_as(struct buf *out, const char *encoding, int window_bits, struct slice s)
{
	struct packer p;

	packer_init(&p, encoding, window_bits);
	pack_piece(&p, out, s, true);
	packer_release(&p);
}

static void pack(struct buf *out, int window_bits, struct slice s)
{
	pack_as(out, "zlib", window_bits, s);
}

static void append_events(struct buf *out, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		buf_addf(out, "data: {\"i\": %u}\n\n", i * 7919 % 1000);
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
	append_events(&plain, 900);
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

static void test_brotli_and_zstd(void **state)
{
	static const char *const encodings[] = {"br", "zstd"};
	struct buf plain = {0}, packed = {0};

	(void)state;
	append_events(&plain, 900);
	for (size_t i = 0; i < sizeof(encodings) / sizeof(*encodings); i++) {
		buf_clear(&packed);
		pack_as(&packed, encodings[i], 0, buf_slice(&plain));
		check(encodings[i], buf_slice(&packed), buf_slice(&plain), 0);
		check(encodings[i], slice_of(packed.p, packed.n - 1), buf_slice(&plain), -EBADMSG);
	}
	/* The last one is zstd: garbage behind a frame, and inside its header. */
	buf_adds(&packed, "x");
	check("zstd", buf_slice(&packed), buf_slice(&plain), -EBADMSG);
	packed.p[0] ^= 1;
	check("zstd", buf_slice(&packed), buf_slice(&plain), -EBADMSG);
	buf_release(&plain);
	buf_release(&packed);
}

/* What the server flushed is handed out with its last byte, whatever comes later. */
static void test_flush(void **state)
{
	static const struct {
		const char *encoding;
		int window_bits;
	} formats[] = {{"gzip", GZ}, {"deflate", ZLIB}, {"deflate", RAW}, {"br", 0}, {"zstd", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		struct packer p;
		struct buf out = {0}, plain = {0};
		struct decoder *d = decoder_new(slice_str(formats[i].encoding), collect, &out);

		packer_init(&p, formats[i].encoding, formats[i].window_bits);
		for (int event = 0; event < 200; event++) {
			struct buf packed = {0};
			size_t before = plain.n;

			append_events(&plain, 1 + rnd(3));
			pack_piece(&p, &packed, slice_from(buf_slice(&plain), before), event == 199);
			for (size_t at = 0; at < packed.n;) {
				size_t n = 1 + rnd(9);

				n = n < packed.n - at ? n : packed.n - at;
				assert_int_equal(decoder_feed(d, slice_of(packed.p + at, n)), 0);
				at += n;
			}
			assert_true(slice_eq(buf_slice(&out), buf_slice(&plain)));
			buf_release(&packed);
		}
		assert_int_equal(decoder_finish(d), 0);
		decoder_free(d);
		packer_release(&p);
		buf_release(&out);
		buf_release(&plain);
	}
}

static void test_lists(void **state)
{
	struct buf plain = {0}, once = {0}, twice = {0}, thrice = {0};

	(void)state;
	append_events(&plain, 300);
	pack(&once, GZ, buf_slice(&plain));
	pack_as(&twice, "br", 0, buf_slice(&once));
	pack_as(&thrice, "zstd", 0, buf_slice(&twice));
	check("gzip, br", buf_slice(&twice), buf_slice(&plain), 0);
	check("GZip ,, identity,br , Zstd", buf_slice(&thrice), buf_slice(&plain), 0);
	check("br, gzip", buf_slice(&twice), buf_slice(&plain), -EBADMSG);
	check("gzip, br", slice_of(twice.p, twice.n - 1), buf_slice(&plain), -EBADMSG);
	/* The inner one is cut, the outer one is whole. */
	buf_clear(&twice);
	pack_as(&twice, "br", 0, slice_of(once.p, once.n - 3));
	check("gzip, br", buf_slice(&twice), buf_slice(&plain), -EBADMSG);
	buf_release(&plain);
	buf_release(&once);
	buf_release(&twice);
	buf_release(&thrice);
}

static void test_frames(void **state)
{
	struct buf packed = {0};

	(void)state;
	pack_as(&packed, "zstd", 0, SLICE("one "));
	buf_add(&packed, "\x50\x2a\x4d\x18\x03\0\0\0abc", 11); /* RFC 8878 3.1.2: a skippable frame */
	pack_as(&packed, "zstd", 0, SLICE(""));
	pack_as(&packed, "zstd", 0, SLICE("two"));
	check("zstd", buf_slice(&packed), SLICE("one two"), 0);
	buf_release(&packed);
}

/* RFC 9659: 8 MiB must be accepted; more would be memory that the sender chooses. */
static void test_window(void **state)
{
	struct buf plain = {0};

	(void)state;
	for (unsigned i = 0; i < 20000; i++)
		buf_addf(&plain, "%u", rnd(1000000));
	for (int log = DECODE_ZSTD_WINDOW_LOG; log <= DECODE_ZSTD_WINDOW_LOG + 1; log++) {
		struct packer p;
		struct buf packed = {0};

		packer_init(&p, "zstd", 0);
		ZSTD_CCtx_setParameter(p.zstd, ZSTD_c_windowLog, log);
		for (size_t at = 0; at < plain.n; at += 1000)
			pack_piece(&p, &packed,
			           slice_of(plain.p + at, plain.n - at < 1000 ? plain.n - at : 1000),
			           at + 1000 >= plain.n);
		check("zstd", buf_slice(&packed), buf_slice(&plain),
		      log > DECODE_ZSTD_WINDOW_LOG ? -EBADMSG : 0);
		buf_release(&packed);
		packer_release(&p);
	}
	/* A frame that says 2 GiB and holds one byte: the same verdict whole and in pieces. */
	check("zstd", slice_of("\x28\xb5\x2f\xfd\x40\xa8\x01\x00\x09\x00\x00x", 12), SLICE("x"), -EBADMSG);
	buf_release(&plain);
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
	assert_null(decoder_new(SLICE("compress"), collect, &out));
	assert_null(decoder_new(SLICE("gzip, dcb"), collect, &out));
	assert_null(decoder_new(SLICE("gzip, gzip, gzip, gzip, gzip"), collect, &out));
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(unpack(&out, i ? "br" : "zstd", SLICE(""), 1), 0);
		assert_int_equal(unpack(&out, i ? "br" : "zstd", SLICE("plain text after all"), 100),
		                 -EBADMSG);
	}
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
	static const char *const encodings[] = {"gzip", "br", "zstd"};
	struct buf zeros = {0};

	(void)state;
	buf_reserve(&zeros, 32 << 20);
	memset(zeros.p, 0, 32 << 20);
	zeros.n = 32 << 20;
	for (size_t i = 0; i < sizeof(encodings) / sizeof(*encodings); i++) {
		size_t n = 0;
		struct decoder *d = decoder_new(slice_str(encodings[i]), count, &n);
		struct buf packed = {0};

		pack_as(&packed, encodings[i], GZ, buf_slice(&zeros));
		assert_int_equal(decoder_feed(d, buf_slice(&packed)), 0);
		assert_int_equal(n, 32 << 20);
		assert_int_equal(decoder_finish(d), 0);
		decoder_free(d);
		buf_release(&packed);
	}
	buf_release(&zeros);
}

/* billion_zeros_twice: what it may cost is bounded, and the bound does not depend on the cut. */
static void test_expansion(void **state)
{
	struct buf zeros = {0}, frame = {0}, frames = {0}, packed = {0};
	size_t first = 0;

	(void)state;
	buf_reserve(&zeros, 16 << 20);
	memset(zeros.p, 0, 16 << 20);
	zeros.n = 16 << 20;
	pack_as(&frame, "zstd", 0, buf_slice(&zeros));
	for (int i = 0; i < 1024; i++)
		buf_addslice(&frames, buf_slice(&frame));
	pack_as(&packed, "br", 0, buf_slice(&frames)); /* 16 GiB in all */
	assert_true(packed.n < 16384);
	for (size_t piece = packed.n; piece; piece /= 7) {
		size_t n = 0;
		struct decoder *d = decoder_new(SLICE("zstd, br"), count, &n);
		int r = 0;

		for (size_t at = 0; at < packed.n; at += piece)
			r = decoder_feed(
			    d, slice_of(packed.p + at, packed.n - at < piece ? packed.n - at : piece));
		assert_int_equal(r, -EBADMSG);
		assert_int_equal(decoder_finish(d), -EBADMSG);
		assert_true(n <= DECODE_FREE + 16384u * DECODE_RATIO_MAX);
		first = first ? first : n;
		assert_int_equal(n, first);
		decoder_free(d);
	}
	buf_release(&zeros);
	buf_release(&frame);
	buf_release(&frames);
	buf_release(&packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_formats), cmocka_unit_test(test_brotli_and_zstd),
	    cmocka_unit_test(test_flush),   cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_members), cmocka_unit_test(test_frames),
	    cmocka_unit_test(test_window),  cmocka_unit_test(test_edges),
	    cmocka_unit_test(test_bomb),    cmocka_unit_test(test_expansion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
