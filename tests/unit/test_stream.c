/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "stream/stream.h"

/* Downstream writes what it hears into a text: the golden format of this seam. */
static struct buf heard;

static void *on_open(void *ctx, const struct conn_info *info)
{
	(void)ctx;
	buf_addf(&heard, "open %llx%s\n", (unsigned long long)info->id.tls, info->late ? " late" : "");
	return (void *)(uintptr_t)info->id.tls;
}

static void on_bytes(void *conn, enum ev_dir dir, uint64_t ts, struct slice bytes)
{
	(void)ts;
	buf_addf(&heard, "%lx %c %.*s\n", (unsigned long)(uintptr_t)conn, dir ? '<' : '>', (int)bytes.n, bytes.p);
}

static void on_gap(void *conn, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause)
{
	(void)ts;
	buf_addf(&heard, "%lx %c gap %llu %s\n", (unsigned long)(uintptr_t)conn, dir ? '<' : '>', (unsigned long long)n,
		 gap_cause_name(cause));
}

static void on_close(void *conn, uint64_t ts, bool complete)
{
	buf_addf(&heard, "%lx close %llu%s\n", (unsigned long)(uintptr_t)conn, (unsigned long long)ts,
		 complete ? "" : " incomplete");
}

static const struct stream_events events = {on_open, on_bytes, on_gap, on_close};

static const struct ev_proc proc = {.start = 100, .tgid = 7, .pid = 7};

static void give_at(struct streams *ss, uint64_t ts, uint64_t tls, uint64_t gen, enum ev_dir dir, uint64_t offset,
		    const char *text, unsigned flags, bool poison)
{
	size_t n = strlen(text);
	struct ev_data *rec = xcalloc(1, sizeof(*rec) + n);

	rec->head = (struct ev_head){.type = EV_DATA, .size = (uint32_t)(sizeof(*rec) + n), .ts = ts};
	rec->conn = (struct ev_conn_id){.tls = tls, .gen = gen, .proc = proc};
	rec->offset = offset;
	rec->len = (uint32_t)n;
	rec->dir = dir;
	rec->flags = (uint16_t)flags;
	memcpy(rec->data, text, n);
	if (poison)
		streams_poison(ss, rec);
	else
		streams_data(ss, rec);
	free(rec);
}

static void give(struct streams *ss, uint64_t tls, uint64_t gen, enum ev_dir dir, uint64_t offset, const char *text,
		 unsigned flags, bool poison)
{
	give_at(ss, 1000 + offset, tls, gen, dir, offset, text, flags, poison);
}

static void totals_at(struct streams *ss, uint64_t ts, uint64_t tls, uint64_t gen, uint64_t w, uint64_t r, unsigned flags)
{
	struct ev_conn rec = {.head = {.type = EV_TOTALS, .size = sizeof(rec), .ts = ts},
			      .conn = {.tls = tls, .gen = gen, .proc = proc},
			      .produced = {w, r},
			      .flags = flags};

	streams_conn(ss, &rec);
}

static void totals(struct streams *ss, uint64_t tls, uint64_t gen, uint64_t w, uint64_t r, unsigned flags)
{
	totals_at(ss, 5000, tls, gen, w, r, flags);
}

static void expect(struct streams *ss, const char *want)
{
	assert_string_equal(buf_str(&heard), want);
	buf_release(&heard);
	streams_free(ss);
}

static void bytes_pass_in_order(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	give(ss, 0xa, 1, EV_DIR_WRITE, 0, "abc", 0, false);
	give(ss, 0xa, 1, EV_DIR_READ, 0, "xy", 0, false);
	give(ss, 0xa, 1, EV_DIR_WRITE, 3, "def", 0, false);
	totals(ss, 0xa, 1, 6, 2, EV_CONN_FREED);
	assert_int_equal(streams_stats(ss)->bytes, 8);
	assert_int_equal(streams_stats(ss)->open, 0);
	expect(ss, "open a\na > abc\na < xy\na > def\na close 5000\n");
}

