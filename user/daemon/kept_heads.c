/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "daemon/kept_heads.h"

#define KEY_SIZE 32

static void add_head(void *ctx, const struct store_head *h)
{
	struct buf *out = ctx;

	if (h->state.n == HEAD_RECORD_SIZE && out->n / HEAD_RECORD_SIZE < HEADS_KEPT_MAX)
		buf_addslice(out, h->state);
}

static int write_at(int fd, struct slice s, off_t at)
{
	while (s.n) {
		ssize_t n = pwrite(fd, s.p, s.n, at);

		if (n <= 0)
			return n ? -errno : -EIO;
		s = slice_from(s, (size_t)n);
		at += n;
	}
	return 0;
}

/* Key, and the newest heads; decode takes the later of two, so the oldest come first. */
static int write_all(int fd, struct store *st)
{
	struct buf newest = {0}, file = {0};
	uint8_t key[KEY_SIZE];

	if (st) {
		store_heads_each(st, add_head, &newest);
		buf_add(&file, store_key(st), KEY_SIZE);
	} else {
		randombytes_buf(key, sizeof(key));
		buf_add(&file, key, sizeof(key));
	}
	for (size_t at = newest.n; at; at -= HEAD_RECORD_SIZE)
		buf_add(&file, newest.p + at - HEAD_RECORD_SIZE, HEAD_RECORD_SIZE);
	int err = ftruncate(fd, 0) ? -errno : write_at(fd, buf_slice(&file), 0);
	buf_release(&newest);
	buf_release(&file);
	return err;
}

int kept_heads_create(struct store *st)
{
	int fd = memfd_create("spantap heads", MFD_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, st);
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* One row a link and conversation. */
static void make_row(struct store_head *row, const struct head_record *h, struct slice state)
{
	*row = (struct store_head){.state = state, .last = h->last_wall};
	memcpy(row->link, h->link, sizeof(h->link));
	memcpy(row->link + sizeof(h->link), h->conversation, sizeof(h->conversation));
}

int kept_heads_add(int fd, struct store *st, struct slice records)
{
	off_t end = lseek(fd, 0, SEEK_END);
	int err = 0;

	if (records.n % HEAD_RECORD_SIZE)
		return -EBADMSG;
	for (struct slice rest = records; rest.n && !err; rest = slice_from(rest, HEAD_RECORD_SIZE)) {
		struct slice state = slice_of(rest.p, HEAD_RECORD_SIZE);
		struct head_record h;
		struct store_head row;

		err = head_decode(state, &h);
		if (err)
			return err;
		make_row(&row, &h, state);
		if (st)
			err = store_heads_put(st, &row, 1);
	}
	if (end > (off_t)KEPT_HEADS_FILE_MAX * HEAD_RECORD_SIZE)
		write_all(fd, st);
	else if (end >= KEY_SIZE)
		write_at(fd, records, end);
	return err;
}

int kept_heads_key(int fd, uint8_t ret[KEY_SIZE])
{
	ssize_t n = pread(fd, ret, KEY_SIZE, 0);

	return n == KEY_SIZE ? 0 : n < 0 ? -errno : -EIO;
}

void kept_heads_read(int fd, void (*each)(void *ctx, const struct head_record *h), void *ctx)
{
	char records[512 * HEAD_RECORD_SIZE];
	off_t at = KEY_SIZE;
	ssize_t n;

	while ((n = pread(fd, records, sizeof(records), at)) >= HEAD_RECORD_SIZE) {
		for (ssize_t i = 0; i + HEAD_RECORD_SIZE <= n; i += HEAD_RECORD_SIZE) {
			struct head_record h;

			if (head_decode(slice_of(records + i, HEAD_RECORD_SIZE), &h) == 0)
				each(ctx, &h);
		}
		at += n - n % HEAD_RECORD_SIZE;
	}
}
