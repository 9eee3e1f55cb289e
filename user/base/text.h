/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - text from traffic made safe to print.
 *
 * Prompts and tool results may hold anything: terminal escape sequences (OSC
 * 52 writes the clipboard), bidirectional overrides that reorder a line, bytes
 * that are no UTF-8.  Whatever goes to a terminal or a log passes through here.
 */
#ifndef SPANTAP_TEXT_H
#define SPANTAP_TEXT_H

#include "base/buf.h"

/*
 * Appends `s` with control bytes (C0, C1, DEL), bidirectional and other
 * invisible format characters, and invalid UTF-8 as \n \t \xHH \u{HHHH}.
 */
void text_escape(struct buf *out, struct slice s);

/* As text_escape(), white space runs folded to one blank, cut to `columns` with an ellipsis. */
void text_line(struct buf *out, struct slice s, size_t columns);

/* Appends `n` bytes of valid UTF-8 made of `s`: each invalid byte becomes U+FFFD. */
void text_utf8(struct buf *out, struct slice s);

/* How many bytes at the beginning of `s` are valid UTF-8 (RFC 3629). */
size_t text_valid(struct slice s);

/* Lower-case hexadecimal. */
void text_hex(struct buf *out, const void *p, size_t n);
/* n bytes from 2 n lower-case hexadecimal digits; false when they are not that, then ret may be half filled. */
bool text_unhex(struct slice hex, void *ret, size_t n);

#endif
