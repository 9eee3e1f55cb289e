// SPDX-License-Identifier: Apache-2.0
/*
 * client HOST PORT CA - one chat completion by HTTP/1.1; prints the answer.
 *
 * OpenSSL is linked into it, as into node, and exported: the probes sit in the
 * program's own file.  It starts faster than node, which counts in an emulator.
 */
#include <netdb.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char body[] =
    "{\"model\":\"gpt-4o-mini\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
    "\"messages\":[{\"role\":\"user\",\"content\":\"Why is the sky blue?\"}]}";

static int dial(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &all))
		return -1;
	for (struct addrinfo *a = all; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen)) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(all);
	return fd;
}

static int exchange(SSL *ssl, const char *host, const char *port)
{
	char buf[1024];
	int n = snprintf(buf, sizeof(buf),
	                 "POST /v1/chat/completions HTTP/1.1\r\nHost: %s:%s\r\nAuthorization: Bearer "
	                 "sk-test-0000000000000000\r\n"
	                 "Content-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
	                 host, port, strlen(body));

	if (SSL_write(ssl, buf, n) != n || SSL_write(ssl, body, (int)strlen(body)) <= 0)
		return 1;
	while ((n = SSL_read(ssl, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	return ferror(stdout);
}

int main(int argc, char **argv)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;
	int status = 1;

	if (argc != 4 || !ctx || SSL_CTX_load_verify_locations(ctx, argv[3], NULL) != 1)
		goto out;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	ssl = SSL_new(ctx);
	int fd = dial(argv[1], argv[2]);
	if (ssl && fd >= 0 && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1)
		status = exchange(ssl, argv[1], argv[2]);
out:
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return status;
}
