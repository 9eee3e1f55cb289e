/* SPDX-License-Identifier: Apache-2.0 */
/* product.h - the whole of spantap as its users run it, and what it left in its store. */
#ifndef SPANTAP_BENCH_PRODUCT_H
#define SPANTAP_BENCH_PRODUCT_H

#include "bench/harness/ends.h"

/* $SPANTAP, else the spantap built beside this program. */
const char *product_path(void);

/*
 * Starts `spantap OPTIONS... -- END...`, END an end (ends.h) with the traced copy of libssl; without
 * `end` just `spantap OPTIONS...`. *ret_out: the end's standard output. The pid.
 */
pid_t product_start(const struct ends *e, const char *const *options, const char *const *end, int *ret_out);
/* Waits for it; ends the program when it failed. */
void product_wait(pid_t pid);

/* One number that a query on the store in a directory gives; 0 when it gives none. */
uint64_t product_query(const char *store, const char *sql);
/* A counter of the latest capture in it. */
uint64_t product_counter(const char *store, const char *name);
void product_remove_store(const char *store);

#endif
