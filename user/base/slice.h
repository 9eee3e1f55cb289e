/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slice.h - borrowed bytes.
 *
 * A slice never owns what it points to.  Bytes that a callback receives are
 * valid until it returns; what must live longer is copied into the arena of
 * its owner (arena_dup()).  A slice may hold any byte, NUL included, and is
 * not terminated.  { NULL, 0 } means "absent", { non-NULL, 0 } means "empty".
 */
#ifndef SPANTAP_SLICE_H
#define SPANTAP_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct slice {
	const char *p;
	size_t n;
};

/* The slice of a string literal. */
#define SLICE(lit) ((struct slice){"" lit "", sizeof(lit) - 1})

static inline struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){p, n};
}

/* The slice of a C string; absent for NULL. */
static inline struct slice slice_str(const char *s)
{
	return (struct slice){s, s ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_caseeq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
	return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

static inline bool slice_ends(struct slice s, struct slice suffix)
{
	return s.n >= suffix.n && memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0;
}

/* Where `needle` first occurs in `s`, or NULL. */
static inline const char *slice_find(struct slice s, struct slice needle)
{
	return s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
}

/* `s` without its first `n` bytes (n <= s.n). */
static inline struct slice slice_from(struct slice s, size_t n)
{
	return (struct slice){s.p + n, s.n - n};
}

/* `s` without blanks, tabs, CR and LF at both ends. */
struct slice slice_trim(struct slice s);

/* Cuts the part before `sep` off the front of *rest; false when *rest is used up. */
bool slice_cut(struct slice *rest, char sep, struct slice *ret_part);

/* Decimal digits only; false (and *ret untouched) on anything else or overflow. */
bool slice_u64(struct slice s, uint64_t *ret);

#endif
