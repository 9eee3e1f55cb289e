/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "metrics/board.h"

#define HEAD_BYTES 4096
#define ALL_BYTES  (HEAD_BYTES + 2 * (size_t)BOARD_BYTES)

struct head {
	_Atomic uint64_t serial; /* the newest notice; it lies in place serial & 1 */
	uint32_t sizes[2][BOARD_PARTS];
};

struct board {
	struct head *head;
	char *places;
	bool writer;
};

int board_create(void)
{
	int fd = memfd_create("spantap-board", MFD_CLOEXEC | MFD_ALLOW_SEALING), err = 0;

	if (fd < 0)
		return -errno;
	/* A reader may rely on its mapping. */
	if (ftruncate(fd, (off_t)ALL_BYTES) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		err = -errno;
	if (err)
		close(fd);
	return err ? err : fd;
}

int board_reader(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int reader = open(path, O_RDONLY | O_CLOEXEC);
	return reader < 0 ? -errno : reader;
}

struct board *board_open(int fd, bool writer)
{
	char *p = mmap(NULL, ALL_BYTES, writer ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	struct board *b = xcalloc(1, sizeof(*b));
	*b = (struct board){(struct head *)(void *)p, p + HEAD_BYTES, writer};
	return b;
}

void board_close(struct board *b)
{
	if (!b)
		return;
	munmap(b->head, ALL_BYTES);
	free(b);
}

int board_put(struct board *b, const struct slice parts[BOARD_PARTS])
{
	uint64_t serial = atomic_load(&b->head->serial) + 1, total = 0;
	char *to = b->places + (serial & 1) * BOARD_BYTES;

	for (int i = 0; i < BOARD_PARTS; i++)
		total += parts[i].n;
	if (total > BOARD_BYTES)
		return -E2BIG;
	for (int i = 0; i < BOARD_PARTS; i++) {
		if (parts[i].n)
			memcpy(to, parts[i].p, parts[i].n);
		to += parts[i].n;
		b->head->sizes[serial & 1][i] = (uint32_t)parts[i].n;
	}
	atomic_store(&b->head->serial, serial);
	return 0;
}

uint64_t board_serial(const struct board *b)
{
	return atomic_load(&b->head->serial);
}

int board_get(const struct board *b, struct buf *copy, struct slice ret_parts[BOARD_PARTS])
{
	uint64_t serial = board_serial(b), total = 0;
	uint32_t sizes[BOARD_PARTS];

	if (!serial)
		return -EAGAIN;
	memcpy(sizes, b->head->sizes[serial & 1], sizeof(sizes));
	for (int i = 0; i < BOARD_PARTS; i++)
		total += sizes[i];
	if (total > BOARD_BYTES)
		return -EAGAIN;
	buf_clear(copy);
	buf_add(copy, b->places + (serial & 1) * BOARD_BYTES, total);
	/* The next notice went to the other place; the one after it may be on its way to this one. */
	atomic_thread_fence(memory_order_seq_cst);
	if (board_serial(b) != serial)
		return -EAGAIN;
	const char *at = copy->p ? copy->p : "";
	for (int i = 0; i < BOARD_PARTS; i++) {
		ret_parts[i] = slice_of(at, sizes[i]);
		at += sizes[i];
	}
	return 0;
}
