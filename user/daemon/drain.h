/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drain.h - the thread that empties the rings, and never parses.
 *
 * It copies records from the rings, and from probe's socket, into the journal.
 * When the journal is full it leaves them where they are: the ring fills, and
 * the kernel side counts and locates what is lost.  While there is traffic it
 * looks every DRAIN_TIMER_MS; after DRAIN_BUSY_MS without any it declares deep
 * sleep, and the next record wakes it at once.
 */
#ifndef SPANTAP_DRAIN_H
#define SPANTAP_DRAIN_H

#include "daemon/journal.h"
#include "sink/sink.h"

#define DRAIN_TIMER_MS 5
#define DRAIN_BUSY_MS  100
#define DRAIN_SLEEP_MS 1000

struct drain;

struct drain_conf {
	int data_ring, life_ring, idle; /* map descriptors, or -1: from a file */
	int file;                       /* recording to read, or -1 */
	int control;                    /* probe's socket: MSG_RECORD, MSG_END */
	int wake_fd;                    /* eventfd: written when the reader has to look */
	uint8_t instance[16];
	bool successor;
};

/* Maps the rings (this needs rights) and starts the thread, which waits for drain_go(). NULL: errno. */
struct drain *drain_start(const struct drain_conf *conf, struct journal *j);
void drain_go(struct drain *d);
/* The reader sleeps, or not: whether wake_fd has to be written. */
void drain_reader_sleeps(struct drain *d, bool sleeps);
/* Everything was drained after MSG_END (or the end of the file): nothing follows in the journal. */
bool drain_ended(const struct drain *d);
/* probe's socket is closed: probe is gone, or told us to end. */
bool drain_orphaned(const struct drain *d);
/* 0, or why the recording cannot be read on (-EBADMSG: it is damaged). */
int drain_error(const struct drain *d);
/* What probe counted, as it came with MSG_END; NULL when none came. For after drain_ended() or drain_orphaned(). */
const struct sink_summary *drain_summary(const struct drain *d);

#endif
