/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>
#include <stddef.h>

#include "../../bpf/events.h"
#include "target/libs.h"

#define PLAIN                                                                                                \
	[TARGET_WRITE] = "SSL_write", [TARGET_READ] = "SSL_read", [TARGET_NEW] = "SSL_new",                  \
	[TARGET_FREE] = "SSL_free", [TARGET_CLEAR] = "SSL_clear"

const struct tls_lib tls_libs[] = {
    /* OpenSSL 1.1.1 to 3.x (SSL_write_ex2 since 3.3), as a shared library or exported by a program that links
       it (node). */
    {"OpenSSL",
     EV_LIB_OPENSSL,
     {PLAIN, [TARGET_WRITE_EX] = "SSL_write_ex", [TARGET_WRITE_EX2] = "SSL_write_ex2",
      [TARGET_READ_EX] = "SSL_read_ex", [TARGET_CTRL] = "SSL_ctrl"},
     "SSL_write_ex"},
    /* BoringSSL: no _ex calls, no SSL_ctrl; what OpenSSL makes of SSL_ctrl by a macro is a function here. */
    {"BoringSSL",
     EV_LIB_BORINGSSL,
     {PLAIN, [TARGET_SNI] = "SSL_set_tlsext_host_name"},
     "SSL_set_tlsext_host_name"},
    /* OpenSSL 1.0, LibreSSL. */
    {"OpenSSL before 1.1.1", EV_LIB_OPENSSL, {PLAIN, [TARGET_CTRL] = "SSL_ctrl"}, "SSL_ctrl"},
    /* A program that keeps only some of the symbols. */
    {"BoringSSL or an old OpenSSL", EV_LIB_BORINGSSL, {PLAIN}, "SSL_read"},
    {NULL, 0, {NULL}, NULL},
};

const char *target_func_name(const struct target *t, enum target_func f)
{
	for (size_t l = 0; tls_libs[l].name; l++)
		if (tls_libs[l].lib == t->lib && tls_libs[l].symbols[f])
			return tls_libs[l].symbols[f];
	return NULL;
}

const char *target_lib_name(const struct target *t)
{
	if (t->lib == EV_LIB_OPENSSL)
		return "OpenSSL";
	return t->offset[TARGET_SNI] ? "BoringSSL" : "BoringSSL or an old OpenSSL";
}