static void holes_are_located(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	give(ss, 0xa, 1, EV_DIR_WRITE, 10, "abc", 0, false);
	give(ss, 0xa, 1, EV_DIR_WRITE, 20, "??", EV_DATA_UNREADABLE, false);
	give(ss, 0xa, 1, EV_DIR_WRITE, 22, "crash", EV_DATA_UNREADABLE | EV_DATA_TOO_LONG, false);
	give(ss, 0xa, 1, EV_DIR_WRITE, 27, "z", 0, true);
	give(ss, 0xa, 1, EV_DIR_WRITE, 28, "z", 0, false);
	totals(ss, 0xa, 1, 31, 4, 0);
	streams_finish(ss, 9000);
	assert_int_equal(streams_stats(ss)->lost_bytes, 10 + 7 + 2 + 5 + 1 + 2 + 4);
	expect(ss, "open a\na > gap 10 ring full\na > abc\na > gap 7 ring full\na > gap 2 memory not readable\n"
		   "a > gap 5 call too long for this kernel\na > gap 1 decoder crashed\na > z\na > gap 2 ring full\na < gap 4 ring full\na close 9000 incomplete\n");
}

/* A record says how far the other direction had come: a hole is told before what came behind it. */
static void holes_are_told_when_they_happened(void **state)
{
	struct streams *ss = streams_new(&events, NULL);
	struct ev_data rec = {.head = {.type = EV_DATA, .size = sizeof(rec), .ts = 1000},
			      .conn = {.tls = 0xa, .gen = 1, .proc = proc},
			      .flags = EV_DATA_UNREADABLE};

	(void)state;
	give(ss, 0xa, 1, EV_DIR_WRITE, 0, "abc", 0, false);
	rec.dir = EV_DIR_READ;
	rec.len = 2;
	rec.other = 10;
	streams_data(ss, &rec);
	rec.dir = EV_DIR_WRITE;
	rec.offset = 12;
	rec.other = 5;
	streams_data(ss, &rec);
	streams_finish(ss, 9000);
	assert_int_equal(streams_stats(ss)->lost_bytes, 7 + 2 + 3 + 2 + 2);
	expect(ss, "open a\na > abc\na > gap 7 ring full\na < gap 2 memory not readable\na < gap 3 ring full\n"
		   "a > gap 2 ring full\na > gap 2 memory not readable\na close 9000 incomplete\n");
}

static void a_reused_address_is_another_connection(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	give(ss, 0xa, 1, EV_DIR_WRITE, 0, "one", 0, false);
	totals(ss, 0xa, 1, 3, 0, EV_CONN_FREED);
	give(ss, 0xa, 2, EV_DIR_WRITE, 0, "two", EV_DATA_LATE, false);
	streams_finish(ss, 9000);
	expect(ss, "open a\na > one\na close 5000\nopen a late\na > two\na close 9000 incomplete\n");
}

static void a_close_waits_for_its_last_bytes(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	give(ss, 0xa, 1, EV_DIR_WRITE, 0, "abc", 0, false);
	totals(ss, 0xa, 1, 6, 0, EV_CONN_FREED);
	streams_expire(ss, 5000 + STREAM_CLOSE_GRACE); /* not yet */
	give(ss, 0xa, 1, EV_DIR_WRITE, 3, "def", 0, false);
	give(ss, 0xb, 1, EV_DIR_READ, 0, "abc", 0, false);
	totals(ss, 0xb, 1, 0, 5, EV_CONN_FREED);
	streams_expire(ss, 5001 + STREAM_CLOSE_GRACE);
	assert_int_equal(streams_stats(ss)->open, 0);
	expect(ss, "open a\na > abc\na > def\na close 5000\nopen b\nb < abc\nb < gap 2 ring full\nb close 5000 incomplete\n");
}

static void an_exit_closes_what_the_process_had(void **state)
{
	struct streams *ss = streams_new(&events, NULL);
	struct ev_proc other = {.start = 200, .tgid = 7}; /* the same id, used again */

	(void)state;
	give(ss, 0xa, 1, EV_DIR_WRITE, 0, "abc", 0, false);
	streams_exit(ss, &other, 6000);
	streams_expire(ss, 1ull << 60);
	assert_int_equal(streams_stats(ss)->open, 1);
	streams_exit(ss, &proc, 6000);
	streams_expire(ss, 1ull << 60);
	expect(ss, "open a\na > abc\na close 6000\n");
}

static void repeated_bytes_pass_once(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	give(ss, 0xa, 1, EV_DIR_WRITE, 0, "abcd", 0, false);
	give(ss, 0xa, 1, EV_DIR_WRITE, 0, "abcd", 0, false);
	give(ss, 0xa, 1, EV_DIR_WRITE, 2, "cdef", 0, false);
	assert_int_equal(streams_stats(ss)->repeated, 6);
	streams_finish(ss, 9000);
	expect(ss, "open a\na > abcd\na > ef\na close 9000 incomplete\n");
}

