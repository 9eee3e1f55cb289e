/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listen.h - where scrapers are listened for: PORT, ADDRESS:PORT, [ADDRESS]:PORT
 * or unix:PATH.  Without an address it is 127.0.0.1; all addresses of the host
 * are listened on only when they are asked for as 0.0.0.0 or [::].
 */
#ifndef SPANTAP_LISTEN_H
#define SPANTAP_LISTEN_H

#include <sys/socket.h>

#include "base/buf.h"

struct listen_address {
	struct sockaddr_storage addr;
	socklen_t len; /* 0: nowhere */
};

/* False: *ret_why (static) says what is wrong with it. */
bool listen_parse(const char *s, struct listen_address *ret, const char **ret_why);
/* A listening, non-blocking socket, or -errno. A UNIX socket that nobody listens on any more makes room; mode
 * 0660. */
int listen_open(const struct listen_address *a);
/* "http://127.0.0.1:9464" or "unix:PATH", of the socket as it is bound. */
void listen_print(struct buf *out, int fd);

#endif
