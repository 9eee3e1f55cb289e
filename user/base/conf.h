/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf.h - lines `key = value` of a text: configuration files, and files of headers.
 *
 *   # a comment
 *   key = a value          # behind white space, a comment again
 *   key = "a # value"      # in double quotes \" and \\ stand for " and \
 *   key = 'as it stands'
 *   key                    no value: absent, not empty
 *
 * A key is letters, digits, '-', '_' and '.'; it may come again, in order.  A
 * value that is not quoted ends before the white space at the end of its line;
 * none goes on over a line.  CR LF ends a line, too; a byte order mark at the
 * beginning is passed over.
 *
 * What is wrong with a line damages only that line: all errors of a text are
 * told, up to CONF_ERRORS_MAX.  The cost is linear in the size of the text.
 */
#ifndef SPANTAP_CONF_H
#define SPANTAP_CONF_H

#include <sys/types.h>

#include "base/buf.h"

#define CONF_SIZE_MAX   (1 << 20)  /* bytes of a file: 10,000 rules fit */
#define CONF_VALUE_MAX  (16 << 10) /* bytes of a value: twice what a server takes as one header */
#define CONF_KEY_MAX    128
#define CONF_LINES_MAX  100000
#define CONF_ERRORS_MAX 100 /* told; a file that has more is no configuration at all */

/* Slices live until the callback returns. */
struct conf_events {
	/* `value` absent: there is none. */
	void (*entry)(void *ctx, unsigned line, struct slice key, struct slice value);
	/* One line of text: what is wrong, and what to do. */
	void (*error)(void *ctx, unsigned line, const char *what);
};

/* Tells what is in `text`, in order. Whether there was no error. */
bool conf_parse(struct slice text, const struct conf_events *ev, void *ctx);

/*
 * Reads a file that configures what a privileged process does, into *out.
 * Refused is what is no regular file (a pipe would be waited for), is larger
 * than CONF_SIZE_MAX, belongs to neither root, us nor `owner`, or may be written
 * to by others.  *ret_open: everybody may read it, so that no keys belong in
 * it.  0, or -errno with *ret_error (one line: why, and the remedy).
 */
int conf_read(const char *path, uid_t owner, struct buf *out, bool *ret_open, struct buf *ret_error);

#endif
