/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.h - records in, ordered bytes with explicit holes out.
 *
 * The kernel side numbers every byte of every direction of a connection.  A
 * record whose offset is beyond what was seen so far proves a hole; a close or
 * totals record proves one at the tail.  Nothing downstream ever sees bytes
 * out of order, twice, or joined over a hole without a gap() in between.
 *
 * Each record also says how far the other direction had come, so holes are told
 * when they happened: a gap() in either direction comes before every byte, of
 * either, that passed after the hole, and behind every byte that passed before
 * it.  Only the order of two gaps, one in each direction, with no byte between
 * them is not known.
 *
 * Totals of a live connection (user space sweeps the kernel's table every few
 * seconds) may come before the bytes that they count: the rings and the sweep
 * take different ways, and the decoder may be far behind.  A hole at its tail
 * is reported when the bytes have not come and a data record, of whatever
 * connection, or a later sweep is STREAM_CLOSE_GRACE younger than the totals.
 * Time is that of the records: a decoder that is behind sees no hole.  Totals
 * of a connection that is not known may also be older than its close, which
 * took the faster way: only a second sweep that names it shows that it lives.
 *
 * A connection that was closed while its last data records are still on their
 * way (the rings are read one after the other) is finished when both directions
 * are whole, or by streams_expire().
 */
#ifndef SPANTAP_STREAM_H
#define SPANTAP_STREAM_H

#include <linux/types.h>

#include "../../bpf/events.h"
#include "base/slice.h"

enum gap_cause {
	GAP_RING = 1,       /* the data ring was full */
	GAP_UNREADABLE = 2, /* the kernel could not read the tracee's memory */
	GAP_CRASH = 3,      /* the record crashed the decoder and was skipped */
	GAP_TOO_LONG = 4,   /* one call longer than a kernel without bpf_loop can copy */
	GAP_UNKNOWN = 5,    /* a number is missing and nobody says why */
};

const char *gap_cause_name(enum gap_cause cause);

/* A connection as the stages downstream see it; valid until close() returned. */
struct conn_info {
	struct ev_conn_id id;
	enum ev_lib lib;
	bool late;       /* the connection may be older than the attachment */
	bool resumed;    /* it was ignored before, and begins with a request here */
	bool server;     /* EV_LIB_STDIO: the process is the server; else its first bytes tell */
	uint16_t family; /* of `address`: AF_INET, AF_INET6; AF_UNIX: it names the pair of sockets; 0: the peer is not known */
	uint16_t local_port, port; /* host byte order */
	uint8_t local_address[16], address[16];
	char server_name[EV_NAME_MAX]; /* that the client asked for (SNI), AF_UNIX: the server's path; "" when there is none */
	uint64_t first_ts;             /* of its first record */
};

/* Downstream. `conn` is what open() returned. */
struct stream_events {
	void *(*open)(void *ctx, const struct conn_info *info);
	void (*bytes)(void *conn, enum ev_dir dir, uint64_t ts, struct slice bytes);
	void (*gap)(void *conn, enum ev_dir dir, uint64_t ts, uint64_t n, enum gap_cause cause);
	/* The last call for conn. complete: the end was seen, no byte is missing at the tail. */
	void (*close)(void *conn, uint64_t ts, bool complete);
};

struct streams;

struct stream_stats {
	uint64_t bytes;      /* delivered downstream */
	uint64_t lost_bytes; /* reported as gaps */
	uint64_t gaps;
	uint64_t repeated;   /* bytes dropped because they were delivered before */
	uint64_t conns;      /* connections opened */
	uint64_t open;       /* connections open now */
	uint64_t refused;    /* records dropped: STREAMS_MAX connections are open */
};

#define STREAMS_MAX        65536         /* open connections */
#define STREAM_CLOSE_GRACE 1000000000ull /* ns that a closed or counted connection waits for its bytes */

/* Connections of which only totals came; beyond it their loss is known at their close. */
#define STREAMS_UNSEEN_MAX 4096
#define STREAMS_UNSEEN_NS  60000000000ull /* then those that sweeps name no more make room */

struct streams *streams_new(const struct stream_events *ev, void *ctx);
/* `data` has data->len payload bytes behind it unless EV_DATA_UNREADABLE is set; checked by the caller. */
void streams_data(struct streams *ss, const struct ev_data *data);
/* What is known of a connection beside its bytes; they may come before its first bytes, and later. */
void streams_peer(struct streams *ss, const struct ev_peer *rec);
void streams_name(struct streams *ss, const struct ev_name *rec);
/* What open() returned for this connection, NULL when it is not open. */
void *streams_find(struct streams *ss, const struct ev_conn_id *id);
/* EV_CONN_CLOSE and EV_TOTALS; a sweep is given after all that was in the rings when it was taken over. */
void streams_conn(struct streams *ss, const struct ev_conn *rec);
/* The process is gone: its connections can produce nothing more. */
void streams_exit(struct streams *ss, const struct ev_proc *proc, uint64_t ts);
/* Treats the `len` payload bytes of a record that must not be parsed as a hole. */
void streams_poison(struct streams *ss, const struct ev_data *data);
/* Finishes closed connections that waited long enough for their last bytes. */
void streams_expire(struct streams *ss, uint64_t now);
/* Closes every connection, e.g. at the end of the capture. */
void streams_finish(struct streams *ss, uint64_t ts);
const struct stream_stats *streams_stats(const struct streams *ss);
void streams_free(struct streams *ss);

#endif
