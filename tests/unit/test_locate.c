/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Libraries without symbols: this program carries functions that refer to the
 * texts of each as the library's own do, and looks for them in its own file,
 * whole and damaged.
 */
#include <linux/types.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <fcntl.h>
#include <string.h>
#include <cmocka.h>

#include "../../bpf/events.h"
#include "base/buf.h"
#include "target/bounds.h"
#include "target/eh_frame.h"
#include "target/locate.h"

#define PLAIN __attribute__((noinline, used, no_sanitize("address", "undefined")))
/* --- the libraries' functions --- */

static volatile uint64_t sink;

static const char ssl_lib[] = "../vendor/boringssl/ssl/ssl_lib.cc",
                  other_file[] = "../vendor/boringssl/ssl/other.cc";

PLAIN static void put_error(int library, int unused, int reason, const char *file, unsigned line)
{
	sink += (uint64_t)library + (uint64_t)unused + (uint64_t)reason + (uint64_t)file[0] + line;
}

PLAIN static int boring_write(uint64_t *ssl, const char *buf, int n)
{
	if (ssl[0]) {
		put_error(16, 0, 66, ssl_lib, 953);
		return -1;
	}
	if (ssl[1]) {
		put_error(16, 0, 226, ssl_lib, 958);
		return -1;
	}
	if (n < 0)
		put_error(16, 0, 111, ssl_lib, 979);
	return n + buf[0];
}

PLAIN static int boring_read(uint64_t *ssl, char *buf, int n)
{
	if (ssl[0]) {
		put_error(16, 0, 66, ssl_lib, 931);
		return -1;
	}
	ssl[4] += (uint64_t)n;
	return n + buf[0];
}

/* The same error in the same line; but what is there, stays. */
PLAIN static int boring_peek(uint64_t *ssl, char *buf, int n)
{
	if (ssl[0]) {
		put_error(16, 0, 66, ssl_lib, 931);
		return -1;
	}
	return n + buf[0] + (int)ssl[4];
}

PLAIN static int boring_handshake(uint64_t *ssl)
{
	if (ssl[2])
		put_error(16, 0, 134, ssl_lib, 722);
	return (int)ssl[3];
}

/* The same errors, of other files or reasons. */
PLAIN static int boring_other(uint64_t *ssl)
{
	if (ssl[0])
		put_error(16, 0, 66, other_file, 930);
	if (ssl[1])
		put_error(16, 0, 66, ssl_lib, 666);
	if (ssl[2])
		put_error(16, 0, 226, ssl_lib, 1021);
	return (int)ssl[3];
}

PLAIN static void set_debug(const char *file, int line, const char *func)
{
	sink += (uint64_t)file[0] + (uint64_t)line + (uint64_t)func[0];
}

PLAIN static int openssl_read(uint64_t *s, void *buf, size_t n, size_t *ret)
{
	if (!s[0])
		set_debug("ssl/ssl_lib.c", 1, "ssl_read_internal");
	*ret = n + *(unsigned char *)buf;
	return 1;
}

PLAIN static int openssl_write(uint64_t *s, const void *buf, size_t n, uint64_t flags, size_t *ret)
{
	*ret = n + flags + *(const unsigned char *)buf;
	if (!s[0])
		set_debug("ssl/ssl_lib.c", 2, "ssl_write_internal");
	return 1;
}

struct place {
	const char *name;
	uint64_t length;
	uint32_t line, column;
};

#define PLACE(file, line, column)                                                                            \
	{                                                                                                    \
		"/registry/rustls-0.23.46" file "0123", sizeof("/registry/rustls-0.23.46" file) - 1, line,   \
		    column                                                                                   \
	}

static const struct place record_layer[] = {PLACE("/src/record_layer.rs", 112, 9),
                                            PLACE("/src/record_layer.rs", 117, 14)};
static const struct place fragmenter = PLACE("/src/msgs/fragmenter.rs", 101, 9);
static const struct place vecbuf[] = {PLACE("/src/vecbuf.rs", 162, 9), PLACE("/src/vecbuf.rs", 229, 32)};

PLAIN static void panic_at(const struct place *at)
{
	sink += at->line;
}

PLAIN static uint64_t rust_send(volatile uint64_t *state, uint64_t *chunks)
{
	static const int fields[] = {0x10, 0x18, 0x38, 0x88, 0x90, 0x98, 0xa0, 0xa8, 0xb0, 0xb8};
	uint64_t sum = state[0x10 / 8] + state[0x18 / 8] + state[0x38 / 8] + state[0x88 / 8] +
	               state[0x90 / 8] + state[0x98 / 8] + state[0xa0 / 8] + state[0xa8 / 8] +
	               state[0xb0 / 8] + state[0xb8 / 8];

	if (sum == chunks[0])
		panic_at(&record_layer[0]);
	if (sum == chunks[1])
		panic_at(&record_layer[1]);
	if (sum == chunks[2])
		panic_at(&fragmenter);
	return sum + (uint64_t)fields[sum % 4];
}

