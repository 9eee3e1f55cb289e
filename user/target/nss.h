/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nss.h - the reads and writes of NSS.
 *
 * They have no symbols: PR_Read and PR_Write of NSPR lead to them through
 * methods.  Probing those of NSPR would trap every file and pipe.  A socket
 * that speaks TLS has the operations of ssl_secure_ops (sslimpl.h, struct
 * sslSocketOpsStr: connect, accept, bind, listen, shutdown, close, recv, send,
 * read, write, getpeername, getsockname); the table is known by its form, and
 * by its read and write being nothing but jumps to its recv and send: those of
 * ssl_default_ops, through which ciphertext passes, are not.
 */
#ifndef SPANTAP_NSS_H
#define SPANTAP_NSS_H

#include "target/image.h"
#include "target/site.h"

/* TARGET_WHY_NO_METHODS when there is no such table, or more than one. */
enum target_why nss_methods(struct image *image, struct site_func funcs[TARGET_FUNCS]);

#endif