/* A connection of which nothing arrived is still reported, by its totals alone. */
static void a_wholly_lost_connection_is_known(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	totals(ss, 0xc, 1, 0, 0, EV_CONN_FREED); /* silent: no plaintext passed */
	totals(ss, 0xa, 1, 100, 200, EV_CONN_FREED);
	streams_finish(ss, 9000);
	expect(ss, "open a\na > gap 100 ring full\na < gap 200 ring full\na close 5000 incomplete\n");
}

#define LATER (STREAM_CLOSE_GRACE + 1)

/* The sweep takes the faster way: what it counts is still on its way. */
static void totals_ahead_of_their_bytes_are_no_hole(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	give_at(ss, 1000, 0xa, 1, EV_DIR_WRITE, 0, "abc", 0, false);
	totals_at(ss, 2000, 0xa, 1, 9, 2, 0);
	give_at(ss, 1999, 0xa, 1, EV_DIR_WRITE, 3, "def", 0, false);
	streams_expire(ss, UINT64_MAX); /* whatever the time is: the decoder may be behind */
	totals_at(ss, 2001, 0xa, 1, 9, 2, 0);
	give_at(ss, 2000, 0xa, 1, EV_DIR_WRITE, 6, "ghi", 0, false);
	give_at(ss, 1998, 0xa, 1, EV_DIR_READ, 0, "xy", 0, false);
	totals_at(ss, 2000 + LATER, 0xa, 1, 9, 2, 0);
	give_at(ss, 2000 + LATER, 0xb, 1, EV_DIR_READ, 0, "z", 0, false);
	assert_int_equal(streams_stats(ss)->lost_bytes, 0);
	streams_finish(ss, 9000);
	assert_non_null(strstr(buf_str(&heard), "a > abc\na > def\na > ghi\na < xy\n"));
	assert_null(strstr(buf_str(&heard), "gap"));
	buf_release(&heard);
	streams_free(ss);
}

/* A data record of another connection, younger than the totals: the ring is read in order. */
static void bytes_that_never_come_are_a_hole_of_the_live_connection(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	give_at(ss, 1000, 0xa, 1, EV_DIR_WRITE, 0, "abc", 0, false);
	totals_at(ss, 2000, 0xa, 1, 10, 4, 0);
	give_at(ss, 2000 + STREAM_CLOSE_GRACE, 0xb, 1, EV_DIR_READ, 0, "1", 0, false); /* not yet */
	totals_at(ss, 2500, 0xa, 1, 12, 4, 0); /* two bytes more, the first ones are still due */
	give_at(ss, 2000 + LATER, 0xb, 1, EV_DIR_READ, 1, "2", 0, false);
	assert_int_equal(streams_stats(ss)->lost_bytes, 7 + 4);
	give_at(ss, 2001 + LATER, 0xa, 1, EV_DIR_WRITE, 10, "kl", 0, false);
	give_at(ss, 3000 + LATER, 0xb, 1, EV_DIR_READ, 2, "3", 0, false);
	give_at(ss, 3000 + LATER, 0xa, 1, EV_DIR_WRITE, 12, "mn", 0, false);
	assert_int_equal(streams_stats(ss)->lost_bytes, 7 + 4);
	totals_at(ss, 4000 + LATER, 0xa, 1, 14, 4, EV_CONN_FREED);
	totals_at(ss, 4000 + LATER, 0xb, 1, 0, 3, EV_CONN_FREED);
	assert_int_equal(streams_stats(ss)->open, 0);
	expect(ss, "open a\na > abc\nopen b\nb < 1\nb < 2\na > gap 7 ring full\na < gap 4 ring full\n"
		   "a > kl\nb < 3\na > mn\na close 1000004001\nb close 1000004001\n");
}

