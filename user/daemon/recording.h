/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recording.h - the file of raw events that `run --record` writes and `replay` reads.
 *
 * 16 bytes of magic with the format's version, then the records of events.h
 * one behind the other, each padded to 8 bytes, as decode consumed them.  The
 * first is EV_MARK_BEGIN.  It holds prompts and credentials in clear: mode
 * 0600, never overwritten.  Byte order and sizes are those of the machine.
 */
#ifndef SPANTAP_RECORDING_H
#define SPANTAP_RECORDING_H

#include <linux/types.h>

#include "../../bpf/events.h"
#include "base/buf.h"

#define RECORDING_MAGIC "spantap events 3"

/* Buffered writing; err is sticky. */
struct recording {
	int fd; /* borrowed */
	int err;
	struct buf buf;
};

int recording_begin(struct recording *r, int fd, bool fresh); /* fresh: writes the magic */
void recording_add(struct recording *r, const struct ev_head *rec);
int recording_flush(struct recording *r);

/* Reading. 0, or -EBADMSG: not a recording, or of another version; -errno. */
int recording_open(int fd);
/* The next record in *out (its p is the record); 0 at the end of the file, 1, or -EBADMSG / -errno. */
int recording_read(int fd, struct buf *out);

#endif
