/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errors.h - the places where a function puts an error on OpenSSL's queue.
 *
 *   ERR_put_error(int library, int unused, int reason, const char *file, unsigned line)
 *
 * BoringSSL and AWS-LC call this with constants (OPENSSL_PUT_ERROR); a linker
 * that optimises may have dropped the second argument, which is always 0.  The
 * reasons are part of their interface (ssl.h, err.h) and are never numbered
 * anew; file and line are those of the source.  So a function is known by the
 * errors it reports.
 */
#ifndef SPANTAP_ERRORS_H
#define SPANTAP_ERRORS_H

#include "target/insn.h"

#define ERRORS_MAX 64 /* of one function; SSL_CTX_new has 4, the largest of ssl_lib.cc 12 */

struct error {
	uint32_t library, reason, line;
};

struct errors {
	uint64_t start, end; /* of the function */
	struct error v[ERRORS_MAX];
	unsigned n;
};

/* Those in the function that holds `at`, whose file is the string at `file`. False: its bounds are unknown.
 */
bool errors_read(struct decoder *d, const struct code *code, uint64_t at, uint64_t file, struct errors *ret);
/* The first with this reason; NULL: none. */
const struct error *errors_reason(const struct errors *e, uint32_t library, uint32_t reason);

#endif
