/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version.h - which version of OpenSSL a file is.
 *
 * Its version string ("OpenSSL 3.0.19 3 Feb 2026") is in libcrypto, in libssl
 * up to 1.1, and in programs that link it.  The libssl of OpenSSL 3 has the
 * version of its interface only: the latest of its symbol versions, as
 * OPENSSL_3.5.0; 3.1 added none and so looks like 3.0.
 */
#ifndef SPANTAP_VERSION_H
#define SPANTAP_VERSION_H

#include <stdbool.h>
#include <stddef.h>

#define VERSION_SIZE 16 /* of target.version */

/* The version of the first version string in n bytes; false: there is none. */
bool version_in_text(const char *p, size_t n, char ret[VERSION_SIZE]);

/* Takes "OPENSSL_3.5.0", "OPENSSL_1_1_1a" into *io ("3.5", "1.1") when it is later than what is there;
 * `prefix`: "OPENSSL_". */
void version_of_interface(const char *prefix, const char *symbol_version, char io[VERSION_SIZE]);

/* < 0, 0, > 0: by major and minor only. */
int version_compare(const char *a, const char *b);

#endif
