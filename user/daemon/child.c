/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/child.h"

bool child_wait_ready(struct child *c, struct msg *msg)
{
	struct pollfd fd = {.fd = c->sock[0], .events = POLLIN};
	uint64_t until = clock_boot_ns() + START_MS * 1000000ull;

	while (clock_boot_ns() < until) {
		if (poll(&fd, 1, 100) > 0 && msg_recv(c->sock[0], msg) == 0) {
			if (msg->type == MSG_READY)
				return true;
			if (msg->type == MSG_FAIL)
				log_warn("%.*s", (int)msg->payload.n, msg->payload.p);
			return false;
		}
		int status;
		if (waitpid(c->pid, &status, WNOHANG) == c->pid) {
			/* Its last word may have come between the two looks. */
			if (poll(&fd, 1, 0) > 0)
				continue;
			log_warn("%s ended at once (%s %d)", c->name,
			         WIFSIGNALED(status) ? "signal" : "status",
			         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			c->pid = 0;
			return false;
		}
	}
	log_warn("%s did not start within %d s", c->name, START_MS / 1000);
	return false;
}

void child_stop(struct child *c)
{
	for (int i = 0; i < 2; i++) {
		if (c->sock[i] > 0)
			close(c->sock[i]);
		c->sock[i] = 0;
	}
	/* It ends at end of file; what could hang was given its time before. */
	for (int i = 0; c->pid > 0 && i < 100; i++) {
		if (waitpid(c->pid, NULL, WNOHANG) == c->pid)
			c->pid = 0;
		else
			usleep(10000);
	}
	if (c->pid > 0 && kill(c->pid, SIGKILL) == 0) /* CAP_KILL */
		waitpid(c->pid, NULL, 0);
	c->pid = 0;
}
