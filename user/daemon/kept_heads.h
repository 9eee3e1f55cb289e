/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept_heads.h - the ends of conversations (span/heads.h) on their way from the
 * store to decode and back.
 *
 * sink writes the store's key and the newest heads into a file in memory, and
 * adds what decode sends it (MSG_HEADS) to it and to the store; probe hands the
 * file to each decode that it starts.  So a conversation goes on where it was
 * when spantap is started again, and when decode was started again.
 */
#ifndef SPANTAP_KEPT_HEADS_H
#define SPANTAP_KEPT_HEADS_H

#include "span/heads.h"
#include "store/store.h"

#define KEPT_HEADS_FILE_MAX (2 * HEADS_KEPT_MAX) /* records; then it is written anew with the newest */

/* The file, as a descriptor, or -errno. `st` NULL: no head is known, the key is of this run. */
int kept_heads_create(struct store *st);
/*
 * Heads that decode sends, whole records: into the open batch of the store and into the
 * file.  -EBADMSG, or what the store says: then its batch is gone.
 */
int kept_heads_add(int fd, struct store *st, struct slice records);
/* In decode. 0 or -errno. */
int kept_heads_key(int fd, uint8_t ret[32]);
/* Oldest first; records that are none are passed over. */
void kept_heads_read(int fd, void (*each)(void *ctx, const struct head_record *h), void *ctx);

#endif
