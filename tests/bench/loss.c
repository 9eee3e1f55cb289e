/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loss.c - how much the data ring loses when the traced process writes as fast as it can.
 *
 * usage: loss [SIZE...]      bytes of each SSL_write; default 32 1024 16384 1048576
 * ROUNDS=3, MS=1000 (of each run), STREAMS=4
 *
 * "closed loop": a server reads everything, so sender, server and the reader of the rings share the
 * cores of the machine; wanted is no loss.  "flat out": the sender's records go nowhere, which no real
 * program does; what does not fit is lost, and wanted is that the account closes.  Each run ends the
 * program unless delivered + lost = sent for each stream (in the closed loop: by the server's own
 * count), every delivered byte is right, and the kernel side counts the same loss.
 *
 * Of the rounds the fastest is printed as the rate, and the largest loss.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "bench/harness/figure.h"
#include "bench/harness/sending.h"

static const struct end_main end_table[] = {SENDING_ENDS, {NULL, NULL}};

static bool measure(const struct ends *e, struct sending s, unsigned long rounds)
{
	struct figure mb, writes, lost, reader;
	uint64_t bytes = 0, most = 0;

	mb.n = writes.n = lost.n = reader.n = 0;
	for (unsigned long i = 0; i < rounds; i++) {
		struct sent sent;
		const struct ours_report *r = sending_run(e, &s, &sent);
		double seconds = (double)sent.wall_ns / 1e9;

		bytes += r->produced;
		most = ours_lost(r) > most ? ours_lost(r) : most;
		figure_add(&mb, (double)r->produced / 1e6 / seconds);
		figure_add(&writes, (double)sent.writes / seconds);
		figure_add(&lost, 100.0 * (double)ours_lost(r) / (double)r->produced);
		figure_add(&reader, (double)r->reader_cpu_ns / (double)r->produced * 1e3);
	}
	printf("%-12s %8lu %10.0f %10.0f %10.2f %12llu %10.1f %10.0f\n",
	       s.flat_out ? "flat out" : "closed loop", s.size, figure_at(&mb, 100), figure_at(&writes, 100),
	       figure_at(&lost, 100), (unsigned long long)most, (double)bytes / 1e6, figure_at(&reader, 25));
	return s.flat_out || most == 0;
}

int main(int argc, char **argv)
{
	static const unsigned long usual[] = {32, 1024, 16384, 1 << 20};
	unsigned long rounds = figure_parameter("ROUNDS", 3);
	struct sending s = {.streams = figure_parameter("STREAMS", 4),
	                    .milliseconds = figure_parameter("MS", 1000),
	                    .cpu = -1};
	size_t n = argc > 1 ? (size_t)argc - 1 : 4;
	bool none_lost = true;

	ends_dispatch(argc, argv, end_table);
	if (s.streams > SENDING_STREAMS_MAX)
		die(2, "at most %d streams", SENDING_STREAMS_MAX);
	const struct ends *e = ends_prepare();
	printf("%-12s %8s %10s %10s %10s %12s %10s %10s\n", "", "bytes", "MB/s", "writes/s", "lost %",
	       "lost bytes", "MB sent", "us CPU/MB");
	for (int flat_out = 0; flat_out < 2; flat_out++)
		for (size_t i = 0; i < n; i++) {
			s.flat_out = flat_out;
			s.size = argc > 1 ? strtoul(argv[i + 1], NULL, 10) : usual[i];
			none_lost &= measure(e, s, rounds);
		}
	printf("GOAL no loss in the closed loop: %s\n", none_lost ? "reached" : "MISSED");
	return 0;
}
