/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protos.h - what a protocol is to the table in protos.c.
 *
 * A new protocol is one file with one const struct protocol, and one row.
 */
#ifndef SPANTAP_PROTOS_H
#define SPANTAP_PROTOS_H

#include "proto/proto.h"

/* Bytes of one direction that are held while no protocol has been recognised. */
#define PROTO_DETECT_MAX 24

enum detect {
	DETECT_NO,
	DETECT_MORE, /* could be; decided after PROTO_DETECT_MAX bytes at the latest */
	DETECT_YES,
};

struct protocol {
	const char *name;
	/* Judges the first bytes of a connection in one direction (never empty). */
	enum detect (*detect)(struct slice first);
	/* The same where the first bytes of the connection were not seen: `first` may be the middle of anything.
	 */
	enum detect (*join)(struct slice first);
	/* from_start: the bytes fed first are the first of the connection. */
	void *(*open)(const struct proto_events *ev, void *ctx, const struct conn_info *info,
	              bool from_start);
	void (*feed)(void *p, enum ev_dir dir, uint64_t ts, struct slice bytes);
	void (*gap)(void *p, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause);
	void (*close)(void *p, uint64_t ts, bool complete);
};

#endif
