/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "daemon/journal.h"

#define ALIGN(n) (((n) + 7) & ~(uint64_t)7)

/* First page of the memfd. */
struct shared {
	_Atomic uint64_t tail; /* oldest record kept; moved by the writer */
	_Atomic uint64_t next; /* next record to read; moved by the reader */
	_Atomic uint64_t head; /* end of the newest record; moved by the writer */
	_Atomic uint64_t work; /* 1 + position of the record in work, 0: none */
	uint64_t recorded;     /* 1 + position of the newest record that is in the recording */
	uint64_t n_poison;
	uint64_t poison[JOURNAL_POISON_MAX];
};

#define SHARED_BYTES 4096
_Static_assert(sizeof(struct shared) <= SHARED_BYTES, "struct shared");

struct journal {
	struct shared *s;
	char *data;
	uint64_t size;
	uint64_t written; /* newest record given to the recording by this process, as `recorded` */
};

/* In front of each record: its length; 0: nothing more before the end, go on at the start. */
typedef uint64_t entry_t;

int journal_create(void)
{
	int fd = memfd_create("spantap-journal", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, SHARED_BYTES + (off_t)JOURNAL_BYTES)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

struct journal *journal_open(int fd, bool successor)
{
	char *p = mmap(NULL, SHARED_BYTES + (size_t)JOURNAL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return NULL;
	struct journal *j = xcalloc(1, sizeof(*j));
	j->s = (struct shared *)(void *)p;
	j->data = p + SHARED_BYTES;
	j->size = JOURNAL_BYTES;
	if (successor) {
		atomic_store(&j->s->work, 0);
		atomic_store(&j->s->next, atomic_load(&j->s->tail));
	}
	return j;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	munmap(j->s, SHARED_BYTES + j->size);
	free(j);
}

static entry_t *entry_at(const struct journal *j, uint64_t pos)
{
	return (entry_t *)(void *)(j->data + pos % j->size);
}

/* `pos`, or the start of the next lap when nothing more lies before the end. */
static uint64_t skip_end(const struct journal *j, uint64_t pos)
{
	uint64_t left = j->size - pos % j->size;

	if (left < sizeof(entry_t) || *entry_at(j, pos) == 0)
		return pos + left;
	return pos;
}

/* Makes room for `need` bytes at `head` by forgetting the oldest consumed records. */
static bool make_room(struct journal *j, uint64_t head, uint64_t need)
{
	uint64_t tail = atomic_load_explicit(&j->s->tail, memory_order_relaxed);
	uint64_t next = atomic_load_explicit(&j->s->next, memory_order_acquire);

	while (head + need - tail > j->size) {
		if (tail >= next)
			return false;
		uint64_t at = skip_end(j, tail);
		tail = at == tail ? tail + sizeof(entry_t) + ALIGN(*entry_at(j, tail)) : at;
	}
	atomic_store_explicit(&j->s->tail, tail, memory_order_release);
	return true;
}

bool journal_append(struct journal *j, const struct ev_head *head, size_t head_len, struct slice body)
{
	uint64_t pos = atomic_load_explicit(&j->s->head, memory_order_relaxed);
	uint64_t size = head_len + body.n, need = sizeof(entry_t) + ALIGN(size);
	uint64_t left = j->size - pos % j->size;

	if (left < need) { /* not before the end: leave the rest of this lap */
		if (!make_room(j, pos, left + need))
			return false;
		if (left >= sizeof(entry_t))
			*entry_at(j, pos) = 0;
		pos += left;
	} else if (!make_room(j, pos, need)) {
		return false;
	}

	char *at = (char *)entry_at(j, pos);
	*entry_at(j, pos) = size;
	memcpy(at + sizeof(entry_t), head, head_len);
	((struct ev_head *)(void *)(at + sizeof(entry_t)))->size = (uint32_t)size;
	if (body.n)
		memcpy(at + sizeof(entry_t) + head_len, body.p, body.n);
	atomic_store_explicit(&j->s->head, pos + need, memory_order_release);
	return true;
}

bool journal_empty(const struct journal *j)
{
	return atomic_load_explicit(&j->s->next, memory_order_acquire) >=
	       atomic_load_explicit(&j->s->head, memory_order_acquire);
}

uint64_t journal_used(const struct journal *j)
{
	uint64_t next = atomic_load_explicit(&j->s->next, memory_order_acquire),
		 head = atomic_load_explicit(&j->s->head, memory_order_acquire);

	return head > next ? head - next : 0;
}

static const struct ev_head *record_at(const struct journal *j, uint64_t pos)
{
	return (const struct ev_head *)(const void *)(j->data + pos % j->size + sizeof(entry_t));
}

uint64_t journal_oldest(const struct journal *j)
{
	uint64_t tail = atomic_load_explicit(&j->s->tail, memory_order_acquire);

	return tail < atomic_load_explicit(&j->s->head, memory_order_acquire) ? record_at(j, skip_end(j, tail))->ts : 0;
}

const struct ev_head *journal_next(struct journal *j, bool *ret_poison)
{
	uint64_t pos = atomic_load_explicit(&j->s->next, memory_order_relaxed);
	uint64_t work = atomic_load_explicit(&j->s->work, memory_order_relaxed);

	if (work) { /* the record handed out last is done */
		pos = work - 1 + sizeof(entry_t) + ALIGN(*entry_at(j, work - 1));
		atomic_store_explicit(&j->s->work, 0, memory_order_release);
		atomic_store_explicit(&j->s->next, pos, memory_order_release);
	}
	if (pos >= atomic_load_explicit(&j->s->head, memory_order_acquire))
		return NULL;
	pos = skip_end(j, pos);
	*ret_poison = false;
	for (uint64_t i = 0; i < j->s->n_poison; i++)
		*ret_poison |= j->s->poison[i] == pos;
	atomic_store_explicit(&j->s->work, pos + 1, memory_order_release);
	return record_at(j, pos);
}

bool journal_unrecorded(struct journal *j)
{
	uint64_t pos = atomic_load(&j->s->work);

	if (pos <= j->s->recorded || pos <= j->written)
		return false;
	j->written = pos;
	return true;
}

void journal_recorded(struct journal *j)
{
	if (j->written)
		j->s->recorded = j->written;
}

bool journal_blame(struct journal *j)
{
	uint64_t work = atomic_load(&j->s->work);

	if (!work)
		return false;
	if (j->s->n_poison == JOURNAL_POISON_MAX) {
		atomic_store(&j->s->tail, atomic_load(&j->s->head));
		j->s->n_poison = 0;
		return true;
	}
	j->s->poison[j->s->n_poison++] = work - 1;
	return true;
}
