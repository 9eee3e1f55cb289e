/* SPDX-License-Identifier: Apache-2.0 */
/* until.h - `replay --until=SEAM`: what a recording gives at a seam between two stages, as text. */
#ifndef SPANTAP_UNTIL_H
#define SPANTAP_UNTIL_H

#include <stdbool.h>

#define UNTIL_SEAMS "proto"

bool until_known(const char *seam);
/*
 * Prints to stdout what the records of `fd` give at the seam, connection by
 * connection in the order of their ends.  It holds prompts and credentials in
 * clear, as the recording does.  Enters the sandbox of decode: the last thing
 * that a process does. 0 or -errno.
 */
int until_print(const char *seam, int fd);

#endif
