/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc.h - memory that is there, or the process is not.
 *
 * The processes that parse are restarted by probe when they end, so running
 * out of memory is treated like a crash: counted, marked, resumed.  Nothing
 * that a traced process can make grow is allocated without a named limit.
 */
#ifndef SPANTAP_ALLOC_H
#define SPANTAP_ALLOC_H

#include <stddef.h>

void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size); /* zero-filled */
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);

/* Grows array *p (element size `size`, *cap elements) so that it holds `need`. */
void xgrow(void *p, size_t *cap, size_t need, size_t size);

#endif
