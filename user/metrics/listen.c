/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "metrics/listen.h"

#define BACKLOG 16

static bool parse_unix(const char *path, struct listen_address *ret, const char **ret_why)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	if (!*path || strlen(path) >= sizeof(un.sun_path)) {
		*ret_why = "the path of a UNIX socket has 1 to 107 bytes";
		return false;
	}
	strcpy(un.sun_path, path);
	memcpy(&ret->addr, &un, sizeof(un));
	ret->len = sizeof(un);
	return true;
}

static bool set_ip(struct slice host, uint16_t port, struct listen_address *ret)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	char text[INET6_ADDRSTRLEN] = "";

	if (host.n == 0 || slice_eq(host, SLICE("localhost")))
		host = SLICE("127.0.0.1");
	if (bracketed)
		host = slice_of(host.p + 1, host.n - 2);
	if (host.n >= sizeof(text))
		return false;
	memcpy(text, host.p, host.n);
	if (!bracketed && inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		memcpy(&ret->addr, &in, sizeof(in));
		ret->len = sizeof(in);
		return true;
	}
	if (!bracketed || inet_pton(AF_INET6, text, &in6.sin6_addr) != 1)
		return false;
	memcpy(&ret->addr, &in6, sizeof(in6));
	ret->len = sizeof(in6);
	return true;
}

bool listen_parse(const char *s, struct listen_address *ret, const char **ret_why)
{
	const char *colon = strrchr(s, ':');
	uint64_t port;

	memset(ret, 0, sizeof(*ret));
	if (strncmp(s, "unix:", 5) == 0)
		return parse_unix(s + 5, ret, ret_why);
	if (!slice_u64(slice_str(colon ? colon + 1 : s), &port) || port > UINT16_MAX) {
		*ret_why = "it ends in no port: give PORT, ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH";
		return false;
	}
	if (colon == s || (colon == s + 1 && *s == '*')) {
		*ret_why = "to listen on all addresses of the host, say so: 0.0.0.0:PORT or [::]:PORT";
		return false;
	}
	if (set_ip(slice_of(s, colon ? (size_t)(colon - s) : 0), (uint16_t)port, ret))
		return true;
	*ret_why = "its address is no IP address (IPv6 in brackets) and not localhost";
	return false;
}

/* Nobody listens there, so it was left behind. */
static void remove_stale(const struct listen_address *a)
{
	const struct sockaddr_un *un = (const void *)&a->addr;
	struct stat st;

	if (lstat(un->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&a->addr, a->len) && errno == ECONNREFUSED)
		unlink(un->sun_path);
	if (fd >= 0)
		close(fd);
}

int listen_open(const struct listen_address *a)
{
	int fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, err = 0;
	bool is_unix = a->addr.ss_family == AF_UNIX;

	if (fd < 0)
		return -errno;
	if (is_unix)
		remove_stale(a);
	else
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	mode_t mask = umask(is_unix ? 0117 : 0077);
	if (bind(fd, (const struct sockaddr *)&a->addr, a->len) || listen(fd, BACKLOG))
		err = -errno;
	umask(mask);
	if (err)
		close(fd);
	return err ? err : fd;
}

void listen_print(struct buf *out, int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t len = sizeof(a);
	char text[INET6_ADDRSTRLEN] = "?";

	if (getsockname(fd, (struct sockaddr *)&a, &len))
		return;
	if (a.ss_family == AF_UNIX) {
		buf_addf(out, "unix:%s", ((const struct sockaddr_un *)(const void *)&a)->sun_path);
	} else if (a.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)&a;

		buf_addf(out, "http://[%s]:%u", inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text)),
		         ntohs(in6->sin6_port));
	} else {
		const struct sockaddr_in *in = (const void *)&a;

		buf_addf(out, "http://%s:%u", inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)),
		         ntohs(in->sin_port));
	}
}
