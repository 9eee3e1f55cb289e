/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sending.h - a traced client that writes as fast as it can, and whether what
 * was captured is what was sent, to the byte, stream by stream.
 *
 * In a closed loop a server in another process, which is not probed, reads and
 * proves everything, so the sockets hold the client back.  Flat out, the
 * client's records go nowhere: nothing but encryption holds it back, and what
 * it says itself is the count.
 */
#ifndef SPANTAP_BENCH_SENDING_H
#define SPANTAP_BENCH_SENDING_H

#include "bench/harness/ends.h"
#include "bench/harness/ours.h"

#define SENDING_STREAMS_MAX 16

struct sending {
	unsigned long streams;      /* connections, written to in turn */
	unsigned long size;         /* bytes of one SSL_write */
	unsigned long milliseconds; /* for this long ... */
	unsigned long writes;       /* ... or so many writes, when not 0 */
	bool flat_out;
	int cpu; /* on which client, server and reader run; -1: any */
};

struct sent {
	struct sent_stream {
		uint64_t tls, sent, received;
	} stream[SENDING_STREAMS_MAX];
	uint64_t writes, wall_ns, cpu_ns; /* of the client */
};

/* To be rows of the table of ends_dispatch(). */
#define SENDING_ENDS                                                                                         \
	{"sender", sending_client_main},                                                                     \
	{                                                                                                    \
		"receiver", sending_server_main                                                              \
	}
int sending_client_main(int argc, char **argv);
int sending_server_main(int argc, char **argv);

/*
 * Runs it under a capture of its own. Ends the program when the sender or the receiver fails, or the
 * account does not close: for every stream delivered + lost = sent = received, nothing wrong or twice.
 */
const struct ours_report *sending_run(const struct ends *e, const struct sending *s, struct sent *ret);

#endif
