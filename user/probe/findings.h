/* SPDX-License-Identifier: Apache-2.0 */
/*
 * findings.h - what a long look into a file found, kept for the next run.
 *
 * To find a library without symbols takes up to a second, in which a program
 * that has just been started talks already; what was found once is there at
 * once.  Kept in FINDINGS_DIR, which must be root's alone, a file each.  Its
 * name is the key: the inode, with size and times of content and of change
 * (which nobody can set), and the same of spantap's own program.  Nothing that
 * a file says of itself is part of the key, so one that lies about its build id
 * gains nothing.  Without root nothing is kept.
 */
#ifndef SPANTAP_FINDINGS_H
#define SPANTAP_FINDINGS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "target/target.h"

#define FINDINGS_DIR      "/var/cache/spantap"
#define FINDINGS_MAX      256       /* files of 8 KiB; then all are forgotten */
#define FINDINGS_SIZE     (8 << 20) /* bytes; smaller files are looked into in no time */
#define FINDINGS_WORTH_NS 20000000  /* what takes less is done again */

bool findings_load(const struct stat *st, struct target *ret);
/* Failures are ignored: it will be looked for again. */
void findings_store(const struct stat *st, const struct target *t);

#endif
