/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_server.h - the process that scrapers talk to.
 *
 * A scraper may be anyone who can connect, so this process can do nothing but
 * answer: no files, no connections of its own, the board (metrics/board.h)
 * mapped for reading.  One GET a connection; SCRAPERS_MAX at once, then the
 * one that has been sending its request for longest makes room; each has
 * REQUEST_NS to ask and ANSWER_NS to take the answer.
 */
#ifndef SPANTAP_METRICS_SERVER_H
#define SPANTAP_METRICS_SERVER_H

#include "metrics/listen.h"

#define SCRAPERS_MAX 32
#define REQUEST_NS   5000000000ull
#define ANSWER_NS    30000000000ull

/* MSG_CONF of the role. Descriptor: the board, for reading. */
struct metrics_conf {
	struct listen_address listen;
	uid_t uid; /* who a UNIX socket belongs to */
	gid_t gid;
};

void metrics_server_conf(struct buf *out, const struct listen_address *listen, uid_t uid, gid_t gid);

int metrics_server_main(void);

#endif
