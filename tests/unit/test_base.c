/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/text.h"

static void slice_cut_gives_every_part(void **state)
{
	struct slice rest = SLICE("a,,b"), part;

	(void)state;
	assert_true(slice_cut(&rest, ',', &part) && slice_eq(part, SLICE("a")));
	assert_true(slice_cut(&rest, ',', &part) && part.n == 0);
	assert_true(slice_cut(&rest, ',', &part) && slice_eq(part, SLICE("b")));
	assert_false(slice_cut(&rest, ',', &part));
}

static void slice_u64_refuses_what_is_no_number(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_true(slice_u64(SLICE("18446744073709551615"), &v));
	assert_true(v == UINT64_MAX);
	assert_false(slice_u64(SLICE("18446744073709551616"), &v));
	assert_false(slice_u64(SLICE(""), &v));
	assert_false(slice_u64(SLICE("-1"), &v));
	assert_false(slice_u64(SLICE("1 "), &v));
	assert_true(v == UINT64_MAX);
}

static void buf_grows_and_formats(void **state)
{
	struct buf b = {0};

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "%d,", i);
	assert_int_equal(b.n, 3890);
	assert_memory_equal(b.p + b.n - 4, "999,", 4);
	assert_int_equal(strlen(buf_str(&b)), b.n);
	buf_release(&b);
}

static void arena_arrays_keep_their_elements(void **state)
{
	struct arena a = {0};
	int *v = NULL;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		*(int *)arena_push(&a, &v, &n, sizeof(*v)) = i;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(v[i], i);
	char *big = arena_alloc(&a, 100000), *small = arena_alloc(&a, 8);
	big[99999] = 1;
	assert_int_equal((uintptr_t)small % 16, 0);
	assert_null(arena_dup(&a, (struct slice){NULL, 0}).p);
	arena_release(&a);
}

static void map_finds_replaces_deletes(void **state)
{
	struct map m = {0};
	struct map_entry *e;
	size_t seen = 0;

	(void)state;
	for (uintptr_t i = 1; i <= 5000; i++)
		assert_null(map_put(&m, &i, sizeof(i), (void *)i));
	for (uintptr_t i = 1; i <= 5000; i++)
		assert_ptr_equal(map_get(&m, &i, sizeof(i)), (void *)i);
	uintptr_t k = 3;
	assert_ptr_equal(map_put(&m, &k, sizeof(k), (void *)99), (void *)3);
	assert_ptr_equal(map_del(&m, &k, sizeof(k)), (void *)99);
	assert_null(map_get(&m, &k, sizeof(k)));
	map_foreach(&m, e) {
		seen++;
		if ((uintptr_t)e->value % 2) /* the current element may be deleted */
			map_del(&m, e->key, e->key_len);
	}
	assert_int_equal(seen, 4999);
	assert_int_equal(m.n, 2500);
	map_release(&m);
}

static void clock_uses_the_offset_of_its_time(void **state)
{
	struct clock_map *m = xcalloc(1, sizeof(*m));

	(void)state;
	assert_int_equal(clock_map_wall(m, 5), 0);
	assert_true(clock_map_add(m, 1000, 50000000));
	assert_false(clock_map_add(m, 2000, 50000001)); /* slew */
	assert_true(clock_map_add(m, 3000, 2000050000000)); /* a step of 2,000 s */
	assert_int_equal(clock_map_wall(m, 2999), 50002999);
	assert_int_equal(clock_map_wall(m, 3000), 2000050003000);
	assert_int_equal(clock_map_wall(m, 10), 50000010);
	for (int64_t i = 0; i < 3 * CLOCK_SAMPLES_MAX; i++)
		clock_map_add(m, 4000 + (uint64_t)i, i * CLOCK_STEP_NS * 2);
	assert_int_equal(m->n, CLOCK_SAMPLES_MAX);
	free(m);
}

static void check_escape(struct slice in, const char *want)
{
	struct buf out = {0};

	text_escape(&out, in);
	assert_string_equal(buf_str(&out), want);
	buf_release(&out);
}