PLAIN static void rust_consume(volatile uint64_t **reader, uint64_t used)
{
	volatile uint64_t *q = *reader;
	uint64_t sum = q[0x10 / 8] + q[0x18 / 8] + q[0x20 / 8] + q[0x28 / 8] + q[0x30 / 8];

	if (sum < used)
		panic_at(&vecbuf[0]);
	if (sum == used)
		panic_at(&vecbuf[1]);
	q[0x30 / 8] = sum + used;
}

PLAIN static void rust_front(volatile uint64_t *q)
{
	if (q[0])
		panic_at(&vecbuf[1]);
}

/* --- looking for them --- */

static uint64_t load_base; /* of this program: address = base + virtual address */

static void look(int fd, struct target *ret)
{
	struct image image;

	memset(ret, 0, sizeof(*ret));
	ret->err = image_init(&image, fd);
	if (ret->err)
		return;
	locate(&image, ret);
	image_release(&image);
}

#define SITE_WITHIN 24 /* bytes: the site may lie a few instructions behind the start */

static void is_at(const struct target *t, enum target_func f, void *function)
{
	uint64_t is = (uint64_t)(uintptr_t)function - load_base;

	if (t->offset[f] < is || t->offset[f] > is + SITE_WITHIN)
		fail_msg("%d: found at %#lx, is at %#lx", (int)f, (unsigned long)t->offset[f],
		         (unsigned long)is);
}

static void all_are_found(void **state)
{
	struct target t;
	int fd = open("/proc/self/exe", O_RDONLY);

	(void)state;
	assert_true(fd >= 0);
	look(fd, &t);
	close(fd);
	assert_int_equal(t.err, 0);
	assert_true(t.located);
	assert_null(target_refused_name(&t));
	for (int f = TARGET_WRITE; f < TARGET_FUNCS; f++)
		if (t.offset[f])
			assert_non_null(target_func_name(&t, (enum target_func)f));
	is_at(&t, TARGET_WRITE, boring_write);
	is_at(&t, TARGET_READ, boring_read);
	is_at(&t, TARGET_HANDSHAKE, boring_handshake);
	is_at(&t, TARGET_READ_EX, openssl_read);
	is_at(&t, TARGET_WRITE_EX2, openssl_write);
	is_at(&t, TARGET_RUSTLS_SEND, rust_send);
	is_at(&t, TARGET_RUSTLS_CONSUME, rust_consume);
	assert_int_equal(t.func_lib[TARGET_WRITE], EV_LIB_BORINGSSL);
	assert_int_equal(t.func_lib[TARGET_READ_EX], EV_LIB_OPENSSL);
	assert_int_equal(t.func_lib[TARGET_RUSTLS_SEND], EV_LIB_RUSTLS);
}

/* --- damage --- */

static void whole(struct buf *ret)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	ssize_t n;

	do {
		buf_reserve(ret, 1 << 20);
		n = read(fd, ret->p + ret->n, 1 << 20);
		ret->n += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	close(fd);
}

static void look_at_bytes(const char *p, size_t n, struct target *ret)
{
	int fd = memfd_create("damaged", MFD_CLOEXEC);

	assert_int_equal(write(fd, p, n), (ssize_t)n);
	look(fd, ret);
	close(fd);
}

/* Every occurrence of a text, the parts of which are put together here so that this is none, changes. */
static void replace(struct buf *b, const char *first, const char *second, const char *by)
{
	char text[64];
	char *p = b->p;
	unsigned n = 0;

	snprintf(text, sizeof(text), "%s%s", first, second);
	while ((p = memmem(p, (size_t)(b->p + b->n - p), text, strlen(text)))) {
		memcpy(p + strlen(first), by, strlen(second));
		n++;
	}
	assert_true(n > 0);
}

static void without_its_text_it_is_not_there(void **state)
{
	struct buf b = {0};
	struct target t;

	(void)state;
	whole(&b);
	replace(&b, "/boringssl/ssl/ssl_", "lib", "lub");
	replace(&b, "rustls-0.23.46/src/vecb", "uf", "of");
	look_at_bytes(b.p, b.n, &t);
	assert_int_equal(t.offset[TARGET_WRITE] | t.offset[TARGET_READ] | t.offset[TARGET_RUSTLS_SEND], 0);
	is_at(&t, TARGET_READ_EX, openssl_read);
	buf_release(&b);
}

static void two_are_refused(void **state)
{
	struct buf b = {0};
	struct target t;

	(void)state;
	whole(&b);
	replace(&b, "ssl_", "write_internal", "read_internal\0"); /* who writes is called what who reads is */
	look_at_bytes(b.p, b.n, &t);
	assert_int_equal(t.offset[TARGET_READ_EX] | t.offset[TARGET_WRITE_EX2], 0);
	assert_int_equal(t.refused, EV_LIB_OPENSSL);
	assert_int_equal(t.why_refused, TARGET_WHY_SEVERAL);
	is_at(&t, TARGET_WRITE, boring_write);
	buf_release(&b);
}

