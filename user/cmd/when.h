/* SPDX-License-Identifier: Apache-2.0 */
/* when.h - points in time as people write them. */
#ifndef SPANTAP_WHEN_H
#define SPANTAP_WHEN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A day (2026-11-25: its first moment), a time (2026-11-25T14:30, with seconds
 * or without), both local unless a Z follows, or an age before `now` (45s, 30m,
 * 12h, 7d, 2w). In ns since the epoch; false, and *ret untouched, for anything else.
 */
bool when_parse(const char *s, uint64_t now, uint64_t *ret);

#endif
