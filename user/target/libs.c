/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>
#include <stddef.h>

#include "../../bpf/events.h"
#include "target/libs.h"

const struct tls_lib tls_libs[] = {
    /* OpenSSL 1.1.1 to 3.x (SSL_write_ex2 since 3.3), as a shared library or exported by a program that links it (node). */
    {"openssl", EV_LIB_OPENSSL, {"SSL_write", "SSL_write_ex", "SSL_write_ex2", "SSL_read", "SSL_read_ex", "SSL_new", "SSL_free"}, "SSL_write_ex"},
    /* BoringSSL, OpenSSL 1.0, LibreSSL: no _ex calls. */
    {"boringssl", EV_LIB_BORINGSSL, {"SSL_write", NULL, NULL, "SSL_read", NULL, "SSL_new", "SSL_free"}, "SSL_read"},
    {NULL, 0, {NULL}, NULL},
};
