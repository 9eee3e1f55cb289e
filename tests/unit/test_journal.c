/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "daemon/journal.h"
#include "daemon/recording.h"

static bool add(struct journal *j, uint64_t serial, size_t body_len)
{
	struct ev_head head = {.type = EV_MARK, .ts = serial};
	char *body = xcalloc(1, body_len + 1);

	memset(body, (int)(serial & 0x7f), body_len);
	bool ok = journal_append(j, &head, sizeof(head), slice_of(body, body_len));
	free(body);
	return ok;
}

static void take(struct journal *j, uint64_t serial, size_t body_len)
{
	bool poison;
	const struct ev_head *rec = journal_next(j, &poison);

	assert_non_null(rec);
	assert_int_equal(rec->ts, serial);
	assert_int_equal(rec->size, sizeof(*rec) + body_len);
	for (size_t i = 0; i < body_len; i += 1000)
		assert_int_equal(((const char *)(rec + 1))[i], serial & 0x7f);
	assert_false(poison);
}

static size_t length(uint64_t serial)
{
	return (serial * 7919) % 60000;
}

/* Several laps around the queue, with records of all sizes, never more than it can hold. */
static void records_come_back_in_order(void **state)
{
	int fd = journal_create();
	struct journal *j = journal_open(fd, false);
	uint64_t in = 0, out = 0;
	bool poison;

	(void)state;
	while (in < 15000) {
		while (in < out + 1000)
			assert_true(add(j, in, length(in))), in++;
		for (int i = 0; i < 900; i++, out++)
			take(j, out, length(out));
	}
	for (; out < in; out++)
		take(j, out, length(out));
	assert_null(journal_next(j, &poison));
	assert_true(journal_empty(j));
	journal_close(j);
	close(fd);
}

static void a_full_journal_refuses_and_loses_nothing(void **state)
{
	int fd = journal_create();
	struct journal *j = journal_open(fd, false);
	uint64_t in = 0, out = 0;

	(void)state;
	while (add(j, in, 50000))
		in++;
	assert_in_range(in, 2600, 2700);
	take(j, out++, 50000);
	assert_false(add(j, in, 50000)); /* the first is still in work */
	take(j, out++, 50000);
	assert_true(add(j, in, 50000));
	assert_int_equal(journal_oldest(j), 1);
	in++;
	while (out < in) {
		take(j, out, 50000);
		out++;
	}
	journal_close(j);
	close(fd);
}

/* The reader dies in the middle of a record: its successor sees all that is still there, without that one. */
static void a_crash_costs_one_record(void **state)
{
	int fd = journal_create(), status;
	struct journal *j = journal_open(fd, false);
	bool poison;

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		add(j, i, 100);
	pid_t pid = fork();
	if (pid == 0) {
		struct journal *reader = journal_open(fd, false);

		for (int i = 0; i < 7; i++) {
			journal_next(reader, &poison);
			if (journal_unrecorded(reader) && i < 5)
				journal_recorded(reader);
		}
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(journal_blame(j));

	struct journal *next = journal_open(fd, true);
	for (uint64_t i = 0; i < 10; i++) {
		const struct ev_head *rec = journal_next(next, &poison);

		assert_int_equal(rec->ts, i);
		assert_int_equal(poison, i == 6);
		assert_int_equal(journal_unrecorded(next), i >= 5);
	}
	assert_null(journal_next(next, &poison));
	journal_close(next);
	journal_close(j);
	close(fd);
}

static void a_recording_is_read_back(void **state)
{
	int fd = memfd_create("recording", 0);
	struct recording r;
	struct buf rec = {0};
	struct ev_clock clock = {.head = {.type = EV_CLOCK, .size = sizeof(clock), .ts = 1}, .realtime_offset = -5};
	struct {
		struct ev_head head;
		char data[5];
	} odd = {.head = {.type = EV_MARK, .size = sizeof(struct ev_head) + 5, .ts = 2}, .data = "odd!"};

	(void)state;
	assert_int_equal(recording_begin(&r, fd, true), 0);
	recording_add(&r, &odd.head);
	recording_add(&r, &clock.head);
	assert_int_equal(recording_flush(&r), 0);
	buf_release(&r.buf);

	lseek(fd, 0, SEEK_SET);
	assert_int_equal(recording_open(fd), 0);
	assert_int_equal(recording_read(fd, &rec), 1);
	assert_int_equal(rec.n, odd.head.size);
	assert_memory_equal(rec.p, &odd, rec.n);
	assert_int_equal(recording_read(fd, &rec), 1);
	assert_memory_equal(rec.p, &clock, sizeof(clock));
	assert_int_equal(recording_read(fd, &rec), 0);

	off_t end = lseek(fd, 0, SEEK_END);
	for (off_t cut = 0; cut < end; cut++) { /* cut anywhere: never more records, never a crash */
		int err, n = 0;

		assert_int_equal(ftruncate(fd, end - cut), 0);
		lseek(fd, 0, SEEK_SET);
		err = recording_open(fd);
		while (!err && (err = recording_read(fd, &rec)) == 1)
			err = 0, n++;
		assert_true(n <= 2);
		assert_true(err == 0 || err == -EBADMSG);
	}
	buf_release(&rec);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(records_come_back_in_order),
	    cmocka_unit_test(a_full_journal_refuses_and_loses_nothing),
	    cmocka_unit_test(a_crash_costs_one_record),
	    cmocka_unit_test(a_recording_is_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
