/* SPDX-License-Identifier: Apache-2.0 */
/* Which files are looked at, and when again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "probe/files.h"

static struct stat inode(uint64_t ino, long mtime, long size)
{
	return (struct stat){.st_dev = 1, .st_ino = ino, .st_mtim = {.tv_sec = mtime}, .st_size = size};
}

static void test_content(void **state)
{
	struct files fs = {0};
	struct stat st = inode(7, 100, 5000), newer = inode(7, 101, 5000), longer = inode(7, 100, 5001);

	(void)state;
	assert_null(files_find(&fs, &st));
	struct file *f = files_add(&fs, &st, "/lib/a");
	assert_ptr_equal(files_find(&fs, &st), f);
	assert_false(file_is_changed(f, &st));
	assert_true(file_is_changed(f, &newer));
	assert_true(file_is_changed(f, &longer));
	files_release(&fs);
}

static void test_mapping(void **state)
{
	struct files fs = {0};
	struct stat st = inode(7, 100, 5000);
	struct mapping_key key = {1, 7};

	(void)state;
	assert_true(files_want(&fs, &key, 3));
	struct file *f = files_add(&fs, &st, "/lib/a");
	files_map(&fs, &key, 3, f);
	assert_false(files_want(&fs, &key, 3));
	assert_false(files_want(&fs, &key, GENERATION_UNKNOWN));
	assert_true(files_want(&fs, &key, 4)); /* the inode number was used again */
	assert_ptr_equal(files_mapped(&fs, &key), f);

	/* With a library: wanted again when its probes were taken off, but not when they cannot be placed. */
	f->target = xcalloc(1, sizeof(*f->target));
	f->on = true;
	assert_false(files_want(&fs, &key, 3));
	f->on = false;
	assert_true(files_want(&fs, &key, 3));
	f->err = -1;
	assert_false(files_want(&fs, &key, 3));

	/* Another content: what its mappings led to is looked at again. */
	files_forget(&fs, f);
	assert_null(files_mapped(&fs, &key));
	assert_true(files_want(&fs, &key, 3));
	files_release(&fs);
}

/* A process may end before its file is opened; one that never can be opened is given up. */
static void test_unopened(void **state)
{
	struct files fs = {0};
	struct mapping_key key = {1, 7};

	(void)state;
	for (int i = 0; i < OPEN_TRIES; i++) {
		assert_true(files_want(&fs, &key, 3));
		files_map(&fs, &key, 3, NULL);
	}
	assert_false(files_want(&fs, &key, 3));
	assert_true(files_want(&fs, &key, 4));
	files_release(&fs);
}

/* When the table is full, files with probes stay. */
static void test_full(void **state)
{
	struct files fs = {0};
	struct stat st = inode(1, 1, 1);
	struct mapping_key key = {1, 1};

	(void)state;
	struct file *kept = files_add(&fs, &st, "/lib/kept");
	kept->on = true;
	files_map(&fs, &key, 0, kept);
	for (uint64_t i = 2; i < FILES_MAX + 10; i++) {
		st = inode(i, 1, 1);
		assert_non_null(files_add(&fs, &st, "/lib/other"));
		assert_true(fs.by_inode.n <= FILES_MAX);
	}
	st = inode(1, 1, 1);
	assert_ptr_equal(files_find(&fs, &st), kept);
	assert_true(files_want(&fs, &key, 0)); /* found by its inode again */
	files_release(&fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_content), cmocka_unit_test(test_mapping),
	                                   cmocka_unit_test(test_unopened), cmocka_unit_test(test_full)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
