/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h - the queue between the drain thread and the parser, which
 * survives the parser.
 *
 * A circular queue of records in a memfd that probe creates and keeps.  The
 * drain thread appends, the parser consumes; what was consumed stays until its
 * room is needed.  When decode crashes, its successor goes through everything
 * still there from the oldest record on: streams that were half parsed are
 * rebuilt from their bytes, spans come out again with the same ids (sink knows
 * them), and only the record that was in work when it happened is left out,
 * as a hole of its size.
 *
 * Positions are absolute (they only grow); a record lies at position % size,
 * never wrapped.  One writer, one reader, one process at a time.
 */
#ifndef SPANTAP_JOURNAL_H
#define SPANTAP_JOURNAL_H

#include <linux/types.h>

#include "../../bpf/events.h"
#include "base/slice.h"

#define JOURNAL_BYTES      (128u << 20)
#define JOURNAL_POISON_MAX 64 /* records left out; more than that: the journal is dropped */

struct journal;

/* Creates the memfd. The descriptor, or -errno. */
int journal_create(void);
/* Maps it; `successor` rewinds the reader to the oldest record. NULL on failure (errno). */
struct journal *journal_open(int fd, bool successor);
void journal_close(struct journal *j);

/*
 * Appends a record (head, then body; head->size is rewritten to their sum).
 * False when there is no room until the reader has moved on.
 */
bool journal_append(struct journal *j, const struct ev_head *head, size_t head_len, struct slice body);

/* The next record, published as "in work" until the next call; NULL when there is none. */
const struct ev_head *journal_next(struct journal *j, bool *ret_poison);
/*
 * For the recording, which gets each record once, also over crashes: whether
 * the record in work is still to be written; and, once all that were are
 * really in the file, that they are.
 */
bool journal_unrecorded(struct journal *j);
void journal_recorded(struct journal *j);
bool journal_empty(const struct journal *j);
/* Bytes that are still to be read, of JOURNAL_BYTES. */
uint64_t journal_used(const struct journal *j);
/* The time of the oldest record that is there, for a successor the first that it goes through; 0: there is none. */
uint64_t journal_oldest(const struct journal *j);

/*
 * After a crash, by probe: the record in work must be left out from now on.
 * Returns false when no record was in work (the crash has no culprit).
 */
bool journal_blame(struct journal *j);

#endif
