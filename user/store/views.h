/* SPDX-License-Identifier: Apache-2.0 */
/*
 * views.h - who has looked at conversations.
 *
 * A reader never writes to the database: the one writer may hold a transaction
 * open, and its lock says that there is no other.  It appends a line to
 * DIR/views (0600, held by flock while a line is written), and the writer turns
 * lines into audit events "view" when it has nothing else to do, when it begins
 * and when it ends.  A crash between its commit and the emptying of the file
 * gives the same line twice: its "id" tells.
 *
 * A line is a JSON object: wall_ns, id (random), command, uid, conversations
 * (trace ids, VIEW_TRACES_MAX at most), more (how many others).  What was
 * searched for is not in it.  Whoever may read the database may also copy it:
 * that is not seen.
 */
#ifndef SPANTAP_STORE_VIEWS_H
#define SPANTAP_STORE_VIEWS_H

#include <sys/types.h>

#include "store/store.h"

#define STORE_VIEWS     "views"
#define VIEW_TRACES_MAX 64         /* of a line */
#define VIEWS_MAX       (16 << 20) /* bytes that wait for a writer; then nothing is added: 50,000 views */
#define VIEWS_WAIT_MS   1000       /* for another who writes a line, or takes all */

/* Notes that `uid` is about to see these conversations by `command`. 0 or -errno. */
int store_view(struct store *st, const char *command, uid_t uid, const uint8_t (*traces)[16], size_t n);

/* Takes what was noted into the store, and commits. For a writer between two batches; 0 or -errno. */
int store_take_views(struct store *st);

#endif
