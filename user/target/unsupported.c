/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "target/unsupported.h"

#define QUIC                                                                                                 \
	"QUIC (HTTP/3)", "its packets are encrypted outside of TLS records; over UDP there is no alarm "     \
	                 "either"

const struct unsupported unsupported[] = {
    {"libjvm.so", "Java (JSSE)", "its TLS is Java, compiled while it runs: no file has a place to probe"},
    {"libbotan", "Botan",
     "plaintext passes through C++ callbacks of the program, not through functions of the library"},
    {"libmatrixssl", "MatrixSSL", "the program reads and writes the library's buffers itself"},
    {"cygrpc.", "gRPC (Python)", "it holds a BoringSSL of its own, whose functions were not recognised"},
    {"grpc_node.node", "gRPC (node)", "it holds a BoringSSL of its own, whose functions were not recognised"},
    {"libngtcp2", QUIC},
    {"libquiche", QUIC},
    {"libmsquic", QUIC},
    {"liblsquic", QUIC},
    {NULL, "SSL_sendfile and kernel TLS",
     "what a program hands to the kernel itself passes no function; what it hands to SSL_write is captured"},
    {NULL, "early data (0-RTT)",
     "its functions are not listened to, except where they call the usual ones (OpenSSL)"},
    {NULL, NULL, NULL},
};

const struct unsupported *unsupported_find(const char *name)
{
	for (const struct unsupported *u = unsupported; u->what; u++)
		if (u->file && strncmp(name, u->file, strlen(u->file)) == 0)
			return u;
	return NULL;
}
