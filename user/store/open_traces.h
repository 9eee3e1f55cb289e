/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open_traces.h - the rows of conversations that spans are being written to.
 *
 * Each span changes the row of its conversation a little (it ends later, has
 * ended).  The changes are gathered here and written once a commit, so that a
 * span costs no update.  The row itself is there from the first span on, in
 * the same transaction: others refer to it.
 */
#ifndef SPANTAP_STORE_OPEN_TRACES_H
#define SPANTAP_STORE_OPEN_TRACES_H

#include "span/span.h"

#define OPEN_TRACES_MAX 1024 /* then all are written and forgotten */

struct store;
struct open_traces;

struct open_traces *open_traces_new(void);
void open_traces_free(struct open_traces *t); /* accepts NULL */
/* What was gathered is void, and rows may be gone. */
void open_traces_forget(struct open_traces *t);

/* Enters the span; *ret: the row of its conversation. 0 or -errno. */
int open_traces_put(struct store *st, const struct span *s, int64_t *ret);
/* Writes what was gathered, in the open transaction. 0 or -errno. */
int open_traces_write(struct store *st);

#endif
