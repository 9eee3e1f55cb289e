/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/types.h>
#include <stddef.h>

#include "../../bpf/events.h"
#include "target/libs.h"
#include "target/locate.h"
#include "target/nss.h"

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
     "SSL_write_ex",
     .prefix = "SSL_"},
    /* BoringSSL: no _ex calls, no SSL_ctrl; what OpenSSL makes of SSL_ctrl by a macro is a function here. */
    {"BoringSSL",
     EV_LIB_BORINGSSL,
     {PLAIN, [TARGET_SNI] = "SSL_set_tlsext_host_name"},
     "SSL_set_tlsext_host_name",
     .prefix = "SSL_"},
    /* OpenSSL 1.0, LibreSSL. */
    {"OpenSSL before 1.1.1",
     EV_LIB_OPENSSL,
     {PLAIN, [TARGET_CTRL] = "SSL_ctrl"},
     "SSL_ctrl",
     .prefix = "SSL_"},
    /* A program that keeps only some of the symbols. */
    {"BoringSSL or an old OpenSSL", EV_LIB_BORINGSSL, {PLAIN}, "SSL_read", .prefix = "SSL_"},
    /* What is corked is sent by gnutls_record_uncork, through gnutls_record_send, which is but a jump to
       _send2. */
    {"GnuTLS",
     EV_LIB_GNUTLS,
     {[TARGET_WRITE] = "gnutls_record_send",
      [TARGET_WRITE2] = "gnutls_record_send2",
      [TARGET_READ] = "gnutls_record_recv",
      [TARGET_READ2] = "gnutls_record_recv_seq",
      [TARGET_FLUSH] = "gnutls_record_uncork",
      [TARGET_INIT] = "gnutls_init",
      [TARGET_FREE] = "gnutls_deinit"},
     "gnutls_init",
     .prefix = "gnutls_",
     .interface = "GNUTLS_"},
    {"NSS",
     EV_LIB_NSS,
     {[TARGET_WRITE] = "ssl_SecureWrite",
      [TARGET_WRITE2] = "ssl_SecureSend",
      [TARGET_READ] = "ssl_SecureRead",
      [TARGET_READ_FLAGS] = "ssl_SecureRecv",
      [TARGET_FREE] = "ssl_SecureClose"},
     "SSL_ImportFD",
     .prefix = "SSL_",
     .complete = nss_methods,
     .interface = "NSS_"},
    {"mbed TLS",
     EV_LIB_MBEDTLS,
     {[TARGET_WRITE] = "mbedtls_ssl_write",
      [TARGET_READ] = "mbedtls_ssl_read",
      [TARGET_FREE] = "mbedtls_ssl_free",
      [TARGET_SNI] = "mbedtls_ssl_set_hostname",
      [TARGET_CLEAR] = "mbedtls_ssl_session_reset",
      [TARGET_BEGIN] = "mbedtls_ssl_setup"},
     "mbedtls_ssl_setup",
     .prefix = "mbedtls_ssl_"},
    {"wolfSSL",
     EV_LIB_WOLFSSL,
     {[TARGET_WRITE] = "wolfSSL_write",
      [TARGET_READ] = "wolfSSL_read",
      [TARGET_NEW] = "wolfSSL_new",
      [TARGET_FREE] = "wolfSSL_free",
      [TARGET_CLEAR] = "wolfSSL_clear"},
     "wolfSSL_new",
     .prefix = "wolfSSL_"},
    {"s2n-tls",
     EV_LIB_S2N,
     {[TARGET_WRITE] = "s2n_send",
      [TARGET_READ] = "s2n_recv",
      [TARGET_NEW] = "s2n_connection_new",
      [TARGET_FREE] = "s2n_connection_free",
      [TARGET_SNI] = "s2n_set_server_name",
      [TARGET_CLEAR] = "s2n_connection_wipe"},
     "s2n_connection_new",
     .prefix = "s2n_"},
    /* By the program's own table of functions (go.c). */
    {"Go crypto/tls",
     EV_LIB_GO,
     {[TARGET_WRITE_RECORD] = "crypto/tls.(*Conn).writeRecordLocked",
      [TARGET_READ] = "crypto/tls.(*Conn).Read",
      [TARGET_FREE] = "crypto/tls.(*Conn).Close",
      [TARGET_BEGIN] = "crypto/tls.(*Conn).clientHandshake",
      [TARGET_BEGIN2] = "crypto/tls.(*Conn).serverHandshake"},
     NULL,
     .prefix = "crypto/tls.(*Conn)."},
    {.name = NULL},
};

static const char *located_name(const struct target *t, enum target_func f)
{
	for (size_t r = 0; locators[r]; r++)
		if (locators[r]->lib == t->func_lib[f])
			return locators[r]->symbols[f];
	return NULL;
}

const char *target_func_name(const struct target *t, enum target_func f)
{
	if (t->located)
		return located_name(t, f);
	for (size_t l = 0; tls_libs[l].name; l++)
		if (tls_libs[l].lib == t->lib && tls_libs[l].symbols[f])
			return tls_libs[l].symbols[f];
	return NULL;
}

static const char *locator_name(uint32_t lib)
{
	for (size_t r = 0; locators[r]; r++)
		if (locators[r]->lib == lib)
			return locators[r]->name;
	return NULL;
}

const char *target_lib_name(const struct target *t)
{
	if (t->located)
		return locator_name(t->lib);
	for (size_t l = 0; tls_libs[l].name; l++)
		if (tls_libs[l].lib == t->lib && t->lib != EV_LIB_BORINGSSL)
			return tls_libs[l].name;
	return t->offset[TARGET_SNI] ? "BoringSSL" : "BoringSSL or an old OpenSSL";
}

const char *target_refused_name(const struct target *t)
{
	return t->why_refused ? locator_name(t->refused) : NULL;
}
