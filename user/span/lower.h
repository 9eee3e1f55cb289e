/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lower.h - a span at a lower content level than that at which it was made.
 *
 * What the store keeps and what leaves the host are not the same level: from
 * the redacted or full text of a span this makes what content.h would have
 * made at the lower level - masks, or roles, types, names, lengths and keyed
 * hashes in place of texts, or nothing.  What it does not know is left out.
 */
#ifndef SPANTAP_LOWER_H
#define SPANTAP_LOWER_H

#include "span/content.h"

/* Lowers `s` from the level `from` to c->level; does nothing when that is not lower. */
void span_lower(struct span *s, struct content *c, enum content_level from);

#endif
