/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPANTAP_TARGET_LIBS_H
#define SPANTAP_TARGET_LIBS_H

#include "target/target.h"

/* A TLS library recognised by the functions that it exports. */
struct tls_lib {
	const char *name;
	uint32_t lib;                      /* enum ev_lib */
	const char *symbols[TARGET_FUNCS]; /* NULL: this library has no such function */
	const char *marker;                /* a further symbol that must be there; NULL: none */
};

extern const struct tls_lib tls_libs[]; /* tried in order, ends with name NULL */

#endif
