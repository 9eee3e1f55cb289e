/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "jail/message.h"

static int send_parts(int sock, enum msg_type type, struct slice head, struct slice body, const int *fds, size_t n_fds)
{
	uint64_t t = type;
	struct iovec iov[] = {{&t, sizeof(t)}, {(void *)(uintptr_t)head.p, head.n}, {(void *)(uintptr_t)body.p, body.n}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = 3};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];

	if (head.n + body.n > MSG_MAX || n_fds > MSG_FDS_MAX)
		return -EMSGSIZE;
	if (n_fds) {
		memset(control, 0, sizeof(control));
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	for (;;) {
		if (sendmsg(sock, &m, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

int msg_send(int sock, enum msg_type type, struct slice payload, const int *fds, size_t n_fds)
{
	return send_parts(sock, type, payload, (struct slice){0}, fds, n_fds);
}

int msg_send2(int sock, enum msg_type type, struct slice head, struct slice body)
{
	return send_parts(sock, type, head, body, NULL, 0);
}

int msg_recv(int sock, struct msg *ret)
{
	struct iovec iov = {ret->bytes, sizeof(ret->bytes)};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t n;

	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;

	ret->n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		ret->n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(ret->fds, CMSG_DATA(c), ret->n_fds * sizeof(int));
	}
	if (n == 0)
		return -EPIPE;

	uint64_t type;
	if (n < (ssize_t)sizeof(type) || m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		while (ret->n_fds)
			close(ret->fds[--ret->n_fds]);
		return -EPROTO;
	}
	memcpy(&type, ret->bytes, sizeof(type));
	ret->type = (enum msg_type)type;
	ret->payload = slice_of(ret->bytes + sizeof(type), (size_t)n - sizeof(type));
	return 0;
}