static void cut_anywhere_it_is_survived(void **state)
{
	struct buf b = {0};
	struct target t;

	(void)state;
	whole(&b);
	for (size_t n = 0; n < b.n; n += b.n / 37 + 1)
		look_at_bytes(b.p, n, &t);
	buf_release(&b);
}

/* What is found in a damaged file lies in its code, and is bounded. */
static void damage_is_survived(void **state)
{
	struct buf b = {0};
	struct target t;

	(void)state;
	srand(1);
	whole(&b);
	char *copy = test_malloc(b.n);
	for (int round = 0; round < 24; round++) {
		memcpy(copy, b.p, b.n);
		size_t range = round % 3 == 0 ? 8192 : b.n;
		for (int k = 0; k < (round % 3 == 0 ? 8 : 30000); k++)
			copy[64 + (size_t)rand() % (range - 64)] = (char)rand();
		look_at_bytes(copy, b.n, &t);
		for (int f = 0; f < TARGET_FUNCS; f++) {
			assert_true(t.n_ret[f] <= TARGET_RETURNS_MAX);
			assert_true(!t.offset[f] || t.located);
		}
	}
	test_free(copy);
	buf_release(&b);
}

/* --- functions without a record in .eh_frame --- */

/* One that keeps a frame pointer, and one that does not, as clang lays them out; each ends before its last
 * instruction. */
#if defined(__x86_64__)
__asm__(".text\n.p2align 4\n.fill 16, 1, 0xcc\n"
        "framed:\n push %rbp\n mov %rsp, %rbp\n test %edi, %edi\n je 1f\n mov %edi, %eax\n pop %rbp\n ret\n"
        "1: xor %eax, %eax\n pop %rbp\n framed_last: ret\n"
        ".p2align 4, 0xcc\n.fill 16, 1, 0xcc\n"
        "frameless:\n test %edi, %edi\n je 1f\n lea 1(%rdi), %eax\n ret\n"
        "1: mov $7, %eax\n frameless_last: ret\n"
        ".p2align 4, 0xcc\n.fill 16, 1, 0xcc\n");
extern const char framed[], framed_last[], frameless[], frameless_last[];
#endif

/* Where no record says so, it is right or not told: never wrong. */
static void bounds_without_eh_frame_are_those_with(void **state)
{
	void *functions[] = {boring_write,  boring_read, boring_handshake, boring_other, openssl_read,
	                     openssl_write, rust_send,   rust_consume,     rust_front};
	struct decoder d;
	struct image image;
	int fd = open("/proc/self/exe", O_RDONLY);
	uint64_t start, end, s, e;

	(void)state;
	assert_int_equal(image_init(&image, fd), 0);
	assert_true(decoder_init(&d, image.code.machine));
	struct code bare = image.code;
	bare.eh_hdr = 0;
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		assert_true(
		    eh_frame_find(&image.code, (uint64_t)(uintptr_t)functions[i] - load_base, &start, &end));
		for (uint64_t k = start; k < end; k++) {
			d.left = INSN_TOTAL;
			if (bounds_find(&d, &bare, k, &s, &e))
				assert_int_equal(s, start);
		}
	}
#if defined(__x86_64__)
	const char *const bare_functions[][2] = {{framed, framed_last}, {frameless, frameless_last}};
	for (size_t i = 0; i < 2; i++) {
		start = (uint64_t)(uintptr_t)bare_functions[i][0] - load_base;
		end = (uint64_t)(uintptr_t)bare_functions[i][1] - load_base + 1;
		for (uint64_t k = start; k < end; k++) {
			d.left = INSN_TOTAL;
			if (!bounds_find(&d, &image.code, k, &s, &e))
				fail_msg("%zu: nothing at %#lx of %#lx", i, (unsigned long)(k - start),
				         (unsigned long)start);
			assert_int_equal(s, start);
			assert_int_equal(e, end);
		}
		d.left = INSN_TOTAL;
		assert_false(bounds_find(&d, &image.code, end, &s, &e)); /* padding */
	}
#endif
	decoder_release(&d);
	image_release(&image);
	close(fd);
}

extern const char __ehdr_start[];

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_are_found),      cmocka_unit_test(without_its_text_it_is_not_there),
	    cmocka_unit_test(two_are_refused),    cmocka_unit_test(cut_anywhere_it_is_survived),
	    cmocka_unit_test(damage_is_survived), cmocka_unit_test(bounds_without_eh_frame_are_those_with),
	};

	load_base = (uint64_t)(uintptr_t)__ehdr_start;
	return cmocka_run_group_tests_name("locate", tests, NULL, NULL);
}
