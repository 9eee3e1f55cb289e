/* SPDX-License-Identifier: Apache-2.0 */
/*
 * skip.h - over what can be no secret, 64 bytes at once.
 *
 * redact.c looks at a text word by word.  Hardly any word matters to it: one
 * that begins as a shape or a command of secrets.c does, or that ends as a key's
 * name and has a separator behind it, or is a flag; where asked for, one that
 * begins as a card's number does, and what stands around an "@".  This finds the
 * next of them.  Escapes of JSON within the text matter where they hide such a
 * beginning (\n) or may hide anything (\u, \/: escapes.h).
 */
#ifndef SPANTAP_SKIP_H
#define SPANTAP_SKIP_H

#include "base/slice.h"

/*
 * Where a scan that stands at in[i], between two words, has to look next; also
 * between two words, at in.n when there is nothing more.  No place that matters
 * is left out as long as no command is noted; places that do not may be given.
 */
size_t skip_harmless(struct slice in, size_t i, unsigned mode); /* mode: of redact.h */

#endif