/* In silence the next sweep tells: the rings were read before it. */
static void a_later_sweep_shows_a_hole(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	give_at(ss, 1000, 0xa, 1, EV_DIR_WRITE, 0, "abc", 0, false);
	totals_at(ss, 2000, 0xa, 1, 5, 0, 0);
	totals_at(ss, 2000 + STREAM_CLOSE_GRACE, 0xa, 1, 5, 0, 0);
	assert_int_equal(streams_stats(ss)->lost_bytes, 0);
	totals_at(ss, 2000 + LATER, 0xa, 1, 8, 0, 0); /* of the three more nothing is known yet */
	assert_int_equal(streams_stats(ss)->lost_bytes, 2);
	give_at(ss, 1999 + LATER, 0xa, 1, EV_DIR_WRITE, 5, "fgh", 0, false);
	totals_at(ss, 2000 + 2 * LATER, 0xa, 1, 8, 0, 0);
	streams_finish(ss, 9000);
	expect(ss, "open a\na > abc\na > gap 2 ring full\na > fgh\na close 9000 incomplete\n");
}

/* The close took the faster way: the sweep before it must not open the connection again. */
static void totals_behind_the_close_are_ignored(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	give_at(ss, 1000, 0xa, 1, EV_DIR_WRITE, 0, "abc", 0, false);
	totals_at(ss, 2001, 0xa, 1, 3, 0, EV_CONN_FREED);
	totals_at(ss, 2000, 0xa, 1, 3, 0, 0);
	give_at(ss, 2000 + LATER, 0xb, 1, EV_DIR_READ, 0, "1", 0, false);
	totals_at(ss, 2000 + LATER, 0xb, 1, 0, 1, 0); /* the next sweep does not name it */
	streams_finish(ss, 9000);
	assert_int_equal(streams_stats(ss)->lost_bytes, 0);
	expect(ss, "open a\na > abc\na close 2001\nopen b\nb < 1\nb close 9000 incomplete\n");
}

static void a_wholly_lost_connection_that_lives_is_known(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	totals_at(ss, 2000, 0xa, 1, 7, 1, 0);
	assert_int_equal(streams_stats(ss)->open, 0);
	totals_at(ss, 2000 + LATER, 0xa, 1, 9, 1, 0);
	assert_int_equal(streams_stats(ss)->lost_bytes, 8);
	totals_at(ss, 2000 + LATER, 0xb, 1, 5, 0, 0); /* in the last sweep only */
	streams_finish(ss, 9000);
	assert_int_equal(streams_stats(ss)->lost_bytes, 10 + 5);
	assert_int_equal(streams_stats(ss)->conns, 2);
	buf_release(&heard);
	streams_free(ss);
}

/* Many connections that are closed before their totals come: nothing grows. */
static void unseen_connections_are_bounded(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	for (uint64_t i = 0; i < 20 * STREAMS_UNSEEN_MAX; i++)
		totals_at(ss, 1000 + i * 100000000, i, 1, 7, 1, 0);
	assert_int_equal(streams_stats(ss)->open, 0);
	streams_finish(ss, 9000);
	assert_true(streams_stats(ss)->conns < STREAMS_UNSEEN_MAX);
	buf_release(&heard);
	streams_free(ss);
}

static void offsets_that_overflow_are_survived(void **state)
{
	struct streams *ss = streams_new(&events, NULL);

	(void)state;
	give(ss, 0xa, 1, EV_DIR_WRITE, 0, "abc", 0, false);
	give(ss, 0xa, 1, EV_DIR_WRITE, UINT64_MAX - 1, "wrapped", 0, false);
	give(ss, 0xa, 1, EV_DIR_WRITE, 3, "def", 0, false);
	streams_finish(ss, 9000);
	assert_true(streams_stats(ss)->bytes >= 3);
	buf_release(&heard);
	streams_free(ss);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bytes_pass_in_order),
	    cmocka_unit_test(holes_are_located), cmocka_unit_test(holes_are_told_when_they_happened),
	    cmocka_unit_test(a_reused_address_is_another_connection),
	    cmocka_unit_test(a_close_waits_for_its_last_bytes),
	    cmocka_unit_test(an_exit_closes_what_the_process_had),
	    cmocka_unit_test(repeated_bytes_pass_once),
	    cmocka_unit_test(a_wholly_lost_connection_is_known),
	    cmocka_unit_test(totals_ahead_of_their_bytes_are_no_hole),
	    cmocka_unit_test(bytes_that_never_come_are_a_hole_of_the_live_connection),
	    cmocka_unit_test(a_later_sweep_shows_a_hole),
	    cmocka_unit_test(totals_behind_the_close_are_ignored),
	    cmocka_unit_test(a_wholly_lost_connection_that_lives_is_known),
	    cmocka_unit_test(unseen_connections_are_bounded),
	    cmocka_unit_test(offsets_that_overflow_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
