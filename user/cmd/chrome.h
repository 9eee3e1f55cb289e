/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chrome.h - spans as events of the Trace Event Format (JSON object format),
 * which Perfetto and chrome://tracing open.
 *
 * A conversation is a "process", named by its agent, id and first words.  Its
 * rows ("threads") are the conversation, its turns, model calls, tools and
 * processes; where two spans of one row overlap, a second row of that name
 * takes the later one, so that the slices of a row never overlap.  Spans are
 * complete events ("X"): ts and dur in microseconds, wall clock.  Their
 * attributes, content among them, are the args.
 */
#ifndef SPANTAP_CHROME_H
#define SPANTAP_CHROME_H

#include "store/store.h"

/* Appends the events of one conversation, number `pid`, each followed by ",\n". `c` may be NULL. */
void chrome_add(struct buf *out, uint64_t pid, const struct store_conversation *c, const struct span *v,
                size_t n);

#endif