static void text_escape_disarms_terminals(void **state)
{
	(void)state;
	check_escape(SLICE("plain \xc3\xa4 \xf0\x9f\x98\x80"), "plain ä 😀");
	check_escape(SLICE("\x1b]52;c;AAAA\x07"), "\\x1b]52;c;AAAA\\x07");
	check_escape(SLICE("a\xe2\x80\xae" "b"), "a\\u{202e}b");
	check_escape(SLICE("\xc2\x9b" "31m"), "\\u{9b}31m");
	check_escape(SLICE("\xff\xc3"), "\\xff\\xc3");
	check_escape(SLICE("\xed\xa0\x80"), "\\xed\\xa0\\x80"); /* a surrogate */
	check_escape(SLICE("\xc0\xaf"), "\\xc0\\xaf");             /* overlong */
	check_escape(SLICE("a\tb\r\n"), "a\\tb\\r\\n");
}

static void text_line_fits_its_columns(void **state)
{
	struct buf out = {0};

	(void)state;
	text_line(&out, SLICE("  one\n\n two   three  "), 40);
	assert_string_equal(buf_str(&out), "one two three");
	buf_clear(&out);
	text_line(&out, SLICE("abcdefghij"), 5);
	assert_string_equal(buf_str(&out), "abcd…");
	buf_clear(&out);
	text_line(&out, SLICE("日本語日本語"), 5);
	assert_string_equal(buf_str(&out), "日本…");
	buf_release(&out);
}

static void hash_separates_its_parts(void **state)
{
	struct buf hex = {0};
	struct hash h = hash_bytes(SLICE("abc")), a = HASH(SLICE("ab"), SLICE("c")), b = HASH(SLICE("a"), SLICE("bc"));

	(void)state;
	text_hex(&hex, h.b, sizeof(h.b)); /* FIPS 180-2, B.1 */
	assert_string_equal(buf_str(&hex), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_memory_not_equal(a.b, b.b, sizeof(a.b));
	buf_release(&hex);
}

/* Gone on with from any place, a digest is that of the whole. */
static void hash_states_go_on(void **state)
{
	struct slice text = SLICE("a text of which the beginning is hashed once");
	struct hash whole = hash_bytes(text);

	(void)state;
	for (size_t i = 0; i <= text.n; i++) {
		struct hash_state *begun = hash_begin(), *copy;

		hash_more(begun, slice_of(text.p, i));
		copy = hash_dup(begun);
		hash_more(begun, SLICE("something else"));
		hash_more(copy, slice_from(text, i));
		struct hash h = hash_end(copy);
		assert_memory_equal(h.b, whole.b, sizeof(h.b));
		hash_free(begun);
	}
	hash_free(NULL);
}

/* No two lists of parts, however they are cut, and no two keys give the same; equal ones do. */
static void keyed_hashes_tell_apart(void **state)
{
	static const char zeros[4096];
	struct keyed_hash seen[64 * 3 + 1];
	struct slice many[200];
	struct hash_key key[2];
	size_t n = 0;

	(void)state;
	hash_key_init(&key[0]);
	hash_key_init(&key[1]);
	for (size_t i = 0; i < 64; i++) {
		const struct slice one = {zeros, i * 16}, cut[] = {{zeros, i * 16}, {zeros, 1}};
		struct keyed_hash again = hash_keyed(&key[0], &one, 1);

		seen[n++] = hash_keyed(&key[0], &one, 1);
		assert_memory_equal(&seen[n - 1], &again, sizeof(again));
		seen[n++] = hash_keyed(&key[1], &one, 1);
		seen[n++] = hash_keyed(&key[0], cut, 2);
	}
	for (size_t i = 0; i < 200; i++)
		many[i] = slice_of(zeros, 200);
	seen[n++] = hash_keyed(&key[0], many, 200);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(&seen[i], &seen[k], sizeof(seen[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(slice_cut_gives_every_part),
	    cmocka_unit_test(slice_u64_refuses_what_is_no_number),
	    cmocka_unit_test(buf_grows_and_formats),
	    cmocka_unit_test(arena_arrays_keep_their_elements),
	    cmocka_unit_test(map_finds_replaces_deletes),
	    cmocka_unit_test(clock_uses_the_offset_of_its_time),
	    cmocka_unit_test(text_escape_disarms_terminals),
	    cmocka_unit_test(text_line_fits_its_columns),
	    cmocka_unit_test(hash_separates_its_parts),
	    cmocka_unit_test(hash_states_go_on),
	    cmocka_unit_test(keyed_hashes_tell_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
