/* SPDX-License-Identifier: Apache-2.0 */
/*
 * board.h - where sink hangs up what the roles that report may read.
 *
 * A memfd that probe creates and keeps: one writer (sink, and its successor
 * after a crash, which finds what was there), readers that only map it for
 * reading.  No reader can hold up or touch the writer, and none needs a file:
 * that is what lets the process that talks to scrapers have no rights at all.
 *
 * Two places, written in turn; a reader that was too slow tries again.
 */
#ifndef SPANTAP_BOARD_H
#define SPANTAP_BOARD_H

#include "base/buf.h"

#define BOARD_BYTES (8u << 20) /* of one notice; memory is taken as it is used */

/* What a notice consists of. */
enum board_part {
	BOARD_REGISTRY, /* registry_encode() */
	BOARD_STATUS,   /* the JSON object that `spantap status` shows */
	BOARD_EXPORTS,  /* a JSON array: the notes of the exporters (daemon/exporter.h) */
	BOARD_PARTS
};

struct board;

/* The descriptor of the writer, or -errno. */
int board_create(void);
/* One with which nothing can be written, of the same memory; or -errno. */
int board_reader(int fd);
/* NULL: it cannot be mapped (errno). */
struct board *board_open(int fd, bool writer);
void board_close(struct board *b); /* accepts NULL */
/* -E2BIG: too long, and what hung there still does. */
int board_put(struct board *b, const struct slice parts[BOARD_PARTS]);
/* Grows with each notice; 0: there is none yet. */
uint64_t board_serial(const struct board *b);
/* The parts lie in *copy. -EAGAIN: there is none, or it was replaced just now. */
int board_get(const struct board *b, struct buf *copy, struct slice ret_parts[BOARD_PARTS]);

#endif
