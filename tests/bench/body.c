/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body.c - bodies of 16 and 64 MiB in one single SSL_write.
 *
 * usage: body [MIB...]       default 16 64
 * ROUNDS=20
 *
 * One SSL_write is one call: everything that it was given goes through the ring while the traced
 * thread stands in the probe, so a ring that is smaller is emptied meanwhile or overflows.  On all CPUs
 * wanted is every byte; with sender, server and reader on one CPU the reader may not run at all until
 * the ring is full: wanted is every byte, or a hole that is reported to the byte (a run whose account
 * does not close, see sending.h, ends the program).
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/harness/figure.h"
#include "bench/harness/sending.h"

static const struct end_main end_table[] = {SENDING_ENDS, {NULL, NULL}};

static bool measure(const struct ends *e, unsigned long mib, int cpu, unsigned long rounds)
{
	struct sending s = {.streams = 1, .size = mib << 20, .writes = 1, .cpu = cpu};
	unsigned long whole = 0;
	uint64_t most = 0, holes = 0;
	struct figure ms = {.n = 0};

	for (unsigned long i = 0; i < rounds; i++) {
		struct sent sent;
		const struct ours_report *r = sending_run(e, &s, &sent);

		whole += ours_lost(r) == 0;
		most = ours_lost(r) > most ? ours_lost(r) : most;
		holes = r->stream[0].holes[EV_DIR_WRITE] > holes ? r->stream[0].holes[EV_DIR_WRITE] : holes;
		figure_add(&ms, (double)sent.wall_ns / 1e6);
	}
	printf("%4lu MiB on %s: %lu of %lu byte-exact, at most %llu bytes lost in %llu holes, all reported; "
	       "ms of the write: ",
	       mib, cpu < 0 ? "all CPUs" : "one CPU ", whole, rounds, (unsigned long long)most,
	       (unsigned long long)holes);
	figure_print_spread(&ms);
	printf("\n");
	return whole == rounds;
}

int main(int argc, char **argv)
{
	static const unsigned long usual[] = {16, 64};
	unsigned long rounds = figure_parameter("ROUNDS", 20);
	size_t n = argc > 1 ? (size_t)argc - 1 : 2;
	bool exact = true;

	ends_dispatch(argc, argv, end_table);
	const struct ends *e = ends_prepare();
	for (size_t i = 0; i < n; i++) {
		unsigned long mib = argc > 1 ? strtoul(argv[i + 1], NULL, 10) : usual[i];

		exact &= measure(e, mib, -1, rounds);
		measure(e, mib, 0, rounds);
	}
	printf("GOAL every body exact on all CPUs: %s\n", exact ? "reached" : "MISSED");
	return 0;
}
