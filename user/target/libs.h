/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPANTAP_TARGET_LIBS_H
#define SPANTAP_TARGET_LIBS_H

#include "target/site.h"

struct image;

/* A TLS library recognised by the functions that it exports. */
struct tls_lib {
	const char *name;
	uint32_t lib;                      /* enum ev_lib */
	const char *symbols[TARGET_FUNCS]; /* NULL: this library has no such function */
	const char *marker; /* a further symbol that must be there; NULL: never recognised by symbols (Go) */
	const char *prefix; /* of all its symbols that matter */
	/* Finds what has no symbol; whatever stays 0 is not there. NULL: all have one. */
	enum target_why (*complete)(struct image *image, struct site_func funcs[TARGET_FUNCS]);
	const char *interface; /* what its symbol versions begin with; NULL: as OpenSSL's, or it has none */
};

extern const struct tls_lib tls_libs[]; /* tried in order, ends with name NULL */

#endif
