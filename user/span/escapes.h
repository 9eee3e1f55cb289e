/* SPDX-License-Identifier: Apache-2.0 */
/*
 * escapes.h - JSON within text: characters that were escaped without need.
 *
 * A secret in JSON that is itself a string (arguments inside arguments, a log)
 * may be written sk\u002dant\u002d…, or https:\/\/user:… .  No shape is seen in
 * that.  What means the same unescaped is written so: letters, digits and the
 * marks that occur in secrets and addresses, but no quote, backslash or control.
 */
#ifndef SPANTAP_ESCAPES_H
#define SPANTAP_ESCAPES_H

#include "base/buf.h"

/* Appends `in` without such escapes and returns true; false, and nothing appended: it has none. */
bool escapes_undo(struct buf *out, struct slice in);

#endif
